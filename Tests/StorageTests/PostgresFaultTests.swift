import CoordinationCore
import Glibc
import Primitives
import Storage
import Synchronization
import TestSupport
import Testing

@testable import PostgresStorage

/// Servers that die, connections that break, processes that stand still: nothing that was acknowledged is lost, nothing is
/// done twice, and the store goes on by itself.
@Suite(
  .serialized, .timeLimit(.minutes(5)),
  .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
struct PostgresFaultTests {
  @Test func `a server that is killed in the middle of commits loses nothing and doubles nothing`() async throws {
    let server = try PostgresServer(synchronizes: true)
    let store = try Postgres.open(server.url(database: "work"))
    _ = try await store.join("a")
    let signals = store.signals("a")
    let writer = CountedCommits(store)
    let total = 1_500
    writer.run(total, width: 40)
    for round in 1...3 {
      try writer.acknowledged.wait(for: "commits", limit: .seconds(60)) { $0.count >= round * 300 ? true : nil }
      try server.kill9()
      try signals.wait(for: "loss") { $0.filter { $0 == .reachable(false) }.count >= round ? true : nil }
      let error = await storeError { _ = try await store.tasks() }
      guard case .unreachable = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      try server.start()
      try signals.wait(for: "return") { $0.filter { $0 == .reachable(true) }.count >= round ? true : nil }
    }
    try writer.acknowledged.wait(for: "the last commit", limit: .seconds(60)) { $0.count == total ? true : nil }
    #expect(writer.failed.withLock { $0 } == [])
    #expect(try await store.counts() == [.queued: total])
    #expect(try await CountedCommits.runs(store) == total)
    await store.close()
  }

  @Test func `a database that was away for longer than every lease ends nobody's membership`() async throws {
    let server = try PostgresServer(synchronizes: true)
    let (a, b) = (try Postgres.open(server.url(database: "work")), try Postgres.open(server.url(database: "work")))
    // Over before the server can be back.
    let lease = Duration.milliseconds(30)
    _ = try await (a.join("a", lease: lease), b.join("b", lease: .seconds(60)))
    let signals = (a.signals("a"), b.signals("b"))
    try await a.renew()
    try server.kill9()
    for log in [signals.0, signals.1] { try log.wait(for: "loss") { $0.contains(.reachable(false)) ? true : nil } }
    try server.start()
    for log in [signals.0, signals.1] { try log.wait(for: "return") { $0.contains(.reachable(true)) ? true : nil } }
    #expect(try await b.renew().members.count == 2)
    #expect(try await a.renew().members.count == 2)
    await a.close()
    await b.close()
  }

  @Test func `closing does not wait for a server that is away`() async throws {
    let server = try PostgresServer()
    let stores = try (0..<2).map { _ in try Postgres.open(server.url(database: "work")) }
    let signals = stores.map { $0.signals("store") }
    for store in stores { try await store.commit([.submit(task("a"))]) }
    try server.kill9()
    let late = EventLog<StoreError?>("commits while it is away")
    // One is closed when it knows, the other perhaps before.
    try signals[0].first("loss") { $0 == .reachable(false) }
    for store in stores {
      store.commit([.submit(task("b"))]) { result in
        if case .failure(let error) = result { late.put(error) } else { late.put(nil) }
      }
      await store.close()
    }
    #expect(late.count == 2)
    for error in late.all {
      guard case .unreachable = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
  }

  @Test func `connections that are ended again and again change nothing about commits and claims`() async throws {
    let shared = try SharedDatabase()
    let store = try shared.open()
    _ = try await store.join("a")
    let writer = CountedCommits(store)
    let total = 1_000
    writer.run(total, width: 20)
    let claimed = Mutex<[String]>([])
    let claims = Task {
      while claimed.withLock({ $0.count }) < total {
        let some = try await store.claimNames(50)
        claimed.withLock { $0 += some }
      }
    }
    for round in 1...8 {
      try writer.acknowledged.wait(for: "commits", limit: .seconds(60)) { $0.count >= round * 100 ? true : nil }
      try shared.server.terminateBackends(of: shared.database)
    }
    try writer.acknowledged.wait(for: "the last commit", limit: .seconds(60)) { $0.count == total ? true : nil }
    try await claims.value
    let all = claimed.withLock { $0 }
    #expect(all.count == total)
    #expect(Set(all).count == total)
    #expect(writer.failed.withLock { $0 } == [])
    #expect(try await CountedCommits.runs(store) == total)
    await shared.close()
  }

  @Test func `a server process that stands still is left, and what it does later changes nothing`() async throws {
    let shared = try SharedDatabase()
    let store = try shared.open()
    let member = try await store.join("a")
    try await store.commit([.submit(task("t0"))])
    store.perform { $0.expectAnswers(within: .milliseconds(300)) }
    let frozen = try shared.server.backends(of: shared.database, client: "lifeline")
    #expect(frozen.count == 2)
    for pid in frozen { kill(pid, SIGSTOP) }
    defer { for pid in frozen { kill(pid, SIGCONT) } }
    try await store.commit([.submit(task("t1")), .testRan(CountedCommits.test, .seconds(1))])
    #expect(try await store.claimNames() == ["t0", "t1"])
    for pid in frozen { kill(pid, SIGCONT) }
    // The one for questions stays where nothing was asked of it meanwhile.
    try eventually("end of the process that was left") {
      Set(try shared.server.backends(of: shared.database, client: "lifeline")).isSuperset(of: frozen) ? nil : true
    }
    #expect(try await CountedCommits.runs(store) == 1)
    #expect(try await store.renew().members.map(\.id) == [member])
    await shared.close()
  }

  @Test func `what others told while the connection was away may be missing, and that is said`() async throws {
    try await withTwoMembers { a, b, ids, shared in
      let signals = b.signals("b")
      try shared.server.terminateBackends(of: shared.database)
      try signals.first("word of what may be missing") { $0 == .mayHaveMissed }
      try await a.commit([.submit(task("t"))])
      // A message is lost while the sender's connection for them is not there yet.
      try eventually("message") {
        a.send("again", to: ids.b)
        return signals.all.contains(.message("again", from: ids.a)) ? true : nil
      }
      #expect(signals.all.first == .reachable(false))
    }
  }
}
