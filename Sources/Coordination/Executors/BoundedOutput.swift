/// What a command wrote to one stream: all of it, or its beginning and its end with a note of what lies between.
struct BoundedOutput {
  /// Of what `kept` returns, the note included.
  let maxBytes: Int
  /// Written so far, kept or not.
  private(set) var totalBytes = 0
  private var head: [UInt8] = []
  private var tail: [UInt8] = []

  private static let noteReserve = 64
  static let leastBytes = 4 * noteReserve

  init(maxBytes: Int) {
    self.maxBytes = max(maxBytes, Self.leastBytes)
  }

  private var headCapacity: Int { maxBytes / 2 }
  private var tailCapacity: Int { maxBytes - headCapacity }

  mutating func append(_ new: RawSpan) {
    // SAFETY: the bytes are copied during the call.
    unsafe new.withUnsafeBytes { bytes in
      totalBytes += bytes.count
      var rest = unsafe bytes[...]
      if head.count < headCapacity {
        let first = unsafe rest.prefix(headCapacity - head.count)
        unsafe head.append(contentsOf: first)
        unsafe rest = rest.dropFirst(first.count)
      }
      unsafe tail.append(contentsOf: rest.suffix(tailCapacity))
      // Cutting only when twice as long makes a byte move once on average.
      if tail.count > 2 * tailCapacity { tail.removeFirst(tail.count - tailCapacity) }
    }
  }

  /// - Returns: at most `maxBytes`, and how many bytes of the command's are not among them.
  func kept() -> (bytes: [UInt8], droppedBytes: Int) {
    if totalBytes <= maxBytes { return (head + tail, 0) }
    // Text stays text: characters that the cuts go through are left out as a whole.
    let first = head.dropLast(Self.incompleteSuffix(head))
    let last = tail.suffix(tailCapacity - Self.noteReserve).drop(maxCount: 3) { $0 & 0xC0 == 0x80 }
    let dropped = totalBytes - first.count - last.count
    let note = "\n[... \(dropped) bytes left out ...]\n"
    return (first + Array(note.utf8) + last, dropped)
  }

  /// How many bytes at the end begin a UTF-8 sequence that goes on beyond it.
  private static func incompleteSuffix(_ bytes: [UInt8]) -> Int {
    for (index, byte) in bytes.suffix(3).reversed().enumerated() where byte & 0xC0 != 0x80 {
      let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return length > index + 1 ? index + 1 : 0
    }
    return 0
  }
}

extension ArraySlice {
  fileprivate func drop(maxCount: Int, while predicate: (Element) -> Bool) -> ArraySlice {
    dropFirst(prefix(maxCount).prefix(while: predicate).count)
  }
}
