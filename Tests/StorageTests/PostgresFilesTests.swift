import CoordinationCore
import Glibc
import PostgresStorage
import Primitives
import Storage
import Synchronization
import TestSupport
import Testing

/// What is the database's own: files that several share, that tasks of anybody need, and servers that die.
@Suite(
  .serialized, .timeLimit(.minutes(5)),
  .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
struct PostgresFilesTests {
  private func withTwo(
    _ body: (_ a: any SharedContentKeeper, _ b: any SharedContentKeeper, SharedDatabase) async throws -> Void
  ) async throws {
    let shared = try SharedDatabase()
    let (a, b) = (try await shared.files(), try await shared.files())
    try await body(a, b, shared)
    for keeper in [a, b] { await keeper.close() }
    await shared.close()
  }

  /// How much there is, as `FILES|BYTES`.
  private func room(_ shared: SharedDatabase) throws -> String? {
    try shared.server.execute("SELECT files, bytes FROM lifeline_file_room", database: shared.database).first
  }

  private func count(_ table: String, _ shared: SharedDatabase) throws -> String? {
    try shared.server.execute("SELECT count(*) FROM \(table)", database: shared.database).first
  }

  /// Nobody has used anything for a day.
  private func age(_ shared: SharedDatabase) throws {
    try shared.server.execute("UPDATE lifeline_files SET used_at = now() - interval '1 day'", database: shared.database)
  }

  private func needing(_ file: FileReference, _ name: String, _ status: TaskStatus = .queued) -> TaskRecord {
    let specification = TaskSpecification(
      name: name, work: .command(Command(["true"])), inputs: [TaskInput(path: "in", file)])
    return TaskRecord(
      id: id(name), specification: specification, submittedAt: time(1_000), state: TaskState(status: status))
  }

  @Test func `what one coordinator took, another has, and goes on with`() async throws {
    try await withTwo { a, b, _ in
      let bytes = fileContent(300_000)
      let file = fileReference(bytes)
      try await a.append(file, offset: 0, bytes[..<100_000])
      #expect(try await b.state(of: file) == .partial(100_000))
      #expect(try await b.append(file, offset: 100_000, bytes[100_000..<200_000]) == .partial(200_000))
      #expect(try await b.find([file.digest]).isEmpty, "it is not whole")
      #expect(try await a.append(file, offset: 200_000, bytes[200_000...]) == .whole)
      #expect(try await b.find([file.digest, fileReference([1]).digest]) == [file])
      #expect(try await b.read(file, offset: 50_000, count: 200_000) == Array(bytes[50_000..<250_000]))
    }
  }

  @Test func `two who send the same file at once both have it`() async throws {
    try await withTwo { a, b, shared in
      let bytes = fileContent(400_000)
      let file = fileReference(bytes)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (keeper, step) in [(a, 30_000), (b, 50_000)] {
          group.addTask {
            var have = 0
            while true {
              let piece = bytes[have..<min(have + step, bytes.count)]
              guard case .partial(let next) = try await keeper.append(file, offset: have, piece) else { return }
              have = next
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await a.read(file, offset: 0, count: bytes.count, verifying: true) == bytes)
      #expect(try room(shared) == "1|400000")
    }
  }

  @Test(arguments: [
    "UPDATE lifeline_file_pieces SET bytes = overlay(bytes PLACING '\\x00' FROM 7) WHERE start = 70000",
    "UPDATE lifeline_file_pieces SET bytes = substring(bytes FOR 10) WHERE start = 70000",
    "DELETE FROM lifeline_file_pieces WHERE start = 70000",
  ])
  func `a piece that is damaged in the database is noticed, and the file must be sent again`(sql: String) async throws {
    try await withTwo { a, b, shared in
      let bytes = fileContent(200_000)
      let file = try await a.store(bytes)
      try shared.server.execute(sql, database: shared.database)
      let error = await contentError { _ = try await b.read(file, offset: 0, count: 200_000, verifying: true) }
      #expect(error == .missing(file.digest))
      #expect(try await a.find([file.digest]).isEmpty)
      #expect(try count("lifeline_file_pieces", shared) == "0")
      try await a.store(bytes)
      #expect(try await b.read(file, offset: 0, count: 200_000, verifying: true) == bytes)
    }
  }

  @Test func `a piece that was damaged before the last one came is found out by reading it back`() async throws {
    try await withTwo { a, b, shared in
      let bytes = fileContent(200_000)
      let file = fileReference(bytes)
      try await a.append(file, offset: 0, bytes[..<100_000])
      try shared.server.execute(
        "UPDATE lifeline_file_pieces SET bytes = overlay(bytes PLACING '\\x00' FROM 7)", database: shared.database)
      let error = await contentError { try await b.append(file, offset: 100_000, bytes[100_000...]) }
      guard case .damaged(file, _) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(try await b.state(of: file) == .partial(0))
    }
  }

  @Test func `limits hold for all who share the database together`() async throws {
    let shared = try SharedDatabase()
    var limits = ContentLimits()
    limits.maxBytes = 1_000
    let (a, b) = (try await shared.files(limits), try await shared.files(limits))
    try await a.store(fileContent(600))
    let second = fileReference(fileContent(500, 2))
    let error = await contentError { try await b.append(second, offset: 0, [1]) }
    #expect(error == .full(second, used: 600, limit: 1_000))
    // Many at once do not get past them either.
    let kept = try await withThrowingTaskGroup(of: Bool.self) { group in
      for seed in 3...22 as ClosedRange<UInt8> {
        group.addTask {
          let bytes = fileContent(100, seed)
          let keeper = seed % 2 == 0 ? a : b
          return await contentError { try await keeper.append(fileReference(bytes), offset: 0, bytes) } == nil
        }
      }
      return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(kept == 4)
    for keeper in [a, b] { await keeper.close() }
    await shared.close()
  }

  // MARK: Expiry

  @Test func `a file is kept while a task in the pool or of any member needs it, and goes when none does`() async throws
  {
    try await withTwoMembers { a, b, _, shared in
      let files = try await shared.files(of: a)
      let pooled = try await files.store(fileContent(100_000))
      let held = try await files.store(fileContent(100_000, 2))
      let unneeded = try await files.store(fileContent(100_000, 3))
      try await b.commit([.submit(needing(pooled, "waits"))])
      try await b.commit([.submit(needing(held, "runs"))])
      #expect(try await a.locate(id("runs")) != .nowhere)
      #expect(try await files.expire(unusedFor: .seconds(60)) == 0, "all were used a moment ago")
      try age(shared)
      #expect(try await files.expire(unusedFor: .seconds(60)) == 1)
      #expect(try await files.find([pooled.digest, held.digest, unneeded.digest]).count == 2)
      #expect(try await files.read(pooled, offset: 0, count: 100_000) == fileContent(100_000))
      try await a.commit([.update(id("runs"), state(.completed))])
      try age(shared)
      #expect(try await files.expire(unusedFor: .seconds(60)) == 1)
      #expect(try await files.find([pooled.digest, held.digest]) == [pooled])
      let removed = await contentError { _ = try await files.read(held, offset: 0, count: 1) }
      #expect(removed == .missing(held.digest))
      #expect(try count("lifeline_file_uses", shared) == "1")
      #expect(try count("lifeline_file_pieces", shared) == "2", "of the one that is needed")
      #expect(try count("lifeline_file_waste", shared) == "0")
      #expect(try room(shared) == "1|100000")
      await files.close()
    }
  }

  @Test func `a use counts from when it is recorded, that of a submission too`() async throws {
    try await withTwoMembers { a, _, _, shared in
      let files = try await shared.files(of: a)
      let (found, submitted) = (try await files.store(fileContent(10)), try await files.store(fileContent(10, 2)))
      try age(shared)
      #expect(try await files.find([found.digest]) == [found])
      try await a.commit([.submit(needing(submitted, "short", .queued))])
      _ = try await a.locate(id("short"))
      try await a.commit([.update(id("short"), state(.cancelled))])
      #expect(try await files.expire(unusedFor: .seconds(60)) == 0)
      await files.close()
    }
  }

  @Test func `a submission that is under way while files expire keeps its own`() async throws {
    try await withTwoMembers { a, _, _, shared in
      let files = try await shared.files(of: a)
      // Enough for both to be in the middle of it again and again.
      for round in 0..<30 {
        let bytes = fileContent(10, UInt8(round))
        let file = try await files.store(bytes)
        try age(shared)
        async let submitted: Void = a.commit([.submit(needing(file, "t\(round)"))])
        async let expired = files.expire(unusedFor: .seconds(3_600))
        let (_, count) = try await (submitted, expired)
        // Either it was gone before anybody could count on it, or it stays.
        #expect(try await files.find([file.digest]).count == 1 - count)
      }
      await files.close()
    }
  }

  @Test func `nothing is removed before the database has been reachable for a while`() async throws {
    try await withTwo { a, _, shared in
      let file = try await a.store(fileContent(10))
      try age(shared)
      let count = try await withCheckedContinuation { continuation in
        a.expire(unusedFor: .seconds(60), settled: .seconds(60)) { continuation.resume(returning: $0) }
      }.get()
      #expect(count == 0)
      #expect(try await a.find([file.digest]) == [file])
    }
  }

  @Test func `the pieces of a large file go some at a time`() async throws {
    try await withTwo { a, _, shared in
      let file = try await a.store(fileContent(60_000), by: 100)
      #expect(try count("lifeline_file_pieces", shared) == "600")
      try age(shared)
      #expect(try await a.expire(unusedFor: .seconds(60)) == 1)
      #expect(try count("lifeline_file_pieces", shared) == "0")
      #expect(try count("lifeline_file_waste", shared) == "0")
      #expect(try await a.state(of: file) == .partial(0))
    }
  }

  // MARK: Faults

  /// Sends a file piece by piece, each once the one before is answered.
  private final class Upload: Sendable {
    let answered = EventLog<ContentState>("pieces answered")
    private let failed = Mutex<ContentError?>(nil)
    private let keeper: any ContentKeeper
    private let file: FileReference
    private let bytes: [UInt8]
    private static let step = 64 << 10

    init(_ bytes: [UInt8], _ keeper: any ContentKeeper) {
      (self.bytes, self.keeper, file) = (bytes, keeper, fileReference(bytes))
    }

    var error: ContentError? { failed.withLock { $0 } }

    func send(from offset: Int = 0) {
      let piece = Array(bytes[offset..<min(offset + Self.step, bytes.count)])
      keeper.append(file, offset: offset, piece) { [self] result in
        switch result {
        case .success(let state):
          answered.put(state)
          if case .partial(let next) = state { send(from: next) }
        case .failure(let error): failed.withLock { $0 = error }
        }
      }
    }
  }

  @Test func `an upload goes on by itself while its server is killed again and again, and is whole`() async throws {
    let server = try PostgresServer(synchronizes: true)
    let store = try Postgres.open(server.url(database: "work"))
    _ = try await store.counts()
    let files = await Postgres.files(of: store)
    let bytes = fileContent(8 << 20)
    let upload = Upload(bytes, files)
    upload.send()
    for round in 1...3 {
      try upload.answered.wait(for: "pieces", limit: .seconds(60)) { $0.count >= round * 30 ? true : nil }
      try server.kill9()
      // What was acknowledged is there, whatever the server was doing.
      let acknowledged = upload.answered.all.count
      try server.start()
      let have = try server.execute("SELECT have FROM lifeline_files", database: "work").first.flatMap { Int($0) } ?? 0
      #expect(have >= acknowledged * (64 << 10))
    }
    try upload.answered.wait(for: "the last piece", limit: .seconds(60)) { $0.last == .whole ? true : nil }
    #expect(upload.error == nil)
    let file = fileReference(bytes)
    #expect(try await files.read(file, offset: 0, count: bytes.count, verifying: true) == bytes)
    await files.close()
    await store.close()
  }

  @Test func `connections that are ended again and again leave every file whole`() async throws {
    try await withTwo { a, b, shared in
      let contents = (1...6 as ClosedRange<UInt8>).map { fileContent(1 << 20, $0) }
      let uploads = contents.enumerated().map { Upload($1, $0 % 2 == 0 ? a : b) }
      for upload in uploads { upload.send() }
      for round in 1...5 {
        try uploads[0].answered.wait(for: "pieces", limit: .seconds(60)) { $0.count >= round * 2 ? true : nil }
        try shared.server.terminateBackends(of: shared.database)
      }
      for upload in uploads {
        try upload.answered.wait(for: "the last piece", limit: .seconds(60)) { $0.last == .whole ? true : nil }
        #expect(upload.error == nil)
      }
      for bytes in contents {
        #expect(try await a.read(fileReference(bytes), offset: 0, count: bytes.count, verifying: true) == bytes)
      }
    }
  }

  @Test func `closing does not wait for a server that is away`() async throws {
    let server = try PostgresServer()
    let store = try Postgres.open(server.url(database: "work"))
    _ = try await store.counts()
    let files = await Postgres.files(of: store)
    let file = try await files.store(fileContent(10))
    try server.kill9()
    let late = EventLog<ContentError?>("questions while it is away")
    for _ in 0..<3 {
      files.state(of: file) { result in
        if case .failure(let error) = result { late.put(error) } else { late.put(nil) }
      }
    }
    await files.close()
    let answers = try late.wait(for: "answers") { $0.count == 3 ? $0 : nil }
    #expect(answers == [.disk(.closed), .disk(.closed), .disk(.closed)])
    await store.close()
  }
}
