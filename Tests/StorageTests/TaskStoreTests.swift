import CoordinationCore
import Primitives
import Storage
import Testing

/// What every engine promises.
@Suite(.timeLimit(.minutes(5)))
struct TaskStoreTests {
  @Test(arguments: Engine.allCases)
  func `a submitted task comes back as it was`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      var command = Command(["sh", "-c", "echo \"ä\u{1F600}\" \\ \u{7}\n"])
      command.environment = ["A": "1", "Ω": "two words"]
      command.workingDirectory = "/tmp/ö"
      var first = task("a")
      first = TaskRecord(
        id: id("a"),
        specification: TaskSpecification(
          name: "näme", work: .command(command), priority: .critical, timeout: .seconds(90), retries: 3,
          maxLostAttempts: 2, run: "nightly"),
        submittedAt: time(1_700_000_000_123))
      first.state.isPauseRequested = true
      let input: JSONObject = ["iterations": 3, "deep": nested(40), "x": 0.5, "nothing": nil, "": "\u{0}"]
      let second = TaskRecord(
        id: id("{b}@x.y:z-_"),
        specification: TaskSpecification(name: "b", work: .custom(kind: "demo_task", input: input)),
        submittedAt: time(-5))
      try await store.commit([.submit(first), .submit(second)])
      #expect(try await store.tasks() == [first, second])
      #expect(
        try await store.task(second.id) == TaskDetail(task: second, attempts: [], checkpoints: [], output: [:]))
    }
  }

  @Test(arguments: Engine.allCases)
  func `every member of a state comes back as it was`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      var new = TaskState(status: .completed)
      new.attempt = 7
      new.failedAttempts = 2
      new.lostAttempts = 4
      new.workerID = worker("w")
      new.startedAt = time(10)
      new.finishedAt = time(Int64.max)
      new.exitCode = -1
      new.reason = "because\u{0} of \"ü\""
      new.result = ["deep": nested(63), "big": .integer(.min), "real": 1e300]
      new.progress = 0.25
      new.isCancelRequested = true
      new.isPauseRequested = true
      try await store.commit([.submit(task("a")), .update(id("a"), new)])
      #expect(try await store.task(id("a"))?.task.state == new)
    }
  }

  @Test(arguments: Engine.allCases)
  func `submitting a task again changes nothing`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      try await store.commit([.submit(task("a")), .update(id("a"), state(.running))])
      try await store.commit([.submit(task("a", run: "other")), .submit(task("b")), .submit(task("b", .failed))])
      #expect(try await store.names() == ["a", "b"])
      #expect(try await store.task(id("a"))?.task.specification.run == nil)
      #expect(try await store.task(id("a"))?.task.state == state(.running))
      #expect(try await store.task(id("b"))?.task.state.status == .queued)
      #expect(store.refusedWrites == 0)
    }
  }

  @Test(arguments: Engine.allCases, TaskStatus.allCases.filter(\.isTerminal))
  func `an ended task is never changed by a later update`(_ engine: Engine, _ end: TaskStatus) async throws {
    try await withStore(engine) { store in
      try await store.commit([.submit(task("a")), .submit(task("b")), .update(id("a"), state(end, attempt: 2))])
      for status in TaskStatus.allCases {
        try await store.commit([.update(id("b"), state(.running)), .update(id("a"), state(status, attempt: 3))])
      }
      #expect(try await store.task(id("a"))?.task.state == state(end, attempt: 2))
      #expect(try await store.task(id("b"))?.task.state == state(.running))
      #expect(store.refusedWrites == TaskStatus.allCases.count)
      try await store.commit([.update(id("a"), state(end, attempt: 2))])
      #expect(store.refusedWrites == TaskStatus.allCases.count, "saying the same again is harmless")
    }
  }

  @Test(arguments: Engine.allCases)
  func `an update from an older attempt is left out and counted`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      try await store.commit([.submit(task("a")), .update(id("a"), state(.running, attempt: 3))])
      try await store.commit([.update(id("a"), state(.completed, attempt: 2))])
      #expect(try await store.task(id("a"))?.task.state == state(.running, attempt: 3))
      #expect(store.refusedWrites == 1)
      try await store.commit([.update(id("a"), state(.paused, attempt: 3))])
      #expect(try await store.task(id("a"))?.task.state.status == .paused)
    }
  }

  @Test(arguments: Engine.allCases)
  func `writes about an unknown task are left out and counted`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      let attempt = AttemptRecord(taskID: id("x"), attempt: 1, workerID: worker("w"), startedAt: time(1))
      try await store.commit([
        .update(id("x"), state(.running)), .attempt(attempt), .checkpoint(checkpoint("x", 1, 1), keep: 2),
        .appendOutput(id("x"), attempt: 1, .stdout, offset: 0, bytes: [1], limit: 9),
        .output(id("x"), attempt: 1, AttemptOutput(stdout: [1])), .submit(task("a")),
      ])
      #expect(store.refusedWrites == 5)
      #expect(try await store.task(id("x")) == nil)
      #expect(try await store.names() == ["a"])
    }
  }

  @Test(arguments: Engine.allCases)
  func `a commit that fails changes nothing`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      try await store.commit([.submit(task("a"))])
      let bad: [StoreWrite] = [
        .checkpoint(checkpoint("a", 1, 1, nested(65)), keep: 2),
        .submit(
          TaskRecord(
            id: id("c"),
            specification: TaskSpecification(name: "c", work: .custom(kind: "k", input: ["x": nested(63)])),
            submittedAt: time(0))),
      ]
      for write in bad {
        let error = await storeError {
          try await store.commit([.submit(task("b")), .update(id("a"), state(.running)), write])
        }
        guard case .unstorable = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
        #expect(error?.isTransient == false)
      }
      #expect(try await store.tasks() == [task("a")])
      let lost = await storeError { try await store.commit([.submit(task("d")), bad[0]]) }
      #expect(lost != nil)
      try await store.commit([.update(id("d"), state(.running))])
      #expect(store.refusedWrites == 1, "the task is unknown again")
      try await store.commit([.checkpoint(checkpoint("a", 1, 1, nested(64)), keep: 2)])
      #expect(try await store.unfinished().first?.checkpoint?.data == nested(64))
    }
  }

  @Test(arguments: Engine.allCases)
  func `an empty commit succeeds`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      try await store.commit([])
      #expect(try await store.tasks().isEmpty)
    }
  }

  @Test(arguments: Engine.allCases)
  func `attempts come back in order with their newest words`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      var first = AttemptRecord(taskID: id("a"), attempt: 1, workerID: worker("w1"), startedAt: time(1))
      let second = AttemptRecord(
        taskID: id("a"), attempt: 2, workerID: worker("w2"), startedAt: time(2),
        resumedFrom: CheckpointKey(attempt: 1, number: 9))
      try await store.commit([.submit(task("a")), .attempt(second), .attempt(first)])
      first.outcome = .lost
      first.endedAt = time(7)
      first.reason = "wörker lost"
      first.exitCode = 137
      try await store.commit([.attempt(first)])
      #expect(try await store.task(id("a"))?.attempts == [first, second])
      #expect(try await store.unfinished() == [UnfinishedTask(task: task("a"), checkpoint: nil, attempt: second)])
    }
  }

  @Test(arguments: Engine.allCases)
  func `only the newest checkpoints are kept and none is replaced`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      func keys() async throws -> [String] {
        try await store.task(id("a"))?.checkpoints.map(\.key.description) ?? []
      }
      try await store.commit([.submit(task("a"))])
      for number in 1...4 { try await store.commit([.checkpoint(checkpoint("a", 1, number), keep: 3)]) }
      #expect(try await keys() == ["1.2", "1.3", "1.4"])
      try await store.commit([.checkpoint(checkpoint("a", 2, 1), keep: 3)])
      #expect(try await keys() == ["1.3", "1.4", "2.1"])
      try await store.commit([.checkpoint(checkpoint("a", 1, 1), keep: 3)])
      #expect(try await keys() == ["1.3", "1.4", "2.1"], "one older than all that are kept is not kept")
      try await store.commit([.checkpoint(checkpoint("a", 1, 4, "other"), keep: 1)])
      #expect(try await keys() == ["1.3", "1.4", "2.1"], "the same key again changes nothing")
      #expect(try await store.task(id("a"))?.checkpoints.map(\.data) == [["n": 1], ["n": 1], ["n": 1]])
      #expect(try await store.unfinished().first?.checkpoint?.key == CheckpointKey(attempt: 2, number: 1))
      try await store.commit([.checkpoint(checkpoint("a", 2, 2), keep: 0)])
      #expect(try await keys() == ["2.2"], "the newest is always kept")
    }
  }

  /// Appends to a stream of 4 known bytes, `abcd`, with a limit of 8.
  @Test(
    arguments: Engine.allCases,
    [
      (4, "ef", "abcdef"), (2, "cdef", "abcdef"), (0, "abcd", "abcd"), (1, "b", "abcd"), (0, "", "abcd"),
      (4, "", "abcd"), (5, "x", "abcd"), (4, "efghijk", "abcdefgh"), (0, "abcdefghijk", "abcdefgh"),
      (-1, "xabcde", "abcd"), (Int.max, "x", "abcd"), (Int.min, "x", "abcd"),
    ])
  func `output is appended where it belongs`(_ engine: Engine, _ row: (Int, String, String)) async throws {
    try await withStore(engine) { store in
      try await store.commit([
        .submit(task("a")), .appendOutput(id("a"), attempt: 1, .stderr, offset: 0, bytes: bytes("abcd"), limit: 8),
        .appendOutput(id("a"), attempt: 1, .stderr, offset: row.0, bytes: bytes(row.1), limit: 8),
      ])
      #expect(try await store.task(id("a"))?.output == [1: AttemptOutput(stderr: bytes(row.2))])
    }
  }

  @Test(arguments: Engine.allCases)
  func `a lower limit keeps what is there and a limit of zero keeps nothing`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      try await store.commit([
        .submit(task("a")), .appendOutput(id("a"), attempt: 1, .stdout, offset: 0, bytes: bytes("abcd"), limit: 8),
        .appendOutput(id("a"), attempt: 1, .stdout, offset: 4, bytes: bytes("ef"), limit: 3),
        .appendOutput(id("a"), attempt: 1, .stderr, offset: 0, bytes: bytes("ef"), limit: 0),
      ])
      #expect(try await store.task(id("a"))?.output == [1: AttemptOutput(stdout: bytes("abcd"))])
    }
  }

  @Test(arguments: Engine.allCases)
  func `whole output replaces what was known of that attempt alone`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      let large = (0..<262_144).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      let new = AttemptOutput(stdout: large, stderr: [0, 255, 0], droppedBytes: 17)
      try await store.commit([
        .submit(task("a")), .appendOutput(id("a"), attempt: 1, .stdout, offset: 0, bytes: [0, 1, 0], limit: 99),
        .appendOutput(id("a"), attempt: 2, .stdout, offset: 0, bytes: [2], limit: 99),
        .appendOutput(id("a"), attempt: 2, .stdout, offset: 1, bytes: [3], limit: 99),
        .output(id("a"), attempt: 2, new),
      ])
      #expect(try await store.task(id("a"))?.output == [1: AttemptOutput(stdout: [0, 1, 0]), 2: new])
      try await store.commit([
        .appendOutput(id("a"), attempt: 2, .stderr, offset: 3, bytes: [9], limit: 99),
        .output(id("a"), attempt: 1, AttemptOutput()),
      ])
      var longer = new
      longer.stderr.append(9)
      #expect(try await store.task(id("a"))?.output == [2: longer])
    }
  }

  @Test(arguments: Engine.allCases)
  func `a list keeps the order of submission and pages through it`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      let names = ["m", "z", "a", "k", "b"]
      try await store.commit(names.map { .submit(task($0)) })
      try await store.commit([.update(id("z"), state(.running)), .submit(task("0"))])
      #expect(try await store.names() == names + ["0"])
      #expect(try await store.names(TaskFilter(limit: 2)) == ["m", "z"])
      #expect(try await store.names(TaskFilter(after: id("z"), limit: 3)) == ["a", "k", "b"])
      #expect(try await store.names(TaskFilter(statuses: [.queued], after: id("z"), limit: 3)) == ["a", "k", "b"])
      #expect(try await store.names(TaskFilter(after: id("0"))).isEmpty)
      #expect(try await store.names(TaskFilter(after: id("unknown"))).isEmpty)
    }
  }

  @Test(arguments: Engine.allCases)
  func `every condition of a filter must hold`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      let (one, two) = (worker("w1"), worker("w2"))
      try await store.commit([
        .submit(task("a", run: "r")), .submit(task("b", run: "r")), .submit(task("c")), .submit(task("d", run: "s")),
        .submit(task("e", run: "r")), .update(id("b"), state(.running, one)), .update(id("c"), state(.running, two)),
        .update(id("d"), state(.completed, one)), .update(id("e"), state(.failed, one)),
      ])
      let table: [(TaskFilter, [String])] = [
        (TaskFilter(run: "r"), ["a", "b", "e"]), (TaskFilter(run: "none"), []),
        (TaskFilter(statuses: [.running]), ["b", "c"]), (TaskFilter(statuses: []), []),
        (TaskFilter(statuses: [.failed, .queued]), ["a", "e"]), (TaskFilter(workerID: one), ["b", "d", "e"]),
        (TaskFilter(statuses: [.failed, .running], run: "r"), ["b", "e"]),
        (TaskFilter(run: "r", workerID: one), ["b", "e"]), (TaskFilter(run: "r", workerID: two), []),
        (TaskFilter(statuses: [.completed], workerID: one), ["d"]),
        (TaskFilter(run: "r", after: id("a"), limit: 1), ["b"]),
        (TaskFilter(ids: [id("e"), id("a"), id("x"), id("e")]), ["a", "e"]), (TaskFilter(ids: []), []),
        (TaskFilter(statuses: [.failed], ids: [id("e"), id("a")]), ["e"]),
        (TaskFilter(ids: [id("e"), id("d"), id("a")], after: id("a"), limit: 1), ["d"]),
      ]
      for (filter, expected) in table { #expect(try await store.names(filter) == expected, "\(filter)") }
    }
  }

  @Test(arguments: Engine.allCases)
  func `counts tell how many tasks have each status`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      #expect(try await store.counts() == [:])
      try await store.commit([
        .submit(task("a", run: "r")), .submit(task("b", run: "r")), .submit(task("c")), .submit(task("d", run: "s")),
        .update(id("b"), state(.running)), .update(id("d"), state(.failed)),
      ])
      #expect(try await store.counts() == [.queued: 2, .running: 1, .failed: 1])
      #expect(try await store.counts(run: "r") == [.queued: 1, .running: 1])
      #expect(try await store.counts(run: "none") == [:])
    }
  }

  @Test(arguments: Engine.allCases)
  func `unfinished tasks come in order with their newest checkpoint and attempt`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      let attempts = (1...2).map {
        AttemptRecord(taskID: id("b"), attempt: $0, workerID: worker("w"), startedAt: time(3))
      }
      let newest = checkpoint("b", 2, 1, ["ö": 2])
      try await store.commit([
        .submit(task("c")), .submit(task("b")), .submit(task("a")), .update(id("c"), state(.cancelled)),
        .checkpoint(checkpoint("b", 1, 10), keep: 5), .checkpoint(newest, keep: 5),
        .checkpoint(checkpoint("b", 1, 11), keep: 5), .attempt(attempts[1]), .attempt(attempts[0]),
        .update(id("b"), state(.paused, attempt: 2)),
      ])
      var held = task("b")
      held.state = state(.paused, attempt: 2)
      #expect(
        try await store.unfinished() == [
          UnfinishedTask(task: held, checkpoint: newest, attempt: attempts[1]),
          UnfinishedTask(task: task("a"), checkpoint: nil, attempt: nil),
        ])
    }
  }

  @Test(arguments: Engine.allCases)
  func `a read sees every commit requested before it`(_ engine: Engine) async throws {
    try await withStore(engine) { store in
      for number in 0..<200 { store.commit([.submit(task("t\(number)"))]) { _ in } }
      let counts = try await store.counts()
      #expect(counts == [.queued: 200])
      #expect(try await store.names(TaskFilter(after: id("t197"))) == ["t198", "t199"])
    }
  }

  @Test(arguments: Engine.allCases)
  func `after closing every request fails with closed`(_ engine: Engine) async throws {
    let directory = TemporaryDirectory()
    let store = try engine.open(in: directory)
    await store.close()
    await store.close()
    #expect(await storeError { try await store.commit([]) } == .closed)
    #expect(await storeError { _ = try await store.unfinished() } == .closed)
    #expect(await storeError { _ = try await store.tasks() } == .closed)
    #expect(await storeError { _ = try await store.task(id("a")) } == .closed)
    #expect(await storeError { _ = try await store.counts() } == .closed)
  }
}
