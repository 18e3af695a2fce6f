import CoordinationCore
import Primitives

/// What a simulated fleet is made of. Times are short so that a run of a simulated minute sees every deadline.
struct FleetOptions {
  var seed: UInt64 = 1
  var workers = 2
  var slots = 2
  var latency: ClosedRange<Int64> = 1_000...5_000
  var commitDelay: ClosedRange<Int64> = 1_000...10_000
  var persistDelay: ClosedRange<Int64> = 500...5_000
  var workerOutbox = Outbox.Limits()
  /// Whether everything that happens is written down, for people.
  var traces = false
  var coordinator: CoordinatorConfiguration = {
    var configuration = CoordinatorConfiguration()
    configuration.heartbeatInterval = .seconds(1)
    configuration.heartbeatTimeout = .seconds(3)
    configuration.lease = .seconds(6)
    configuration.exclusiveLeases = true
    return configuration
  }()

  func worker(_ id: WorkerID, _ bootID: String, slots: Int) -> WorkerCoreConfiguration {
    var configuration = WorkerCoreConfiguration(
      workerID: id, bootID: bootID, capabilities: WorkerCapabilities(slots: slots, kinds: ["work"]))
    configuration.heartbeatInterval = .seconds(1)
    configuration.heartbeatTimeout = .seconds(3)
    configuration.reconnectDelay = .milliseconds(100)
    configuration.maxReconnectDelay = .seconds(1)
    return configuration
  }
}

/// One coordinator core, some worker cores, and between them a clock, links, disks and executors, all simulated.
/// Everything that happens follows from `options.seed`.
final class CoreFleet {
  let options: FleetOptions
  private(set) var now: Instant = .zero
  var random: SeededGenerator
  let store = FleetStore()
  private(set) var coordinator: CoordinatorCore?
  /// Grows with each start and each end of the coordinator's process.
  private(set) var coordinatorRun = 0
  private(set) var workers: [FleetWorker] = []
  private(set) var links: [ConnectionID: FleetLink] = [:]
  private(set) var answers: [RequestID: CoordinatorAnswer] = [:]
  private(set) var notices: [CoordinatorNotice] = []
  private(set) var logs: [LogEntry] = []
  /// Connections that the coordinator ended, with code and reason.
  private(set) var closes: [(code: UInt16, reason: String)] = []
  /// Rules that were broken. Empty in every run.
  private var broken: [String] = []
  /// Every attempt that was ever started, by whom and from which checkpoint.
  private(set) var starts: [AttemptKey: (worker: WorkerID, checkpoint: CheckpointKey?)] = [:]
  let probes = ProbeLog()
  var isReachable = true

  private(set) var trace: [String] = []

  private var queue = EventQueue()
  private var effects: [CoordinatorEffect] = []
  private var tickAt: Instant = .distantFuture
  private var commits: [(id: BatchID, writes: [StoreWrite])] = []
  private var committedAt: Instant = .zero
  private var nextLink: UInt64 = 0
  private var nextRequest: UInt64 = 0
  private var boots = 0
  private var cancelsAsked: [RequestID: TaskID] = [:]

  init(_ options: FleetOptions = FleetOptions()) {
    self.options = options
    random = SeededGenerator(seed: options.seed)
    for number in 1...max(1, options.workers) {
      workers.append(FleetWorker(WorkerID(known: "w\(number)"), slots: options.slots, self))
    }
  }

  var wall: WallTime { WallTime(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000) }
  var violations: [String] { broken + store.violations + probes.violations }

  /// - Parameter range: in microseconds.
  func draw(_ range: ClosedRange<Int64>) -> Duration { .microseconds(Int64.random(in: range, using: &random)) }

  func note(_ text: @autoclosure () -> String) {
    guard options.traces else { return }
    trace.append("\(now.nanoseconds / 1_000_000) ms  \(text())")
  }

  // MARK: The clock

  func schedule(at time: Instant, _ body: @escaping () -> Void) { queue.push(max(time, now), body) }

  /// Lets time pass until `condition` holds.
  /// - Returns: whether it came to hold within `limit`.
  @discardableResult
  func run(for limit: Duration, until condition: () -> Bool = { false }) -> Bool {
    let end = now + limit
    while !condition() {
      guard let time = queue.earliest, time <= end else {
        now = end
        return condition()
      }
      now = max(now, time)
      queue.pop()?()
    }
    return true
  }

  // MARK: The coordinator

  func startAll() {
    startCoordinator()
    for worker in workers { worker.start() }
  }

  func startCoordinator() {
    guard coordinator == nil else { return }
    coordinatorRun += 1
    probes.run = coordinatorRun
    do {
      coordinator = try CoordinatorCore(
        configuration: options.coordinator, unfinished: store.unfinished, handlers: [ProbeHandler(log: probes)],
        random: random.split(), at: now)
    } catch { breaks("\(error)") }
    tickAt = .distantFuture
    coordinatorHandles(.tick)
  }

