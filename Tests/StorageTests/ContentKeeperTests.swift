import CoordinationCore
import Cryptography
import PostgresStorage
import Reactor
import Storage
import TestSupport
import Testing

/// Where files can be kept, and what must hold for each.
enum KeeperKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case folder, postgres
  var testDescription: String { rawValue }

  /// PostgreSQL where it is installed.
  static let allCases: [KeeperKind] = PostgresServer.isUsable ? [.folder, .postgres] : [.folder]
}

/// One place for files, which may be left and entered again.
final class KeeperFixture {
  private let kind: KeeperKind
  private let directory = TemporaryDirectory()
  private let database: SharedDatabase?
  private var open: [any ContentKeeper] = []

  init(_ kind: KeeperKind) async throws {
    self.kind = kind
    database = kind == .postgres ? try SharedDatabase() : nil
  }

  func keeper(_ adjust: (inout ContentLimits) -> Void = { _ in }) async throws -> any ContentKeeper {
    var limits = ContentLimits()
    adjust(&limits)
    let keeper: any ContentKeeper
    if let database {
      keeper = try await database.files(limits)
    } else {
      keeper = try ContentStore.open(path: directory.file("files"), limits: limits)
    }
    open.append(keeper)
    return keeper
  }

  func close() async {
    for keeper in open { await keeper.close() }
    open = []
    await database?.close()
  }

  static func with(_ kind: KeeperKind, _ body: (KeeperFixture) async throws -> Void) async throws {
    let fixture = try await KeeperFixture(kind)
    try await body(fixture)
    await fixture.close()
  }
}

extension SharedDatabase {
  /// The files of a store that has its tables.
  func files(
    _ limits: ContentLimits = ContentLimits(), of store: PostgresStore? = nil
  ) async throws -> any SharedContentKeeper {
    let store = try store ?? open()
    _ = try await store.counts()
    return await Postgres.files(of: store, limits)
  }
}

extension Postgres {
  static func files(of store: PostgresStore, _ limits: ContentLimits = ContentLimits()) async -> any SharedContentKeeper
  {
    await withCheckedContinuation { continuation in
      thread.mailbox.post { continuation.resume(returning: store.openFiles(limits)) }
    }
  }
}

extension ContentKeeper {
  func state(of file: FileReference) async throws -> ContentState {
    try await withCheckedContinuation { continuation in state(of: file) { continuation.resume(returning: $0) } }.get()
  }

  @discardableResult
  func append(_ file: FileReference, offset: Int, _ piece: some Sequence<UInt8>) async throws -> ContentState {
    let piece = Array(piece)
    return try await withCheckedContinuation { continuation in
      append(file, offset: offset, piece) { continuation.resume(returning: $0) }
    }.get()
  }

  /// Pieces of a size that no reader asks for.
  @discardableResult
  func store(_ bytes: [UInt8], from start: Int = 0, by step: Int = 70_000) async throws -> FileReference {
    let file = fileReference(bytes)
    var offset = start
    var state: ContentState
    repeat {
      let piece = bytes[offset..<min(offset + step, bytes.count)]
      state = try await append(file, offset: offset, piece)
      offset += piece.count
      #expect(state == (offset == bytes.count ? .whole : .partial(offset)))
    } while offset < bytes.count
    return file
  }

  func read(_ file: FileReference, offset: Int, count: Int, verifying: Bool = false) async throws -> [UInt8] {
    try await withCheckedContinuation { continuation in
      read(file, offset: offset, count: count, verifying: verifying) { continuation.resume(returning: $0) }
    }.get()
  }

  func close() async { await withCheckedContinuation { continuation in close { continuation.resume() } } }
}

extension SharedContentKeeper {
  func find(_ digests: [FileDigest]) async throws -> [FileReference] {
    try await withCheckedContinuation { continuation in find(digests) { continuation.resume(returning: $0) } }.get()
  }

  func expire(unusedFor keep: Duration) async throws -> Int {
    try await withCheckedContinuation { continuation in
      expire(unusedFor: keep, settled: .zero) { continuation.resume(returning: $0) }
    }.get()
  }
}

func fileContent(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) ^ seed }
}

func fileReference(_ bytes: [UInt8]) -> FileReference {
  FileReference(FileDigest(SHA256.digest(of: bytes)), size: bytes.count)
}

/// The error that `body` throws; `nil` when it throws none.
func contentError(_ body: () async throws -> Void) async -> ContentError? {
  do {
    try await body()
    return nil
  } catch { return error as? ContentError }
}

