/// A part of a frame that lies in the bytes at hand; a frame wholly within one read is one piece.
public struct FramePiece: Hashable, Sendable {
  public var header: FrameHeader
  /// Where the payload's part is in the bytes that were read; already unmasked.
  public var payload: Range<Int>
  /// Where in the frame's payload the part starts; 0 with `isFirst`.
  public var position: Int
  public var isFirst: Bool
  /// Whether the frame ends here.
  public var isLast: Bool
}

/// Cuts received bytes into frames, in place and without allocating: masked payloads are unmasked where they lie.
///
/// It checks what a frame shows by itself; `MessageAssembler` checks frames against each other.
public struct FrameDecoder: Sendable {
  var rules: FrameHeader.Rules
  /// The beginning of a header that the last read cut off.
  private var stash = InlineArray<14, UInt8>(repeating: 0)
  private var stashCount = 0
  /// The frame whose payload is being read.
  private var current: FrameHeader?
  private var position = 0

  /// `role` is the receiver's own; a frame longer than `maxFrameBytes` is an error before its payload is read.
  public init(role: Role, extensions: Extensions = .none, maxFrameBytes: Int) {
    rules = FrameHeader.Rules(
      role: role, allowedReservedBits: extensions.reservedBits, maxFrameBytes: max(0, maxFrameBytes))
  }

  /// Whether the bytes so far end between two frames.
  public var isBetweenFrames: Bool { current == nil && stashCount == 0 }

  /// The next piece at `offset`, which moves behind it; `nil` when every byte is used.
  public mutating func next(
    in bytes: inout MutableRawSpan, from offset: inout Int
  ) throws(ProtocolError) -> FramePiece? {
    guard let header = current else {
      guard let header = try nextHeader(in: bytes.bytes, from: &offset) else { return nil }
      return piece(of: header, in: &bytes, from: &offset, isFirst: true)
    }
    guard offset < bytes.byteCount else { return nil }
    return piece(of: header, in: &bytes, from: &offset, isFirst: false)
  }

  private mutating func nextHeader(
    in bytes: RawSpan, from offset: inout Int
  ) throws(ProtocolError) -> FrameHeader? {
    if stashCount == 0 {
      if let (header, length) = try FrameHeader.decode(bytes, at: offset, rules: rules) {
        offset += length
        return header
      }
    }
    // Only a header cut by the end of a read comes this way: byte by byte is fast enough.
    while offset < bytes.byteCount {
      stash[stashCount] = bytes.byte(at: offset)
      stashCount += 1
      offset += 1
      // SAFETY: bytes are initialized whatever they hold.
      let stashed = unsafe stash.span.extracting(0..<stashCount).bytes
      if let (header, _) = try FrameHeader.decode(stashed, at: 0, rules: rules) {
        stashCount = 0
        return header
      }
    }
    return nil
  }

  private mutating func piece(
    of header: FrameHeader, in bytes: inout MutableRawSpan, from offset: inout Int, isFirst: Bool
  ) -> FramePiece {
    let start = isFirst ? 0 : position
    let count = min(header.payloadBytes - start, bytes.byteCount - offset)
    let payload = offset..<(offset + count)
    offset += count
    let isLast = start + count == header.payloadBytes
    current = isLast ? nil : header
    position = start + count
    header.maskingKey?.apply(to: &bytes, in: payload, position: start)
    return FramePiece(header: header, payload: payload, position: start, isFirst: isFirst, isLast: isLast)
  }
}