  /// `kill -9`: what was not committed is gone, unless the disk was just done with it.
  func crashCoordinator() {
    guard coordinator != nil else { return }
    coordinator = nil
    coordinatorRun += 1
    let reached = Int.random(in: 0...commits.count, using: &random)
    for commit in commits.prefix(reached) { store.apply(commit.writes) }
    commits = []
    committedAt = now
    for link in links.values.sorted(by: { $0.id.number < $1.id.number }) { link.cut() }
    links = [:]
  }

  func coordinatorHandles(_ event: CoordinatorEvent) {
    guard let coordinator else { return }
    feed(event)
    feed(.turnEnded)
    let deadline = max(coordinator.nextDeadline, now)
    guard deadline < tickAt else { return }
    tickAt = deadline
    let run = coordinatorRun
    schedule(at: deadline) { [unowned self] in
      guard run == coordinatorRun, tickAt == deadline else { return }
      tickAt = .distantFuture
      coordinatorHandles(.tick)
    }
  }

  private func feed(_ event: CoordinatorEvent) {
    if event != .turnEnded, event != .tick { note("coordinator ◀ \(event.summary)") }
    coordinator?.handle(event, at: now, wall: wall, into: &effects)
    let todo = effects
    effects = []
    for effect in todo { perform(effect) }
  }

  private func perform(_ effect: CoordinatorEffect) {
    let run = coordinatorRun
    switch effect {
    case .send(let id, let bytes): links[id]?.sendDown(bytes)
    case .close(let id, let code, let reason):
      closes.append((code: code, reason: reason))
      links.removeValue(forKey: id)?.closeByCoordinator(reason)
    case .commit(let id, let writes):
      commits.append((id: id, writes: writes))
      committedAt = max(committedAt, now + draw(options.commitDelay))
      schedule(at: committedAt) { [unowned self] in
        guard run == coordinatorRun, let commit = commits.first else { return }
        commits.removeFirst()
        store.apply(commit.writes)
        coordinatorHandles(.committed(commit.id))
      }
    case .findTasks(let request, let ids):
      schedule(at: committedAt + draw(options.commitDelay)) { [unowned self] in
        if run == coordinatorRun { coordinatorHandles(.found(request, store.existing(ids))) }
      }
    case .answer(let request, let answer): answered(request, answer)
    case .notice(let notice): notices.append(notice)
    case .trace: break
    case .log(let entry):
      logs.append(entry)
      note("coordinator: \(entry.message) \(entry.facts.map { "\($0.key)=\($0.value)" }.joined(separator: " "))")
    }
  }

  func connect(_ worker: FleetWorker) {
    let run = worker.run
    schedule(at: now + draw(options.latency)) { [unowned self] in
      guard worker.run == run else { return }
      guard coordinator != nil, isReachable else {
        return worker.handles(.connectFailed("refused", retryAfter: nil))
      }
      nextLink += 1
      let link = FleetLink(ConnectionID(nextLink), worker, self)
      links[link.id] = link
      worker.link = link
      link.down(.connected(.session))
      // Whoever connects gives up on a handshake that does not end.
      schedule(at: now + .seconds(2)) {
        guard worker.run == run, worker.link === link, worker.isConnecting else { return }
        worker.link = nil
        worker.handles(.connectFailed("no answer to the handshake", retryAfter: nil))
      }
      coordinatorHandles(.connected(link.id, worker.id, .session, remoteAddress: "sim:\(nextLink)"))
    }
  }

  func nextBoot() -> Int {
    boots += 1
    return boots
  }

  /// Another machine, which may call itself as one that is there already.
  func addWorker(_ name: String) -> FleetWorker {
    let worker = FleetWorker(WorkerID(known: name), slots: options.slots, self)
    workers.append(worker)
    return worker
  }

  // MARK: Requests

  @discardableResult
  func ask(_ request: CoordinatorRequest) -> RequestID {
    nextRequest += 1
    let id = RequestID(nextRequest)
    if case .cancel(let task) = request { cancelsAsked[id] = task }
    coordinatorHandles(.request(id, request))
    return id
  }

  /// Submits one task and waits for the answer.
  @discardableResult
  func submit(_ name: String, _ specification: TaskSpecification) -> TaskID {
    let id = TaskID(known: name)
    let request = ask(.submit([TaskSubmission(id: id, specification)]))
    run(for: .seconds(1)) { answers[request] != nil }
    return id
  }

  private func answered(_ id: RequestID, _ answer: CoordinatorAnswer) {
    answers[id] = answer
    switch answer {
    case .submitted(let ids):
      for task in ids where store[task] == nil { breaks("submit of \(task) answered before it was durable") }
    case .done:
      if let task = cancelsAsked[id], let state = store[task]?.record.state, !state.isCancelRequested,
        !state.status.isTerminal
      {
        breaks("cancel of \(task) answered before it was durable")
      }
    case .notLive, .refused: break
    }
  }

  /// Who holds a task, as far as the store knows.
  func holder(_ id: TaskID) -> FleetWorker? {
    guard let state = store[id]?.record.state, state.status.isHeld else { return nil }
    return workers.first { $0.id == state.workerID && $0.isRunning }
  }

