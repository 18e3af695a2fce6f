import CoordinationCore
import Primitives
import Testing

/// What becomes of a worker's tasks while it is away, by the times of the default configuration: a heartbeat each 5 s,
/// silence of 15 s, a grace of 5 s after a closed connection, a lease of 120 s.
@Suite(.timeLimit(.minutes(5)))
struct AbsenceTests {
  /// Workers `w1`… of one slot, each over the connection of its number, each with a task `t1`… that it has started.
  private func fleet(_ count: Int, exclusive: Bool = false) throws -> CoordinatorBench {
    var configuration = CoordinatorConfiguration()
    configuration.exclusiveLeases = exclusive
    // These workers speak and never acknowledge anything.
    configuration.slowReaderTimeout = .seconds(86_400)
    let bench = try CoordinatorBench(configuration)
    for number in 1...count {
      bench.admit(UInt64(number), "w\(number)", slots: 1)
      bench.submit("t\(number)", demoWork)
      bench.say(
        UInt64(number), .taskState, ["task_id": .string("t\(number)"), "attempt": 1, "state": ["status": "running"]],
        reliably: true)
      #expect(bench.state("t\(number)")?.workerID?.text == "w\(number)")
    }
    return bench
  }

  private let demoWork = TaskSpecification(name: "work", work: .custom(kind: "work", input: [:]))

  /// Lets time pass in steps of 100 ms, while these workers send a heartbeat each 5 s.
  private func pass(_ seconds: Int, _ bench: CoordinatorBench, beating: [UInt64]) {
    for _ in 1...(seconds * 10) {
      bench.tick(after: .milliseconds(100))
      if bench.now.nanoseconds % 5_000_000_000 == 0 {
        for connection in beating { bench.say(connection, .heartbeat, ["sequence": 1]) }
      }
    }
  }

  private func isQueued(_ task: String, _ bench: CoordinatorBench) -> Bool { bench.state(task)?.status == .queued }

  private func rejoin(
    _ connection: UInt64, _ worker: String, _ bench: CoordinatorBench, session: String
  ) -> JSONObject? {
    bench.connect(connection, worker, .session)
    bench.say(
      connection, .registration,
      [
        "boot_id": "b", "session_id": .string(session), "handled": 1,
        "capabilities": ["slots": 1, "kinds": ["work", "command"]],
      ])
    return bench.replies(connection).first { $0["type"] == "registration_ack" }
  }

  private func session(_ worker: String, _ bench: CoordinatorBench) -> String {
    bench.core.workerSummaries.first { $0.id.text == worker }?.sessionID?.text ?? ""
  }

  @Test func `after a closed connection the tasks wait for the grace and no longer`() throws {
    let bench = try fleet(3)
    bench.disconnect(2)
    pass(4, bench, beating: [1, 3])
    #expect(!isQueued("t2", bench))
    pass(2, bench, beating: [1, 3])
    #expect(isQueued("t2", bench))
    #expect(bench.notices.contains(.workerLost(WorkerID(known: "w2"))))
  }

  @Test func `a worker that never had a rhythm is found silent within the heartbeat timeout`() throws {
    let bench = try fleet(1)
    pass(10, bench, beating: [])
    #expect(bench.closes.isEmpty)
    pass(5, bench, beating: [])
    #expect(bench.closes.map(\.code) == [SessionCloseCode.silent])
  }

  @Test func `one silent worker's tasks go to others well within the heartbeat timeout and a half beat`() throws {
    let bench = try fleet(4)
    pass(20, bench, beating: [1, 2, 3, 4])
    pass(9, bench, beating: [1, 2, 4])
    #expect(!isQueued("t3", bench))
    #expect(bench.closes.isEmpty)
    pass(9, bench, beating: [1, 2, 4])
    #expect(bench.closes.map(\.code) == [SessionCloseCode.silent])
    #expect(isQueued("t3", bench))
    #expect(["t1", "t2", "t4"].allSatisfy { !isQueued($0, bench) })
  }

  @Test func `when the whole fleet falls silent its tasks wait for the lease`() throws {
    let bench = try fleet(4)
    pass(100, bench, beating: [])
    #expect(bench.closes.count == 4)
    #expect((1...4).allSatisfy { !isQueued("t\($0)", bench) })
    pass(21, bench, beating: [])
    #expect((1...4).allSatisfy { isQueued("t\($0)", bench) })
  }

  @Test func `after a partition of a minute every worker keeps its session and its attempt`() throws {
    let bench = try fleet(4)
    let sessions = (1...4).map { session("w\($0)", bench) }
    pass(60, bench, beating: [])
    for number in 1...4 {
      let answer = rejoin(UInt64(10 + number), "w\(number)", bench, session: sessions[number - 1])
      #expect(answer?["resumed"] == true)
      #expect(bench.state("t\(number)")?.status == .running)
      #expect(bench.state("t\(number)")?.attempt == 1)
    }
  }

