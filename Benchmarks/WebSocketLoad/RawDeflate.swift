import CZlib

/// zlib without its header, as permessage-deflate uses it (RFC 7692 §7.2).
enum RawDeflate {
  /// One message, compressed without context, its closing empty block taken off.
  static func compress(_ payload: [UInt8], windowBits: Int32) throws(LoadError) -> [UInt8] {
    var stream = z_stream()
    guard
      deflateInit2_(
        &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
        Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { throw LoadError("zlib: cannot compress with a window of \(windowBits) bits") }
    defer { deflateEnd(&stream) }
    var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(payload.count))) + 16)
    let (status, count) = payload.withUnsafeBufferPointer { input in
      output.withUnsafeMutableBufferPointer { output in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(output.count)
        return (deflate(&stream, Z_SYNC_FLUSH), output.count - Int(stream.avail_out))
      }
    }
    guard status == Z_OK, count >= 4 else { throw LoadError("zlib: deflate ended with \(status)") }
    return Array(output[..<(count - 4)])
  }
}

/// Decompresses one peer's messages, to check them.
final class Inflater {
  private var stream = z_stream()
  private let keepsContext: Bool
  private var output: [UInt8]

  /// - Parameter limit: the longest message, in bytes.
  init(keepsContext: Bool, limit: Int) throws(LoadError) {
    self.keepsContext = keepsContext
    output = [UInt8](repeating: 0, count: limit + 1)
    guard inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw LoadError("zlib: cannot decompress")
    }
  }

  deinit { inflateEnd(&stream) }

  /// Whether `message`, as it came, stands for `expected`.
  func check(_ message: [UInt8], is expected: [UInt8]) -> Bool {
    if !keepsContext { inflateReset(&stream) }
    let input = message + [0, 0, 0xFF, 0xFF]
    let count = input.withUnsafeBufferPointer { input in
      output.withUnsafeMutableBufferPointer { output -> Int? in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(output.count)
        let status = inflate(&stream, Z_SYNC_FLUSH)
        guard status == Z_OK || status == Z_BUF_ERROR, stream.avail_in == 0 else { return nil }
        return output.count - Int(stream.avail_out)
      }
    }
    return count == expected.count && output.prefix(expected.count).elementsEqual(expected)
  }
}
