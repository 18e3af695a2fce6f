/// Cuts a stream of bytes into lines of a bounded length.
struct LineBuffer {
  enum Line: Equatable {
    /// Without its newline.
    case complete([UInt8])
    /// A line longer than allowed began; all of it is left out.
    case tooLong
  }

  let maxLineBytes: Int
  private var bytes: [UInt8] = []
  private var start = 0
  /// Where the search for a newline goes on, so that no byte is looked at twice.
  private var searched = 0
  private var isSkipping = false

  init(maxLineBytes: Int) {
    self.maxLineBytes = maxLineBytes
  }

  mutating func append(_ new: RawSpan) {
    if start > 0 {
      bytes.removeSubrange(..<start)
      searched -= start
      start = 0
    }
    // SAFETY: the bytes are copied during the call.
    unsafe new.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  /// The next whole line; nil until more arrives.
  mutating func next() -> Line? {
    while true {
      guard let newline = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) else {
        searched = bytes.count
        guard isSkipping || bytes.count - start > maxLineBytes else { return nil }
        start = bytes.count
        defer { isSkipping = true }
        return isSkipping ? nil : .tooLong
      }
      let line = start..<newline
      start = newline + 1
      searched = start
      if isSkipping {
        isSkipping = false
      } else {
        return line.count > maxLineBytes ? .tooLong : .complete(Array(bytes[line]))
      }
    }
  }

  /// What came after the last newline, once nothing more will come; nil when there is nothing.
  mutating func rest() -> Line? {
    defer {
      bytes = []
      start = 0
      searched = 0
    }
    guard !isSkipping, start < bytes.count else { return nil }
    return bytes.count - start > maxLineBytes ? .tooLong : .complete(Array(bytes[start...]))
  }
}
