import CoordinationCore
import Primitives

/// A simulated worker's machine: its process, its disk, and the executors of its attempts.
final class FleetWorker {
  let id: WorkerID
  unowned let fleet: CoreFleet
  let slots: Int
  /// Grows with each start of the process and each end of it.
  private(set) var run = 0
  private(set) var core: WorkerCore?
  var link: FleetLink?
  private(set) var executors: [AttemptKey: FleetExecutor] = [:]
  private(set) var isFrozen = false
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
  private var effects: [WorkerEffect] = []
  private var tickAt: Instant = .distantFuture

  init(_ id: WorkerID, slots: Int, _ fleet: CoreFleet) {
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
    var configuration = fleet.options.worker(id, "boot-\(fleet.nextBoot())", slots: slots)
    configuration.outbox = fleet.options.workerOutbox
    core = WorkerCore(configuration: configuration, random: fleet.random.split(), at: fleet.now)
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
    inbox = []
    isFrozen = false
    tickAt = .distantFuture
    if bringsBackForgotten {
      let recent = forgotten.filter { fleet.now - $0.at < .milliseconds(200) }.map(\.entry)
      disk = recent + disk
    }
    forgotten = []
  }

  /// The process stands still (its children do not).
  func freeze() { isFrozen = true }

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
    if event != .turnEnded, event != .tick {
      if case .received(let bytes) = event {
        fleet.note("\(id) ◀ \(String(decoding: bytes, as: UTF8.self))")
      } else {
        fleet.note("\(id) ◀ \(event)")
      }
    }
    core.handle(event, at: fleet.now, wall: fleet.wall, into: &effects)
    let todo = effects
    effects = []
    for effect in todo { perform(effect) }
  }

  private func perform(_ effect: WorkerEffect) {
    switch effect {
    case .connect:
      isConnecting = true
      fleet.connect(self)
    case .send(let bytes): link?.sendUp(bytes)
    case .close:
      link?.closeByWorker()
      link = nil
    case .persist(let key, let body): persist(key, body)
    case .forget(let key): forget(key)
    case .startAttempt(let assignment): startAttempt(assignment)
    case .pauseAttempt(let key): executors[key]?.pause()
    case .resumeAttempt(let key): executors[key]?.resume()
    case .stopAttempt(let key, let reason): executors[key]?.stop(reason)
    case .requestCheckpoint(let key): executors[key]?.writeCheckpoint()
    case .stateChanged(let state): states.append(state)
    case .message(let message): messages.append(message)
    case .stopped:
      hasStopped = true
      fleet.schedule(at: fleet.now) { [self] in kill() }
    case .log(let entry):
      fleet.note("\(id): \(entry.message) \(entry.facts.map { "\($0.key)=\($0.value)" }.joined(separator: " "))")
    case .leaseRenewed, .trace: break
    }
  }

  // MARK: The disk

  private func persist(_ key: String, _ body: [UInt8]) {
    let run = self.run
    persistedAt = max(persistedAt, fleet.now + fleet.draw(fleet.options.persistDelay))
    fleet.schedule(at: persistedAt) { [self] in
      guard run == self.run else { return }
      disk.append(DiskEntry(key: key, body: body))
      handles(.persisted(key: key))
    }
  }

  private func forget(_ key: String) {
    fleet.checkForgotten(key, by: self)
    guard let index = disk.firstIndex(where: { $0.key == key }) else { return }
    forgotten.append((at: fleet.now, entry: disk.remove(at: index)))
  }

  // MARK: Attempts

  private func startAttempt(_ assignment: Assignment) {
    fleet.checkStart(assignment, by: self)
    let executor = FleetExecutor(assignment, self)
    executors[executor.key] = executor
    executor.start()
  }

  func remove(_ executor: FleetExecutor) { executors[executor.key] = nil }
}

/// One simulated attempt: works off units, writes a checkpoint after each, and ends as its task's input says.
final class FleetExecutor {
  let key: AttemptKey
  let firstUnit: Int
  private(set) var isStopping = false
  private unowned let worker: FleetWorker
  private var done: Int
  private let units: Int
  private let unit: Duration
  private let failing: Int
  private var isPaused = false
  private var isStepDue = false

  init(_ assignment: Assignment, _ worker: FleetWorker) {
    key = AttemptKey(assignment.taskID, assignment.attempt)
    self.worker = worker
    var input = JSONObject()
    if case .custom(_, let object) = assignment.specification.work { input = object }
    units = Int(input["units"]?.integer ?? 1)
    unit = .milliseconds(input["unit_ms"]?.integer ?? 100)
    failing = Int(input["failing"]?.integer ?? 0)
    done = Int(assignment.checkpoint?.data.object?["done"]?.integer ?? 0)
    firstUnit = done
  }

  private var isAlive: Bool { worker.executors[key] === self }

  private func later(_ delay: Duration, _ body: @escaping () -> Void) {
    worker.fleet.schedule(at: worker.fleet.now + delay) { [self] in if isAlive { body() } }
  }

  func start() {
    later(.milliseconds(2)) { [self] in
      worker.handles(.attemptStarted(key))
      step()
    }
  }

  private func step() {
    guard done < units else { return end() }
    later(unit) { [self] in
      guard !isStopping else { return }
      guard !isPaused else {
        isStepDue = true
        return
      }
      finishUnit()
    }
  }

  private func finishUnit() {
    done += 1
    worker.handles(.attemptProgressed(key, Double(done) / Double(units)))
    writeCheckpoint()
    if isAlive { step() }
  }

  func writeCheckpoint() { worker.handles(.attemptCheckpointed(key, ["done": .integer(Int64(done))])) }

  private func end() {
    guard !isStopping else { return }
    worker.remove(self)
    let fails = key.attempt <= failing
    worker.handles(
      .attemptEnded(
        key,
        AttemptEnding(
          fails ? .failed : .completed, exitCode: fails ? 3 : 0, result: fails ? nil : ["done": .integer(Int64(done))],
          output: AttemptOutput(stdout: Array("unit \(done)\n".utf8)))))
  }

  func pause() {
    isPaused = true
    later(.milliseconds(1)) { [self] in worker.handles(.attemptPaused(key)) }
  }

  func resume() {
    isPaused = false
    later(.milliseconds(1)) { [self] in
      worker.handles(.attemptResumed(key))
      if isStepDue, !isPaused, !isStopping {
        isStepDue = false
        finishUnit()
      }
    }
  }

  func stop(_ reason: StopReason) {
    isStopping = true
    later(.milliseconds(20)) { [self] in
      worker.remove(self)
      worker.handles(.attemptEnded(key, AttemptEnding(.cancelled, exitCode: 143)))
    }
  }
}
