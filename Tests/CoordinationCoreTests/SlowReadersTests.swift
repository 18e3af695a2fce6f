@testable import CoordinationCore
import Primitives
import Testing

@Suite struct SlowReadersTests {
  private func readers(timeout: Duration = .seconds(30), maxBytes: Int = 1_000) -> SlowReaders<Int> {
    SlowReaders(SlowReaders.Limits(timeout: timeout, minBytes: 100, maxBytes: maxBytes))
  }

  @Test func `one that does not catch up in time is dropped once`() {
    var readers = readers()
    readers.rose(1, taken: 0, at: .zero)
    // Rising again does not start its time anew.
    readers.rose(1, taken: 0, at: .zero + .seconds(20))
    let early = readers.due(at: .zero + .seconds(29)) { _ in .init(pending: 10, taken: 0) }
    #expect(early.isEmpty)
    let due = readers.due(at: .zero + .seconds(30)) { _ in .init(pending: 10, taken: 0) }
    #expect(due.map(\.id) == [1])
    #expect(due.first?.cause == .time(.seconds(30), bytes: 10))
    #expect(readers.isEmpty)
  }

  @Test func `one that catches up starts over`() {
    var readers = readers()
    readers.rose(1, taken: 0, at: .zero)
    readers.drained(1)
    readers.rose(1, taken: 0, at: .zero + .seconds(25))
    let early = readers.due(at: .zero + .seconds(54)) { _ in .init(pending: 10, taken: 0) }
    let due = readers.due(at: .zero + .seconds(55)) { _ in .init(pending: 10, taken: 0) }
    #expect(early.isEmpty && due.map(\.id) == [1])
  }

  @Test func `one that reads slowly and steadily is left alone, and a trickle is not reading`() {
    var readers = readers()
    readers.rose(1, taken: 1_000, at: .zero)
    readers.rose(2, taken: 1_000, at: .zero)
    var dropped: [Int] = []
    for second in 1...120 {
      dropped += readers.due(at: .zero + .seconds(second)) {
        .init(pending: 10, taken: 1_000 + ($0 == 1 ? 4 : 3) * second)
      }.map(\.id)
    }
    #expect(dropped == [2])
    #expect(readers.count == 1)
  }

  @Test func `when all hold too much the largest go first, and no more than needed`() {
    var readers = readers()
    let bytes = [1: 300, 2: 500, 3: 400, 4: 100]
    for id in bytes.keys.sorted() { readers.rose(id, taken: 0, at: .zero) }
    let due = readers.due(at: .zero + .seconds(1)) { .init(pending: bytes[$0] ?? 0, taken: 0) }
    #expect(due.map(\.id) == [2])
    #expect(due.first?.cause == .memory(bytes: 500, ofAll: 1_300))
    #expect(readers.count == 3)
  }

