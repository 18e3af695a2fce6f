import Authentication
import CoordinationCore
import History
import Primitives

/// One coordinator core, some worker cores, and between them a clock, links, disks and executors, all simulated.
/// Everything that happens follows from `options.seed`.
final class SimulatedFleet {
  let options: SimulationOptions
  private(set) var now: Instant = .zero
  var random: SeededGenerator
  let store = SimulatedStore()
  private(set) var coordinator: CoordinatorCore?
  /// Grows with each start and each end of the coordinator's process.
  private(set) var coordinatorRun = 0
  private(set) var workers: [SimulatedWorker] = []
  private(set) var links: [ConnectionID: SimulatedLink] = [:]
  private(set) var answers: [RequestID: CoordinatorAnswer] = [:]
  private(set) var notices: [CoordinatorNotice] = []
  private(set) var logs: [LogEntry] = []
  /// Connections that the coordinator ended, with code and reason.
  private(set) var closes: [(code: UInt16, reason: String)] = []
  /// Every attempt that was ever started, by whom and from which checkpoint.
  private(set) var starts: [AttemptKey: (worker: WorkerID, checkpoint: CheckpointKey?)] = [:]
  let probes = ProbeLog()
  var isReachable = true
  /// Until then whoever connects is told to come back after it.
  private var refusesUntil: Instant = .zero
  /// How far the wall clock is from where it should be.
  var wallStep: Duration = .zero
  private(set) var load = FleetLoad()

  private(set) var trace: [String] = []
  /// Of everything that happened, in order: two runs of one seed have the same.
  private(set) var fingerprint: UInt64 = 0xCBF2_9CE4_8422_2325

  private var checker: HistoryChecker
  private var queue = EventQueue()
  private var effects: [CoordinatorEffect] = []
  /// Room for what a worker's core wants, lent to one worker at a time: each having its own would add up.
  var workerEffects: [WorkerEffect] = []
  private var tickAt: Instant = .distantFuture
  private var commits: [(id: BatchID, writes: [StoreWrite])] = []
  private var committedAt: Instant = .zero
  private var isFrozen = false
  private var inbox: [CoordinatorEvent] = []
  private var nextLink: UInt64 = 0
  private var nextRequest: UInt64 = 0
  private var boots = 0
  private var cancelsAsked: [RequestID: TaskID] = [:]

