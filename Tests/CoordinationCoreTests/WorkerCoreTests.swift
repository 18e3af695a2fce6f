import CoordinationCore
import Primitives
import Testing

@testable import Simulation

@Suite(.timeLimit(.minutes(5)))
struct WorkerCoreTests {
  private func bench(_ change: (inout WorkerCoreConfiguration) -> Void = { _ in }) -> WorkerBench {
    let bench = WorkerBench(.session, change)
    bench.register()
    _ = bench.messages()
    _ = bench.takeEffects()
    return bench
  }

  private let done = AttemptEnding(.completed, exitCode: 0)

  @Test
  func `a result is on the disk before it is sent and stays until it is acknowledged`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.persistsAtOnce = false
    _ = bench.messages()
    bench.handle(.attemptEnded(key, done))
    #expect(bench.messages().isEmpty)
    bench.handle(.persisted(key: "t/1/result"))
    #expect(bench.messages().first?["type"] == "task_result")
    #expect(!bench.takeEffects().contains(.forget(key: "t/1/result")))
    // The state sync was the first numbered message, the result is the second.
    bench.say(.ack, acknowledging: 1)
    #expect(!bench.takeEffects().contains(.forget(key: "t/1/result")))
    bench.say(.ack, acknowledging: 2)
    #expect(bench.takeEffects().contains(.forget(key: "t/1/result")))
  }

  @Test
  func `what waited for a connection is sent after what is replayed`() {
    let bench = bench()
    for number in 1...3 { bench.handle(.send(Message("probe", ["n": .integer(Int64(number))]), reliably: true)) }
    bench.handle(.disconnected("cut"))
    bench.handle(.send(Message("probe", ["n": 4]), reliably: true))
    _ = bench.messages()
    bench.pass(.seconds(2))
    bench.register(resumed: true, handled: 2)
    #expect(bench.sent.compactMap(\.sequence) == [3, 4, 5])
    #expect(bench.sent.compactMap { $0.fields["n"]?.integer } == [2, 3, 4])
  }

  @Test
  func `an unreadable assignment is declined with the reason`() {
    let bench = bench()
    bench.say(.taskAssignment, ["task_id": "t", "attempt": 4, "task": ["kind": "x", "new_field": 1]], reliably: true)
    let messages = bench.messages()
    let answer = messages.first { $0["type"] == "task_cancelled" }
    #expect(answer?["task_id"] == "t" && answer?["attempt"] == 4)
    #expect(answer?["reason"]?.string?.contains("new_field") == true)
    #expect(bench.core.activeAttempts.isEmpty)
  }

  @Test
  func `a refused attempt is stopped and its end is not reported`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.say(
      .taskResultAck, ["task_id": "t", "attempt": 1, "accepted": false, "reason": "superseded"], reliably: true)
    #expect(bench.takeEffects().contains(.stopAttempt(key, .superseded)))
    _ = bench.messages()
    bench.handle(.attemptEnded(key, AttemptEnding(.cancelled)))
    #expect(bench.messages().isEmpty && bench.core.activeAttempts.isEmpty && bench.disk.isEmpty)
  }

  @Test(arguments: ["cancel", "restart", "done"])
  func `a verdict other than keep stops the attempt`(verdict: String) {
    let bench = bench()
    let key = bench.assign("t")
    bench.say(
      .stateSyncAck, ["verdicts": [["task_id": "t", "attempt": 1, "verdict": .string(verdict)]], "final": true],
      reliably: true)
    #expect(bench.takeEffects().contains(.stopAttempt(key, .superseded)))
  }

  @Test
  func `attempts are stopped when the lease ends, and nothing starts without one`() {
    let bench = bench()
    let key = bench.assign("t")
    _ = bench.takeEffects()
    bench.now += .seconds(29)
    bench.handle(.attemptProgressed(key, 0.5))
    #expect(!bench.takeEffects().contains(.stopAttempt(key, .leaseExpired)))
    bench.now += .seconds(1)
    // Bytes that waited in a buffer, handled before anything else is.
    let late = bench.assign("u")
    let effects = bench.takeEffects()
    #expect(effects.contains(.stopAttempt(key, .leaseExpired)))
    #expect(!effects.contains { if case .startAttempt = $0 { true } else { false } })
    #expect(bench.messages().contains { $0["type"] == "task_cancelled" && $0["task_id"] == "u" })
    #expect(!bench.core.activeAttempts.contains(late))
  }

  @Test
  func `a stopping attempt does not make the core ask for one tick after another`() {
    let bench = bench()
    _ = bench.assign("t")
    bench.now += .seconds(31)
    bench.handle(.disconnected("cut"))
    bench.handle(.tick)
    #expect(bench.core.nextDeadline > bench.now)
  }

  @Test(arguments: 1...50 as ClosedRange<UInt64>)
  func `no wait is longer than half of the time that the coordinator was away, or than the delay`(seed: UInt64) {
    let configuration = WorkerCoreConfiguration(
      workerID: WorkerID(known: "w"), bootID: "b", capabilities: WorkerCapabilities(slots: 1, kinds: ["demo_task"]))
    var now = Instant.zero
    var effects: [WorkerEffect] = []
    let core = WorkerCore(configuration: configuration, random: SeededGenerator(seed: seed), at: now)
    core.handle(.start, at: now, wall: WallTime(milliseconds: 0), into: &effects)
    for _ in 0..<30 {
      core.handle(.connectFailed("refused", retryAfter: nil), at: now, wall: WallTime(milliseconds: 0), into: &effects)
      let wait = core.nextDeadline - now
      #expect(wait <= max((now - .zero) / 2, configuration.reconnectDelay))
      now += wait
      core.handle(.tick, at: now, wall: WallTime(milliseconds: 0), into: &effects)
    }
  }

  @Test
  func `work that was complete when the lease ended is reported all the same`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.now += .seconds(31)
    bench.handle(.attemptEnded(key, done))
    #expect(bench.messages().contains { $0["type"] == "task_result" && $0["status"] == "completed" })
  }

  @Test
  func `a heartbeat's answer renews the lease from when the heartbeat was sent`() {
    let bench = bench()
    _ = bench.assign("t")
    bench.pass(.seconds(5))
    let sentAt = bench.now
    _ = bench.takeEffects()
    bench.now += .seconds(3)
    bench.say(.heartbeat, ["response_to": 2])
    #expect(bench.takeEffects().contains(.leaseRenewed(until: sentAt + .seconds(30))))
    #expect(bench.core.statistics.lastRoundTrip == .seconds(3))
  }

  @Test
  func `a heartbeat is sent at least three times in a lease`() {
    let bench = WorkerBench(.session)
    bench.handle(.start)
    bench.handle(.connected(.session))
    bench.say(.registrationAck, ["session_id": "s", "resumed": false, "handled": 0, "lease_s": 3.0])
    _ = bench.messages()
    var beats = 0
    for _ in 0..<30 {
      bench.pass(.milliseconds(100))
      for message in bench.messages() where message["type"] == "heartbeat" {
        beats += 1
        bench.say(.heartbeat, ["response_to": message["sequence"] ?? .null])
      }
    }
    #expect(beats >= 3)
  }

  @Test
  func `a coordinator that says nothing is left and called again`() {
    let bench = bench()
    bench.pass(.seconds(15))
    #expect(bench.takeEffects().contains { if case .close(SessionCloseCode.silent, _) = $0 { true } else { false } })
    #expect(bench.core.state == .disconnected)
    bench.pass(.seconds(2))
    #expect(bench.takeEffects().contains(.connect))
  }

  @Test
  func `a registration that is not answered is given up after ten seconds`() {
    let bench = WorkerBench(.session)
    bench.handle(.start)
    bench.handle(.connected(.session))
    bench.pass(.seconds(9))
    #expect(!bench.takeEffects().contains { if case .close = $0 { true } else { false } })
    bench.pass(.seconds(1))
    #expect(bench.takeEffects().contains { if case .close = $0 { true } else { false } })
  }

  @Test
  func `a connection that ends while it is made is tried again, and attempts run out`() {
    let bench = WorkerBench(.session) { $0.maxReconnectAttempts = 3 }
    bench.handle(.start)
    for _ in 0..<4 {
      bench.handle(.disconnected("reset"))
      bench.pass(.seconds(70))
    }
    #expect(bench.core.state == .failed)
    #expect(bench.core.statistics.attempts == 4)
  }

  @Test(arguments: ["gap", "ack", "crc", "early"])
  func `a coordinator that breaks the session is left, and what it said is asked for again`(fault: String) {
    let bench = fault == "early" ? WorkerBench(.session) : bench()
    let body = Message(.cancelTask, ["task_id": "t", "attempt": 1]).body
    switch fault {
    case "gap": bench.handle(.received(Envelope.seal(body, sequence: 9, acknowledgement: 0)))
    case "ack": bench.say(.ack, acknowledging: 77)
    case "crc": bench.handle(.received(body))
    default:
      bench.handle(.start)
      bench.handle(.connected(.session))
      bench.handle(.received(Envelope.seal(body, sequence: 1, acknowledgement: 0)))
    }
    #expect(
      bench.takeEffects().contains { if case .close(SessionCloseCode.brokenSession, _) = $0 { true } else { false } })
    #expect(bench.core.state != .connected)
  }

  @Test
  func `only what fits the outbox is sent before it is acknowledged`() {
    let bench = bench { $0.outbox = Outbox.Limits(maxMessages: 3, maxBytes: 1 << 20) }
    for number in 1...10 { bench.handle(.send(Message("probe", ["n": .integer(Int64(number))]), reliably: true)) }
    // The state sync is one of the three.
    #expect(bench.messages().count == 2)
    bench.say(.ack, acknowledging: 3)
    #expect(bench.messages().count == 3)
  }

  @Test
  func `producers are told when too much waits`() {
    let bench = WorkerBench(.session)
    for number in 0..<WorkerCore.maxWaiting {
      #expect(bench.core.hasRoom)
      bench.handle(.send(Message("probe", ["n": .integer(Int64(number))]), reliably: true))
    }
    #expect(!bench.core.hasRoom)
  }

  // MARK: Bounds

  @Test
  func `whatever an attempt ends with fits into one message`() throws {
    let bench = bench()
    let text = String(repeating: "\u{1b}", count: 1 << 20)
    let endings = [
      AttemptEnding(.completed, result: .string(text)),
      AttemptEnding(
        .failed, exitCode: .max, reason: String(repeating: "é", count: 10_000),
        output: AttemptOutput(stdout: Array(text.utf8), stderr: Array(text.utf8))),
      AttemptEnding(.failed, exitCode: .min, output: AttemptOutput(stdout: Array(repeating: 0xFF, count: 1 << 20))),
      AttemptEnding(.completed, result: (0..<70).reduce(.array([])) { value, _ in .array([value]) }),
    ]
    let coordinator = try CoordinatorBench()
    coordinator.admit(1, "w", slots: 10)
    for (index, ending) in endings.enumerated() {
      let key = bench.assign("t\(index)")
      coordinator.submit("t\(index)", work())
      _ = bench.messages()
      bench.handle(.attemptEnded(key, ending))
      let message = try #require(bench.sent.first)
      #expect(message.body.count < Protocols.maxMessageBytes - 1_000)
      coordinator.say(1, message.kind, message.fields, reliably: true)
      let state = try #require(coordinator.state("t\(index)"))
      #expect(state.status == .failed && state.reason?.contains("could not be read") == false)
    }
  }

  @Test
  func `output comes back byte for byte, as text or not`() throws {
    let outputs: [[UInt8]] = [
      [], Array("plain\n".utf8), [0, 1, 2, 0xFF], Array("é\u{1b}[0m".utf8), Array(repeating: 0x1B, count: 999),
    ]
    for output in outputs {
      let ending = AttemptEnding(.completed, output: AttemptOutput(stdout: output, stderr: [], droppedBytes: 3))
      let fields = ending.fields(taskID: TaskID(known: "t"), attempt: 1)
      let value = try JSONParser.parse(fields.text)
      let read = try AttemptEnding(
        FieldReader(value.object ?? JSONObject()), outcome: .completed, maxOutputBytes: 10_000)
      #expect(read.output == ending.output)
    }
  }

  @Test
  func `a checkpoint that no message could carry is not taken`() {
    let bench = bench { $0.maxCheckpointBytes = 100 }
    let key = bench.assign("t")
    bench.handle(.attemptCheckpointed(key, .string(String(repeating: "x", count: 100))))
    bench.handle(.attemptCheckpointed(key, (0..<60).reduce(.array([])) { value, _ in .array([value]) }))
    #expect(bench.disk.isEmpty)
    bench.handle(.attemptCheckpointed(key, 1))
    #expect(bench.disk.keys.sorted() == ["t/1/1"])
  }

  // MARK: The outbox file

  @Test
  func `damaged entries of the outbox file are dropped`() {
    let bench = WorkerBench(.session)
    let good = Message(.taskResult, ["task_id": "t", "attempt": 1, "status": "completed"]).body
    for (key, body) in [
      ("", good), ("t", good), ("t/x/result", good), ("t/1/x", good), ("a/b/1/result", good), ("t/1/result", []),
      ("t/1/result", [0x7B]), ("t/1/1", good + [0x0A]), ("t/1/2", Array("[1]".utf8)),
    ] {
      bench.handle(.restored(key: key, body: body))
      #expect(bench.takeEffects() == [.forget(key: key)], "\(key)")
    }
    bench.handle(.restored(key: "t/1/result", body: good))
    #expect(bench.takeEffects().isEmpty)
    bench.register()
    let types = bench.messages().map { $0["type"]?.string }
    #expect(types == ["registration", "state_sync", "task_result", "heartbeat"])
  }

  @Test
  func `of an earlier run's checkpoints only the newest is sent, before the sync that ends its attempt`() {
    let bench = WorkerBench(.session)
    for number in 1...3 {
      let fields: JSONObject = ["task_id": "t", "attempt": 1, "number": .integer(Int64(number)), "data": 1]
      bench.handle(.restored(key: "t/1/\(number)", body: Message(.checkpoint, fields).body))
    }
    #expect(bench.takeEffects() == [.forget(key: "t/1/1"), .forget(key: "t/1/2")])
    bench.register()
    let messages = bench.messages()
    #expect(messages.map { $0["type"]?.string } == ["registration", "checkpoint", "state_sync", "heartbeat"])
    #expect(messages[1]["number"] == 3)
  }

  @Test
  func `what a session said of the attempts held is not said again in the next one`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.handle(.attemptStarted(key))
    bench.handle(.disconnected("cut"))
    _ = bench.messages()
    bench.register(session: "another")
    let messages = bench.messages()
    #expect(messages.count { $0["type"] == "state_sync" } == 1)
    #expect(
      messages.first { $0["type"] == "state_sync" }?["tasks"]
        == [["task_id": "t", "attempt": 1, "status": "running"]])
    // What else was not acknowledged is.
    #expect(messages.contains { $0["type"] == "task_state" })
  }

  @Test
  func `an older checkpoint is forgotten only once the newer one is on the disk`() {
    let bench = bench()
    let key = bench.assign("t")
    bench.handle(.disconnected("cut"))
    bench.handle(.attemptCheckpointed(key, 1))
    bench.persistsAtOnce = false
    _ = bench.takeEffects()
    bench.handle(.attemptCheckpointed(key, 2))
    #expect(!bench.takeEffects().contains(.forget(key: "t/1/1")))
    bench.handle(.persisted(key: "t/1/2"))
    #expect(bench.takeEffects().contains(.forget(key: "t/1/1")))
  }

  // MARK: Ending

  @Test
  func `a draining worker says so before it declines anything`() {
    let bench = bench()
    bench.handle(.drain)
    #expect(bench.messages().first?["draining"] == true)
    let busy = WorkerBench(.session)
    busy.register()
    _ = busy.assign("t")
    _ = busy.messages()
    busy.handle(.drain)
    _ = busy.assign("u")
    #expect(busy.messages().map { $0["type"]?.string }.filter { $0 != "ack" } == ["heartbeat", "task_cancelled"])
  }

  @Test
  func `an idle worker that stops says goodbye, closes and is done`() {
    let bench = bench()
    bench.say(.ack, acknowledging: 1)
    _ = bench.messages()
    bench.handle(.stop)
    #expect(bench.messages().last?["type"] == "goodbye")
    let effects = bench.takeEffects()
    #expect(effects.contains(.stopped) && bench.core.state == .shutdown)
  }
}
