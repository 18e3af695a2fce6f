import CoordinationCore
import Primitives
import Testing

/// One member among others, question by question and message by message.
@Suite(.timeLimit(.minutes(5)))
struct ClusterCoreTests {
  private let work = TaskSpecification(name: "t", work: .custom(kind: "work", input: [:]))
  private func id(_ text: String) -> TaskID { TaskID(known: text) }
  private func worker(_ text: String) -> WorkerID { WorkerID(known: text) }

  // MARK: The pool

  @Test func `a submitted task goes to the pool, and is asked for only where a worker has room`() throws {
    let bench = try ClusterBench()
    bench.request(1, .submit([TaskSubmission(id: id("a"), work)]))
    #expect(bench.answers[RequestID(1)] == .submitted([id("a")]))
    #expect(bench.cluster.core.liveTask(id("a")) == nil)
    #expect(bench.asked().isEmpty)
    bench.admit(1, "w", slots: 2)
    let wish = ClaimWish(TaskNeeds(work), count: 2)
    let overdue = WallTime(milliseconds: bench.wall.milliseconds - 60_000)
    #expect(bench.asked().contains(.claim([wish], limit: 2, overdueBefore: overdue)))
    bench.handle(.claimed([stored("a")]))
    let assignments = bench.replies(1).filter { $0.kind == .taskAssignment }
    #expect(assignments.map { $0.fields["task_id"] } == ["a"])
  }

  @Test func `what nobody here can start goes back to the pool, and is not asked for again at once`() throws {
    let bench = try ClusterBench()
    bench.request(1, .submit([TaskSubmission(id: id("a"), work), TaskSubmission(id: id("b"), work)]))
    bench.admit(1, "w", slots: 1)
    _ = bench.asked()
    // More than there was room for.
    bench.handle(.claimed([stored("a"), stored("b")]))
    #expect(bench.writes.contains(.release(id("b"))))
    #expect(bench.cluster.core.liveTask(id("b")) == nil)
    #expect(bench.cluster.core.liveTask(id("a"))?.state.status == .assigned)
    bench.say(1, .taskResult, ["task_id": "a", "attempt": 1, "status": "completed"], reliably: true)
    #expect(!bench.asked().contains { if case .claim = $0 { true } else { false } })
    bench.tick(after: .milliseconds(250))
    #expect(bench.asked().contains { if case .claim = $0 { true } else { false } })
  }

  @Test func `an attempt that is lost while nobody has room goes back to the pool`() throws {
    let bench = try ClusterBench()
    bench.admit(1, "w", slots: 1)
    bench.handle(.claimed([stored("a")]))
    bench.handle(.coordinator(.disconnected(ConnectionID(1))))
    bench.tick(after: .seconds(6))
    #expect(bench.writes.contains(.release(id("a"))))
    #expect(bench.cluster.core.unfinishedTasks == 0)
  }

  // MARK: Workers that move

  @Test func `a worker is answered only when everything that others had of it is here`() throws {
    let bench = try ClusterBench(others: [2])
    bench.knock(1, "w")
    #expect(bench.asked() == [.gather(worker("w"))])
    #expect(!bench.replies(1).contains { $0.kind == .registrationAck })
    bench.handle(.gathered(worker("w"), Gathering(heldBy: [MemberID(2)])))
    #expect(bench.asked() == [.send(.handOver(worker("w"), bootID: "b"), to: MemberID(2))])
    bench.handle(.message(.handedOver(worker("w")), from: MemberID(2)))
    #expect(bench.asked() == [.gather(worker("w"))])
    bench.handle(.gathered(worker("w"), Gathering(tasks: [stored("a", .running, attempt: 3, by: "w")])))
    #expect(bench.replies(1).contains { $0.kind == .registrationAck })
    bench.synchronise(1, holding: [["task_id": "a", "attempt": 3, "status": "running"]])
    let verdicts = bench.replies(1).first { $0.kind == .stateSyncAck }?.fields["verdicts"]?.array
    #expect(verdicts?.first?.object?["verdict"] == "keep")
    #expect(bench.cluster.core.liveTask(id("a"))?.state.attempt == 3)
  }

