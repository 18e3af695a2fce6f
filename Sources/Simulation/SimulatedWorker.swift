import CoordinationCore
import History
import Primitives

/// A simulated worker's machine: its process, its disk, and the executors of its attempts.
final class SimulatedWorker {
  let id: WorkerID
  unowned let fleet: SimulatedFleet
  let slots: Int
  /// Grows with each start of the process and each end of it.
  private(set) var run = 0
  private(set) var core: WorkerCore?
  var link: SimulatedLink?
  private(set) var executors: [AttemptKey: SimulatedExecutor] = [:]
  private(set) var isFrozen = false
  /// Coordinators that it does not reach, while others do.
  var cutOffFrom: Set<Int> = []
  private(set) var hasStopped = false
  /// Messages of kinds that the core does not know.
  private(set) var messages: [Message] = []
  private(set) var states: [WorkerConnectionState] = []

  struct DiskEntry { let key: String, body: [UInt8] }
  private(set) var disk: [DiskEntry] = []
  /// What was forgotten lately: a crash may bring it back.
  private var forgotten: [(at: Instant, entry: DiskEntry)] = []
  private var persistedAt: Instant = .zero
  private var inbox: [WorkerEvent] = []
  private var isPerforming = false
  private var tickAt: Instant = .distantFuture
  private var leaseEnds: Instant = .distantFuture

  init(_ id: WorkerID, slots: Int, _ fleet: SimulatedFleet) {
    self.id = id
    self.slots = slots
    self.fleet = fleet
  }

  /// Whether the shell's attempt to connect has not been answered yet.
  var isConnecting = false
  var isRunning: Bool { core != nil }
  var state: WorkerConnectionState? { core?.state }

  // MARK: The process

  func start() {
    guard core == nil else { return }
    run += 1
    hasStopped = false
    let configuration = fleet.options.worker(id, "boot-\(fleet.nextBoot())", slots: slots)
    fleet.record(.workerStarted(id, boot: configuration.bootID))
    core = WorkerCore(configuration: configuration, random: fleet.random.split(), at: fleet.now)
    for entry in disk {
      // A crash may have brought it back, or cut its writer off before it could say so.
      record(entry.key) { .persisted($0, checkpoint: $1, id) }
    }
    for entry in disk { handles(.restored(key: entry.key, body: entry.body)) }
    handles(.start)
  }

  /// `kill -9`, its children with it.
  /// - Parameter silently: the whole machine is gone, and nobody is told that the connection ended.
  func kill(silently: Bool = false, bringsBackForgotten: Bool = false) {
    guard core != nil else { return }
    if let link {
      if silently { link.isBlackHole = true } else { link.cut() }
    }
    link = nil
    core = nil
    run += 1
    executors = [:]
    fleet.record(.workerEnded(id))
    inbox = []
    isFrozen = false
    tickAt = .distantFuture
    if bringsBackForgotten {
      let recent = forgotten.filter { fleet.now - $0.at < .milliseconds(200) }.map(\.entry)
      disk = recent + disk
    }
    forgotten = []
  }

  /// The process stands still. Its children do not, and who supervises them ends them with the lease.
  func freeze() {
    guard core != nil, !isFrozen else { return }
    isFrozen = true
    let run = self.run
    fleet.schedule(at: leaseEnds) { [self] in
      guard run == self.run, isFrozen else { return }
      for executor in executors.values.sorted(by: { $0.key.description < $1.key.description })
      where !executor.isStopping {
        fleet.record(.attemptStopped(executor.key, id, .leaseExpired))
        executor.stop(.leaseExpired)
      }
    }
  }

  func thaw() {
    guard isFrozen else { return }
    isFrozen = false
    let waiting = inbox
    inbox = []
    handles(.tick)
    for event in waiting { handles(event) }
  }

  func handles(_ event: WorkerEvent) {
    guard core != nil else { return }
    switch event {
    case .connected, .connectFailed, .disconnected: isConnecting = false
    default: break
    }
    guard !isFrozen else {
      if event != .tick { inbox.append(event) }
      return
    }
    feed(event)
    feed(.turnEnded)
    measure()
    guard let core, core.nextDeadline < tickAt || tickAt <= fleet.now, core.nextDeadline != .distantFuture else {
      return
    }
    let run = self.run
    let deadline = max(core.nextDeadline, fleet.now)
    tickAt = deadline
    fleet.schedule(at: deadline) { [self] in
      guard run == self.run, tickAt == deadline else { return }
      tickAt = .distantFuture
      handles(.tick)
    }
  }