  @Test(arguments: 0..<50) func `what is left never holds more than the limit`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var readers = readers()
    var bytes: [Int: Int] = [:]
    for id in 0..<Int.random(in: 1...40, using: &random) {
      bytes[id] = Int.random(in: 0...400, using: &random)
      readers.rose(id, taken: 0, at: .zero)
    }
    let due = Set(readers.due(at: .zero + .seconds(1)) { .init(pending: bytes[$0] ?? 0, taken: 0) }.map(\.id))
    let left = bytes.filter { !due.contains($0.key) }
    #expect(left.values.reduce(0, +) <= 1_000)
    if let smallest = due.compactMap({ bytes[$0] }).min() {
      #expect(left.values.reduce(0, +) + smallest > 1_000)
      #expect(left.values.allSatisfy { $0 <= smallest })
    }
  }

  // MARK: Workers that acknowledge nothing

  private let demoWork = TaskSpecification(name: "work", work: .custom(kind: "work", input: [:]))

  private func bench(timeout: Duration = .seconds(30)) throws -> CoordinatorBench {
    var configuration = CoordinatorConfiguration()
    configuration.slowReaderTimeout = timeout
    let bench = try CoordinatorBench(configuration)
    bench.admit(1, "deaf", slots: 1)
    bench.submit("t", demoWork)
    return bench
  }

  /// A heartbeat each 5 s, which acknowledges up to `sequence`.
  private func beat(_ bench: CoordinatorBench, times: Int, acknowledging sequence: UInt64) {
    for _ in 0..<times {
      bench.tick(after: .seconds(5))
      bench.say(1, .heartbeat, ["sequence": 1], acknowledging: sequence)
    }
  }

  @Test func `a worker that beats and acknowledges nothing loses its connection and its task goes to another`() throws {
    let bench = try bench()
    beat(bench, times: 6, acknowledging: 0)
    #expect(bench.closes.isEmpty)
    beat(bench, times: 1, acknowledging: 0)
    #expect(bench.closes.map(\.code) == [RetryHint.tryAgainLater])
    let reason = bench.closes.first?.reason ?? ""
    #expect(reason.hasPrefix("retry after 1.0 s; nothing was acknowledged for 30000 ms"), "\(reason)")
    bench.admit(2, "good", slots: 1)
    for _ in 0..<40 { bench.tick(after: .milliseconds(100)) }
    #expect(bench.state("t")?.workerID?.text == "good")
    #expect(bench.state("t")?.attempt == 2)
  }

  @Test func `a worker that acknowledges is left alone however long its task takes`() throws {
    let bench = try bench()
    // Its state-sync answer and its assignment.
    beat(bench, times: 100, acknowledging: 2)
    #expect(bench.closes.isEmpty)
  }

  @Test func `while the coordinator reads nothing itself, no time is counted`() {
    var unread = UnreadTime()
    unread.heard(after: .seconds(5), atMost: .seconds(10), oldestUnacknowledged: 7)
    unread.heard(after: .seconds(3_600), atMost: .seconds(10), oldestUnacknowledged: 7)
    #expect(unread.total == .seconds(10))
    unread.heard(after: .seconds(5), atMost: .seconds(10), oldestUnacknowledged: 8)
    #expect(unread.total == .zero)
    unread.heard(after: .seconds(5), atMost: .seconds(10), oldestUnacknowledged: 8)
    unread.heard(after: .seconds(5), atMost: .seconds(10), oldestUnacknowledged: nil)
    unread.heard(after: .seconds(5), atMost: .seconds(10), oldestUnacknowledged: nil)
    #expect(unread.total == .zero)
  }

  @Test func `a worker whose connection is congested is given nothing until it has caught up`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w1", slots: 4)
    bench.handle(.sendingHeldBack(ConnectionID(1), true))
    bench.submit("t", demoWork)
    #expect(bench.state("t") == nil)
    bench.handle(.sendingHeldBack(ConnectionID(1), false))
    #expect(bench.state("t")?.workerID?.text == "w1")
  }

  // MARK: Bounds of what is known

  @Test func `no more workers are taken than the limit, and lost ones make room`() throws {
    var configuration = CoordinatorConfiguration()
    configuration.maxWorkers = 2
    let bench = try CoordinatorBench(configuration)
    bench.admit(1, "w1")
    bench.admit(2, "w2")
    bench.admit(3, "w3")
    #expect(bench.closes.map(\.connection) == [3])
    #expect(bench.closes.map(\.code) == [RetryHint.tryAgainLater])
    #expect(RetryHint.delay(ofClose: 1013, reason: bench.closes[0].reason) == .seconds(30))
    #expect(bench.core.workerSummaries.map(\.id.text) == ["w1", "w2"])
    // One that is known comes back whenever it likes.
    bench.disconnect(1)
    bench.admit(4, "w1", boot: "other")
    #expect(bench.closes.count == 1)
    // One that left in order is remembered only as long as nobody needs its place.
    bench.say(2, .goodbye, ["reason": "stopping"])
    bench.disconnect(2)
    bench.admit(5, "w5")
    #expect(bench.core.workerSummaries.map(\.id.text) == ["w1", "w5"])
  }

  @Test func `tasks that are submitted and cancelled over and over leave nothing behind`() throws {
    let bench = try CoordinatorBench()
    bench.submit("waiting", demoWork)
    for number in 1...5_000 {
      bench.submit("t\(number)", demoWork)
      bench.request(.cancel(TaskID(known: "t\(number)")))
      #expect(bench.core.book.dispatcher.count <= 1_002)
    }
    #expect(bench.core.unfinishedTasks == 1)
    bench.admit(1, "w1", slots: 1)
    #expect(bench.state("waiting")?.workerID?.text == "w1", "what waits is still in line")
  }

  @Test func `a worker that comes back with other kinds of work over and over leaves the old lines`() throws {
    let bench = try CoordinatorBench()
    for number: Int64 in 1...200 {
      bench.connect(1, "w1", .session)
      bench.say(
        1, .registration,
        ["boot_id": .string("b\(number)"), "capabilities": ["slots": 1, "kinds": [.string("kind-\(number)")]]])
      bench.say(1, .stateSync, ["tasks": [], "final": true], reliably: true)
      bench.handle(.disconnected(ConnectionID(1)))
    }
    #expect(bench.core.book.dispatcher.groupCount == 1)
  }

  @Test func `a lookup that failed is forgotten`() throws {
    let core = try CoordinatorCore(random: SeededGenerator(seed: 1), at: .zero)
    var effects: [CoordinatorEffect] = []
    let submission = TaskSubmission(id: TaskID(known: "t"), demoWork)
    for number: UInt64 in 1...3 {
      core.handle(
        .request(RequestID(number), .submit([submission])), at: .zero, wall: WallTime(milliseconds: 0), into: &effects)
    }
    #expect(core.waitingSubmissions == 3)
    for number: UInt64 in 1...2 {
      core.handle(.lookupFailed(RequestID(number)), at: .zero, wall: WallTime(milliseconds: 0), into: &effects)
    }
    core.handle(.found(RequestID(3), []), at: .zero, wall: WallTime(milliseconds: 0), into: &effects)
    #expect(core.waitingSubmissions == 0)
    #expect(core.unfinishedTasks == 1)
  }
}