  @discardableResult
  func runUntil(_ id: TaskID, is status: TaskStatus, within limit: Duration = .seconds(60)) -> Bool {
    run(for: limit) { store.status(id) == status }
  }

  // MARK: Rules

  private func breaks(_ text: String) {
    note("BROKEN: \(text)")
    broken.append("at \(now.nanoseconds / 1_000_000) ms: \(text)")
  }

  /// An attempt is started once in all, from the newest durable checkpoint, while no other one runs unhindered.
  func checkStart(_ assignment: Assignment, by worker: FleetWorker) {
    let key = AttemptKey(assignment.taskID, assignment.attempt)
    if let earlier = starts[key] { breaks("attempt \(key) was started by \(earlier.worker) and \(worker.id)") }
    starts[key] = (worker: worker.id, checkpoint: assignment.checkpoint?.key)
    guard let entry = store[assignment.taskID] else { return breaks("\(key) started, and not in the store") }
    if entry.record.state.attempt < assignment.attempt { breaks("\(key) started before it was durable") }
    let newest = entry.checkpoints.last { $0.key.attempt < assignment.attempt }?.key
    if entry.record.state.attempt == assignment.attempt, assignment.checkpoint?.key != newest {
      breaks(
        "\(key) starts from \(String(describing: assignment.checkpoint?.key)); durable is \(String(describing: newest))"
      )
    }
    for other in workers where other !== worker && !other.isFrozen {
      for executor in other.executors.values where executor.key.taskID == key.taskID && !executor.isStopping {
        breaks("\(key) started at \(worker.id) while \(executor.key) runs at \(other.id)")
      }
    }
  }

  /// A worker forgets a result or a checkpoint only once the store has it, or something newer.
  func checkForgotten(_ key: String, by worker: FleetWorker) {
    let parts = key.split(separator: "/")
    guard parts.count == 3, let attempt = Int(parts[1]), let entry = store[TaskID(known: String(parts[0]))] else {
      return breaks("\(worker.id) forgets \(key), which is about no task")
    }
    let state = entry.record.state
    if state.status.isTerminal || state.attempt > attempt { return }
    if let number = Int(parts[2]) {
      let known = (entry.checkpoints.last?.key).map { $0 >= CheckpointKey(attempt: attempt, number: number) } ?? false
      let isSuperseded = worker.disk.contains { $0.key.hasPrefix("\(parts[0])/\(attempt)/") && $0.key != key }
      if !known, !isSuperseded, worker.executors[AttemptKey(entry.record.id, attempt)] == nil {
        breaks("\(worker.id) forgets checkpoint \(key), which is not durable")
      }
    } else if entry.attempts[attempt]?.outcome == .running {
      breaks("\(worker.id) forgets result \(key), which is not durable")
    }
  }
}

extension CoordinatorEvent {
  var summary: String {
    switch self {
    case .received(let id, let bytes): "\(id) \(String(decoding: bytes, as: UTF8.self))"
    default: "\(self)"
    }
  }
}

/// Reliable messages of a service author's kind, which show whether anything is handled twice or out of order.
final class ProbeLog {
  var run = 0
  private(set) var handled: [String: [Int]] = [:]
  private(set) var violations: [String] = []
  var count: Int { handled.values.reduce(0) { $0 + $1.count } }

  func note(_ number: Int, session: String) {
    if let last = handled[session]?.last, number <= last {
      violations.append("probe \(number) handled after \(last) in session \(session)")
    }
    handled[session, default: []].append(number)
  }
}

struct ProbeHandler: MessageHandler {
  static let kinds: [MessageKind] = ["probe"]
  let log: ProbeLog

  func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let number = try message.reader.integer("number", in: 1...1_000_000)
    log.note(number, session: "\(log.run)/\(context.worker?.sessionID?.text ?? "none")")
    context.send("probe_ack", ["number": .integer(Int64(number))])
  }
}

/// Events in order of time, and of scheduling within one instant: a binary heap.
struct EventQueue {
  private var heap: [(time: Instant, number: UInt64, body: () -> Void)] = []
  private var next: UInt64 = 0

  var earliest: Instant? { heap.first?.time }

  private func isBefore(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].number) < (heap[right].time, heap[right].number)
  }

  mutating func push(_ time: Instant, _ body: @escaping () -> Void) {
    next += 1
    heap.append((time: time, number: next, body: body))
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop() -> (() -> Void)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return first.body }
    heap[0] = last
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, smallest) {
        smallest = child
      }
      if smallest == parent { return first.body }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }
}

/// A task of `units` steps, each with a checkpoint; its first `failing` attempts end with exit status 3.
func work(
  units: Int = 5, unit: Int64 = 200, failing: Int = 0, retries: Int = 0, maxLost: Int = 10,
  priority: TaskPriority = .normal
) -> TaskSpecification {
  TaskSpecification(
    name: "work",
    work: .custom(
      kind: "work",
      input: ["units": .integer(Int64(units)), "unit_ms": .integer(unit), "failing": .integer(Int64(failing))]),
    priority: priority, retries: retries, maxLostAttempts: maxLost)
}