  @Test func `a lost message to the holder is repeated, and a dead holder waited for`() throws {
    let bench = try ClusterBench(others: [2])
    bench.knock(1, "w")
    for _ in 0..<5 {
      bench.handle(.gathered(worker("w"), Gathering(heldBy: [MemberID(2)])))
      _ = bench.asked()
      bench.tick(after: .milliseconds(300))
      #expect(bench.asked().contains(.gather(worker("w"))))
    }
    // Dead as the store has it; what it still gave the worker is known by now.
    bench.renew()
    bench.handle(.gathered(worker("w"), Gathering()))
    #expect(bench.replies(1).contains { $0.kind == .registrationAck })
  }

  @Test func `a holder that is asked must answer, even if the store does not name it any more`() throws {
    let bench = try ClusterBench(others: [2])
    bench.knock(1, "w")
    bench.handle(.gathered(worker("w"), Gathering(heldBy: [MemberID(2)])))
    bench.tick(after: .milliseconds(300))
    _ = bench.asked()
    // What it held has ended, and it gives the worker something else before it hears that the worker has gone.
    bench.handle(.gathered(worker("w"), Gathering()))
    #expect(bench.asked().contains(.send(.handOver(worker("w"), bootID: "b"), to: MemberID(2))))
    #expect(!bench.replies(1).contains { $0.kind == .registrationAck })
    bench.handle(.message(.handedOver(worker("w")), from: MemberID(2)))
    #expect(bench.asked() == [.gather(worker("w"))])
    bench.handle(.gathered(worker("w"), Gathering(tasks: [stored("a", .assigned, attempt: 1, by: "w")])))
    #expect(bench.replies(1).contains { $0.kind == .registrationAck })
  }

