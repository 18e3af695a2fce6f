import CoordinationCore
import Primitives
import Testing

/// Our worker towards the reference's coordinator.
@Suite(.timeLimit(.minutes(5)))
struct LegacyWorkerTests {
  private func bench() -> WorkerBench {
    let bench = WorkerBench(.legacy)
    bench.register()
    _ = bench.messages()
    _ = bench.takeEffects()
    return bench
  }

  @Test
  func `registration and heartbeat carry what the reference expects`() {
    let bench = WorkerBench(.legacy)
    bench.register()
    let types = bench.sent.map(\.kind.name)
    #expect(types == ["registration", "heartbeat"])
    for message in bench.sent {
      #expect(message.fields["worker_id"] == "w")
      #expect(message.fields["timestamp"]?.string?.hasSuffix("Z") == false)
      for name in ["seq", "ack", "crc", "boot_id", "session_id"] { #expect(message.fields[name] == nil) }
    }
    #expect(bench.messages().last == ["type": "heartbeat", "sequence": 1, "active_tasks": []])
    #expect(bench.core.state == .connected && bench.core.sessionID == nil)
  }

  @Test
  func `an assignment is started with its checkpoint, repeated or not, even before the registration's answer`() {
    let bench = WorkerBench(.legacy)
    bench.handle(.start)
    bench.handle(.connected(.legacy))
    let config: JSONObject = ["type": "demo_task", "iterations": 3, "_checkpoint_data": ["i": 2]]
    for _ in 0..<2 { _ = bench.assign("t", config: config) }
    let started = bench.takeEffects().compactMap {
      if case .startAttempt(let assignment) = $0 { assignment } else { nil }
    }
    #expect(started.count == 1)
    #expect(started.first?.checkpoint?.data == ["i": 2])
    #expect(
      started.first?.specification.work == .custom(kind: "demo_task", input: ["type": "demo_task", "iterations": 3]))
  }

