import CoordinationCore
import Primitives
@testable import Storage
import Testing

/// What every engine remembers of tests and runs.
@Suite(.timeLimit(.minutes(5)))
struct TestRecordTests {
  private func name(_ test: String, _ suite: String = "unit") -> TestName { TestName(suite: suite, test: test) }

  @Test(arguments: Engine.allCases)
  func `the mean of a test's durations leans to the newest`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      try await store.commit([.testRan(name("a"), .seconds(10))])
      #expect(try await store.tests() == [TestRecord(name("a"), duration: .seconds(10), runs: 1)])
      try await store.commit([.testRan(name("a"), .seconds(20)), .testRan(name("a"), .milliseconds(1))])
      let mean = 13_000 + (1 - 13_000) * 0.3
      let test = try #require(try await store.tests().first)
      #expect(test.runs == 3)
      #expect(test.duration == .microseconds(Int64((mean * 1_000).rounded())))
    }
  }

  @Test(arguments: Engine.allCases)
  func `what is held against a test comes back, and is gone once it is released`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      let reason = "bécause \"x\"\u{0}"
      try await store.commit([
        .testFate(name("a"), .quarantined(reason: reason), at: time(Int64.max)),
        .testFate(name("b"), .killed(worker("w")), at: time(5)), .testRan(name("b"), .seconds(1)),
        .testRan(name("c"), .seconds(2)),
      ])
      let killed = TestFate(kills: 1, reason: "worker w died while it ran", changedAt: time(5))
      #expect(
        try await store.tests(TestFilter(hasFate: true)) == [
          TestRecord(name("a"), fate: TestFate(isQuarantined: true, reason: reason, changedAt: time(Int64.max))),
          TestRecord(name("b"), duration: .seconds(1), runs: 1, fate: killed),
        ])
      try await store.commit(["a", "b", "c", "x"].map { .testFate(name($0), .released, at: time(9)) })
      #expect(try await store.tests(TestFilter(hasFate: true)).isEmpty)
      #expect(try await store.tests().map(\.name.test) == ["b", "c"], "one of which nothing is known is forgotten")
    }
  }

  private static let days30: Int64 = 30 * 24 * 3_600 * 1_000

  /// What happens to one test, each some time after the one before, in milliseconds.
  private static let lives: [[(TestFateChange, after: Int64)]] = [
    [(.killed(worker("w1")), 1), (.killed(worker("w2")), 2), (.killed(worker("w3")), 3), (.killed(worker("w4")), 4)],
    [(.killed(worker("w1")), 1), (.forgiven, 1), (.forgiven, 1)],
    [(.killed(worker("w1")), 1), (.killed(worker("w2")), 1), (.forgiven, 1), (.killed(worker("w3")), 1)],
    [
      (.killed(worker("w1")), 1), (.killed(worker("w2")), 1), (.killed(worker("w3")), 1), (.forgiven, 1),
      (.forgiven, 1),
    ],
    [(.killed(worker("w1")), 1), (.killed(worker("w2")), days30 + 1), (.killed(worker("w3")), days30)],
    [(.quarantined(reason: "by hand"), 1), (.killed(worker("w1")), days30 + 1), (.forgiven, 1), (.forgiven, 1)],
    [(.killed(worker("w1")), 1), (.quarantined(reason: "by hand"), 1), (.forgiven, 1), (.released, 1), (.forgiven, 1)],
    [(.killed(worker("w1")), 1), (.killed(worker("w2")), 1), (.killed(worker("w3")), 1), (.released, 1)],
    [(.released, 1), (.killed(worker("w1")), 1)],
  ]

  @Test(arguments: Engine.allCases, [false, true])
  func `every engine changes what is held against tests alike`(_ engine: Engine, _ isOneCommit: Bool) async throws {
    try await withStore(engine) { store in
      var expected: [TestFate?] = []
      var writes: [[StoreWrite]] = []
      for (number, life) in Self.lives.enumerated() {
        var (fate, now): (TestFate?, Int64) = (nil, 1_700_000_000_000)
        for (step, (change, after)) in life.enumerated() {
          now += after
          fate = TestFate.after(change, fate, at: time(now))
          if step >= writes.count { writes.append([]) }
          writes[step].append(.testFate(name("t\(number)"), change, at: time(now)))
        }
        expected.append(fate)
      }
      if isOneCommit { writes = [writes.flatMap { $0 }] }
      for commit in writes { try await store.commit(commit) }
      var found: [String: TestFate] = [:]
      for test in try await store.tests() { found[test.name.test] = test.fate }
      for (number, fate) in expected.enumerated() { #expect(found["t\(number)"] == fate, "t\(number)") }
      #expect(found.count == expected.count { $0 != nil })
    }
  }

  @Test(arguments: Engine.allCases)
  func `pages of tests come in the order of their names`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      let names = [name("b"), name("a"), name("ü"), name("z", "other"), name("a", "zuletzt"), name("aa")]
      try await store.commit(names.map { .testRan($0, .seconds(1)) })
      func list(_ filter: TestFilter) async throws -> [String] { try await store.tests(filter).map(\.name.description) }
      #expect(try await list(TestFilter()).count == 6)
      #expect(try await list(TestFilter(suite: "unit")) == ["unit: a", "unit: aa", "unit: b", "unit: ü"])
      #expect(try await list(TestFilter(suite: "unit", after: name("a"), limit: 2)) == ["unit: aa", "unit: b"])
      #expect(try await list(TestFilter(after: name("ü"))) == ["zuletzt: a"])
      #expect(try await list(TestFilter(suite: "none")).isEmpty)
      var (seen, after): ([TestName], TestName?) = ([], nil)
      while let page = try await store.tests(TestFilter(after: after, limit: 1)).first {
        seen.append(page.name)
        after = page.name
      }
      #expect(seen == names.sorted())
    }
  }

  @Test(arguments: Engine.allCases)
  func `parts of a run's plan come back as they were`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      let first = RunPart(run: "r", number: 0, plan: ["tasks": [["a", "ü\n"]], "parts": 2])
      let second = RunPart(run: "r", number: 1, plan: [:])
      try await store.commit([.run(first), .run(second)])
      #expect(try await store.runPart("r", 0) == first)
      #expect(try await store.runPart("r", 1) == second)
      #expect(try await store.runPart("r", 2) == nil)
      #expect(try await store.runPart("s", 0) == nil)
      try await store.commit([.run(RunPart(run: "r", number: 0, plan: ["other": 1]))])
      #expect(try await store.runPart("r", 0)?.plan == ["other": 1])
      let error = await storeError {
        try await store.commit([.submit(task("x")), .run(RunPart(run: "r", number: 3, plan: ["x": nested(64)]))])
      }
      guard case .unstorable = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(try await store.names().isEmpty)
    }
  }

  @Test(arguments: Engine.allCases)
  func `after closing nothing is answered`(_ engine: Engine) async throws {
    let directory = TemporaryDirectory()
    let store = try engine.open(in: directory)
    await store.close()
    #expect(await storeError { _ = try await store.tests() } == .closed)
    #expect(await storeError { _ = try await store.runPart("r", 0) } == .closed)
  }

  @Test func `a store of before there were tests is brought forward with its tasks`() async throws {
    let directory = TemporaryDirectory()
    let path = directory.file("store.db")
    do {
      let connection = try SQLiteConnection(
        path: path, lock: FileLock.acquire(for: path, held: .locked(path: path)))
      try Schema.migrate(connection, through: [Schema.migrations[0]])
      try connection.execute(
        """
        INSERT INTO tasks (id, submitted_at, status, attempt, failed_attempts, lost_attempts, flags, specification)
        VALUES ('old', 1, 0, 0, 0, 0, 0, '{"name":"old","command":["true"]}')
        """)
    }
    let store = try SQLiteStore.open(path: path)
    try await store.commit([.testRan(name("a"), .seconds(1))])
    #expect(try await store.names() == ["old"])
    #expect(try await store.tests().count == 1)
    await store.close()
  }
}
