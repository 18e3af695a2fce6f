/// A message that goes to many connections: encoded once, and compressed once if that is wanted.
///
/// Make it on any thread and send it on any loop. The compressed form needs no earlier message, so it suits connections
/// with and without context takeover; a connection whose agreed window is smaller than `windowBits` gets the plain one.
public final class PreparedMessage: Sendable {
  public let kind: MessageKind
  /// The binary logarithm of the window that the compressed form needs: 9 to 15.
  let windowBits: Int
  let plainFrame: [UInt8]
  /// `nil` if compressing was not wanted or did not help.
  let compressedFrame: [UInt8]?

  /// Prepares a message; text must be UTF-8.
  ///
  /// With a configuration it is compressed as a connection of that configuration would, for those that agreed on
  /// permessage-deflate; without it goes out plain everywhere.
  public init(_ message: RawSpan, _ kind: MessageKind, compression: CompressionConfiguration? = nil) {
    self.kind = kind
    plainFrame = Self.frame(message, kind, isCompressed: false)
    guard let compression, message.byteCount >= compression.thresholdBytes, message.byteCount > 1 else {
      windowBits = 9
      compressedFrame = nil
      return
    }
    // A window larger than the message is of no use, and a smaller one suits more connections.
    let needed = Int.bitWidth - (message.byteCount - 1).leadingZeroBitCount
    windowBits = max(9, min(compression.maxOutgoingWindowBits, needed))
    var payload: [UInt8] = []
    let deflater = Deflater(
      windowBits: windowBits, memoryLevel: compression.memoryLevel, level: compression.level)
    guard let deflater, deflater.compress(message, into: &payload, limit: message.byteCount - 1),
      compression.allowsInflating(payload.count, to: message.byteCount)
    else {
      compressedFrame = nil
      return
    }
    // SAFETY: bytes are initialized whatever they hold.
    compressedFrame = unsafe Self.frame(payload.span.bytes, kind, isCompressed: true)
  }

  public convenience init(text: String, compression: CompressionConfiguration? = nil) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe self.init(text.utf8Span.span.bytes, .text, compression: compression)
  }

  public convenience init(binary: [UInt8], compression: CompressionConfiguration? = nil) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe self.init(binary.span.bytes, .binary, compression: compression)
  }

  private static func frame(_ payload: RawSpan, _ kind: MessageKind, isCompressed: Bool) -> [UInt8] {
    var frame: [UInt8] = []
    frame.reserveCapacity(payload.byteCount + FrameHeader.maxBytes)
    FrameEncoder.server.append(kind.opcode, isCompressed: isCompressed, payload: payload, to: &frame)
    return frame
  }

  /// How long the header of an encoded frame is.
  static func headerBytes(of frame: [UInt8]) -> Int { FrameHeader.encodedBytes(secondByte: frame[1]) }
}