  @Test
  func `a result is sent again over each connection until it is acknowledged, and then forgotten`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.handle(.attemptEnded(key, AttemptEnding(.completed, exitCode: 0, result: ["value": 42])))
    let expected: JSONObject = [
      "type": "task_result", "task_id": "t", "result": ["value": 42, "status": "completed", "exit_code": 0],
    ]
    #expect(bench.messages() == [expected])
    for _ in 0..<2 {
      bench.handle(.disconnected("cut"))
      bench.pass(.seconds(70))
      bench.register()
      #expect(bench.messages().contains(expected))
    }
    #expect(bench.disk.keys.sorted() == ["t/0/result"])
    bench.say(.taskResultAck, ["task_id": "t"])
    #expect(bench.disk.isEmpty && bench.core.activeAttempts.isEmpty)
    bench.handle(.disconnected("cut"))
    bench.pass(.seconds(70))
    bench.register()
    #expect(!bench.messages().contains { $0["type"] == "task_result" })
  }

  @Test
  func `a failure is a result with an error`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.handle(.attemptEnded(key, AttemptEnding(.failed, exitCode: 3, reason: "boom")))
    let message = bench.messages().first
    #expect(message?["error"] == ["message": "boom", "traceback": ""])
    #expect(message?["result"]?.object?["exit_code"] == 3)
  }

  @Test
  func `a cancelled task is stopped and reported`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.say(.cancelTask, ["task_id": "t"])
    #expect(bench.takeEffects().contains(.stopAttempt(key, .cancelled)))
    _ = bench.messages()
    bench.handle(.attemptEnded(key, AttemptEnding(.cancelled)))
    #expect(bench.messages().map { $0["type"] } == ["task_cancelled"])
    bench.say("task_cancelled_ack", ["task_id": "t"])
    #expect(bench.core.activeAttempts.isEmpty && bench.disk.isEmpty)
  }

  @Test
  func `pause and resume reach the attempt and are reported`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.say(.pauseTask, ["task_id": "t"])
    bench.say(.resumeTask, ["task_id": "t"])
    let effects = bench.takeEffects()
    #expect(effects.contains(.pauseAttempt(key)) && effects.contains(.resumeAttempt(key)))
    _ = bench.messages()
    bench.handle(.attemptPaused(key))
    bench.handle(.attemptResumed(key))
    #expect(bench.messages() == [["type": "task_paused", "task_id": "t"], ["type": "task_resumed", "task_id": "t"]])
  }

  @Test
  func `a checkpoint is announced, and its data is sent when asked for`() {
    let bench = bench()
    let key = bench.assign("t")
    _ = bench.messages()
    bench.say(.checkpointRequest, ["task_id": "t", "checkpoint_id": "c1"])
    #expect(bench.messages().map { $0["type"] } == ["checkpoint_error"])
    bench.handle(.attemptCheckpointed(key, ["i": 2]))
    #expect(bench.messages() == [["type": "checkpoint", "task_id": "t", "checkpoint_id": "1"]])
    bench.say(.checkpointRequest, ["task_id": "t", "checkpoint_id": "c1"])
    #expect(
      bench.messages() == [["type": "checkpoint_data", "task_id": "t", "checkpoint_id": "c1", "data": ["i": 2]]])
  }

  @Test
  func `a state request is answered for the task it names, or for all`() {
    let bench = bench()
    _ = bench.assign("t")
    _ = bench.assign("u")
    _ = bench.messages()
    bench.say(.stateRequest, ["task_id": "u"])
    #expect(bench.messages() == [["type": "task_state", "task_id": "u", "state": ["status": "running"]]])
    bench.say(.stateRequest)
    #expect(bench.messages().map { $0["task_id"] } == ["t", "u"])
  }

  @Test
  func `a heartbeat's actions are carried out`() {
    let bench = bench()
    let ended = bench.assign("done")
    let running = bench.assign("running")
    bench.handle(.attemptEnded(ended, AttemptEnding(.completed)))
    _ = bench.messages()
    bench.say(
      .heartbeat,
      [
        "response_to": 1,
        "actions": [
          ["type": "resend_task_results", "task_ids": ["done", "unknown"]], ["type": "sync_state"],
          ["type": "cancel_tasks", "task_ids": ["running"]], ["type": "reset_connection_stats"], ["type": "dance"], 7,
        ],
      ])
    #expect(bench.messages().map { $0["type"] } == ["task_result", "task_state"])
    #expect(bench.takeEffects().contains(.stopAttempt(running, .superseded)))
    #expect(bench.core.statistics.attempts == 0)
  }

  @Test
  func `no lease runs out in legacy mode`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.handle(.disconnected("cut"))
    bench.now += .seconds(3_600)
    bench.handle(.attemptProgressed(key, 0.5))
    #expect(!bench.takeEffects().contains { if case .stopAttempt = $0 { true } else { false } })
  }

  @Test
  func `a message that is no use is answered with an error and the connection lives`() {
    let bench = bench()
    bench.handle(.received(Array("not json".utf8)))
    bench.say(.taskAssignment, ["config": [:]])
    bench.say(.cancelTask, ["task_id": 7])
    #expect(bench.messages().map { $0["type"] } == ["error", "error"])
    #expect(bench.core.state == .connected)
  }

  @Test
  func `a message of an author's own kind is handed over`() {
    let bench = bench()
    bench.say("own", ["a": 1])
    #expect(bench.takeEffects() == [.message(Message("own", ["a": 1]))])
  }

  @Test
  func `both of ours understand each other in legacy mode too`() throws {
    let coordinator = try CoordinatorBench()
    coordinator.connect(1, "w", .legacy)
    let worker = WorkerBench(.legacy)
    worker.handle(.start)
    worker.handle(.connected(.legacy))
    coordinator.submit("t", demoTask)
    var started: AttemptKey?
    for _ in 0..<20 {
      let up = worker.sent
      _ = worker.messages()
      for message in up { coordinator.handle(.received(ConnectionID(1), message.body)) }
      for message in coordinator.rawReplies(1) { worker.handle(.received(message.body)) }
      for effect in worker.takeEffects() {
        guard case .startAttempt(let assignment) = effect else { continue }
        let key = AttemptKey(assignment.taskID, assignment.attempt)
        started = key
        worker.handle(.attemptStarted(key))
        worker.handle(.attemptCheckpointed(key, ["i": 1]))
        worker.handle(.attemptEnded(key, AttemptEnding(.completed, result: ["ok": true])))
      }
    }
    #expect(started != nil)
    #expect(coordinator.state("t")?.status == .completed)
    #expect(coordinator.state("t")?.result?.object?["ok"] == true)
    #expect(worker.disk.isEmpty && worker.core.activeAttempts.isEmpty)
  }
}
