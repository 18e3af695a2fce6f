@testable import Simulation
import CoordinationCore
import Primitives
import Testing

@Suite(.timeLimit(.minutes(5)))
struct CoordinatorCoreTests {
  // MARK: Bad messages

  @Test(arguments: [
    ("", "not JSON"), ("{", "ends too early at byte 1"), ("[]", "an array"), ("{}", "type is missing"),
    (#"{"type":7}"#, "type must be a string"), (#"{"type":"nonsense"}"#, "unknown message type nonsense"),
    (#"{"type":"task_result"}"#, "task_id is missing"),
    (#"{"type":"task_result","task_id":7}"#, "task_id must be a string"),
    (#"{"type":"task_result","task_id":"a/b"}"#, "task_id is wrong"),
    (#"{"type":"task_result","task_id":"\#(String(repeating: "x", count: 129))"}"#, "129 characters"),
    (#"{"type":"task_result","task_id":"\#(String(repeating: "x", count: 5_000))"}"#, "5000 bytes"),
    (#"{"type":"task_state","task_id":"t","state":[]}"#, "state must be an object"),
    (#"{"type":"heartbeat","active_tasks":{}}"#, "active_tasks must be an array"),
    (#"{"type":"registration","capabilities":[]}"#, "capabilities must be an object"),
    (#"{"type":"registration","capabilities":{"slots":0}}"#, "slots is wrong"),
    (#"{"type":"registration","capabilities":{"kinds":[1]}}"#, "capabilities.kinds"),
    (#"{"type":"task_output","task_id":"t","attempt":1,"stream":"stdin","offset":0}"#, "neither stdout nor stderr"),
    (#"{"type":"checkpoint_data","task_id":"t","checkpoint_id":7}"#, "checkpoint_id must be a string"),
    (#"{"type":"state_sync","tasks":[1]}"#, "tasks must be objects"),
    ("{\"type\":\"telemetry\",\"x\":" + String(repeating: "[", count: 65), "nested more than 64"),
  ])
  func `a bad message is answered with what is wrong and the next one is handled`(text: String, problem: String) throws
  {
    let bench = try CoordinatorBench()
    bench.connect(1, "w", .legacy)
    bench.say(1, #"{"type":"registration"}"#)
    _ = bench.replies(1)
    bench.say(1, text)
    let replies = bench.replies(1)
    #expect(replies.first?["type"] == "error")
    #expect(replies.first?["message"]?.string?.contains(problem) == true, "\(replies)")
    #expect(bench.closes.isEmpty)
    bench.say(1, #"{"type":"heartbeat","sequence":1}"#)
    #expect(bench.replies(1) == [["type": "heartbeat", "response_to": 1]])
  }

  @Test
  func `in a session bytes that changed end the connection and bad fields do not`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w")
    bench.say(1, .taskResult, ["attempt": 1], reliably: true)
    #expect(bench.replies(1).contains { $0["type"] == "error" })
    #expect(bench.closes.isEmpty)
    bench.say(1, #"{"type":"heartbeat","sequence":1}"#)
    #expect(bench.closes.last?.code == SessionCloseCode.brokenSession)
  }

  @Test
  func `a session's rules are enforced with a reason`() throws {
    let rules: [(String, (CoordinatorBench) -> Void)] = [
      (
        "before registration",
        {
          $0.connect(2, "v", .session); $0.say(2, .heartbeat)
        }
      ),
      ("where 2 was due", { $0.say(1, sequence: 5, Message(.telemetry, ["a": 1])) }),
      ("never sent", { $0.say(1, .heartbeat, acknowledging: 99) }),
    ]
    for (reason, act) in rules {
      let bench = try CoordinatorBench()
      bench.admit(1, "w")
      act(bench)
      #expect(bench.closes.last?.reason.contains(reason) == true, "\(reason): \(bench.closes)")
      #expect(bench.closes.last?.code == SessionCloseCode.brokenSession)
    }
  }

  @Test
  func `a repeated message is not handled again and still acknowledged`() throws {
    let log = ProbeLog()
    let bench = try CoordinatorBench(handlers: [ProbeHandler(log: log)])
    bench.admit(1, "w")
    for _ in 0..<3 { bench.say(1, sequence: 2, Message("probe", ["number": 1])) }
    #expect(log.count == 1)
    #expect(bench.rawReplies(1).last?.acknowledgement == 2)
  }

  @Test
  func `every message that can be cut or changed is answered or ends the connection, never more`() throws {
    let seed = freshSeed()
    var random = SeededGenerator(seed: seed)
    print(replayCommand(seed, "CoordinatorCoreTests"))
    let texts = [
      #"{"type":"registration","capabilities":{"slots":2,"kinds":["work"]},"boot_id":"b","session_id":"s","handled":3}"#,
      #"{"type":"heartbeat","sequence":1,"active_tasks":["t","u"],"rtt_s":0.25,"draining":true}"#,
      #"{"type":"task_result","task_id":"t","attempt":1,"status":"completed","result":{"a":1},"exit_code":0,"stdout":"x"}"#,
      #"{"type":"task_state","task_id":"t","attempt":1,"state":{"status":"running","progress":0.5}}"#,
      #"{"type":"checkpoint","task_id":"t","attempt":1,"number":3,"data":{"a":[1,2]}}"#,
      #"{"type":"state_sync","tasks":[{"task_id":"t","attempt":1,"status":"running"}],"final":true}"#,
      #"{"type":"task_output","task_id":"t","attempt":1,"stream":"stdout","offset":0,"data_base64":"AAAA"}"#,
      #"{"type":"task_cancelled","task_id":"t","attempt":1,"reason":"x"}"#,
    ]
    for round in 0..<60 {
      let bench = try CoordinatorBench()
      bench.connect(1, "w", .legacy)
      bench.admit(2, "v")
      bench.submit("t", work())
      for (index, text) in texts.enumerated() {
        var bytes = Array(text.utf8)
        let at = Int.random(in: 0..<bytes.count, using: &random)
        if round.isMultiple(of: 2) {
          bytes[at] = UInt8.random(in: 0x20...0x7E, using: &random)
        } else {
          let digits = ["-1", "0", "9223372036854775807", "-9223372036854775808", "1e308", "null", "[]", "{}", "\"\""]
          let colon = bytes[at...].firstIndex(of: UInt8(ascii: ":")) ?? at
          let end = bytes[colon...].firstIndex { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "}") } ?? colon
          bytes.replaceSubrange(
            (colon + 1)..<max(end, colon + 1), with: Array((digits.randomElement(using: &random) ?? "0").utf8))
        }
        bench.handle(.received(ConnectionID(1), bytes))
        if bytes.last == UInt8(ascii: "}"), bytes.count > 2 {
          let sealed = Envelope.seal(
            bytes, sequence: index.isMultiple(of: 2) ? UInt64(index + 2) : nil, acknowledgement: 0)
          bench.handle(.received(ConnectionID(2), sealed))
        }
      }
      bench.tick(after: .seconds(60))
    }
  }

  // MARK: Results that cannot be read

  @Test
  func `a result that cannot be read fails its attempt instead of holding the task for ever`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w")
    bench.submit("t", work())
    bench.say(1, .taskResult, ["task_id": "t", "attempt": 1, "status": "splendid"], reliably: true)
    #expect(bench.state("t")?.status == .failed)
    #expect(bench.state("t")?.reason?.contains("could not be read") == true)
    #expect(bench.replies(1).contains { $0["type"] == "error" })
  }

  @Test
  func `an output longer than the coordinator keeps is cut and counted, not refused`() throws {
    var configuration = CoordinatorConfiguration()
    configuration.maxOutputBytes = 4
    let bench = try CoordinatorBench(configuration)
    bench.admit(1, "w")
    bench.submit("t", work())
    let fields: JSONObject = [
      "task_id": "t", "attempt": 1, "status": "completed", "stdout": "abcdefg", "dropped_bytes": 2,
    ]
    bench.say(1, .taskResult, fields, reliably: true)
    #expect(bench.state("t")?.status == .completed)
    let output = AttemptOutput(stdout: Array("abcd".utf8), droppedBytes: 5)
    #expect(bench.writes.contains(.output(TaskID(known: "t"), attempt: 1, output)))
  }

  @Test
  func `a checkpoint that is too long or too deep is refused and the attempt goes on`() throws {
    var configuration = CoordinatorConfiguration()
    configuration.maxCheckpointBytes = 10
    let bench = try CoordinatorBench(configuration)
    bench.admit(1, "w")
    bench.submit("t", work())
    _ = bench.replies(1)
    var deep: JSONValue = .array([])
    for _ in 0..<JSONValue.maxCarriedDepth { deep = [deep] }
    for (number, data) in ["0123456789", deep].enumerated() {
      let fields: JSONObject = ["task_id": "t", "attempt": 1, "number": .integer(Int64(number + 1)), "data": data]
      bench.say(1, .checkpoint, fields, reliably: true)
      #expect(bench.replies(1).contains { $0["type"] == "error" })
    }
    #expect(!bench.writes.contains { if case .checkpoint = $0 { true } else { false } })
    #expect(bench.core.unfinishedTasks == 1 && bench.closes.isEmpty)
  }

  // MARK: Promises

  @Test
  func `nothing is promised before it is durable`() throws {
    var effects: [CoordinatorEffect] = []
    let core = try CoordinatorCore(random: SeededGenerator(seed: 1), at: .zero)
    func handle(_ event: CoordinatorEvent) -> [CoordinatorEffect] {
      effects = []
      core.handle(event, at: .zero, wall: WallTime(milliseconds: 0), into: &effects)
      core.handle(.turnEnded, at: .zero, wall: WallTime(milliseconds: 0), into: &effects)
      return effects.filter { if case .log = $0 { false } else { true } }
    }
    let first = handle(.request(RequestID(1), .submit([TaskSubmission(id: nil, work())])))
    guard case .commit(let batch, _)? = first.first, first.count == 1 else {
      Issue.record("\(first)")
      return
    }
    // Asked while the first batch is on its way: neither writes nor answers leave before it is there.
    #expect(handle(.request(RequestID(2), .submit([TaskSubmission(id: nil, work())]))).isEmpty)
    let second = handle(.committed(batch))
    #expect(second.contains { if case .answer(RequestID(1), _) = $0 { true } else { false } })
    #expect(!second.contains { if case .answer(RequestID(2), _) = $0 { true } else { false } })
    #expect(second.contains { if case .commit(let id, _) = $0 { id != batch } else { false } })
    #expect(handle(.committed(batch)).isEmpty)
  }

  @Test
  func `a peer that never acknowledges is cut off when four times its outbox waits`() throws {
    var configuration = CoordinatorConfiguration()
    configuration.outbox = Outbox.Limits(maxMessages: 5, maxBytes: 1 << 20)
    let bench = try CoordinatorBench(configuration, handlers: [ProbeHandler(log: ProbeLog())])
    bench.admit(1, "w")
    for number in 1...40 where bench.closes.isEmpty {
      bench.say(1, "probe", ["number": .integer(Int64(number))], reliably: true)
    }
    #expect(bench.closes.last?.reason.contains("outbox was full") == true)
    #expect(bench.replies(1).count { $0["type"] == "probe_ack" } <= 20)
  }

  @Test
  func `a worker with a full outbox is given no more tasks`() throws {
    var configuration = CoordinatorConfiguration()
    configuration.outbox = Outbox.Limits(maxMessages: 3, maxBytes: 1 << 20)
    let bench = try CoordinatorBench(configuration)
    bench.admit(1, "w", slots: 100)
    for number in 1...10 { bench.submit("t\(number)", work()) }
    // The answer to the state sync is the first of the three.
    #expect(bench.replies(1).count { $0["type"] == "task_assignment" } == 2)
    // Given out in one turn, the rest waits for room, and what is asked of it meanwhile is told after it.
    bench.say(1, .ack, ["durable": true], acknowledging: 3)
    #expect(bench.replies(1).count { $0["type"] == "task_assignment" } == 3)
    bench.request(.cancel(TaskID(known: "t7")))
    _ = bench.replies(1)
    bench.say(1, .ack, ["durable": true], acknowledging: 7)
    let replies = bench.replies(1)
    #expect(replies.count { $0["type"] == "task_assignment" } == 3)
    let told = replies.filter { $0["task_id"] == "t7" }.map { $0["type"]?.string }
    #expect(told == ["task_assignment", "cancel_task"])
  }

  @Test
  func `a task that ended before it was durable is not taken for a new one`() throws {
    let bench = try CoordinatorBench()
    bench.commitsAtOnce = false
    bench.submit("other", work())
    let commit = try #require(bench.pendingCommits.first)
    bench.submit("t", work())
    bench.request(.cancel(TaskID(known: "t")))
    bench.submit("t", work())
    bench.handle(.committed(commit))
    bench.submit("t", work())
    #expect(bench.core.unfinishedTasks == 1)
    bench.commitsAtOnce = true
    for commit in bench.pendingCommits { bench.handle(.committed(commit)) }
    #expect(bench.writes.count { if case .submit(let task) = $0 { task.id.text == "t" } else { false } } == 1)
    #expect(bench.state("t")?.status == .cancelled)
  }

  @Test
  func `an assignment that becomes durable after its worker came back anew is not sent`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w")
    bench.commitsAtOnce = false
    bench.submit("t", work())
    bench.disconnect(1)
    bench.connect(2, "w", .session)
    bench.say(2, .registration, ["boot_id": "c", "capabilities": ["slots": 1, "kinds": ["work"]]])
    bench.commitsAtOnce = true
    for commit in bench.pendingCommits { bench.handle(.committed(commit)) }
    #expect(!bench.replies(2).contains { $0["type"] == "task_assignment" })
    bench.say(2, .stateSync, ["tasks": .array([]), "final": true], reliably: true)
    let assignment = bench.replies(2).first { $0["type"] == "task_assignment" }
    #expect(assignment?["attempt"] == 2)
  }

  // MARK: Sync

  @Test
  func `each task that a worker says it holds gets its verdict`() throws {
    func record(_ id: String, _ status: TaskStatus, attempt: Int, worker: String) -> UnfinishedTask {
      var state = TaskState(status: status)
      state.attempt = attempt
      state.workerID = WorkerID(known: worker)
      var newest = AttemptRecord(
        taskID: TaskID(known: id), attempt: attempt, workerID: WorkerID(known: worker),
        startedAt: WallTime(milliseconds: 0))
      if status == .queued { newest.outcome = id == "failed" ? .failed : .lost }
      if status == .queued { state.lostAttempts = id == "failed" ? 0 : 1 }
      if id == "paused" { state.isPauseRequested = true }
      if id == "cancelled" { state.isCancelRequested = true }
      return UnfinishedTask(
        task: TaskRecord(
          id: TaskID(known: id), specification: work(), submittedAt: WallTime(milliseconds: 0), state: state),
        checkpoint: nil, attempt: newest)
    }
    let bench = try CoordinatorBench(unfinished: [
      record("mine", .running, attempt: 1, worker: "w"), record("lost", .queued, attempt: 1, worker: "w"),
      record("newer", .running, attempt: 2, worker: "w"), record("theirs", .running, attempt: 1, worker: "v"),
      record("gone", .running, attempt: 1, worker: "w"), record("failed", .queued, attempt: 1, worker: "w"),
      record("paused", .running, attempt: 1, worker: "w"), record("cancelled", .running, attempt: 1, worker: "w"),
    ])
    bench.connect(1, "w", .session)
    bench.say(1, .registration, ["boot_id": "b", "capabilities": ["slots": 8, "kinds": ["none"]]])
    _ = bench.replies(1)
    let expected: [(id: String, status: String, verdict: String)] = [
      ("mine", "running", "keep"), ("lost", "running", "keep"), ("newer", "running", "cancel"),
      ("theirs", "running", "cancel"), ("gone", "lost", "restart"), ("failed", "finished", "keep"),
      ("unknown", "running", "done"), ("paused", "running", "keep"), ("cancelled", "running", "keep"),
    ]
    let tasks = expected.map { row -> JSONValue in
      ["task_id": .string(row.id), "attempt": 1, "status": .string(row.status)]
    }
    bench.say(1, .stateSync, ["tasks": .array(tasks), "final": true], reliably: true)
    let replies = bench.replies(1)
    let verdicts = replies.first { $0["type"] == "state_sync_ack" }?["verdicts"]?.array ?? []
    #expect(verdicts.map { $0.object?["verdict"]?.string } == expected.map(\.verdict))
    #expect(replies.contains(["type": "pause_task", "task_id": "paused", "attempt": 1]))
    #expect(replies.contains(["type": "cancel_task", "task_id": "cancelled", "attempt": 1]))
    #expect(bench.state("lost")?.status == .running)
    #expect(bench.state("newer")?.status == .queued && bench.state("gone")?.status == .queued)
  }

  @Test
  func `a worker that comes back with other kinds of work is given those`() throws {
    let bench = try CoordinatorBench()
    bench.connect(1, "w", .session)
    bench.say(1, .registration, ["boot_id": "b", "capabilities": ["slots": 1, "kinds": ["a"]]])
    bench.say(1, .stateSync, ["tasks": .array([]), "final": true], reliably: true)
    bench.disconnect(1)
    bench.connect(2, "w", .session)
    bench.say(2, .registration, ["boot_id": "c", "capabilities": ["slots": 1, "kinds": ["work"]]])
    bench.say(2, .stateSync, ["tasks": .array([]), "final": true], reliably: true)
    bench.submit("t", work())
    #expect(bench.replies(2).contains { $0["type"] == "task_assignment" })
  }

  // MARK: Handlers

  private struct SecondHeartbeat: MessageHandler {
    static let kinds: [MessageKind] = ["own", "heartbeat"]
    func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {}
  }

  @Test
  func `two handlers of one kind are an error that names both`() {
    let error = #expect(throws: HandlerClash.self) { try CoordinatorBench(handlers: [SecondHeartbeat()]) }
    let text = error?.description ?? ""
    #expect(text.contains("HeartbeatHandler") && text.contains("SecondHeartbeat") && text.contains("heartbeat"))
  }

  @Test
  func `a service author's handler answers like the built-in ones`() throws {
    let log = ProbeLog()
    let bench = try CoordinatorBench(handlers: [ProbeHandler(log: log)])
    bench.admit(1, "w")
    bench.say(1, "probe", ["number": 5], reliably: true)
    #expect(bench.replies(1).contains(["type": "probe_ack", "number": 5]))
    bench.say(1, "probe", ["number": "five"], reliably: true)
    #expect(bench.replies(1).contains { $0["message"]?.string?.contains("number must be an integer") == true })
    #expect(log.count == 1)
  }

  @Test
  func `a connection that never registers is closed`() throws {
    let bench = try CoordinatorBench()
    bench.connect(1, "w", .session)
    bench.tick(after: .seconds(14))
    #expect(bench.closes.isEmpty)
    bench.tick(after: .seconds(2))
    #expect(bench.closes.last?.reason.contains("no registration") == true)
  }
}
