import CoordinationCore
import Primitives
import Testing

/// What a draining worker and its coordinator say to each other, message by message.
@Suite struct HandoverTests {
  private func bench(timeout: Duration? = .seconds(25)) -> WorkerBench {
    let bench = WorkerBench(.session) { $0.drainTimeout = timeout }
    bench.register()
    _ = bench.messages()
    _ = bench.takeEffects()
    return bench
  }

  private func answerHeartbeat(_ bench: WorkerBench) {
    for message in bench.messages() {
      if message["type"] == "heartbeat" { bench.say(.heartbeat, ["response_to": message["sequence"] ?? .null]) }
    }
  }

  /// Lets time pass a second at a time, with a coordinator that answers.
  private func pass(_ seconds: Int, _ bench: WorkerBench) {
    for _ in 0..<seconds {
      bench.pass(.seconds(1))
      answerHeartbeat(bench)
    }
  }

  @Test func `what ends within the time to drain is delivered, and the worker leaves`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.handle(.drain)
    pass(10, bench)
    #expect(!bench.takeEffects().contains { if case .stopAttempt = $0 { true } else { false } })
    bench.handle(.attemptEnded(key, AttemptEnding(.completed, exitCode: 0)))
    #expect(bench.messages().contains { $0["type"] == "task_result" })
    #expect(bench.core.state == .connected)
    bench.say(.ack, acknowledging: 2)
    #expect(bench.takeEffects().contains(.stopped))
  }

  @Test func `at the end of the time it asks for a checkpoint, then politely for the end, then firmly`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.handle(.drain)
    pass(24, bench)
    #expect(!bench.takeEffects().contains(.requestCheckpoint(key)))
    bench.pass(.seconds(1))
    #expect(bench.takeEffects().contains(.requestCheckpoint(key)))
    bench.pass(.seconds(1))
    #expect(bench.takeEffects().contains(.stopAttempt(key, .draining)))
    bench.pass(.seconds(2))
    #expect(bench.takeEffects().contains(.stopAttempt(key, .stopping)))
  }

  @Test func `an attempt that has written its checkpoint is not waited for, and is handed back after it`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.handle(.drain)
    pass(24, bench)
    bench.pass(.seconds(1))
    _ = bench.takeEffects()
    bench.handle(.attemptCheckpointed(key, ["step": 7]))
    #expect(bench.takeEffects().contains(.stopAttempt(key, .draining)))
    bench.handle(.attemptEnded(key, AttemptEnding(.cancelled)))
    let words = bench.messages().filter { ["checkpoint", "task_cancelled"].contains($0["type"]?.string ?? "") }
    #expect(words.map { $0["type"] } == ["checkpoint", "task_cancelled"])
    #expect(words.last?["draining"] == true)
  }

  @Test func `a checkpoint that is still on its way to the disk goes before the news that the attempt is given back`() {
    let bench = bench(timeout: .zero)
    let key = bench.assign("t")
    bench.persistsAtOnce = false
    bench.handle(.drain)
    bench.handle(.tick)
    bench.pass(.seconds(1))
    // SIGTERM made it write one more.
    bench.handle(.attemptCheckpointed(key, ["step": 8]))
    bench.handle(.attemptEnded(key, AttemptEnding(.cancelled)))
    #expect(!bench.messages().contains { $0["type"] == "task_cancelled" })
    bench.handle(.persisted(key: "t/1/1"))
    bench.handle(.persisted(key: "t/1/result"))
    let words = bench.messages().filter { ["checkpoint", "task_cancelled"].contains($0["type"]?.string ?? "") }
    #expect(words.map { $0["type"] } == ["checkpoint", "task_cancelled"])
  }

  @Test func `one that ended by itself in the last moment is reported as what it is`() {
    let bench = bench(timeout: .zero)
    let key = bench.assign("t")
    bench.handle(.drain)
    bench.handle(.tick)
    bench.pass(.seconds(1))
    bench.handle(.attemptEnded(key, AttemptEnding(.completed, exitCode: 0)))
    #expect(bench.messages().contains { $0["type"] == "task_result" && $0["status"] == "completed" })
  }

  @Test func `without a timeout it waits for the end of what runs`() {
    let bench = bench(timeout: nil)
    let key = bench.assign("t")
    bench.handle(.drain)
    pass(600, bench)
    #expect(!bench.takeEffects().contains { if case .stopAttempt = $0 { true } else { false } })
    bench.handle(.attemptEnded(key, AttemptEnding(.completed)))
    #expect(bench.messages().contains { $0["type"] == "task_result" })
  }

  @Test func `a second request ends at once what is being asked politely`() {
    let bench = bench(timeout: .zero)
    let key = bench.assign("t")
    bench.handle(.drain)
    bench.handle(.tick)
    bench.pass(.seconds(1))
    _ = bench.takeEffects()
    bench.handle(.stop)
    #expect(bench.takeEffects().contains(.stopAttempt(key, .stopping)))
  }

  @Test func `results are delivered over a new connection if one comes in time, and kept on disk if not`() {
    for comesBack in [true, false] {
      let bench = bench()
      let key = bench.assign("t")
      bench.handle(.drain)
      bench.handle(.attemptEnded(key, AttemptEnding(.completed)))
      bench.handle(.disconnected("cut"))
      #expect(bench.core.state == .disconnected, "it still owes a result")
      if comesBack {
        bench.pass(.seconds(2))
        bench.register(resumed: true, handled: 1)
        bench.say(.ack, acknowledging: 2)
        #expect(bench.core.state == .shutdown)
        #expect(bench.disk.isEmpty)
      } else {
        for _ in 0..<40 where bench.core.state != .shutdown {
          bench.pass(.seconds(1))
          if bench.core.state == .connecting { bench.handle(.connectFailed("refused", retryAfter: nil)) }
        }
        #expect(bench.core.state == .shutdown)
        #expect(bench.now - .zero >= .seconds(28) && bench.now - .zero <= .seconds(31))
        #expect(Array(bench.disk.keys) == ["t/1/result"])
      }
    }
  }

  @Test func `a worker that is asked to wait does so, and no longer than it may`() {
    for (delay, least) in [(Duration.seconds(7), Duration.seconds(7)), (.seconds(86_400), .seconds(300))] {
      let bench = bench()
      bench.handle(.disconnected("going away", retryAfter: delay))
      let wait = bench.core.nextDeadline - bench.now
      #expect(wait >= least && wait <= least + .seconds(1))
      bench.pass(wait)
      bench.handle(.connectFailed("503", retryAfter: delay))
      #expect(bench.core.nextDeadline - bench.now >= least)
    }
  }

  // MARK: The coordinator's side

  private let demoWork = TaskSpecification(name: "work", work: .custom(kind: "work", input: [:]), maxLostAttempts: 0)

  private func handBack(_ bench: CoordinatorBench, started: Bool) {
    if started {
      bench.say(1, .taskState, ["task_id": "t", "attempt": 1, "state": ["status": "running"]], reliably: true)
      bench.say(1, .checkpoint, ["task_id": "t", "attempt": 1, "number": 1, "data": ["step": 3]], reliably: true)
    }
    bench.say(
      1, .taskCancelled, ["task_id": "t", "attempt": 1, "reason": "the worker is draining", "draining": true],
      reliably: true)
  }

  @Test(arguments: [false, true])
  func `an attempt handed back counts against nobody and goes on elsewhere at once`(started: Bool) throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "leaving", slots: 1)
    bench.submit("t", demoWork)
    handBack(bench, started: started)
    #expect(bench.state("t")?.status == .queued)
    #expect(bench.state("t")?.lostAttempts == 0)
    #expect(bench.state("t")?.workerID == nil)
    // It is not given the task again.
    #expect(bench.core.workerSummaries.first?.state == .draining)
    bench.admit(2, "other", slots: 1)
    #expect(bench.state("t")?.workerID?.text == "other")
    #expect(bench.state("t")?.attempt == 2)
    for case .attempt(let attempt) in bench.writes where attempt.attempt == 1 && attempt.outcome == .lost {
      #expect(attempt.isHandedBack)
      #expect(attempt.reason == "handed back: the worker is draining")
    }
    for case .attempt(let attempt) in bench.writes where attempt.attempt == 2 {
      #expect(attempt.resumedFrom == (started ? CheckpointKey(attempt: 1, number: 1) : nil))
    }
  }

  @Test func `whatever its former worker says of it afterwards is refused`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "leaving", slots: 1)
    bench.submit("t", demoWork)
    handBack(bench, started: true)
    bench.say(1, .taskResult, ["task_id": "t", "attempt": 1, "status": "completed"], reliably: true)
    #expect(bench.state("t")?.status == .queued)
    // In a new session it says that it has an end of it: still on its way to us, and it is no claim.
    bench.connect(3, "leaving", .session)
    bench.say(
      3, .registration,
      ["boot_id": "b", "draining": true, "capabilities": ["slots": 1, "kinds": ["work"]]])
    bench.say(
      3, .stateSync, ["tasks": [["task_id": "t", "attempt": 1, "status": "finished"]], "final": true], reliably: true)
    #expect(bench.state("t")?.status == .queued)
    #expect(bench.state("t")?.lostAttempts == 0)
  }

  @Test func `a worker that gives up a task without leaving has lost it`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w1", slots: 1)
    bench.submit("t", demoWork)
    bench.say(1, .taskCancelled, ["task_id": "t", "attempt": 1, "reason": "the lease ran out"], reliably: true)
    #expect(bench.state("t")?.status == .failed)
  }

  @Test func `a draining coordinator gives nothing out and takes nothing from those it sent away`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w1", slots: 2)
    bench.submit("t", demoWork)
    bench.say(1, .taskState, ["task_id": "t", "attempt": 1, "state": ["status": "running"]], reliably: true)
    bench.handle(.drain)
    bench.submit("u", demoWork)
    #expect(bench.state("u") == nil, "it stays queued")
    bench.disconnect(1)
    for _ in 0..<1_500 { bench.tick(after: .milliseconds(100)) }
    #expect(bench.state("t")?.status == .running)
    #expect(bench.state("t")?.lostAttempts == 0)
  }
}
