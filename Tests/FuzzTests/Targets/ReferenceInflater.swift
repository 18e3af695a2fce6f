import CZlib

/// The inflating end of one direction of permessage-deflate (RFC 7692 §7.2.2), by zlib and independent of `Inflater`:
/// slow, and by other means wherever there are some.
final class ReferenceInflater {
  private let windowBits: Int
  private let keepsWindow: Bool
  private var stream: UnsafeMutablePointer<z_stream>

  private static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]
  /// An empty final block: zlib ends its stream here exactly if what precedes are whole blocks up to the edge of a byte.
  private static let final: [UInt8] = [0x01, 0x00, 0x00, 0xFF, 0xFF]

  /// `keepsWindow` is context takeover.
  init(windowBits: Int, keepsWindow: Bool) {
    self.windowBits = windowBits
    self.keepsWindow = keepsWindow
    stream = .allocate(capacity: 1)
    precondition(lifeline_inflate_init(stream, Int32(windowBits)) == Z_OK, "no inflater")
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// What a part of a message inflates to, up to a little more than `maxBytes`, and whether it is no deflate stream.
  func inflate(_ part: [UInt8], maxBytes: Int) -> (output: [UInt8], isInvalid: Bool) {
    Self.run(stream, part, maxBytes: maxBytes, room: windowBits < 15 ? 1 : 4096)
  }

  /// Whether the message may end here; if so, the next one may begin.
  func end() -> Bool {
    guard !wouldEnd(with: Self.final) else {
      forget()
      return true
    }
    // The tail may be the end of a final block too.
    guard wouldEnd(with: Self.tail + Self.final) || wouldEnd(with: Self.tail) else { return false }
    _ = inflate(Self.tail, maxBytes: .max)
    forget()
    return true
  }

  private func forget() {
    if !keepsWindow { precondition(inflateReset(stream) == Z_OK, "inflateReset") }
  }

  private func wouldEnd(with bytes: [UInt8]) -> Bool {
    let copy = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    defer { copy.deallocate() }
    precondition(inflateCopy(copy, stream) == Z_OK, "inflateCopy")
    defer { inflateEnd(copy) }
    var (input, output) = (bytes, [UInt8](repeating: 0, count: 16))
    return input.withUnsafeMutableBufferPointer { source in
      output.withUnsafeMutableBufferPointer { target in
        copy.pointee.next_in = UnsafePointer(source.baseAddress)
        copy.pointee.avail_in = UInt32(source.count)
        copy.pointee.next_out = target.baseAddress
        copy.pointee.avail_out = UInt32(target.count)
        return CZlib.inflate(copy, Z_NO_FLUSH) == Z_STREAM_END && copy.pointee.avail_in == 0
          && copy.pointee.avail_out == target.count
      }
    }
  }

  /// With room for one byte a call, zlib has no output of the same call to look back into, only its window.
  private static func run(
    _ stream: UnsafeMutablePointer<z_stream>, _ part: [UInt8], maxBytes: Int, room: Int
  ) -> (output: [UInt8], isInvalid: Bool) {
    var (input, output) = (part, [UInt8]())
    var buffer = [UInt8](repeating: 0, count: room)
    let isInvalid = input.withUnsafeMutableBufferPointer { source in
      buffer.withUnsafeMutableBufferPointer { target in
        stream.pointee.next_in = UnsafePointer(source.baseAddress)
        stream.pointee.avail_in = UInt32(source.count)
        while output.count <= maxBytes {
          stream.pointee.next_out = target.baseAddress
          stream.pointee.avail_out = UInt32(room)
          let result = CZlib.inflate(stream, Z_NO_FLUSH)
          output += target.prefix(room - Int(stream.pointee.avail_out))
          switch result {
          case Z_STREAM_END: restart(stream)
          case Z_OK where stream.pointee.avail_out == 0: break
          case Z_OK, Z_BUF_ERROR: return false
          default: return true
          }
        }
        return false
      }
    }
    return (output, isInvalid)
  }

  /// Goes on behind a final block, with the window as it is (RFC 7692 §7.2.3.4).
  private static func restart(_ stream: UnsafeMutablePointer<z_stream>) {
    var window = [UInt8](repeating: 0, count: 1 << 15)
    var count: UInt32 = 0
    precondition(inflateGetDictionary(stream, &window, &count) == Z_OK, "inflateGetDictionary")
    precondition(inflateReset(stream) == Z_OK, "inflateReset")
    precondition(inflateSetDictionary(stream, window, count) == Z_OK, "inflateSetDictionary")
  }
}