  @Test func `two of three killed workers cost the heartbeat timeout and not a lease`() throws {
    let bench = try fleet(3)
    bench.disconnect(1)
    bench.disconnect(2)
    pass(14, bench, beating: [3])
    #expect(!isQueued("t1", bench))
    pass(2, bench, beating: [3])
    #expect(isQueued("t1", bench) && isQueued("t2", bench))
  }

  @Test func `a worker that comes back before its task was given out keeps session and attempt`() throws {
    let bench = try fleet(3)
    let id = session("w2", bench)
    bench.disconnect(2)
    pass(10, bench, beating: [1, 3])
    #expect(isQueued("t2", bench))
    #expect(rejoin(12, "w2", bench, session: id)?["resumed"] == true)
    let state = bench.state("t2")
    #expect(state?.status == .running)
    #expect(state?.attempt == 1)
    #expect(state?.lostAttempts == 0)
    #expect(state?.workerID?.text == "w2")
  }

  @Test func `a worker whose task went to another gets a new session and must stop the attempt`() throws {
    let bench = try fleet(3)
    let id = session("w2", bench)
    bench.disconnect(2)
    pass(10, bench, beating: [1, 3])
    bench.admit(9, "w9", slots: 1)
    #expect(bench.state("t2")?.workerID?.text == "w9")
    #expect(bench.state("t2")?.attempt == 2)
    #expect(rejoin(12, "w2", bench, session: id)?["resumed"] == false)
    bench.say(
      12, .stateSync, ["tasks": [["task_id": "t2", "attempt": 1, "status": "running"]], "final": true], reliably: true)
    let verdict = bench.replies(12).first { $0["type"] == "state_sync_ack" }?["verdicts"]?.array?.first?.object
    #expect(verdict?["verdict"] == "cancel")
    #expect(bench.state("t2")?.workerID?.text == "w9")
  }

  @Test func `an assignment on its way is kept and one that was never sent is given up with the session`() throws {
    for isSent in [true, false] {
      let bench = try CoordinatorBench()
      bench.admit(1, "w1", slots: 1)
      let id = session("w1", bench)
      bench.commitsAtOnce = isSent
      bench.submit("t1", demoWork)
      bench.disconnect(1)
      pass(6, bench, beating: [])
      #expect(rejoin(11, "w1", bench, session: id)?["resumed"] == .bool(isSent))
    }
  }

  @Test func `with exclusive leases nothing moves before a lease has run out`() throws {
    let bench = try fleet(4, exclusive: true)
    bench.disconnect(2)
    pass(115, bench, beating: [1, 4])
    #expect(!isQueued("t2", bench) && !isQueued("t3", bench))
    pass(10, bench, beating: [1, 4])
    #expect(isQueued("t2", bench) && isQueued("t3", bench))
  }

  @Test func `holders that a restarted coordinator found in its store lose their tasks when others came back`() throws {
    let held = (1...3).map { number in
      var task = TaskRecord(
        id: TaskID(known: "t\(number)"), specification: demoWork, submittedAt: WallTime(milliseconds: 0))
      task.state.status = .running
      task.state.attempt = 1
      task.state.workerID = WorkerID(known: "w\(number)")
      let attempt = AttemptRecord(
        taskID: task.id, attempt: 1, workerID: WorkerID(known: "w\(number)"), startedAt: WallTime(milliseconds: 0))
      return UnfinishedTask(task: task, checkpoint: nil, attempt: attempt)
    }
    let bench = try CoordinatorBench(unfinished: held)
    for number in 1...2 {
      let connection = UInt64(number)
      bench.connect(connection, "w\(number)", .session)
      bench.say(
        connection, .registration, ["boot_id": "b", "capabilities": ["slots": 1, "kinds": ["work"]]])
      bench.say(
        connection, .stateSync,
        ["tasks": [["task_id": .string("t\(number)"), "attempt": 1, "status": "running"]], "final": true],
        reliably: true)
    }
    pass(14, bench, beating: [1, 2])
    #expect(!isQueued("t3", bench))
    pass(2, bench, beating: [1, 2])
    #expect(isQueued("t3", bench))
    #expect(!isQueued("t1", bench) && !isQueued("t2", bench))
  }

  @Test func `a legacy worker's tasks wait for twice the heartbeat timeout`() throws {
    let bench = try CoordinatorBench()
    bench.connect(1, "old", .legacy)
    bench.say(1, #"{"type":"registration"}"#)
    bench.submit("t1", demoTask)
    #expect(bench.state("t1")?.workerID?.text == "old")
    bench.disconnect(1)
    pass(29, bench, beating: [])
    #expect(!isQueued("t1", bench))
    pass(2, bench, beating: [])
    #expect(isQueued("t1", bench))
  }
}