  private func feed(_ event: WorkerEvent) {
    guard let core else { return }
    if fleet.options.traces, event != .turnEnded, event != .tick {
      if case .received(let bytes) = event {
        fleet.note("\(id) ◀ \(String(decoding: bytes, as: UTF8.self))")
      } else {
        fleet.note("\(id) ◀ \(event)")
      }
    }
    core.handle(event, at: fleet.now, wall: fleet.wall, into: &fleet.workerEffects)
    // An effect may feed the core again; what comes of that waits for its turn, as in a real worker.
    guard !isPerforming else { return }
    isPerforming = true
    var index = 0
    while index < fleet.workerEffects.count {
      perform(fleet.workerEffects[index])
      index += 1
    }
    fleet.workerEffects.removeAll(keepingCapacity: true)
    isPerforming = false
  }

  private func perform(_ effect: WorkerEffect) {
    switch effect {
    case .connect:
      isConnecting = true
      fleet.connect(self)
    case .send(let bytes): link?.sendUp(bytes)
    case .reportBackpressure: feed(.sendingHeldBack(link?.isCongestedUp ?? false))
    case .close:
      link?.closeByWorker()
      link = nil
    case .persist(let key, let body): persist(key, body)
    case .forget(let key): forget(key)
    case .startAttempt(let assignment): startAttempt(assignment)
    case .pauseAttempt(let key): executors[key]?.pause()
    case .resumeAttempt(let key): executors[key]?.resume()
    case .stopAttempt(let key, let reason):
      fleet.record(.attemptStopped(key, id, reason))
      executors[key]?.stop(reason)
    case .requestCheckpoint(let key): executors[key]?.writeCheckpoint()
    case .stateChanged(let state):
      if state == .connected { fleet.registered(self) }
      if fleet.options.checks { states.append(state) }
    case .message(let message): if fleet.options.checks { messages.append(message) }
    case .stopped:
      hasStopped = true
      fleet.schedule(at: fleet.now) { [self] in kill() }
    case .log(let entry):
      fleet.note("\(id): \(entry.message) \(entry.facts.map { "\($0.key)=\($0.value)" }.joined(separator: " "))")
    case .readTelemetry: if let report = core?.report { feed(.telemetryRead(report)) }
    case .leaseRenewed(let until): leaseEnds = until
    case .trace(let trace): fleet.record(HistoryEvent(trace, id))
    }
  }

  // MARK: The disk

  private func persist(_ key: String, _ body: [UInt8]) {
    let run = self.run
    persistedAt = max(persistedAt, fleet.now + fleet.draw(fleet.options.persistDelay))
    fleet.schedule(at: persistedAt) { [self] in
      guard run == self.run else { return }
      disk.append(DiskEntry(key: key, body: body))
      record(key) { .persisted($0, checkpoint: $1, id) }
      handles(.persisted(key: key))
    }
  }

  private func forget(_ key: String) {
    record(key) { .forgotten($0, checkpoint: $1, id) }
    guard let index = disk.firstIndex(where: { $0.key == key }) else { return }
    forgotten.append((at: fleet.now, entry: disk.remove(at: index)))
  }

  private func record(_ key: String, _ event: (AttemptKey, Int?) -> HistoryEvent) {
    guard let parcel = ParcelKey(key) else { return }
    fleet.record(event(parcel.attempt, parcel.checkpoint))
  }

  private func measure() {
    guard fleet.options.checks, let core else { return }
    // A new session begins with what the worker holds, whatever the limit.
    let limit = fleet.options.workerOutbox.maxMessages + core.activeAttempts.count + 1
    fleet.record(.measured("the outbox", owner: id.text, value: core.outboxCount, limit: limit))
    fleet.record(
      .measured("what waits", owner: id.text, value: core.waitingCount, limit: WorkerCore.maxWaiting))
  }

  // MARK: Attempts

  private func startAttempt(_ assignment: Assignment) {
    fleet.started(assignment, by: self)
    let executor = SimulatedExecutor(assignment, self)
    executors[executor.key] = executor
    executor.start()
  }

  func remove(_ executor: SimulatedExecutor) {
    executors[executor.key] = nil
    fleet.record(.attemptEnded(executor.key, id))
  }
}