  @Test func `what is handed over when nobody waits for it any more is taken up, and its worker asked`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w")
    bench.handle(.message(.handedOver(worker("w")), from: MemberID(2)))
    #expect(bench.asked().contains(.gather(worker("w"))))
    bench.handle(.gathered(worker("w"), Gathering(tasks: [stored("a", .running, attempt: 1, by: "w")])))
    #expect(bench.cluster.core.liveTask(id("a"))?.state.attempt == 1, "it may be running there")
    #expect(bench.closes.count == 1, "only the worker knows whether it is")
  }

  @Test func `a worker whose name is in use elsewhere is told so`() throws {
    let bench = try ClusterBench(others: [2])
    bench.knock(1, "w")
    bench.handle(.gathered(worker("w"), Gathering(heldBy: [MemberID(2)])))
    bench.handle(.message(.handOverRefused(worker("w"), reason: "in use by x"), from: MemberID(2)))
    bench.handle(.gathered(worker("w"), Gathering(heldBy: [MemberID(2)])))
    #expect(bench.closes.map(\.reason) == ["in use by x"])
  }

  @Test func `a worker that went elsewhere is handed over with everything it holds`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w")
    bench.handle(.claimed([stored("a"), stored("b")]))
    _ = bench.asked()
    bench.handle(.message(.handOver(worker("w"), bootID: "b"), from: MemberID(2)))
    #expect(bench.writes.suffix(2) == [.transfer(id("a"), to: MemberID(2)), .transfer(id("b"), to: MemberID(2))])
    #expect(bench.asked().contains(.send(.handedOver(worker("w")), to: MemberID(2))))
    #expect(bench.cluster.core.unfinishedTasks == 0)
    #expect(bench.cluster.core.workerSummary(worker("w")) == nil)
    #expect(bench.closes.count == 1)
  }

  @Test func `another process of the same name does not take a living worker's tasks`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w")
    bench.handle(.claimed([stored("a")]))
    _ = bench.asked()
    bench.handle(.message(.handOver(worker("w"), bootID: "another"), from: MemberID(2)))
    #expect(bench.cluster.core.liveTask(id("a")) != nil)
    let answers = bench.asked()
    #expect(answers.contains { if case .send(.handOverRefused, to: MemberID(2)) = $0 { true } else { false } })
  }

  @Test func `what was taken over waits for its worker, and a task that ended meanwhile is not taken up again`() throws
  {
    let bench = try ClusterBench(others: [2])
    bench.renew(takenOver: [stored("a", .running, attempt: 1, by: "w"), stored("b", .running, attempt: 1, by: "w")])
    #expect(bench.cluster.core.unfinishedTasks == 2)
    bench.knock(1, "w")
    bench.handle(.gathered(worker("w"), Gathering()))
    bench.synchronise(1, holding: [["task_id": "a", "attempt": 1, "status": "running"]])
    #expect(bench.cluster.core.liveTask(id("a"))?.state.status == .running)
    // The other one is gone with the worker's memory: it is in the pool, or given out anew.
    #expect(bench.cluster.core.liveTask(id("b"))?.state.attempt != 1)
  }

  // MARK: Orders

  @Test func `an order for a task that another holds goes there, and its answer comes back`() throws {
    let bench = try ClusterBench(others: [2])
    bench.request(7, .cancel(id("a")))
    #expect(bench.asked() == [.locate(RequestID(7), id("a"))])
    bench.handle(.located(RequestID(7), .held(by: MemberID(2))))
    #expect(bench.asked() == [.send(.order(1, .cancel(id("a"))), to: MemberID(2))])
    bench.handle(.message(.answer(1, .done), from: MemberID(2)))
    #expect(bench.answers[RequestID(7)] == .done)
  }

  @Test func `an order whose answer is lost is sent again to wherever the task is by then`() throws {
    let bench = try ClusterBench(others: [2, 3])
    bench.request(7, .pause(id("a")))
    bench.handle(.located(RequestID(7), .held(by: MemberID(2))))
    _ = bench.asked()
    bench.tick(after: .seconds(1))
    #expect(bench.asked().contains(.locate(RequestID(7), id("a"))))
    bench.handle(.located(RequestID(7), .held(by: MemberID(3))))
    #expect(bench.asked().contains(.send(.order(2, .pause(id("a"))), to: MemberID(3))))
    bench.handle(.message(.answer(1, .refused("too late")), from: MemberID(2)))
    #expect(bench.answers[RequestID(7)] == nil)
    bench.handle(.message(.answer(2, .done), from: MemberID(3)))
    #expect(bench.answers[RequestID(7)] == .done)
  }

  @Test func `an order for a task of the pool is done here, and the task goes back`() throws {
    let bench = try ClusterBench()
    bench.request(7, .pause(id("a")))
    bench.handle(.located(RequestID(7), .here(stored("a"))))
    #expect(bench.answers[RequestID(7)] == .done)
    #expect(bench.writes.contains(.release(id("a"))))
    #expect(bench.cluster.core.liveTask(id("a")) == nil)
  }

  @Test func `a task that is nowhere has ended, and one that nobody answers for is said to be unreachable`() throws {
    let bench = try ClusterBench(others: [2])
    bench.request(7, .cancel(id("a")))
    bench.handle(.located(RequestID(7), .nowhere))
    #expect(bench.answers[RequestID(7)] == .notLive(id("a")))
    bench.request(8, .cancel(id("b")))
    for _ in 0..<20 where bench.answers[RequestID(8)] == nil {
      bench.handle(.located(RequestID(8), .held(by: MemberID(2))))
      bench.tick(after: .seconds(1))
    }
    guard case .refused = bench.answers[RequestID(8)] else {
      Issue.record("\(String(describing: bench.answers[RequestID(8)]))")
      return
    }
  }

  @Test func `an order that comes from elsewhere is done here and answered`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w")
    bench.handle(.claimed([stored("a")]))
    _ = bench.asked()
    bench.handle(.message(.order(9, .cancel(id("a"))), from: MemberID(2)))
    #expect(bench.asked().contains(.send(.answer(9, .done), to: MemberID(2))))
    #expect(bench.cluster.core.liveTask(id("a"))?.state.isCancelRequested == true)
  }

  @Test func `a worker that is to leave is looked for everywhere`() throws {
    let bench = try ClusterBench(others: [2])
    bench.request(7, .drainWorker(worker("w")))
    #expect(bench.asked().contains(.send(.order(1, .drainWorker(worker("w"))), to: nil)))
    bench.handle(.message(.answer(1, .done), from: MemberID(2)))
    #expect(bench.answers[RequestID(7)] == .done)
    bench.request(8, .drainWorker(worker("v")))
    bench.tick(after: .seconds(2))
    #expect(bench.answers[RequestID(8)] == .refused("there is no worker v"))
  }

  // MARK: Membership

  @Test func `it renews three times within its lease, and at once when another has left`() throws {
    let bench = try ClusterBench()
    bench.tick(after: .milliseconds(900))
    #expect(!bench.asked().contains(.renew))
    bench.tick(after: .milliseconds(200))
    #expect(bench.asked().contains(.renew))
    bench.handle(.memberLeft)
    #expect(!bench.asked().contains(.renew))
    bench.renew()
    bench.tick(after: .zero)
    #expect(bench.asked().contains(.renew))
  }

  @Test(arguments: [true, false])
  func `with exclusive leases no worker may count on a member that is not sure of its place`(isExclusive: Bool) throws {
    let bench = try ClusterBench(exclusive: isExclusive)
    bench.admit(1, "w")
    bench.say(1, .heartbeat, ["sequence": 1])
    #expect(bench.replies(1).first { $0.kind == .heartbeat }?.fields["lease"] == nil)
    bench.now += .seconds(4)
    bench.say(1, .heartbeat, ["sequence": 2])
    #expect(bench.replies(1).first { $0.kind == .heartbeat }?.fields["lease"] == (isExclusive ? false : nil))
  }

  // MARK: Watching

  /// Time goes by in which the worker beats.
  private func pass(_ seconds: Int, _ bench: ClusterBench) {
    for beat in 0..<seconds / 5 {
      bench.tick(after: .seconds(5))
      bench.say(1, .heartbeat, ["sequence": .integer(Int64(100 + beat))])
    }
  }

  private func changes(_ bench: ClusterBench) -> [ClusterEffect] {
    bench.tick(after: .milliseconds(60))
    return bench.asked().filter { if case .send(.changed, _) = $0 { true } else { false } }
  }

  @Test func `members that watch are told of what changes here, once for many changes`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w")
    bench.handle(.claimed([stored("a")]))
    func progress(_ value: Double) {
      bench.say(1, .taskState, ["task_id": "a", "attempt": 1, "state": ["progress": .number(value)]])
    }
    // Whoever is new here may have watched before.
    pass(20, bench)
    _ = changes(bench)
    progress(0.1)
    #expect(changes(bench).isEmpty)
    bench.handle(.message(.watching(true), from: MemberID(2)))
    progress(0.2)
    progress(0.3)
    #expect(changes(bench) == [.send(.changed([id("a")]), to: MemberID(2))])
    // One that has died does not say that it does not watch any more.
    pass(20, bench)
    _ = changes(bench)
    progress(0.4)
    #expect(changes(bench).isEmpty)
    #expect(bench.cluster.core.liveTask(id("a"))?.state.progress == 0.4, "it did change")
  }

  @Test func `whose words may have been missed is told as if it watched, and hears again who watches here`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w")
    bench.handle(.claimed([stored("a")]))
    pass(20, bench)
    bench.handle(.watching(true))
    _ = changes(bench)
    bench.say(1, .taskState, ["task_id": "a", "attempt": 1, "state": ["progress": 0.4]])
    #expect(changes(bench).isEmpty)
    bench.handle(.mayHaveMissed)
    let told = bench.asked()
    #expect(told.contains(.send(.watching(true), to: nil)))
    #expect(told.contains(.send(.changedMany, to: nil)), "what was told meanwhile may not have been heard")
    bench.say(1, .taskState, ["task_id": "a", "attempt": 1, "state": ["progress": 0.5]])
    #expect(changes(bench) == [.send(.changed([id("a")]), to: MemberID(2))])
  }

  @Test func `a member that is gone may have died before it told what it did`() throws {
    let bench = try ClusterBench(others: [2])
    bench.renew(others: [2])
    #expect(!bench.asked().contains(.changedManyElsewhere))
    bench.renew()
    #expect(bench.asked().contains(.changedManyElsewhere))
  }

  @Test func `whoever watches here is told of tasks that were put into the pool`() throws {
    let bench = try ClusterBench()
    bench.handle(.watching(true))
    bench.request(1, .submit([TaskSubmission(id: id("a"), work)]))
    #expect(bench.asked().contains(.changedElsewhere([id("a")])))
  }
}