/// What every place for files promises.
@Suite(.timeLimit(.minutes(5)))
struct ContentKeeperTests {
  @Test(arguments: KeeperKind.allCases, [0, 1, 1_000, 200_000])
  func `a file that came in pieces is whole, and read back in other pieces`(_ kind: KeeperKind, size: Int) async throws
  {
    try await KeeperFixture.with(kind) { fixture in
      let keeper = try await fixture.keeper()
      let bytes = fileContent(size)
      #expect(try await keeper.state(of: fileReference(bytes)) == .partial(0))
      let file = try await keeper.store(bytes)
      #expect(try await keeper.state(of: file) == .whole)
      var read: [UInt8] = []
      while read.count < size {
        read += try await keeper.read(file, offset: read.count, count: min(65_536, size - read.count))
      }
      #expect(read == bytes)
      #expect(try await keeper.read(file, offset: 0, count: size, verifying: true) == bytes)
      #expect(try await keeper.read(file, offset: size, count: 0) == [])
    }
  }

  @Test(arguments: KeeperKind.allCases)
  func `a piece that is sent twice, overlaps or leaves a gap does no harm`(_ kind: KeeperKind) async throws {
    try await KeeperFixture.with(kind) { fixture in
      let keeper = try await fixture.keeper()
      let bytes = fileContent(1_000)
      let file = fileReference(bytes)
      #expect(try await keeper.append(file, offset: 0, bytes[..<400]) == .partial(400))
      #expect(try await keeper.append(file, offset: 0, bytes[..<400]) == .partial(400))
      #expect(try await keeper.append(file, offset: 500, bytes[500...]) == .partial(400))
      #expect(try await keeper.append(file, offset: 300, bytes[300..<600]) == .partial(600))
      #expect(try await keeper.append(file, offset: 600, bytes[600...]) == .whole)
      #expect(try await keeper.append(file, offset: 600, bytes[600...]) == .whole)
      #expect(try await keeper.read(file, offset: 350, count: 400) == Array(bytes[350..<750]))
    }
  }

  @Test(arguments: KeeperKind.allCases)
  func `what arrives under a wrong digest is found out and leaves nothing behind`(_ kind: KeeperKind) async throws {
    try await KeeperFixture.with(kind) { fixture in
      let keeper = try await fixture.keeper { $0.maxBytes = 150 }
      let (bytes, other) = (fileContent(100), fileContent(100, 9))
      let file = fileReference(bytes)
      try await keeper.append(file, offset: 0, other[..<50])
      let error = await contentError { try await keeper.append(file, offset: 50, other[50...]) }
      #expect(error == .damaged(file, found: fileReference(other).digest))
      #expect(try await keeper.state(of: file) == .partial(0))
      // Its room is free again.
      #expect(try await keeper.append(file, offset: 0, bytes) == .whole)
    }
  }

  @Test(arguments: KeeperKind.allCases)
  func `an upload goes on in another process from the bytes that are there`(_ kind: KeeperKind) async throws {
    try await KeeperFixture.with(kind) { fixture in
      let bytes = fileContent(300_000)
      let file = fileReference(bytes)
      let first = try await fixture.keeper()
      #expect(try await first.append(file, offset: 0, bytes[..<123_456]) == .partial(123_456))
      await first.close()
      let second = try await fixture.keeper()
      #expect(try await second.state(of: file) == .partial(123_456))
      try await second.store(bytes, from: 123_456)
      #expect(try await second.read(file, offset: 0, count: 300_000) == bytes)
    }
  }

  @Test(arguments: KeeperKind.allCases)
  func `a range outside of the file is refused, whoever asks for it`(_ kind: KeeperKind) async throws {
    try await KeeperFixture.with(kind) { fixture in
      let keeper = try await fixture.keeper()
      let file = try await keeper.store(fileContent(100))
      for (offset, count) in [(-1, 1), (0, 101), (101, 0), (1, Int.max), (Int.max, 1), (0, -1)] {
        let error = await contentError { _ = try await keeper.read(file, offset: offset, count: count) }
        #expect(error == .badRange(file, offset: offset, count: count))
      }
      let partial = fileReference(fileContent(100, 2))
      for offset in [-1, 100, Int.max] {
        let error = await contentError { try await keeper.append(partial, offset: offset, [1]) }
        #expect(error == .badRange(partial, offset: offset, count: 1))
      }
    }
  }

