import Glibc
import Testing

@testable import Storage

@Suite(.timeLimit(.minutes(2)))
struct OutboxFileTests {
  let directory = TemporaryDirectory()
  var path: String { directory.file("outbox") }

  func open(_ limits: OutboxLimits = OutboxLimits()) throws -> OutboxFile {
    try OutboxFile.open(path: path, limits: limits)
  }

  func entry(_ key: String, _ content: String) -> OutboxEntry { OutboxEntry(key: key, content: bytes(content)) }

  /// The bytes of a file that `fill` has written, and what it held.
  func file(_ fill: (OutboxFile) throws -> Void) throws -> (bytes: [UInt8], entries: [OutboxEntry]) {
    let outbox = try open()
    try fill(outbox)
    try outbox.sync()
    return (try #require(directory.bytes("outbox")), outbox.entries)
  }

  @Test func `a new outbox is empty and clean`() throws {
    let outbox = try open()
    #expect(outbox.entries.isEmpty)
    #expect(outbox.recovery == .clean)
  }

  @Test func `entries are found again in order`() throws {
    let large = [UInt8]((0..<300_000).map { UInt8(truncatingIfNeeded: $0) })
    let (_, written) = try file { outbox in
      try outbox.append(key: "b", bytes("1"))
      try outbox.append(key: "", [])
      try outbox.append(key: "ä\u{0}", [0, 255])
      try outbox.append(key: "large", large)
    }
    let outbox = try open()
    #expect(outbox.recovery == .clean)
    #expect(outbox.entries == written)
    #expect(outbox.entries.map(\.key) == ["b", "", "ä\u{0}", "large"])
    #expect(outbox.entries.last?.content == large)
  }

  @Test func `the newest append of a key replaces the older one and moves to the end`() throws {
    _ = try file { outbox in
      try outbox.append(key: "a", bytes("1"))
      try outbox.append(key: "b", bytes("2"))
      try outbox.append(key: "a", bytes("3"))
      #expect(outbox.entries == [entry("b", "2"), entry("a", "3")])
    }
    #expect(try open().entries == [entry("b", "2"), entry("a", "3")])
  }

  @Test func `what is removed stays removed`() throws {
    _ = try file { outbox in
      try outbox.append(key: "a", bytes("1"))
      try outbox.append(key: "b", bytes("2"))
      outbox.remove(key: "a")
      outbox.remove(key: "unknown")
    }
    let outbox = try open()
    #expect(outbox.entries == [entry("b", "2")])
    #expect(outbox.count == 1)
  }

  @Test func `a file cut anywhere in its last record keeps everything before it`() throws {
    let (first, before) = try file { outbox in
      try outbox.append(key: "a", bytes("one"))
      try outbox.append(key: "b", bytes("two"))
    }
    let (whole, all) = try file { outbox in try outbox.append(key: "c", bytes("three")) }
    for length in first.count...whole.count {
      directory.write(Array(whole[..<length]), "outbox")
      do {
        let outbox = try open()
        #expect(outbox.entries == (length == whole.count ? all : before))
        let isWhole = length == first.count || length == whole.count
        #expect(outbox.recovery == (isWhole ? .clean : .cutTornTail(bytes: length - first.count)))
        try outbox.append(key: "d", bytes("four"))
        try outbox.sync()
      }
      #expect(try open().entries.last == entry("d", "four"), "what follows a cut can be read")
    }
    #expect(directory.names == ["outbox"])
  }

  @Test func `a file cut in its header is an empty outbox`() throws {
    let (whole, _) = try file { outbox in try outbox.append(key: "a", bytes("one")) }
    for length in 0..<OutboxRecord.fileHeader.count {
      directory.write(Array(whole[..<length]), "outbox")
      #expect(try open().entries.isEmpty)
      #expect(try open().recovery == .clean)
    }
  }

  @Test func `zeros behind the last record are a torn tail`() throws {
    let (whole, all) = try file { outbox in try outbox.append(key: "a", bytes("one")) }
    for count in [1, 11, 15, 5_000] {
      directory.write(whole + [UInt8](repeating: 0, count: count), "outbox")
      let outbox = try open()
      #expect(outbox.entries == all)
      #expect(outbox.recovery == .cutTornTail(bytes: count))
    }
  }

  @Test func `a changed byte anywhere keeps the entries before it and sets the file aside`() throws {
    var ends: [Int] = [OutboxRecord.fileHeader.count]
    let (whole, all) = try file { outbox in
      for (key, content) in [("a", "one"), ("b", ""), ("c", "three")] {
        try outbox.append(key: key, bytes(content))
        ends.append((ends.last ?? 0) + OutboxRecord.length(key: key, contentBytes: content.utf8.count))
      }
    }
    #expect(ends.last == whole.count)
    for index in whole.indices {
      for change in [0x01, 0x80, 0xFF] as [UInt8] {
        var damaged = whole
        damaged[index] ^= change
        directory.write(damaged, "outbox")
        let kept = max(0, ends.lastIndex { $0 <= index } ?? 0)
        let offset = index < OutboxRecord.fileHeader.count ? 0 : ends[kept]
        do {
          let outbox = try open()
          #expect(outbox.entries == Array(all[..<kept]))
          #expect(
            outbox.recovery
              == .setAsideDamage(copy: path + ".damaged", offset: offset, lostBytes: whole.count - offset))
          #expect(directory.bytes("outbox.damaged") == damaged)
          try outbox.append(key: "z", bytes("new"))
          try outbox.sync()
        }
        #expect(try open().entries == Array(all[..<kept]) + [entry("z", "new")])
        unlink(path + ".damaged")
      }
    }
  }

