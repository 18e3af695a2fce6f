import CZlib

/// Inflates the payloads of compressed messages, in pieces as they come (RFC 7692 §7.2.2).
///
/// It keeps its window from message to message (context takeover) until `reset`. After an error only `reset` may follow.
@safe
final class Inflater {
  /// How far a step came.
  enum Progress: Hashable, Sendable {
    /// There may be more output of this piece.
    case more
    /// The piece is used up; another one follows.
    case needsInput
    /// The message is complete, and the inflater ready for the next one.
    case finished
  }

  /// What a message may inflate to.
  struct Limit: Hashable, Sendable {
    /// In bytes.
    var bytes: Int
    /// In compressed bytes so far, once there are more than `ratioGraceBytes` of output; at least 1.
    var ratio: Int
  }

  /// 8 to 15.
  let windowBits: Int

  /// zlib keeps a pointer to it, so it must not move.
  private let stream: UnsafeMutablePointer<z_stream>
  /// Of the message at hand, in bytes.
  private var consumedBytes = 0
  private var inflatedBytes = 0
  /// Whether the last call filled its room, so that there may be output without further input.
  private var mayHoldOutput = false
  /// Whether all blocks so far are complete and the last of them ended at the edge of a byte.
  private var isBetweenBlocks = true

  /// What the sender took off: an empty block without compression, but for its first bits (RFC 7692 §7.2.2).
  private static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]
  /// Up to here any ratio is fine: a window's worth of repetitions is small anyway.
  private static let ratioGraceBytes = 64 * 1024
  /// zlib counts in 32 bits; longer pieces take several calls.
  private static let maxCallBytes = 1 << 30

  /// `nil` if zlib finds no memory.
  init?(windowBits: Int) {
    precondition((8...15).contains(windowBits), "windows have 8 to 15 bits")
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    // SAFETY: the call initializes the stream; it is freed here if that fails and in deinit otherwise.
    guard unsafe lifeline_inflate_init(stream, Int32(windowBits)) == Z_OK else {
      unsafe stream.deallocate()
      return nil
    }
    unsafe self.stream = stream
    self.windowBits = windowBits
  }

  deinit {
    // SAFETY: initialized in init, and nothing uses it any more.
    unsafe inflateEnd(stream)
    unsafe stream.deallocate()
  }

  /// What a context takes once it has inflated, in bytes: its window and the size of its state.
  static func contextBytes(windowBits: Int) -> Int { 1 << windowBits + 7 * 1024 }

  /// What may come of so many compressed bytes.
  static func maxBytes(ofCompressed count: Int, ratio: Int) -> Int {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: ratio)
    return overflow ? .max : max(ratioGraceBytes, bytes)
  }

  /// Appends all that one piece of a message inflates to; pieces may be cut anywhere.
  ///
  /// `output` grows with what there is, by doubling and never beyond the limit, so that a bomb costs little before it is
  /// found. Throws `compressedDataInvalid`, `compressedDataTruncated`, `inflatedTooLong`, `inflationRatioExceeded`.
  func inflate(
    _ piece: RawSpan, isLast: Bool, into output: inout [UInt8], limit: Limit
  ) throws(ProtocolError) {
    var offset = 0
    // Deflate seldom saves more than four fifths, so that most messages take one step.
    var size = max(1024, min(piece.byteCount, 16 * 1024) * 5)
    while try step(piece, from: &offset, isLast: isLast, into: &output, maxBytes: size, limit: limit) == .more {
      size = max(size, inflatedBytes)
    }
  }

  /// Appends at most `maxBytes` of what `piece` inflates to; `offset` moves behind what was used of it.
  ///
  /// To be called with the same piece while it says `more`. Throws as `inflate` does.
  func step(
    _ piece: RawSpan, from offset: inout Int, isLast: Bool, into output: inout [UInt8], maxBytes: Int, limit: Limit
  ) throws(ProtocolError) -> Progress {
    precondition(maxBytes > 0, "a step must have room for output")
    let given = consumedBytes + piece.byteCount - offset
    let allowed = min(limit.bytes, Self.maxBytes(ofCompressed: given, ratio: limit.ratio), .max - 1)
    // With room for one byte more, a full buffer means that what is allowed is exceeded.
    var room = min(maxBytes, max(0, allowed - inflatedBytes) + 1, Self.maxCallBytes)
    // Exactly this: growing by itself, the array would double.
    output.reserveCapacity(output.count + room)

    while room > 0, offset < piece.byteCount || mayHoldOutput {
      let end = offset + min(piece.byteCount - offset, Self.maxCallBytes)
      let used = try run(piece.extracting(offset..<end), into: &output, room: &room)
      offset += used
      consumedBytes += used
      mayHoldOutput = room == 0
    }
    guard inflatedBytes <= limit.bytes else { throw .inflatedTooLong(limit: limit.bytes) }
    guard inflatedBytes <= allowed else { throw .inflationRatioExceeded(limit: limit.ratio) }
    guard room > 0 else { return .more }
    guard isLast else { return .needsInput }
    try end(into: &output, room: room)
    return .finished
  }

  /// Forgets all messages, and the one under way: no context takeover (RFC 7692 §7.1.1).
  func reset() {
    consumedBytes = 0
    inflatedBytes = 0
    mayHoldOutput = false
    isBetweenBlocks = true
    // SAFETY: the stream is initialized from init to deinit.
    let result = unsafe inflateReset(stream)
    precondition(result == Z_OK, "inflateReset")
  }

  /// Puts back what the sender took off, and judges whether the message is whole.
  ///
  /// After a complete block that ends at the edge of a byte the tail would make no sense. Such are the messages of peers
  /// that end with a final block and nothing behind it, that leave their tail on, or that give nothing at all for an
  /// empty message: it is clear what they mean.
  private func end(into output: inout [UInt8], room: Int) throws(ProtocolError) {
    if !isBetweenBlocks {
      let before = inflatedBytes
      var room = room
      var used = 0
      do throws(ProtocolError) {
        // SAFETY: bytes are initialized whatever they hold.
        used = try unsafe run(Self.tail.span.bytes, into: &output, room: &room)
      } catch {
        throw .compressedDataTruncated
      }
      // As data of an unfinished block the tail would give output; otherwise it is the empty block that it was.
      guard used == Self.tail.count, inflatedBytes == before, isBetweenBlocks else { throw .compressedDataTruncated }
    }
    consumedBytes = 0
    inflatedBytes = 0
  }

  /// Inflates until the input is used, the room is filled or a final block ends; returns the bytes used.
  private func run(_ input: RawSpan, into output: inout [UInt8], room: inout Int) throws(ProtocolError) -> Int {
    var result = Z_OK
    var written = 0
    let size = room
    unsafe input.withUnsafeBytes { source in
      // SAFETY: zlib only reads the input, and only within this closure.
      unsafe stream.pointee.next_in = source.baseAddress?.assumingMemoryBound(to: UInt8.self)
      unsafe stream.pointee.avail_in = UInt32(source.count)
      output.append(addingCapacity: size) { free in
        unsafe free.withUnsafeMutableBufferPointer { buffer, count in
          // SAFETY: zlib writes at most `avail_out` bytes, which the buffer has, and says how many it left.
          let available = min(size, buffer.count)
          unsafe stream.pointee.next_out = buffer.baseAddress
          unsafe stream.pointee.avail_out = UInt32(available)
          result = unsafe CZlib.inflate(stream, Z_SYNC_FLUSH)
          count = unsafe available - Int(stream.pointee.avail_out)
          written = count
        }
      }
    }
    let used = unsafe input.byteCount - Int(stream.pointee.avail_in)
    inflatedBytes += written
    room -= written
    switch result {
    case Z_STREAM_END:
      // A final block ends zlib's stream but not ours (RFC 7692 §7.2.3.4). inflateReset would lose the window, which
      // later messages may refer to; saving it and setting it again would cost 64 KiB of copying for each of a peer's
      // two-byte final blocks. This call of zlib's, exported though not documented, keeps it.
      let kept = unsafe inflateResetKeep(stream)
      precondition(kept == Z_OK, "inflateResetKeep")
      isBetweenBlocks = true
    case Z_OK, Z_BUF_ERROR:
      // After a call that found nothing to do zlib does not say that it is between blocks, but nothing changed either.
      let isIdle = used == 0 && written == 0
      isBetweenBlocks = Self.saysBetweenBlocks(unsafe stream.pointee.data_type) || (isIdle && isBetweenBlocks)
    case Z_MEM_ERROR: preconditionFailure("no memory for a window of \(windowBits) bits")
    // What is too long is so whatever follows, and zlib says this again once there is room.
    case Z_DATA_ERROR where room == 0: isBetweenBlocks = false
    default: throw .compressedDataInvalid
    }
    return used
  }

  /// zlib.h on `data_type`: 128 says that the next thing is a block's header, the low bits how many bits of the last byte
  /// are unused.
  private static func saysBetweenBlocks(_ dataType: Int32) -> Bool { dataType & 128 != 0 && dataType & 63 == 0 }
}

@available(*, unavailable)
extension Inflater: Sendable {}
