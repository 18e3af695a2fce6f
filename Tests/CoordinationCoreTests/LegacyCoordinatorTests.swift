import CoordinationCore
import Primitives
import Testing

/// Our coordinator towards the reference's workers: every row of the protocol, and their known quirks.
@Suite(.timeLimit(.minutes(5)))
struct LegacyCoordinatorTests {
  /// A registered legacy worker that runs the demo task `t`.
  private func bench() throws -> CoordinatorBench {
    let bench = try CoordinatorBench()
    bench.connect(1, "w", .legacy)
    bench.say(1, #"{"type":"registration","worker_id":"w","timestamp":"2024-01-01T00:00:00","capabilities":{}}"#)
    bench.submit("t", demoTask)
    _ = bench.replies(1)
    return bench
  }

  @Test
  func `the welcome comes first and a task comes in the reference's words`() throws {
    let bench = try CoordinatorBench()
    bench.connect(1, "w", .legacy)
    #expect(bench.replies(1) == [["type": "welcome", "worker_id": "w"]])
    bench.say(1, #"{"type":"registration","worker_id":"w","capabilities":{}}"#)
    #expect(bench.replies(1) == [["type": "registration_ack", "worker_id": "w"]])
    bench.submit("t", demoTask)
    #expect(
      bench.replies(1) == [
        ["type": "task_assignment", "task_id": "t", "config": ["iterations": 3, "type": "demo_task"]]
      ])
  }

  @Test
  func `every message carries a time stamp without a zone and nothing of a session`() throws {
    let bench = try bench()
    bench.say(1, #"{"type":"heartbeat","sequence":1,"active_tasks":["t"]}"#)
    bench.request(.cancel(TaskID(known: "t")))
    let messages = bench.rawReplies(1)
    #expect(messages.count == 2)
    for message in messages {
      #expect(message.fields["timestamp"]?.string?.contains(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?$/) == true)
      for name in ["seq", "ack", "crc", "attempt"] { #expect(message.fields[name] == nil) }
    }
  }

  static let rows: [(message: String, replies: [JSONObject])] = [
    (#"{"type":"registration","capabilities":{}}"#, [["type": "registration_ack", "worker_id": "w"]]),
    (
      #"{"type":"heartbeat","sequence":7,"active_tasks":["t"]}"#, [["type": "heartbeat", "response_to": 7]]
    ),
    (#"{"type":"heartbeat","sequence":8}"#, [["type": "heartbeat", "response_to": 8]]),
    (
      #"{"type":"heartbeat","sequence":9,"active_tasks":[]}"#,
      [
        [
          "type": "heartbeat", "response_to": 9,
          "actions": [["type": "resend_task_results", "task_ids": ["t"]]],
        ]
      ]
    ),
    (
      #"{"type":"heartbeat","sequence":9,"active_tasks":["t","x","a"]}"#,
      [["type": "heartbeat", "response_to": 9, "actions": [["type": "cancel_tasks", "task_ids": ["a", "x"]]]]]
    ),
    (
      #"{"type":"task_state","task_id":"t","state":{"status":"running","progress":0.5}}"#,
      [["type": "task_state_ack", "task_id": "t"]]
    ),
    (
      #"{"type":"checkpoint","checkpoint_id":"c1","task_id":"t"}"#,
      [
        ["type": "checkpoint_ack", "checkpoint_id": "c1", "task_id": "t"],
        ["type": "checkpoint_request", "task_id": "t", "checkpoint_id": "c1"],
      ]
    ),
    (
      #"{"type":"checkpoint","checkpoint_id":"c1","task_id":"other"}"#,
      [["type": "checkpoint_ack", "checkpoint_id": "c1", "task_id": "other"]]
    ),
    (
      #"{"type":"checkpoint_data","checkpoint_id":"c1","task_id":"t","data":{"i":2}}"#,
      [["type": "checkpoint_data_ack", "checkpoint_id": "c1", "task_id": "t"]]
    ),
    (#"{"type":"task_result","task_id":"t","result":{"a":1}}"#, [["type": "task_result_ack", "task_id": "t"]]),
    (
      #"{"type":"task_cancelled","task_id":"t"}"#,
      [
        ["type": "task_cancelled_ack", "task_id": "t"],
        ["type": "task_assignment", "task_id": "t", "config": ["iterations": 3, "type": "demo_task"]],
      ]
    ),
    (#"{"type":"task_paused","task_id":"t"}"#, [["type": "task_paused_ack", "task_id": "t"]]),
    (#"{"type":"task_resumed","task_id":"t"}"#, [["type": "task_resumed_ack", "task_id": "t"]]),
    (#"{"type":"checkpoint_error","task_id":"t","error":"no"}"#, []),
    (#"{"type":"state_error","task_id":"t","error":"no"}"#, []),
    (#"{"type":"telemetry","metrics":{},"queue_status":{},"connection_stats":{}}"#, []),
  ]

  @Test(arguments: rows)
  func `each message has exactly its replies`(message: String, replies: [JSONObject]) throws {
    let bench = try bench()
    bench.say(1, message)
    #expect(bench.replies(1) == replies)
    #expect(bench.closes.isEmpty)
  }

  @Test
  func `the placeholder result ends nothing and the true one does`() throws {
    let bench = try bench()
    bench.say(1, #"{"type":"task_result","task_id":"t","result":{"status":"running"}}"#)
    #expect(bench.replies(1) == [["type": "task_result_ack", "task_id": "t"]])
    #expect(bench.state("t")?.status == .running)
    bench.say(1, #"{"type":"task_result","task_id":"t","result":{"value":42}}"#)
    #expect(bench.state("t")?.status == .completed)
    #expect(bench.state("t")?.result == ["value": 42])
  }

  @Test
  func `a result sent twice is acknowledged twice and recorded once`() throws {
    let bench = try bench()
    for _ in 0..<2 {
      bench.say(1, #"{"type":"task_result","task_id":"t","result":{"n":1}}"#)
      #expect(bench.replies(1) == [["type": "task_result_ack", "task_id": "t"]])
    }
    let ends = bench.writes.filter { if case .update(_, let state) = $0 { state.status.isTerminal } else { false } }
    #expect(ends.count == 1)
  }

  @Test
  func `a result with an error fails the task with the error's message`() throws {
    let bench = try bench()
    bench.say(1, #"{"type":"task_result","task_id":"t","result":{},"error":{"message":"boom","traceback":"…"}}"#)
    #expect(bench.state("t")?.status == .failed && bench.state("t")?.reason == "boom")
  }

  @Test
  func `a result after a cancellation changes nothing and is acknowledged`() throws {
    let bench = try bench()
    bench.request(.cancel(TaskID(known: "t")))
    #expect(bench.replies(1) == [["type": "cancel_task", "task_id": "t"]])
    bench.say(1, #"{"type":"task_cancelled","task_id":"t"}"#)
    #expect(bench.replies(1) == [["type": "task_cancelled_ack", "task_id": "t"]])
    bench.say(1, #"{"type":"task_result","task_id":"t","result":{"n":1}}"#)
    #expect(bench.replies(1) == [["type": "task_result_ack", "task_id": "t"]])
    #expect(bench.state("t")?.status == .cancelled)
  }

  @Test
  func `a forged result for another worker's task is acknowledged, refused and reported`() throws {
    let bench = try bench()
    bench.connect(2, "forger", .legacy)
    _ = bench.replies(2)
    bench.say(2, #"{"type":"task_result","task_id":"t","result":{"n":1}}"#)
    let replies = bench.replies(2)
    #expect(replies.last == ["type": "task_result_ack", "task_id": "t"])
    #expect(replies.first?["message"]?.string?.contains("not this worker's") == true)
    #expect(bench.state("t")?.status == .assigned)
    #expect(
      bench.notices.contains(
        .staleAttemptRefused(TaskID(known: "t"), attempt: 1, WorkerID(known: "forger"), .taskResult)))
  }

  @Test
  func `a result may come over a new connection before its registration`() throws {
    let bench = try bench()
    bench.disconnect(1)
    bench.connect(2, "w", .legacy)
    _ = bench.replies(2)
    bench.say(2, #"{"type":"task_result","task_id":"t","result":{"n":1}}"#)
    #expect(bench.replies(2) == [["type": "task_result_ack", "task_id": "t"]])
    #expect(bench.state("t")?.status == .completed)
  }

  @Test
  func `the newest connection of an id wins and the old one's end does not unregister it`() throws {
    let bench = try bench()
    bench.connect(2, "w", .legacy)
    bench.say(2, #"{"type":"registration"}"#)
    #expect(bench.closes.map(\.connection) == [1] && bench.closes.first?.code == SessionCloseCode.takenOver)
    bench.disconnect(1)
    _ = bench.replies(2)
    bench.say(2, #"{"type":"task_result","task_id":"t","result":{"n":1}}"#)
    bench.submit("u", demoTask)
    let replies = bench.replies(2)
    #expect(replies.contains { $0["type"] == "task_assignment" && $0["task_id"] == "u" })
    #expect(bench.core.workerSummaries.first?.state == .connected)
  }

  @Test
  func `a checkpoint is announced, asked for, stored, and handed to the next worker inside its config`() throws {
    let bench = try bench()
    bench.say(1, #"{"type":"checkpoint","checkpoint_id":"c9","task_id":"t"}"#)
    #expect(bench.replies(1).last == ["type": "checkpoint_request", "task_id": "t", "checkpoint_id": "c9"])
    bench.say(1, #"{"type":"checkpoint_data","checkpoint_id":"c9","task_id":"t","data":{"iteration":2}}"#)
    bench.disconnect(1)
    bench.connect(2, "v", .legacy)
    bench.say(2, #"{"type":"registration"}"#)
    for _ in 0..<35 {
      bench.say(2, #"{"type":"heartbeat","sequence":1}"#)
      bench.tick(after: .seconds(1))
    }
    let assignment = bench.replies(2).first { $0["type"] == "task_assignment" }
    #expect(assignment?["config"]?.object?["_checkpoint_data"] == ["iteration": 2])
    #expect(bench.state("t")?.attempt == 2)
  }

  @Test
  func `a task that the heartbeats leave out is taken back after the third`() throws {
    let bench = try bench()
    for number in 1...3 { bench.say(1, #"{"type":"heartbeat","sequence":\#(number),"active_tasks":[]}"#) }
    #expect(bench.state("t")?.attempt == 1)
    bench.say(1, #"{"type":"heartbeat","sequence":4,"active_tasks":["t"]}"#)
    for number in 5...7 { bench.say(1, #"{"type":"heartbeat","sequence":\#(number),"active_tasks":[]}"#) }
    #expect(bench.state("t")?.attempt == 1)
    bench.say(1, #"{"type":"heartbeat","sequence":8,"active_tasks":[]}"#)
    #expect(bench.state("t")?.attempt == 2)
  }

  @Test
  func `a cancellation that fell between two connections is told over the new one`() throws {
    let bench = try bench()
    bench.disconnect(1)
    bench.request(.cancel(TaskID(known: "t")))
    bench.connect(2, "w", .legacy)
    bench.say(2, #"{"type":"registration"}"#)
    #expect(bench.replies(2).contains(["type": "cancel_task", "task_id": "t"]))
  }

  @Test(arguments: ["{}", #"{"kinds":["command"]}"#, #"{"kinds":["command","demo_task"],"slots":9}"#])
  func `a command is never given to a legacy worker`(capabilities: String) throws {
    let bench = try CoordinatorBench()
    bench.connect(1, "w", .legacy)
    bench.say(1, #"{"type":"registration","capabilities":\#(capabilities)}"#)
    bench.submit("c", TaskSpecification(name: "c", work: .command(Command(["true"]))))
    #expect(!bench.replies(1).contains { $0["type"] == "task_assignment" })
    bench.admit(2, "v")
    bench.submit("d", TaskSpecification(name: "d", work: .command(Command(["true"]))))
    #expect(bench.replies(2).contains { $0["type"] == "task_assignment" })
  }

  @Test
  func `pausing and asking for a checkpoint reach a legacy worker in its own words`() throws {
    let bench = try bench()
    bench.request(.pause(TaskID(known: "t")))
    bench.say(1, #"{"type":"task_paused","task_id":"t"}"#)
    #expect(bench.state("t")?.status == .paused)
    bench.request(.resume(TaskID(known: "t")))
    bench.request(.checkpoint(TaskID(known: "t")))
    let types = bench.replies(1).map { $0["type"]?.string }
    #expect(types == ["pause_task", "task_paused_ack", "resume_task", "checkpoint_request"])
  }
}