  @Test(arguments: KeeperKind.allCases)
  func `a digest with another size than the file has is refused, or begins anew`(_ kind: KeeperKind) async throws {
    try await KeeperFixture.with(kind) { fixture in
      let keeper = try await fixture.keeper()
      let bytes = fileContent(100)
      let file = fileReference(bytes)
      let wrong = FileReference(file.digest, size: 120)
      #expect(try await keeper.append(wrong, offset: 0, bytes[..<50]) == .partial(50))
      #expect(try await keeper.state(of: file) == .partial(0))
      #expect(try await keeper.append(file, offset: 0, bytes) == .whole)
      let asked = await contentError { _ = try await keeper.state(of: wrong) }
      #expect(asked == .otherSize(wrong, found: 100))
      let sent = await contentError { try await keeper.append(wrong, offset: 0, [1]) }
      #expect(sent == .otherSize(wrong, found: 100))
    }
  }

  @Test(arguments: KeeperKind.allCases)
  func `more than may be kept is refused with the bound's name`(_ kind: KeeperKind) async throws {
    try await KeeperFixture.with(kind) { fixture in
      let keeper = try await fixture.keeper {
        $0.maxFileBytes = 1_000
        $0.maxBytes = 1_500
        $0.maxPartials = 2
      }
      let large = FileReference(fileReference([1]).digest, size: 1_001)
      let tooLarge = await contentError { try await keeper.append(large, offset: 0, [1]) }
      #expect(tooLarge == .tooLarge(large, limit: 1_000))
      // The first is not whole, and its place is taken nevertheless.
      let first = fileContent(1_000)
      #expect(try await keeper.append(fileReference(first), offset: 0, first[..<1]) == .partial(1))
      let second = fileReference(fileContent(600, 2))
      let full = await contentError { try await keeper.append(second, offset: 0, [1]) }
      #expect(full == .full(second, used: 1_000, limit: 1_500))
      let third = fileContent(200, 3)
      #expect(try await keeper.append(fileReference(third), offset: 0, third[..<1]) == .partial(1))
      let fourth = fileReference(fileContent(200, 4))
      let many = await contentError { try await keeper.append(fourth, offset: 0, [1]) }
      #expect(many == .tooMany("files that are not whole", limit: 2))
      // What is here already goes on.
      #expect(try await keeper.append(fileReference(third), offset: 1, third[1...]) == .whole)
    }
  }

  @Test(arguments: KeeperKind.allCases)
  func `files are bounded in number`(_ kind: KeeperKind) async throws {
    try await KeeperFixture.with(kind) { fixture in
      let keeper = try await fixture.keeper { $0.maxFiles = 2 }
      for seed in 1...2 as ClosedRange<UInt8> { try await keeper.store(fileContent(10, seed)) }
      let third = fileReference(fileContent(10, 3))
      let error = await contentError { try await keeper.append(third, offset: 0, [1]) }
      #expect(error == .tooMany("files", limit: 2))
      #expect(try await keeper.append(fileReference(fileContent(10, 2)), offset: 0, [1]) == .whole)
    }
  }

  @Test(arguments: KeeperKind.allCases)
  func `one that nobody came back for makes room for another`(_ kind: KeeperKind) async throws {
    try await KeeperFixture.with(kind) { fixture in
      let keeper = try await fixture.keeper {
        $0.maxPartials = 1
        $0.partialAge = .seconds(-10)
      }
      #expect(try await keeper.append(fileReference(fileContent(10)), offset: 0, [fileContent(10)[0]]) == .partial(1))
      #expect(try await keeper.store(fileContent(10, 2)).size == 10)
      #expect(try await keeper.state(of: fileReference(fileContent(10))) == .partial(0))
    }
  }

  @Test(arguments: KeeperKind.allCases)
  func `what is asked for after the end fails`(_ kind: KeeperKind) async throws {
    try await KeeperFixture.with(kind) { fixture in
      let keeper = try await fixture.keeper()
      let file = try await keeper.store(fileContent(10))
      await keeper.close()
      let asked = await contentError { _ = try await keeper.state(of: file) }
      #expect(asked == .disk(.closed))
      let read = await contentError { _ = try await keeper.read(file, offset: 0, count: 1) }
      #expect(read == .disk(.closed))
      let sent = await contentError { try await keeper.append(file, offset: 0, [1]) }
      #expect(sent == .disk(.closed))
    }
  }
}
