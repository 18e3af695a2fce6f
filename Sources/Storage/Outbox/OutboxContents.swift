/// What a worker has written and the coordinator has not acknowledged, in memory.
struct OutboxContents {
  private struct Live {
    let place: Int
    let content: [UInt8]
  }

  /// How the reading of a file ended.
  enum End: Equatable { case complete, tornTail, damaged, newer(version: UInt8) }

  private var live: [String: Live] = [:]
  /// Counts appends, so that entries can be told in their order.
  private var nextPlace = 0
  /// What the live records take in the file, in bytes.
  private(set) var recordBytes = 0

  var count: Int { live.count }

  /// In the order of their newest append.
  var entries: [OutboxEntry] {
    live.sorted { $0.value.place < $1.value.place }.map { OutboxEntry(key: $0.key, content: $0.value.content) }
  }

  func contains(_ key: String) -> Bool { live[key] != nil }

  /// What the live records will take once `key` has this content.
  func recordBytes(with key: String, contentBytes: Int) -> Int {
    let old = live[key].map { OutboxRecord.length(key: key, contentBytes: $0.content.count) } ?? 0
    return recordBytes - old + OutboxRecord.length(key: key, contentBytes: contentBytes)
  }

  mutating func put(_ key: String, _ content: [UInt8]) {
    recordBytes = recordBytes(with: key, contentBytes: content.count)
    live[key] = Live(place: nextPlace, content: content)
    nextPlace += 1
  }

  mutating func remove(_ key: String) {
    guard let old = live.removeValue(forKey: key) else { return }
    recordBytes -= OutboxRecord.length(key: key, contentBytes: old.content.count)
  }

  /// Reads a file's bytes as far as they are valid; returns how many are, and why it stopped.
  mutating func read(_ bytes: [UInt8]) -> (validBytes: Int, end: End) {
    let header = OutboxRecord.fileHeader
    guard bytes.count >= header.count else { return (0, header.starts(with: bytes) ? .tornTail : .damaged) }
    guard let version = OutboxRecord.fileVersion(bytes) else {
      return (0, bytes.allSatisfy { $0 == 0 } ? .tornTail : .damaged)
    }
    guard version <= OutboxRecord.version else { return (0, .newer(version: version)) }
    var offset = header.count
    while offset < bytes.count {
      switch OutboxRecord.read(bytes, at: offset) {
      case .record(let record, let length):
        switch record.kind {
        case .append: put(record.key, record.content)
        case .remove: remove(record.key)
        }
        offset += length
      case .tornTail: return (offset, .tornTail)
      case .damaged: return (offset, .damaged)
      }
    }
    return (offset, .complete)
  }
}