  init(_ options: SimulationOptions = SimulationOptions()) {
    var options = options
    options.coordinator.isTraced = options.checks
    self.options = options
    random = SeededGenerator(seed: options.seed)
    checker = HistoryChecker(
      HistoryChecker.Options(exclusiveLeases: options.coordinator.exclusiveLeases))
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

  func record(_ event: @autoclosure () -> HistoryEvent) {
    guard options.checks else { return }
    let before = checker.violationCount
    checker.observe(HistoryRecord(event(), at: now))
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

  // MARK: The coordinator

  func startAll() {
    startCoordinator()
    for worker in workers { worker.start() }
  }

  func startCoordinator() {
    guard coordinator == nil else { return }
    coordinatorRun += 1
    probes.run = coordinatorRun
    let unfinished = store.unfinished
    record(.coordinatorStarted(unfinished.map(StoredTask.init)))
    do {
      coordinator = try CoordinatorCore(
        configuration: options.coordinator, unfinished: unfinished, tests: store.tests,
        handlers: [ProbeHandler(log: probes)],
        random: random.split(), at: now)
    } catch { preconditionFailure("\(error)") }
    load.coordinatorStarted(at: now)
    tickAt = .distantFuture
    coordinatorHandles(.tick)
  }

  /// `kill -9`: what was not committed is gone, unless the disk was just done with it.
  func crashCoordinator() { endCoordinator(inOrder: false) }

  private func endCoordinator(inOrder: Bool) {
    guard coordinator != nil else { return }
    coordinator = nil
    coordinatorRun += 1
    isFrozen = false
    inbox = []
    let reached = inOrder ? commits.count : Int.random(in: 0...commits.count, using: &random)
    for commit in commits.prefix(reached) { store.apply(commit.writes) }
    commits = []
    committedAt = now
    for link in links.values.sorted(by: { $0.id.number < $1.id.number }) { link.cut() }
    links = [:]
  }

  /// Everyone is cut off and refused for a while.
  func refuseEveryone(for time: Duration) {
    refusesUntil = max(refusesUntil, now + time)
    for link in links.values.sorted(by: { $0.id.number < $1.id.number }) { link.cut() }
  }

  /// SIGTERM: connections are closed one after the other with a hint, and then the process ends.
  func drainCoordinator(within window: Duration, ended: @escaping (SimulatedFleet) -> Void) {
    guard coordinator != nil, !isFrozen else { return }
    coordinatorHandles(.drain)
    refusesUntil = max(refusesUntil, now + window)
    let run = coordinatorRun
    let open = links.values.sorted { $0.id.number < $1.id.number }
    for (index, link) in open.enumerated() {
      schedule(at: now + window * index / max(1, open.count)) { [unowned self] in
        guard run == coordinatorRun, links.removeValue(forKey: link.id) != nil else { return }
        link.closeByCoordinator("restarting", retryAfter: window)
        coordinatorHandles(.disconnected(link.id))
      }
    }
    schedule(at: now + window) { [unowned self] in
      guard run == coordinatorRun else { return }
      endCoordinator(inOrder: true)
      ended(self)
    }
  }

  func startCoordinator(after pause: Duration) {
    schedule(at: now + pause) { [unowned self] in startCoordinator() }
  }

  /// The process stands still; what is sent to it waits.
  func freezeCoordinator() { if coordinator != nil { isFrozen = true } }

  func thawCoordinator() {
    guard isFrozen else { return }
    isFrozen = false
    let waiting = inbox
    inbox = []
    for event in waiting { coordinatorHandles(event) }
    coordinatorHandles(.tick)
  }

  func coordinatorHandles(_ event: CoordinatorEvent) {
    guard let coordinator else { return }
    guard !isFrozen else { return event == .tick ? () : inbox.append(event) }
    feed(event)
    feed(.turnEnded)
    let deadline = max(coordinator.nextDeadline, now)
    guard deadline < tickAt || tickAt <= now else { return }
    tickAt = deadline
    let run = coordinatorRun
    schedule(at: deadline) { [unowned self] in
      guard run == coordinatorRun, tickAt == deadline else { return }
      tickAt = .distantFuture
      measure()
      coordinatorHandles(.tick)
    }
  }

  private func measure() {
    guard options.checks, let coordinator else { return }
    // Answers may go beyond an outbox's limit up to four times: what a peer asked for cannot be held back.
    let limit = options.coordinator.outbox.maxMessages * 4
    record(
      .measured("the largest outbox", owner: "the coordinator", value: coordinator.largestOutbox, limit: limit))
  }

  private func feed(_ event: CoordinatorEvent) {
    if case .received(_, let bytes) = event {
      load.received(at: now)
      mark(bytes)
    } else if event != .turnEnded {
      mark(event.number)
    }
    if options.traces, event != .turnEnded, event != .tick { note("coordinator ◀ \(event.summary)") }
    coordinator?.handle(event, at: now, wall: wall, into: &effects)
    var todo: [CoordinatorEffect] = []
    swap(&todo, &effects)
    for effect in todo { perform(effect) }
    todo.removeAll(keepingCapacity: true)
    if effects.isEmpty { swap(&todo, &effects) }
  }

  private func perform(_ effect: CoordinatorEffect) {
    switch effect {
    case .send(let id, let bytes):
      load.sent(at: now)
      links[id]?.sendDown(bytes)
    case .close(let id, let code, let reason):
      if options.checks { closes.append((code: code, reason: reason)) }
      links.removeValue(forKey: id)?.closeByCoordinator(
        reason, retryAfter: RetryHint.delay(ofClose: code, reason: reason))
    case .commit(let id, let writes): commit(id, writes)
    case .findTasks(let request, let ids):
      let run = coordinatorRun
      schedule(at: committedAt + draw(options.commitDelay)) { [unowned self] in
        if run == coordinatorRun { coordinatorHandles(.found(request, store.existing(ids))) }
      }
    case .answer(let request, let answer): answered(request, answer)
    case .notice(let notice):
      guard options.checks else { return }
      notices.append(notice)
      if case .staleAttemptRefused(let id, let attempt, let worker, let kind) = notice {
        record(.staleAttemptRefused(AttemptKey(id, attempt), worker, kind))
      }
    case .log(let entry):
      guard options.checks else { return }
      logs.append(entry)
      note("coordinator: \(entry.message) \(entry.facts.map { "\($0.key)=\($0.value)" }.joined(separator: " "))")
    case .trace(let trace): record(HistoryEvent(trace))
    case .gather, .handedOver, .handOverRefused: preconditionFailure("the store is not shared")
    }
  }

  private func commit(_ id: BatchID, _ writes: [StoreWrite]) {
    let run = coordinatorRun
    record(.commitBegun(batch: id.number, writes.map(StoredChange.init)))
    commits.append((id: id, writes: writes))
    committedAt = max(committedAt, now + draw(options.commitDelay))
    schedule(at: committedAt) { [unowned self] in
      guard run == coordinatorRun, let commit = commits.first else { return }
      commits.removeFirst()
      store.apply(commit.writes)
      record(.committed(batch: commit.id.number))
      coordinatorHandles(.committed(commit.id))
    }
  }

  func connect(_ worker: SimulatedWorker) {
    let run = worker.run
    schedule(at: now + draw(options.latency)) { [unowned self] in
      guard worker.run == run else { return }
      guard coordinator != nil, isReachable else {
        return worker.handles(.connectFailed("refused", retryAfter: nil))
      }
      guard now >= refusesUntil else {
        return worker.handles(.connectFailed("503", retryAfter: refusesUntil - now))
      }
      nextLink += 1
      let link = SimulatedLink(ConnectionID(nextLink), worker, self)
      links[link.id] = link
      worker.link = link
      // Each connection has nonces of its own, so what one's messages carry is worth nothing on another.
      let channel = options.signs ? ChannelSecret(proofKey: [1], client: "\(nextLink)", server: worker.id.text) : nil
      link.down(.connected(.session, channel: channel))
      // Whoever connects gives up on a handshake that does not end.
      schedule(at: now + .seconds(2)) {
        guard worker.run == run, worker.link === link, worker.isConnecting else { return }
        worker.link = nil
        worker.handles(.connectFailed("no answer to the handshake", retryAfter: nil))
      }
      coordinatorHandles(
        .connected(
          link.id, worker.id, .session, remoteAddress: "sim:\(link.id)",
          security: channel.map(LinkSecurity.signed) ?? .open))
    }
  }

  func registered(_ worker: SimulatedWorker) { load.registered(at: now) }

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

  // MARK: Requests

  @discardableResult
  func ask(_ request: CoordinatorRequest) -> RequestID {
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

extension CoordinatorEvent {
  var summary: String {
    switch self {
    case .received(let id, let bytes): "\(id) \(String(decoding: bytes, as: UTF8.self))"
    default: "\(self)"
    }
  }

  /// Tells events apart in a fingerprint.
  fileprivate var number: UInt64 {
    switch self {
    case .connected(let id, _, _, _, _): id.number << 3
    case .received(let id, _): id.number << 3 | 1
    case .disconnected(let id): id.number << 3 | 2
    case .committed(let id): id.number << 3 | 3
    case .request(let id, _): id.number << 3 | 4
    case .found(let id, _): id.number << 3 | 5
    case .drain: 15
    case .adopted(let tasks): UInt64(tasks.count) << 5 | 16
    case .gathered(let id, _, _): id.number << 5 | 17
    case .handOver: 18
    case .testFates: 19
    case .lookupFailed(let id): id.number << 4 | 10
    case .tick: 6
    case .turnEnded: 7
    case .sendingHeldBack(let id, let isHeldBack): id.number << 4 | (isHeldBack ? 14 : 15)
    }
  }
}
