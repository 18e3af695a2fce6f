@testable import CoordinationCore
import Primitives
import Testing

@testable import Simulation

/// What a worker does with what it has to say while its connection takes no more.
@Suite(.timeLimit(.minutes(5)))
struct WorkerSendingTests {
  private func bench(_ change: (inout WorkerCoreConfiguration) -> Void = { _ in }) -> WorkerBench {
    let bench = WorkerBench(.session) {
      $0.capabilities.slots = 8
      change(&$0)
    }
    bench.register()
    _ = bench.messages()
    _ = bench.takeEffects()
    return bench
  }

  private func write(_ text: String, at offset: Int, _ key: AttemptKey, _ bench: WorkerBench) {
    bench.handle(.attemptWrote(key, .stdout, offset: offset, Array(text.utf8)))
  }

  /// `type task` of each message.
  private func words(_ bench: WorkerBench) -> [String] {
    bench.messages().map { "\($0["type"]?.string ?? "?") \($0["task_id"]?.string ?? "")" }
  }

  @Test
  func `what is urgent overtakes the rest, and nothing about its own task`() {
    let bench = bench()
    let (a, b) = (bench.assign("a"), bench.assign("b"))
    _ = bench.messages()
    bench.holdBack(true)
    write("1", at: 0, b, bench)
    bench.handle(.attemptStarted(a))
    bench.handle(.attemptStarted(b))
    bench.handle(.attemptCheckpointed(a, 1))
    write("2", at: 1, b, bench)
    bench.handle(.attemptEnded(a, AttemptEnding(.completed)))
    #expect(bench.messages().isEmpty)
    bench.holdBack(false)
    #expect(bench.sent.compactMap(\.sequence) == [2, 3, 4, 5])
    #expect(
      words(bench) == [
        "task_state a", "checkpoint a", "task_result a", "task_output b", "task_state b", "task_output b",
      ])
  }

  @Test
  func `heartbeats and acknowledgements leave at once however little the connection takes`() {
    let bench = bench()
    bench.holdBack(true)
    let key = bench.assign("a")
    write("1", at: 0, key, bench)
    #expect(words(bench) == ["ack "])
    bench.pass(.seconds(5))
    #expect(words(bench) == ["heartbeat "])
    #expect(bench.core.queueStatus[.background].waiting == 1)
  }

  @Test
  func `without priorities everything waits and leaves in the order that it came`() {
    let bench = bench { $0.usesPriorities = false }
    let key = bench.assign("a")
    _ = bench.messages()
    bench.holdBack(true)
    write("1", at: 0, key, bench)
    bench.handle(.attemptStarted(key))
    bench.pass(.seconds(5))
    bench.handle(.attemptEnded(key, AttemptEnding(.completed)))
    #expect(bench.messages().isEmpty)
    bench.holdBack(false)
    #expect(words(bench) == ["task_output a", "task_state a", "heartbeat ", "task_result a"])
  }

  @Test
  func `of progress only the newest waits`() {
    let bench = bench()
    let key = bench.assign("a")
    _ = bench.messages()
    bench.holdBack(true)
    for percent in 1...50 { bench.handle(.attemptProgressed(key, Double(percent) / 100)) }
    #expect(bench.core.queueStatus.waiting == 1)
    bench.holdBack(false)
    #expect(bench.messages().map { $0["state"] } == [["progress": 0.5]])
    bench.handle(.attemptProgressed(key, 0.6))
    #expect(bench.messages().map { $0["state"] } == [["progress": 0.6]])
  }

  @Test
  func `output that waits is bounded, without a hole in it, and nothing reliable is dropped for it`() {
    let bench = bench()
    let key = bench.assign("a")
    _ = bench.messages()
    bench.holdBack(true)
    let piece = String(repeating: "x", count: 64 << 10)
    for number in 0..<40 { write(piece, at: number * piece.utf8.count, key, bench) }
    bench.handle(.attemptEnded(key, AttemptEnding(.completed)))
    bench.holdBack(false)
    let messages = bench.messages()
    let offsets = messages.compactMap { $0["offset"]?.integer }
    #expect(offsets == (0..<offsets.count).map { Int64($0 * piece.utf8.count) })
    #expect(offsets.count == 15)
    #expect(messages.last?["type"] == "task_result")
    #expect(bench.core.statistics.messagesDropped == 25)
  }

  @Test
  func `what was to be said about a connection ends with it, and the rest does not`() {
    let bench = bench()
    let key = bench.assign("a")
    _ = bench.messages()
    bench.holdBack(true)
    write("1", at: 0, key, bench)
    bench.handle(.attemptStarted(key))
    bench.handle(.disconnected("cut"))
    #expect(bench.core.queueStatus.waiting == 1)
    bench.pass(.seconds(2))
    bench.register(resumed: true, handled: 1)
    #expect(words(bench).filter { $0.hasPrefix("task") } == ["task_state a"])
  }

  @Test
  func `much is handed over in parts, each after asking`() {
    let bench = bench { $0.sendBudgetBytes = 1_000 }
    bench.holdBack(true)
    let text = JSONValue.string(String(repeating: "x", count: 400))
    for number in 1...10 {
      bench.handle(.send(Message("probe", ["n": .integer(Int64(number)), "text": text]), reliably: true))
    }
    _ = bench.takeEffects()
    bench.holdBack(false)
    #expect(bench.takeEffects().count { $0 == .reportBackpressure } == 3)
    #expect(bench.sent.compactMap { $0.fields["n"]?.integer } == Array(1...10))
  }

  @Test
  func `a replay is handed over in parts, and nothing new comes between them`() {
    let bench = bench { $0.sendBudgetBytes = 1_000 }
    let text = JSONValue.string(String(repeating: "x", count: 400))
    let probe = { (number: Int64) in Message("probe", ["n": .integer(number), "text": text]) }
    for number in 1...10 as ClosedRange<Int64> { bench.handle(.send(probe(number), reliably: true)) }
    bench.handle(.disconnected("cut"))
    _ = bench.messages()
    bench.pass(.seconds(2))
    bench.answersBackpressure = false
    bench.register(resumed: true, handled: 3)
    #expect(bench.sent.compactMap(\.sequence) == [4, 5, 6])
    // Acknowledged meanwhile: it need not be sent again, and the answer is still to come.
    bench.say(.ack, acknowledging: 8)
    bench.handle(.send(probe(11), reliably: true))
    bench.answersBackpressure = true
    bench.holdBack(false)
    #expect(bench.sent.compactMap(\.sequence).suffix(4) == [9, 10, 11, 12])
    #expect(bench.sent.compactMap(\.sequence).sorted() == bench.sent.compactMap(\.sequence))
  }

  /// Whatever order the priorities make, the coordinator sees consecutive numbers, and each task's messages in theirs.
  @Test
  func `numbers are given at departure, and messages about one task keep their order`() {
    let first = freshSeed()
    for offset in 0..<200 as Range<UInt64> {
      var random = SeededGenerator(seed: first &+ offset)
      let bench = bench { $0.sendBudgetBytes = 600 }
      var produced: [String: Int64] = [:]
      var expected: UInt64 = 2
      var seen: [String: Int64] = [:]
      func check() -> Bool {
        defer { _ = bench.messages() }
        for message in bench.sent {
          guard let number = message.sequence else { continue }
          if number < expected { continue }
          guard number == expected else { return false }
          expected += 1
          guard let task = message.fields["task_id"]?.string, let place = message.fields["n"]?.integer else { continue }
          guard place == (seen[task] ?? 0) + 1 else { return false }
          seen[task] = place
        }
        return true
      }
      for _ in 0..<80 {
        switch Int.random(in: 0..<12, using: &random) {
        case 0: bench.holdBack(true)
        case 1, 2: bench.holdBack(false)
        case 3:
          bench.handle(.disconnected("cut"))
          bench.pass(.seconds(2))
          bench.register(resumed: true, handled: Int64(clamping: expected - 1))
        case 4: bench.pass(.milliseconds(700))
        case 5: if expected > 2 { bench.say(.ack, acknowledging: UInt64.random(in: 1...expected - 1, using: &random)) }
        default:
          let task = ["a", "b", "c"].randomElement(using: &random) ?? "a"
          let kind: MessageKind =
            [.taskCancelled, .taskResult, .checkpoint, "own", .telemetry, .taskOutput].randomElement(using: &random)
            ?? "own"
          produced[task, default: 0] += 1
          bench.handle(
            .send(Message(kind, ["task_id": .string(task), "n": .integer(produced[task] ?? 0)]), reliably: true))
        }
        guard check() else {
          Issue.record("out of order; \(replayCommand(first &+ offset, "WorkerSendingTests"))")
          return
        }
      }
      bench.holdBack(false)
      #expect(check() && seen == produced, "\(replayCommand(first &+ offset, "WorkerSendingTests"))")
    }
  }
}
