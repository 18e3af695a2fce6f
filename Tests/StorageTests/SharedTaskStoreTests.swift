import CoordinationCore
import PostgresStorage
import Primitives
import Storage
import TestSupport
import Testing

/// What a store that several coordinators share promises.
@Suite(
  .timeLimit(.minutes(5)), .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
struct SharedTaskStoreTests {
  // MARK: Members

  @Test func `members see one another, and a new one of the same name takes the place of the old`() async throws {
    try await withTwoMembers { a, b, ids, shared in
      #expect(ids.a < ids.b)
      let both = [Member(id: ids.a, name: "a", address: "ws://a"), Member(id: ids.b, name: "b", address: "ws://b")]
      #expect(try await a.renew() == MembershipRenewal(members: both))
      let again = try shared.open()
      let newest = try await again.join("a")
      #expect(newest > ids.b)
      #expect(try await b.renew().members.map(\.id) == [ids.b, newest])
      #expect(await storeError { try await a.renew() } == .fenced)
      #expect(await storeError { try await a.commit([.submit(task("x"))]) } == .fenced)
      #expect(try await b.names().isEmpty, "nothing of what a fenced member asks for happens")
      #expect(try await a.join("a") > newest, "it may join again")
      try await a.commit([.submit(task("x"))])
    }
  }

  @Test func `a member whose lease has run out ends when another renews, and everything is refused to it`() async throws
  {
    try await withTwoMembers(lease: .milliseconds(1), other: .seconds(8)) { a, b, ids, _ in
      try await a.commit([.submit(task("t"))])
      try await waitForEnd(of: ids.a, seenBy: b)
      #expect(await storeError { try await a.commit([.submit(task("x"))]) } == .fenced)
      #expect(await storeError { _ = try await a.claimNames() } == .fenced)
      #expect(await storeError { _ = try await a.locate(id("t")) } == .fenced)
      #expect(await storeError { _ = try await a.gather(worker("w")) } == .fenced)
      #expect(await storeError { _ = try await a.poolNeeds() } == .fenced)
      #expect(try await b.names() == ["t"])
    }
  }

  /// Renews until a member is gone.
  private func waitForEnd(of member: MemberID, seenBy store: PostgresStore) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while try await store.renew().members.contains(where: { $0.id == member }) {
      try #require(ContinuousClock.now < end)
      await Task.yield()
    }
  }

  @Test func `what workers hold of a member that ended goes to one other, and the rest to the pool`() async throws {
    try await withTwoMembers(lease: .milliseconds(1), other: .seconds(8)) { a, b, ids, shared in
      let names = (0..<40).map { "t\($0)" }
      try await a.commit(names.map { .submit(task($0)) })
      #expect(try await a.claimNames() == names)
      let w = worker("w")
      try await a.commit(
        names.prefix(20).flatMap { [.update(id($0), state(.running, w)), .attempt(attempt($0, 1, w))] }
          + [.checkpoint(checkpoint("t3", 1, 2), keep: 2)])
      let c = try shared.open()
      _ = try await c.join("c", lease: .seconds(8))
      var taken: [UnfinishedTask] = []
      let end = ContinuousClock.now + .seconds(60)
      while taken.count < 20, ContinuousClock.now < end {
        async let one = b.renew()
        async let other = c.renew()
        taken += try await one.takenOver + other.takenOver
      }
      #expect(taken.map(\.task.id.text).sorted() == names.prefix(20).sorted(), "each once")
      let third = try #require(taken.first { $0.task.id == id("t3") })
      #expect(third.task.state == state(.running, w))
      #expect(third.attempt == attempt("t3", 1, w))
      #expect(third.checkpoint == checkpoint("t3", 1, 2))
      #expect(try await b.claimNames().count == 20)
      #expect(try await b.renew().takenOver.isEmpty)
      #expect(await storeError { try await a.commit([.update(id("t3"), state(.completed, w))]) } == .fenced)
    }
  }

  @Test func `who leaves is followed at once`() async throws {
    try await withTwoMembers { a, b, ids, _ in
      let signals = b.signals("b")
      try await a.commit([.submit(task("held")), .submit(task("queued"))])
      #expect(try await a.claimNames() == ["held", "queued"])
      try await a.commit([.update(id("held"), state(.running, worker("w")))])
      await a.leave()
      try signals.first("end of a") { $0 == .memberLeft }
      let renewal = try await b.renew()
      #expect(renewal.members.map(\.id) == [ids.b])
      #expect(renewal.takenOver.map(\.task.id.text) == ["held"])
      #expect(try await b.claimNames() == ["queued"])
      #expect(await storeError { try await a.commit([]) } == .fenced)
    }
  }

  // MARK: Ownership

  @Test func `only whose a task is may write about it`() async throws {
    try await withTwoMembers { a, b, _, _ in
      let w = worker("w")
      try await a.commit([.submit(task("t"))])
      let writes: [StoreWrite] = [
        .update(id("t"), state(.running, w)), .attempt(attempt("t", 1, w)), .checkpoint(checkpoint("t", 1, 1), keep: 2),
        .appendOutput(id("t"), attempt: 1, .stdout, offset: 0, bytes: [1], limit: 9),
        .output(id("t"), attempt: 1, AttemptOutput(stdout: [1])), .release(id("t")),
      ]
      try await a.commit(writes)
      #expect(a.refusedWrites == writes.count, "it is in the pool")
      #expect(try await a.claimNames() == ["t"])
      try await b.commit(writes)
      #expect(b.refusedWrites == writes.count)
      #expect(
        try await b.task(id("t")) == TaskDetail(task: task("t"), attempts: [], checkpoints: [], output: [:]))
      try await a.commit(writes.dropLast() + [.update(id("t"), state(.completed, w))])
      #expect(a.refusedWrites == writes.count)
      try await a.commit([.output(id("t"), attempt: 1, AttemptOutput(stdout: [1, 2]))])
      #expect(a.refusedWrites == writes.count, "who ended it may still add to it")
      #expect(try await b.task(id("t"))?.output[1]?.stdout == [1, 2])
      #expect(try await b.task(id("t"))?.task.state == state(.completed, w))
    }
  }

  @Test func `a task given back can be claimed by others, and one handed over is the other's at once`() async throws {
    try await withTwoMembers { a, b, ids, _ in
      let w = worker("w")
      try await a.commit([.submit(task("t")), .submit(task("u"))])
      #expect(try await a.claimNames() == ["t", "u"])
      #expect(try await b.claimNames().isEmpty)
      try await a.commit([.update(id("u"), state(.running, w)), .release(id("t")), .release(id("u"))])
      #expect(a.refusedWrites == 1, "one that a worker holds is not given back")
      #expect(try await b.claimNames() == ["t"])
      try await a.commit([.transfer(id("u"), to: ids.b), .update(id("u"), state(.completed, w))])
      #expect(a.refusedWrites == 2)
      try await b.commit([.update(id("u"), state(.completed, w))])
      #expect(b.refusedWrites == 0)
      #expect(try await a.counts() == [.queued: 1, .completed: 1])
    }
  }

  // MARK: Claims

  @Test func `the most urgent is claimed first, then what was submitted first`() async throws {
    try await withTwoMembers { a, b, _, _ in
      let tasks = try [
        task("n1", .normal), task("low", .low), task("n2", .normal), task("high", .high), task("critical", .critical),
        task("background", .background),
      ]
      try await a.commit(tasks.map { .submit($0) })
      #expect(try await b.claimNames(2) == ["critical", "high"])
      #expect(
        try await a.claim([ClaimWish(usualNeeds, count: 100)], limit: 3).map(\.task.id.text) == ["n1", "n2", "low"])
      #expect(try await b.claimNames() == ["background"])
      #expect(try await b.claimNames().isEmpty)
    }
  }

  @Test func `of each kind of needs no more is claimed than was wished for`() async throws {
    try await withTwoMembers { a, b, _, _ in
      let zones = ["x", "y", "z"]
      for zone in zones {
        try await a.commit(try (1...4).map { .submit(try task("\(zone)\($0)", .normal, zone: zone)) })
      }
      let needs = try zones.map { TaskNeeds(try task("any", .normal, zone: $0).specification) }
      #expect(try await Set(b.poolNeeds()) == Set(needs))
      let claimed = try await b.claim([
        ClaimWish(needs[0], count: 3), ClaimWish(needs[2], count: 1), ClaimWish(usualNeeds, count: 9),
      ])
      #expect(claimed.map(\.task.id.text) == ["x1", "x2", "x3", "z1"])
      let more = try await b.claim([ClaimWish(needs[0], count: 3), ClaimWish(needs[1], count: 4)], limit: 2)
      #expect(more.map(\.task.id.text) == ["x4", "y1"])
      #expect(try await Set(b.poolNeeds()) == Set(needs.dropFirst()))
      #expect(try await b.claim([ClaimWish(needs[1], count: 1)], limit: 0).isEmpty)
      #expect(try await b.claim([]).isEmpty)
    }
  }

  @Test func `a quarter goes to what has waited too long`() async throws {
    try await withTwoMembers { a, b, _, _ in
      let old = try (0..<4).map { try task("old\($0)", .low, at: Int64(100 + $0)) }
      let new = try (0..<10).map { try task("new\($0)", .high, at: 5_000) }
      try await a.commit((new + old).map { .submit($0) })
      let claimed = try await b.claim([ClaimWish(usualNeeds, count: 8)], limit: 8, overdueBefore: time(1_000))
      #expect(claimed.map(\.task.id.text) == ["old0", "old1"] + (0..<6).map { "new\($0)" })
      let next = try await b.claim([ClaimWish(usualNeeds, count: 8)], limit: 8, overdueBefore: time(50))
      #expect(next.map(\.task.id.text) == (6..<10).map { "new\($0)" } + ["old2", "old3"], "nothing is overdue")
    }
  }

  @Test func `one that is to stand still is not given out, but found by its name`() async throws {
    try await withTwoMembers { a, b, ids, _ in
      var paused = task("p")
      paused.state.isPauseRequested = true
      try await a.commit([.submit(paused), .submit(task("t", .completed))])
      #expect(try await a.poolNeeds().isEmpty)
      #expect(try await a.poolStatus().isEmpty)
      #expect(try await a.claimNames().isEmpty)
      let here = TaskPlace.here(UnfinishedTask(task: paused, checkpoint: nil, attempt: nil))
      #expect(try await a.locate(id("p")) == here)
      #expect(try await a.locate(id("p")) == here, "asking again changes nothing")
      #expect(try await b.locate(id("p")) == .held(by: ids.a))
      #expect(try await b.locate(id("t")) == .nowhere)
      #expect(try await b.locate(id("unknown")) == .nowhere)
    }
  }

  @Test func `the pool is counted by priority`() async throws {
    try await withTwoMembers { a, b, _, _ in
      try await a.commit(
        try [task("1", .high, at: 7), task("2", .high, at: 5), task("3", .low, at: 9)].map { .submit($0) })
      #expect(
        try await b.poolStatus() == [
          .high: PoolLine(waiting: 2, oldest: time(5)), .low: PoolLine(waiting: 1, oldest: time(9)),
        ])
    }
  }

  @Test func `two that claim at once never get the same task`() async throws {
    try await withTwoMembers { a, b, _, _ in
      let names = (0..<600).map { "t\($0)" }
      try await a.commit(names.map { .submit(task($0)) })
      func drain(_ store: PostgresStore) async throws -> [String] {
        var all: [String] = []
        var misses = 0
        while misses < 3 {
          let some = try await store.claimNames(7)
          misses = some.isEmpty ? misses + 1 : 0
          all += some
        }
        return all
      }
      async let one = drain(a)
      async let other = drain(b)
      let all = try await one + other
      #expect(all.count == 600)
      #expect(Set(all) == Set(names))
    }
  }

  // MARK: Workers that move

  @Test func `who gathers gets a worker's tasks from the pool, and learns who holds others`() async throws {
    try await withTwoMembers { a, b, ids, _ in
      let (w, other) = (worker("w"), worker("other"))
      let names = ["held", "lost", "failed", "others", "fresh"]
      try await a.commit(names.map { .submit(task($0)) })
      #expect(try await a.claimNames() == names)
      var lost = state(.queued)
      lost.workerID = nil
      var writes: [StoreWrite] = ["held", "lost", "failed"].flatMap {
        [.update(id($0), state(.running, w)), .attempt(attempt($0, 1, w))] as [StoreWrite]
      }
      writes += [.update(id("others"), state(.running, other)), .attempt(attempt("others", 1, other))]
      try await a.commit(writes)
      try await a.commit([
        .update(id("lost"), lost), .attempt(attempt("lost", 1, w, .lost)), .release(id("lost")),
        .update(id("failed"), lost), .attempt(attempt("failed", 1, w, .failed)), .release(id("failed")),
        .release(id("fresh")),
      ])
      #expect(a.refusedWrites == 0)
      let first = try await b.gather(w)
      #expect(first.tasks.map(\.task.id.text) == ["lost"])
      #expect(first.heldBy == [ids.a])
      try await a.commit([.transfer(id("held"), to: ids.b)])
      let second = try await b.gather(w)
      #expect(second.tasks.map(\.task.id.text) == ["held", "lost"])
      #expect(second.tasks[0].attempt == attempt("held", 1, w))
      #expect(second.heldBy.isEmpty)
      #expect(try await b.gather(worker("unknown")) == Gathering())
      #expect(try await a.gather(other).tasks.map(\.task.id.text) == ["others"])
    }
  }

  // MARK: Signals

  @Test func `messages reach the one they are for, or all others`() async throws {
    try await withTwoMembers { a, b, ids, shared in
      let c = try shared.open()
      _ = try await c.join("c")
      let (atA, atB, atC) = (a.signals("a"), b.signals("b"), c.signals("c"))
      let long = "ä \"x\" \\ " + String(repeating: "m", count: PostgresStore.maxMessageBytes - 10)
      a.send(long, to: ids.b)
      a.send("all", to: nil)
      b.send("back", to: ids.a)
      a.send("end", to: nil)
      b.send("end", to: nil)
      let message = StoreSignal.message
      for (signals, sender) in [(atA, ids.b), (atB, ids.a), (atC, ids.a), (atC, ids.b)] {
        try signals.first("end") { $0 == message("end", sender) }
      }
      // What one sends arrives in its order.
      #expect(atA.all == [message("back", ids.b), message("end", ids.b)], "nobody hears himself")
      #expect(atB.all == [message(long, ids.a), message("all", ids.a), message("end", ids.a)])
      #expect(atC.all.filter { $0 != message("end", ids.b) } == [message("all", ids.a), message("end", ids.a)])
    }
  }

  @Test func `a message does not overtake the commit that it follows`() async throws {
    try await withTwoMembers { a, b, ids, _ in
      let signals = b.signals("b")
      for number in 0..<50 {
        a.commit([.submit(task("t\(number)"))]) { _ in }
        a.send("\(number)", to: ids.b)
        try signals.first("message") { $0 == .message("\(number)", from: ids.a) }
        #expect(try await b.claimNames() == ["t\(number)"])
      }
    }
  }

  @Test func `others learn that there is something to claim`() async throws {
    try await withTwoMembers { a, b, _, _ in
      let (atA, atB) = (a.signals("a"), b.signals("b"))
      try await a.commit([.submit(task("t"))])
      try atB.first("change of the pool") { $0 == .poolChanged }
      #expect(try await b.claimNames() == ["t"])
      try await b.commit([.release(id("t"))])
      try atA.first("change of the pool") { $0 == .poolChanged }
    }
  }

  // MARK: Tests

  @Test func `kills that several members count at the same moment are all counted`() async throws {
    try await withTwoMembers { a, b, _, _ in
      let names = (0..<20).map { TestName(suite: "s", test: "t\($0)") }
      // In opposite orders, for whoever locks in the order of the writes.
      func kill(_ store: PostgresStore, _ worker: WorkerID, _ names: [TestName]) async throws {
        for name in names { try await store.commit([.testFate(name, .killed(worker), at: time(1))]) }
        try await store.commit(names.map { .testFate($0, .killed(worker), at: time(1)) })
      }
      async let one: Void = kill(a, worker("w1"), names)
      async let other: Void = kill(b, worker("w2"), names.reversed())
      _ = try await (one, other)
      let tests = try await a.tests()
      #expect(tests.count == names.count)
      for test in tests {
        #expect(test.fate?.kills == 4)
        #expect(test.fate?.isQuarantined == true)
        #expect(test.fate?.reason.hasPrefix("3 workers died while it ran, the last of them w") == true)
      }
    }
  }

  @Test func `who puts a test into quarantine does not undo what others count`() async throws {
    try await withTwoMembers { a, b, _, _ in
      let name = TestName(suite: "s", test: "t")
      try await a.commit([.testFate(name, .killed(worker("w")), at: time(1))])
      try await b.commit([.testFate(name, .quarantined(reason: "by hand"), at: time(2))])
      try await a.commit([.testFate(name, .killed(worker("w")), at: time(3))])
      let fate = TestFate(kills: 2, isQuarantined: true, reason: "by hand", changedAt: time(3))
      #expect(try await b.tests().map(\.fate) == [fate])
    }
  }
}
