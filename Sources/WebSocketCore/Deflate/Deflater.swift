import CZlib

/// Compresses messages, one after the other, into the payloads that RFC 7692 §7.2.1 gives.
///
/// It keeps its window from message to message (context takeover) until `reset`. Nothing is allocated per message but
/// what `output` grows by.
@safe
final class Deflater {
  /// 9 to 15.
  let windowBits: Int
  /// 1 to 9.
  let memoryLevel: Int
  /// 1 to 9.
  let level: Int

  /// zlib keeps a pointer to it, so it must not move.
  private let stream: UnsafeMutablePointer<z_stream>
  /// Whether a message has begun with `append` and not ended.
  private var isWithinMessage = false

  /// The empty block without compression that a flush ends with, which is not sent (RFC 7692 §7.2.1).
  private static let tailBytes = 4
  /// zlib counts in 32 bits; longer messages take several calls.
  private static let maxCallBytes = 1 << 30

  /// `nil` if zlib finds no memory.
  init?(windowBits: Int, memoryLevel: Int, level: Int) {
    precondition((9...15).contains(windowBits), "zlib compresses with windows of 9 to 15 bits")
    precondition((1...9).contains(memoryLevel) && (1...9).contains(level), "memory level and level are 1 to 9")
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    // SAFETY: the call initializes the stream; it is freed here if that fails and in deinit otherwise.
    guard unsafe lifeline_deflate_init(stream, Int32(level), Int32(windowBits), Int32(memoryLevel)) == Z_OK else {
      unsafe stream.deallocate()
      return nil
    }
    unsafe self.stream = stream
    self.windowBits = windowBits
    self.memoryLevel = memoryLevel
    self.level = level
  }

  deinit {
    // SAFETY: initialized in init, and nothing uses it any more.
    unsafe deflateEnd(stream)
    unsafe stream.deallocate()
  }

  /// What a context takes, in bytes, by zlib's own account (zconf.h) and the size of its state.
  static func contextBytes(windowBits: Int, memoryLevel: Int) -> Int {
    1 << (windowBits + 2) + 1 << (memoryLevel + 9) + 6 * 1024
  }

  /// Appends a whole message, compressed.
  ///
  /// False, and `output` is as it was, if that would take more than `limit` bytes: the work stops there. The window then
  /// holds what was never sent, so `reset` is to be called before the next message.
  func compress(_ message: RawSpan, into output: inout [UInt8], limit: Int) -> Bool {
    precondition(!isWithinMessage, "a message sent piece by piece has not ended")
    guard limit > 0 else { return false }
    guard !message.isEmpty else {
      output.append(0)
      return true
    }
    let start = output.count
    // With room for one byte more, a full buffer means that the limit is exceeded.
    let maxBytes = min(limit, .max - Self.tailBytes - 1) + Self.tailBytes + 1
    guard run(message, Z_SYNC_FLUSH, into: &output, maxBytes: maxBytes) else {
      output.removeLast(output.count - start)
      return false
    }
    output.removeLast(Self.tailBytes)
    return true
  }

  /// Appends what is ready of a message given piece by piece; all that is left of it with the last piece.
  ///
  /// zlib holds its work back until a block is full, 2^(`memoryLevel` + 6) literals and repetitions: often nothing is
  /// ready, and in exchange pieces may be small at no cost in compression.
  func append(_ piece: RawSpan, isLast: Bool, into output: inout [UInt8]) {
    guard isLast || !piece.isEmpty else { return }
    guard isWithinMessage || !piece.isEmpty else {
      // RFC 7692 §7.2.3.6. A flush with nothing to flush would give nothing at all.
      output.append(0)
      return
    }
    isWithinMessage = true
    let isComplete = run(piece, isLast ? Z_SYNC_FLUSH : Z_NO_FLUSH, into: &output, maxBytes: .max)
    precondition(isComplete, "without a limit there is always room")
    guard isLast else { return }
    output.removeLast(Self.tailBytes)
    isWithinMessage = false
  }

  /// Forgets all messages, and the one under way: no context takeover (RFC 7692 §7.1.1).
  func reset() {
    isWithinMessage = false
    // SAFETY: the stream is initialized from init to deinit.
    let result = unsafe deflateReset(stream)
    precondition(result == Z_OK, "deflateReset")
  }

  /// Compresses all of `input`; false if `maxBytes` of output were written before that was done.
  private func run(_ input: RawSpan, _ flush: Int32, into output: inout [UInt8], maxBytes: Int) -> Bool {
    var offset = 0
    var room = maxBytes
    repeat {
      let count = min(input.byteCount - offset, Self.maxCallBytes)
      let isLastCall = offset + count == input.byteCount
      let isComplete = runOnce(
        input.extracting(offset..<(offset + count)), isLastCall ? flush : Z_NO_FLUSH, into: &output, room: &room)
      guard isComplete else { return false }
      offset += count
    } while offset < input.byteCount
    return true
  }

  private func runOnce(_ input: RawSpan, _ flush: Int32, into output: inout [UInt8], room: inout Int) -> Bool {
    let count = input.byteCount
    // So much that short messages always take one call, while a long one does not reserve its own length.
    let step = count <= 16 * 1024 ? max(4096, count + count / 8 + 64) : 16 * 1024 + count / 4
    return unsafe input.withUnsafeBytes { source in
      // SAFETY: zlib only reads the input, and only until the last call below, which is within the closure.
      unsafe stream.pointee.next_in = source.baseAddress?.assumingMemoryBound(to: UInt8.self)
      unsafe stream.pointee.avail_in = UInt32(count)
      repeat {
        guard room > 0 else { return false }
        let size = min(room, step)
        output.append(addingCapacity: size) { free in
          unsafe free.withUnsafeMutableBufferPointer { buffer, written in
            // SAFETY: zlib writes at most `avail_out` bytes, which the buffer has, and says how many it left.
            unsafe stream.pointee.next_out = buffer.baseAddress
            unsafe stream.pointee.avail_out = UInt32(min(size, buffer.count))
            let result = unsafe deflate(stream, flush)
            // Z_BUF_ERROR says that there was nothing to do.
            precondition(result == Z_OK || result == Z_BUF_ERROR, "deflate")
            written = unsafe min(size, buffer.count) - Int(stream.pointee.avail_out)
          }
          room -= free.count
        }
      } while unsafe stream.pointee.avail_out == 0
      return true
    }
  }
}

@available(*, unavailable)
extension Deflater: Sendable {}
