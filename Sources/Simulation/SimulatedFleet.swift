import Authentication
import CoordinationCore
import History
import Primitives

/// Coordinators, workers, and between them a clock, links, disks and executors, all simulated.
/// Everything that happens follows from `options.seed`.
final class SimulatedFleet {
  private(set) var options: SimulationOptions
  private(set) var now: Instant = .zero
  var random: SeededGenerator
  let store = SimulatedStore()
  /// Where several coordinators use it at once.
  private(set) var shared: SimulatedSharedStore?
  private(set) var coordinators: [SimulatedCoordinator] = []
  private(set) var workers: [SimulatedWorker] = []
  /// What is on its way still refers to them.
  private var lostWorkers: [SimulatedWorker] = []
  private(set) var answers: [RequestID: CoordinatorAnswer] = [:]
  private(set) var notices: [CoordinatorNotice] = []
  private(set) var logs: [LogEntry] = []
  /// Connections that the coordinator ended, with code and reason.
  private(set) var closes: [(code: UInt16, reason: String)] = []
  /// Every attempt that was ever started, by whom and from which checkpoint.
  private(set) var starts: [AttemptKey: (worker: WorkerID, checkpoint: CheckpointKey?)] = [:]
  let probes = ProbeLog()
  /// How far the wall clock is from where it should be.
  var wallStep: Duration = .zero

  /// Called when a worker is registered, anywhere.
  var onRegistered: ((SimulatedWorker) -> Void)?

  private(set) var trace: [String] = []
  /// Of everything that happened, in order: two runs of one seed have the same.
  private(set) var fingerprint: UInt64 = 0xCBF2_9CE4_8422_2325

  private var checker: HistoryChecker
  private var queue = EventQueue()
  /// Room for what a worker's core wants, lent to one worker at a time: each having its own would add up.
  var workerEffects: [WorkerEffect] = []
  private var nextLink: UInt64 = 0
  private var nextRequest: UInt64 = 0
  private var boots = 0
  private var cancelsAsked: [RequestID: TaskID] = [:]

  init(_ options: SimulationOptions = SimulationOptions()) {
    var options = options
    options.coordinator.isTraced = options.checks
    options.coordinator.isShared = options.coordinators > 1
    self.options = options
    random = SeededGenerator(seed: options.seed)
    checker = HistoryChecker(
      HistoryChecker.Options(exclusiveLeases: options.coordinator.exclusiveLeases, commitsAreExact: true))
    if options.coordinator.isShared { shared = SimulatedSharedStore(store, seed: options.seed, self) }
    for index in 0..<max(1, options.coordinators) { coordinators.append(SimulatedCoordinator(index, self)) }
    for number in 1...max(1, options.workers) {
      workers.append(SimulatedWorker(WorkerID(known: "w\(number)"), slots: options.slots, self))
    }
  }

  var wall: WallTime {
    WallTime(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000 + wallStep.wholeMilliseconds)
  }

  /// Rules that were broken. Empty in every run.
  var violations: [String] { checker.violations.map { "\($0)" } + probes.violations }
  var statistics: HistoryChecker.Statistics { checker.statistics }

  /// - Parameter range: in microseconds.
  func draw(_ range: ClosedRange<Int64>) -> Duration { .microseconds(Int64.random(in: range, using: &random)) }

  func note(_ text: @autoclosure () -> String) {
    guard options.traces else { return }
    trace.append("\(now.nanoseconds / 1_000_000) ms  \(text())")
  }

  /// - Parameter member: whose doing it is, where several coordinators share a store.
  func record(_ event: @autoclosure () -> HistoryEvent, by member: MemberID? = nil) {
    guard options.checks else { return }
    let before = checker.violationCount
    checker.observe(HistoryRecord(event(), at: now, by: member))
    if checker.violationCount > before { note("BROKEN: \(checker.violations.last.map { "\($0)" } ?? "")") }
  }

  /// Takes part in the run's fingerprint.
  func mark(_ word: UInt64) {
    for part in [UInt64(bitPattern: now.nanoseconds), word] { fingerprint = (fingerprint ^ part) &* 0x100_0000_01B3 }
  }

