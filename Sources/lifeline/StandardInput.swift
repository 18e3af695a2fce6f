import Glibc

/// Standard input, as a whole.
enum StandardInput {
  /// Everything until its end; `nil` when it cannot be read or there is more than `maxBytes`.
  static func read(from descriptor: Int32 = STDIN_FILENO, maxBytes: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      // SAFETY: the kernel writes at most the buffer's length during the call.
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0, bytes.count + count <= maxBytes else { return nil }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
  }
}
