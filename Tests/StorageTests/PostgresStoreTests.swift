import CoordinationCore
import Primitives
import Reactor
import Storage
import Synchronization
import TestSupport
import Testing

@testable import PostgresStorage

/// What is PostgreSQL's own: addresses, tables, groups of commits.
@Suite(
  .timeLimit(.minutes(5)), .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
struct PostgresStoreTests {
  private func firstError(_ url: String) async throws -> StoreError? {
    let store = try Postgres.open(url)
    let error = await storeError { try await store.commit([.submit(task("a"))]) }
    await store.close()
    return error
  }

  @Test func `an address that is none is refused at once, without a word of it`() throws {
    #expect {
      _ = try Postgres.open("postgres://me:secret@h/db?nonsense=1")
    } throws: { error in
      guard case .refused = error as? StoreError else { return false }
      return !"\(error)".contains("secret")
    }
  }

  @Test(arguments: [
    "postgres:///no_such_database?host=FOLDER&user=postgres", "postgres:///postgres?host=FOLDER&user=nobody_known",
  ])
  func `who cannot come in is told so, and does not wait`(_ url: String) async throws {
    let error = try await firstError(url.replacing("FOLDER", with: PostgresServer.shared().folder) + "&password=secret")
    guard case .refused(_, let reason) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.contains("does not exist"))
    #expect(!"\(String(describing: error))".contains("secret"))
  }

  @Test func `a database that cannot be reached fails what waits for it after a while`() async throws {
    let error = try await firstError("postgres:///work?host=/tmp/lifeline-no-such-folder&user=postgres")
    guard case .unreachable = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func `tables of another program are left as they are`() async throws {
    let server = try PostgresServer.shared()
    let url = try server.freshURL()
    let database = PostgresServer.database(of: url)
    try server.execute("CREATE TABLE lifeline_tasks (x int); INSERT INTO lifeline_tasks VALUES (7)", database: database)
    guard case .refused = try await firstError(url) else {
      Issue.record("it was taken")
      return
    }
    #expect(try server.execute("SELECT x FROM lifeline_tasks", database: database) == ["7"])
    #expect(
      try server.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database: database) == ["1"])
  }

  @Test func `tables of a newer version are left as they are`() async throws {
    let shared = try SharedDatabase()
    let store = try shared.open()
    try await store.commit([.submit(task("a"))])
    await store.close()
    try shared.server.execute("UPDATE lifeline_schema SET version = 99", database: shared.database)
    guard case .refused(_, let reason) = try await firstError(shared.url) else {
      Issue.record("it was taken")
      return
    }
    #expect(reason.contains("99"))
    #expect(try shared.server.execute("SELECT count(*) FROM lifeline_tasks", database: shared.database) == ["1"])
  }

  @Test func `two clusters share a database by schemas`() async throws {
    let shared = try SharedDatabase()
    try shared.server.execute("CREATE SCHEMA one; CREATE SCHEMA two", database: shared.database)
    let stores = try ["one", "two"].map { try Postgres.open("\(shared.url)&options=-csearch_path%3D\($0)") }
    for (index, store) in stores.enumerated() { try await store.commit([.submit(task("t\(index)"))]) }
    for (index, store) in stores.enumerated() {
      #expect(try await store.names() == ["t\(index)"])
      await store.close()
    }
  }

  @Test func `several that come to an empty database at once all find the tables`() async throws {
    let shared = try SharedDatabase()
    let stores = try (0..<6).map { _ in try shared.open() }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (index, store) in stores.enumerated() {
        group.addTask { try await store.commit([.submit(task("t\(index)"))]) }
      }
      try await group.waitForAll()
    }
    #expect(try await stores[0].counts() == [.queued: 6])
    await shared.close()
  }

  @Test func `who was answered once is told when the database goes away`() async throws {
    let shared = try SharedDatabase()
    let states = EventLog<Bool>("whether both connections stood at the first answer")
    for number in 0..<10 {
      let store = try shared.open()
      store.commit([.submit(task("t\(number)"))]) { _ in
        store.perform { session in states.put(session.phase == .up) }
      }
    }
    #expect(try states.wait(for: "ten answers") { $0.count == 10 ? $0 : nil } == Array(repeating: true, count: 10))
    await shared.close()
  }

  @Test func `commits that wait share a transaction, and only the guilty one of a group fails`() async throws {
    let shared = try SharedDatabase()
    let store = try shared.open()
    try await store.commit([.submit(task("first"))])
    try shared.server.execute(
      "ALTER TABLE lifeline_tasks ADD CONSTRAINT no_evil CHECK (id <> 'evil')", database: shared.database)
    let before = store.transactions
    let results = EventLog<String>("results")
    Postgres.thread.mailbox.post {
      for number in 0..<100 {
        let name = number == 40 ? "evil" : "t\(number)"
        store.commit([.submit(task(name))]) { result in
          if case .failure = result { results.put("failed \(name)") } else { results.put(name) }
        }
      }
    }
    let all = try results.wait(for: "100 results") { $0.count == 100 ? $0 : nil }
    #expect(all == (0..<100).map { $0 == 40 ? "failed evil" : "t\($0)" }, "in the order of the calls")
    try await store.commit([.submit(task("u"))])
    let between = store.transactions
    #expect(between - before == 100, "each of the failed group had its own: 99 and the last one")
    for number in 0..<500 { store.commit([.submit(task("v\(number)"))]) { _ in } }
    #expect(try await store.counts() == [.queued: 601])
    #expect(store.transactions - between < 100)
    await shared.close()
  }

  // MARK: Needs

  private func needs(_ shared: SharedDatabase) throws -> Int {
    Int(try shared.server.execute("SELECT count(*) FROM lifeline_needs", database: shared.database).first ?? "") ?? -1
  }

  /// Renews until a condition holds.
  private func renew(_ store: PostgresStore, until holds: () throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while try !holds() {
      try #require(ContinuousClock.now < end)
      try await store.renew()
      await Task.yield()
    }
  }

  @Test func `needs that no unfinished task has are forgotten at a renewal, and those of unfinished ones are not`()
    async throws
  {
    let shared = try SharedDatabase()
    let store = try shared.open()
    _ = try await store.join("a")
    let zones = ["ended", "pool", "held", "paused"]
    try await store.commit(try zones.map { .submit(try task($0, .normal, zone: $0)) })
    func wish(_ zone: String) throws -> ClaimWish {
      ClaimWish(TaskNeeds(try task("x", .normal, zone: zone).specification), count: 1)
    }
    #expect(try await store.claim([wish("ended"), wish("held"), wish("paused")]).count == 3)
    var paused = TaskState(status: .queued)
    paused.isPauseRequested = true
    try await store.commit([
      .update(id("ended"), state(.completed, worker("w"))), .update(id("held"), state(.running, worker("w"))),
      .update(id("paused"), paused), .release(id("paused")),
    ])
    #expect(try needs(shared) == 4)
    store.perform { $0.needsInterval = .zero }
    try await renew(store) { try needs(shared) == 3 }
    for _ in 0..<5 { try await store.renew() }
    #expect(try needs(shared) == 3)
    // Whoever remembers a number that is not there any more finds out, and nothing is lost.
    try await store.commit([.submit(try task("again", .normal, zone: "ended"))])
    #expect(try await store.claim([wish("ended")]).map(\.task.id.text) == ["again"])
    await shared.close()
  }

  @Test func `needs that another member has forgotten are made anew by whoever submits such a task`() async throws {
    try await withTwoMembers { a, b, _, shared in
      let needs = TaskNeeds(try task("x", .normal, zone: "z").specification)
      for round in 0..<5 {
        try await a.commit([.submit(try task("t\(round)", .normal, zone: "z"))])
        #expect(try await b.claim([ClaimWish(needs, count: 9)]).map(\.task.id.text) == ["t\(round)"])
        try await b.commit([.update(id("t\(round)"), state(.completed, worker("w")))])
        b.perform { $0.needsInterval = .zero }
        try await renew(b) { try self.needs(shared) == 0 }
      }
    }
  }

  @Test func `while members submit and others forget, every task can be claimed`() async throws {
    try await withTwoMembers { a, b, _, shared in
      b.perform { $0.needsInterval = .zero }
      let forgetting = Task {
        while !Task.isCancelled { try await b.renew() }
      }
      for round in 0..<100 {
        let record = try task("t\(round)", .normal, zone: "z\(round % 3)")
        try await a.commit([.submit(record)])
        let claimed = try await a.claim([ClaimWish(TaskNeeds(record.specification), count: 9)])
        #expect(claimed.map(\.task.id) == [record.id])
        try await a.commit([.update(record.id, state(.completed, worker("w")))])
      }
      forgetting.cancel()
      _ = await forgetting.result
      try await renew(b) { try self.needs(shared) == 0 }
    }
  }
}