  @Test func `files set aside do not replace one another`() throws {
    for _ in 1...3 {
      directory.write(Array(repeating: 0x41, count: 40), "outbox")
      _ = try open()
    }
    #expect(directory.names == ["outbox", "outbox.damaged", "outbox.damaged.2", "outbox.damaged.3"])
  }

  @Test func `random bytes never do harm`() throws {
    let seed = getenv("LIFELINE_SEED").flatMap { UInt64(String(cString: $0)) } ?? UInt64.random(in: 0...UInt64.max)
    var random = TaskStorePropertyTests.Generator(word: seed)
    let (whole, _) = try file { outbox in
      for number in 0..<5 { try outbox.append(key: "k\(number)", bytes("content \(number)")) }
    }
    for _ in 0..<300 {
      var damaged = whole
      for _ in 0..<random.int(1...6) {
        damaged[random.int(0...damaged.count - 1)] = UInt8(truncatingIfNeeded: random.next())
      }
      if random.bool() { damaged.removeLast(random.int(0...damaged.count)) }
      directory.write(damaged, "outbox")
      let first = try open().entries
      #expect(
        try open().entries == first, "replay: LIFELINE_SEED=\(seed) swift test --filter \"random bytes never do harm\"")
      #expect(try open().recovery == .clean)
      unlink(path + ".damaged")
    }
  }

  @Test func `the file of a newer program is refused and left as it is`() throws {
    let header = OutboxRecord.fileHeader
    // A header of version 2 with its right checksum.
    let newer = OutboxRecord.checksummed(Array(header[..<7]) + [2])
    directory.write(newer + [1, 2, 3], "outbox")
    #expect(throws: StoreError.newerSchema(path: path, found: 2, supported: 1)) { try open() }
    #expect(directory.bytes("outbox") == newer + [1, 2, 3])
  }

  @Test func `compaction keeps the live entries and gives the space back`() throws {
    let limits = OutboxLimits(minCompactionBytes: 4_096)
    let outbox = try open(limits)
    for number in 0..<500 {
      try outbox.append(key: "k\(number)", [UInt8](repeating: 7, count: 100))
      if number >= 3 { outbox.remove(key: "k\(number - 3)") }
      try outbox.sync()
      let size = try #require(directory.bytes("outbox")?.count)
      #expect(size < 10_000)
    }
    #expect(outbox.entries.map(\.key) == ["k497", "k498", "k499"])
    #expect(directory.names == ["outbox", "outbox.lock"])
  }

  @Test func `a compacted outbox is found again`() throws {
    let limits = OutboxLimits(minCompactionBytes: 0)
    do {
      let outbox = try open(limits)
      for number in 0..<40 { try outbox.append(key: "k\(number % 4)", bytes("\(number)")) }
      try outbox.sync()
      try outbox.append(key: "after", bytes("x"))
      try outbox.sync()
    }
    #expect(try open().entries.map(\.key) == ["k0", "k1", "k2", "k3", "after"])
    #expect(try open().entries.first?.content == bytes("36"))
  }

  @Test func `a second user is refused with what to do`() throws {
    let outbox = try open()
    #expect(throws: StoreError.outboxLocked(path: path)) { try open() }
    #expect("\(StoreError.outboxLocked(path: path))".contains("--worker-id"))
    try outbox.append(key: "a", [])
  }

  @Test func `more entries or bytes than allowed are refused and change nothing`() throws {
    let outbox = try open(OutboxLimits(maxEntries: 2, maxBytes: 100))
    try outbox.append(key: "a", bytes("1"))
    try outbox.append(key: "b", bytes("2"))
    let error = #expect(throws: StoreError.self) { try outbox.append(key: "c", bytes("3")) }
    guard case .outboxFull(path, entries: 2, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    try outbox.append(key: "b", bytes("replaced"))
    #expect(throws: StoreError.self) { try outbox.append(key: "a", [UInt8](repeating: 1, count: 100)) }
    #expect(outbox.entries == [entry("a", "1"), entry("b", "replaced")])
    outbox.remove(key: "a")
    try outbox.append(key: "c", bytes("3"))
    #expect(outbox.entries == [entry("b", "replaced"), entry("c", "3")])
  }

  @Test func `a key that is too long is refused`() throws {
    let outbox = try open()
    #expect(throws: StoreError.self) { try outbox.append(key: String(repeating: "k", count: 65_536), []) }
    try outbox.append(key: String(repeating: "k", count: 65_535), [])
    #expect(outbox.count == 1)
  }

  @Test func `a place that cannot hold an outbox is an error`() {
    #expect(throws: StoreError.self) { try OutboxFile.open(path: directory.file("none/outbox")) }
    #expect(throws: StoreError.self) { try OutboxFile.open(path: directory.path) }
  }
}
