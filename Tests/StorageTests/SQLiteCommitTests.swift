import CoordinationCore
import Glibc
import Primitives
import Synchronization
import Testing

@testable import Storage

/// How commits reach the disk: together when they wait, and for good when they are acknowledged.
@Suite(.timeLimit(.minutes(2)))
struct SQLiteCommitTests {
  let directory = TemporaryDirectory()
  var path: String { directory.file("store.db") }

  /// Results in the order of their completions.
  final class Results: Sendable {
    private let results = Mutex<[(name: String, error: StoreError?)]>([])

    func record(_ name: String) -> @Sendable (Result<Void, StoreError>) -> Void {
      { result in
        let error: StoreError? = if case .failure(let error) = result { error } else { nil }
        self.results.withLock { $0.append((name, error)) }
      }
    }

    var all: [(name: String, error: StoreError?)] { results.withLock { $0 } }
  }

  /// Keeps the store's thread from its work until `open` is called.
  final class Gate: Sendable {
    private let isOpen = Atomic(false)
    private let isHolding = Atomic(false)

    func open() { isOpen.store(true, ordering: .releasing) }

    func hold() {
      isHolding.store(true, ordering: .releasing)
      while !isOpen.load(ordering: .acquiring) { sched_yield() }
    }

    func waitUntilHolding() async { while !isHolding.load(ordering: .acquiring) { await Task.yield() } }
  }

  @Test func `commits that wait share one transaction and complete in order`() async throws {
    let store = try SQLiteStore.open(path: path)
    let (gate, results) = (Gate(), Results())
    store.perform { _ in gate.hold() }
    await gate.waitUntilHolding()
    for number in 0..<500 { store.commit([.submit(task("t\(number)"))], results.record("t\(number)")) }
    gate.open()
    let counts = try await store.counts()
    #expect(counts == [.queued: 500])
    #expect(results.all.map(\.name) == (0..<500).map { "t\($0)" })
    #expect(results.all.allSatisfy { $0.error == nil })
    #expect(store.transactions == 1)
    await store.close()
  }

  @Test func `only the guilty commit of a group fails`() async throws {
    let store = try SQLiteStore.open(path: path)
    let (gate, results) = (Gate(), Results())
    store.perform { connection in
      connection.limitLength(100_000)
      gate.hold()
    }
    await gate.waitUntilHolding()
    for number in 0..<9 {
      let large = AttemptOutput(stdout: .init(repeating: 1, count: number == 4 ? 200_000 : 10))
      store.commit(
        [.submit(task("t\(number)")), .output(id("t\(number)"), attempt: 1, large)], results.record("t\(number)"))
    }
    gate.open()
    let names = try await store.names()
    #expect(names == [0, 1, 2, 3, 5, 6, 7, 8].map { "t\($0)" })
    #expect(results.all.filter { $0.error != nil }.map(\.name) == ["t4"])
    #expect(results.all.count == 9)
    // The group was undone as a whole: what was remembered of it must not lead a later write astray.
    try await store.commit([.update(id("t8"), state(.running))])
    try await store.commit([.update(id("t5"), state(.paused))])
    #expect(try await store.task(id("t8"))?.task.state.status == .running)
    #expect(try await store.task(id("t5"))?.task.state.status == .paused)
    await store.close()
  }

  @Test func `what was acknowledged survives a crash at that moment`() async throws {
    let directory = directory
    let store = try SQLiteStore.open(path: path)
    let copies = Mutex<[(count: Int, copy: TemporaryDirectory)]>([])
    for number in 0..<60 {
      store.commit([
        .submit(task("t\(number)")),
        .checkpoint(checkpoint("t\(number)", 1, 1, ["n": .integer(Int64(number))]), keep: 3),
        .output(id("t\(number)"), attempt: 1, AttemptOutput(stdout: .init(repeating: 5, count: 9_000))),
      ]) { result in
        guard case .success = result, number % 6 == 5 else { return }
        // The disk as a crash would leave it, apart from what the kernel still holds.
        let copy = TemporaryDirectory()
        for name in ["store.db", "store.db-wal"] { if let bytes = directory.bytes(name) { copy.write(bytes, name) } }
        copies.withLock { $0.append((number + 1, copy)) }
      }
      // Not all at once, or there would be a single transaction.
      if number % 3 == 2 { _ = try await store.counts() }
    }
    await store.close()
    let all = copies.withLock { $0 }
    #expect(all.count == 10)
    for (count, copy) in all {
      let store = try SQLiteStore.open(path: copy.file("store.db"))
      let unfinished = try await store.unfinished()
      #expect(unfinished.count >= count)
      for number in 0..<count { #expect(unfinished[number].checkpoint?.data == ["n": .integer(Int64(number))]) }
      #expect(try await store.task(id("t\(count - 1)"))?.output[1]?.stdout.count == 9_000)
      await store.close()
    }
  }

  @Test func `a torn log loses whole commits from its end and nothing else`() async throws {
    let store = try SQLiteStore.open(path: path)
    for number in 0..<12 {
      try await store.commit([.submit(task("a\(number)")), .submit(task("b\(number)"))])
    }
    let database = try #require(directory.bytes("store.db"))
    let log = try #require(directory.bytes("store.db-wal"))
    await store.close()
    for length in stride(from: 0, through: log.count, by: 1_357) {
      let copy = TemporaryDirectory()
      copy.write(database, "store.db")
      copy.write(Array(log[..<length]), "store.db-wal")
      let store = try SQLiteStore.open(path: copy.file("store.db"))
      let names = try await store.names()
      #expect(names == (0..<names.count / 2).flatMap { ["a\($0)", "b\($0)"] })
      await store.close()
    }
  }

  @Test func `every transaction is synced`() async throws {
    let store = try SQLiteStore.open(path: path)
    let settings = await withCheckedContinuation { continuation in
      store.perform { connection in
        let mode = (try? connection.text("PRAGMA journal_mode")) ?? ""
        continuation.resume(returning: "\(mode) \((try? connection.integer("PRAGMA synchronous")) ?? 0)")
      }
    }
    #expect(settings == "wal 2", "2 is FULL: the log is synced at every commit")
    await store.close()
  }

  @Test func `commits from several threads are all applied`() async throws {
    let store = try SQLiteStore.open(path: path)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          for number in 0..<50 { try await store.commit([.submit(task("w\(writer)-\(number)"))]) }
        }
      }
      try await group.waitForAll()
    }
    let counts = try await store.counts()
    #expect(counts == [.queued: 200])
    await store.close()
  }

  @Test func `writes beyond the limit are refused as long as others wait`() async throws {
    let store = try SQLiteStore.open(path: path)
    let (gate, results) = (Gate(), Results())
    store.perform { _ in gate.hold() }
    await gate.waitUntilHolding()
    let writes = [StoreWrite](repeating: .submit(task("a")), count: SQLiteStore.maxPendingWrites)
    store.commit([.submit(task("b"))], results.record("b"))
    store.commit(writes, results.record("many"))
    #expect(results.all.map(\.name) == ["many"])
    #expect(results.all[0].error?.isTransient == true)
    gate.open()
    let names = try await store.names()
    #expect(names == ["b"])
    await store.close()
  }
}