  func mark(_ bytes: [UInt8]) {
    guard options.checks else { return }
    for byte in bytes { fingerprint = (fingerprint ^ UInt64(byte)) &* 0x100_0000_01B3 }
    mark(UInt64(bytes.count))
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

  // MARK: Coordinators

  func startAll() {
    for coordinator in coordinators { coordinator.start() }
    for worker in workers { worker.start() }
  }

  /// The first, which may be the only one.
  var coordinator: SimulatedCoordinator { coordinators[0] }

  /// Whether anybody reaches any of them.
  var isReachable: Bool {
    get { coordinators.contains { $0.isReachable } }
    set { for coordinator in coordinators { coordinator.isReachable = newValue } }
  }

  func closed(_ code: UInt16, _ reason: String) {
    if options.checks { closes.append((code: code, reason: reason)) }
  }

  func noticed(_ notice: CoordinatorNotice) {
    guard options.checks else { return }
    notices.append(notice)
    if case .staleAttemptRefused(let id, let attempt, let worker, let kind) = notice {
      record(.staleAttemptRefused(AttemptKey(id, attempt), worker, kind))
    }
  }

  func logged(_ entry: LogEntry, by coordinator: SimulatedCoordinator) {
    guard options.checks else { return }
    logs.append(entry)
    note(
      "\(coordinator.name): \(entry.message) \(entry.facts.map { "\($0.key)=\($0.value)" }.joined(separator: " "))")
  }

  func connect(_ worker: SimulatedWorker) {
    let run = worker.run
    schedule(at: now + draw(options.latency)) { [unowned self] in
      guard worker.run == run else { return }
      let coordinator = choose(for: worker)
      guard coordinator.isRunning, coordinator.isReachable, !worker.cutOffFrom.contains(coordinator.index) else {
        return worker.handles(.connectFailed("refused", retryAfter: nil))
      }
      guard now >= coordinator.refusesUntil else {
        return worker.handles(.connectFailed("503", retryAfter: coordinator.refusesUntil - now))
      }
      if let delay = coordinator.admission?.refusal(at: now) {
        return worker.handles(.connectFailed("503", retryAfter: delay))
      }
      coordinator.admission?.admit(at: now)
      nextLink += 1
      let link = SimulatedLink(ConnectionID(nextLink), worker, coordinator)
      // Each connection has nonces of its own, so what one's messages carry is worth nothing on another.
      let channel = options.signs ? ChannelSecret(proofKey: [1], client: "\(nextLink)", server: worker.id.text) : nil
      coordinator.accept(link, channel: channel)
      // Whoever connects gives up on a handshake that does not end.
      schedule(at: now + .seconds(2)) {
        guard worker.run == run, worker.link === link, worker.isConnecting else { return }
        worker.link = nil
        worker.handles(.connectFailed("no answer to the handshake", retryAfter: nil))
      }
      coordinator.handles(
        .connected(
          link.id, worker.id, .session, remoteAddress: "sim:\(link.id)",
          security: channel.map(LinkSecurity.signed) ?? .open))
    }
  }

  /// A worker tries all that it knows, in an order of its own each time, and takes the first that answers.
  private func choose(for worker: SimulatedWorker) -> SimulatedCoordinator {
    guard coordinators.count > 1 else { return coordinator }
    let inOrder = coordinators.shuffled(using: &random)
    return inOrder.first {
      $0.isRunning && $0.isReachable && now >= $0.refusesUntil && !worker.cutOffFrom.contains($0.index)
    } ?? inOrder[0]
  }

  func registered(_ worker: SimulatedWorker) {
    worker.link?.coordinator.registered(worker)
    onRegistered?(worker)
  }

  func nextBoot() -> Int {
    boots += 1
    return boots
  }

  /// Another machine, which may call itself as one that is there already.
  func addWorker(_ name: String) -> SimulatedWorker {
    let worker = SimulatedWorker(WorkerID(known: name), slots: options.slots, self)
    workers.append(worker)
    return worker
  }

  /// A worker's machine is gone for good, with what it had on its disk. One with the same capabilities and another name has
  /// its place from now on, and is not started yet.
  func loseWorker(_ index: Int) {
    let lost = workers[index]
    lost.kill(silently: true)
    lostWorkers.append(lost)
    let id = WorkerID(known: "\(lost.id)-next")
    options.offers[id] = options.offers[lost.id]
    workers[index] = SimulatedWorker(id, slots: lost.slots, self)
  }

  // MARK: Requests

  @discardableResult
  func ask(_ request: CoordinatorRequest, at coordinator: SimulatedCoordinator? = nil) -> RequestID {
    nextRequest += 1
    let id = RequestID(nextRequest)
    if case .cancel(let task) = request { cancelsAsked[id] = task }
    if case .submit(let submissions) = request {
      for submission in submissions {
        guard let task = submission.id else { continue }
        let (requirements, slots) = (submission.specification.requirements, submission.specification.slots)
        record(.required(task, requirements, slots: slots))
      }
    }
    (coordinator ?? self.coordinator).handles(.request(id, request))
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

  func answered(_ id: RequestID, _ answer: CoordinatorAnswer) {
    answers[id] = answer
    switch answer {
    case .submitted(let ids): record(.submitAcknowledged(ids))
    case .done: if let task = cancelsAsked[id] { record(.cancelAcknowledged(task)) }
    case .notLive, .refused: break
    }
  }

  func started(_ assignment: Assignment, by worker: SimulatedWorker) {
    let key = AttemptKey(assignment.taskID, assignment.attempt)
    record(.attemptStarted(key, worker.id, from: assignment.checkpoint?.key))
    if options.checks { starts[key] = (worker: worker.id, checkpoint: assignment.checkpoint?.key) }
  }

  /// Who holds a task, as far as the store knows.
  func holder(_ id: TaskID) -> SimulatedWorker? {
    guard let state = store[id]?.record.state, state.status.isHeld else { return nil }
    return workers.first { $0.id == state.workerID && $0.isRunning }
  }

  @discardableResult
  func runUntil(_ id: TaskID, is status: TaskStatus, within limit: Duration = .seconds(60)) -> Bool {
    run(for: limit) { store.status(id) == status }
  }

  /// Nothing is broken on purpose from here on.
  func faultsEnded() { record(.faultsEnded) }

  /// The run is over: what must have happened by now has.
  func finish() { checker.finish() }
}
