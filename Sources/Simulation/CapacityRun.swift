public import CoordinationCore
public import Primitives

/// What a big fleet does to its coordinator: the same simulation, with the defaults of production, without the checker.
public struct CapacityOptions: Sendable {
  public var seed: UInt64 = 1
  public var workers = 1_000
  /// Spread evenly over the duration; each runs for about two seconds.
  public var tasks = 1_000
  public var duration: Duration = .seconds(60)
  /// When a third of the duration is over: the coordinator is away for `outage`, or a tenth of the workers suffers.
  public var faults: [FaultKind] = [.killCoordinator]
  public var outage: Duration = .seconds(2)
  public var coordinator = CoordinatorConfiguration()
  public var reconnectDelay: Duration = .seconds(1)
  public var maxReconnectDelay: Duration = .seconds(60)

  public init() {}
}

/// What came of it. Times are simulated ones.
public struct CapacityResult: Sendable {
  public var workers = 0
  /// At the end.
  public var registered = 0
  public var submitted = 0
  public var ended = 0
  /// Of registrations, since the newest coordinator's start.
  public var reconnections = LatencyHistogram()
  public var messages = 0
  public var peakMessagesPerSecond = 0
  /// The most that the coordinator's own structures took, as `CoordinatorCore.estimatedBytes` counts.
  public var peakBytes = 0
  public var workerSeconds = 0.0
}

public final class CapacityRun {
  private let options: CapacityOptions
  private let fleet: SimulatedFleet
  private var random: SeededGenerator
  private var peakBytes = 0

  public init(_ options: CapacityOptions) {
    self.options = options
    random = SeededGenerator(seed: options.seed)
    var fleetOptions = SimulationOptions()
    fleetOptions.seed = random.next()
    fleetOptions.workers = options.workers
    fleetOptions.slots = 4
    fleetOptions.checks = false
    fleetOptions.coordinator = options.coordinator
    fleetOptions.coordinator.maxWorkers = max(options.coordinator.maxWorkers, options.workers)
    fleetOptions.reconnectDelay = options.reconnectDelay
    fleetOptions.maxReconnectDelay = options.maxReconnectDelay
    fleet = SimulatedFleet(fleetOptions)
  }

  public func run() -> CapacityResult {
    fleet.startCoordinator()
    // Not all in one millisecond: nobody switches on a fleet like that.
    for worker in fleet.workers {
      let delay = Duration.milliseconds(Int64.random(in: 0...2_000, using: &random))
      fleet.schedule(at: .zero + delay) { worker.start() }
    }
    submitTasks()
    for kind in options.faults { plan(kind) }
    let step = Duration.milliseconds(500)
    while fleet.now - .zero < options.duration {
      fleet.run(for: min(step, options.duration - (fleet.now - .zero)))
      peakBytes = max(peakBytes, fleet.coordinator?.estimatedBytes ?? 0)
    }
    return result()
  }

  private func result() -> CapacityResult {
    var result = CapacityResult()
    result.workers = options.workers
    result.registered = fleet.workers.count { $0.state == .connected }
    result.submitted = fleet.store.order.count
    result.ended = result.submitted - fleet.store.unfinishedCount
    for milliseconds in fleet.load.registrations { result.reconnections.record(UInt64(max(0, milliseconds))) }
    result.messages = fleet.load.total
    result.peakMessagesPerSecond = fleet.load.peakPerSecond
    result.peakBytes = peakBytes
    result.workerSeconds = options.duration.inSeconds * Double(options.workers)
    return result
  }

  private func submitTasks() {
    guard options.tasks > 0 else { return }
    let gap = options.duration.wholeNanoseconds / Int64(options.tasks)
    for number in 1...options.tasks {
      let submission = TaskSubmission(id: TaskID(known: "t\(number)"), work(units: 2, unit: 1_000))
      fleet.schedule(at: Instant(nanoseconds: gap * Int64(number - 1))) { [unowned fleet] in
        fleet.ask(.submit([submission]))
      }
    }
  }

  private func plan(_ kind: FaultKind) {
    let third = options.duration / 3
    fleet.schedule(at: .zero + third) { [self] in
      switch kind {
      case .killCoordinator, .killBoth:
        fleet.crashCoordinator()
        fleet.schedule(at: fleet.now + options.outage) { [unowned fleet] in fleet.startCoordinator() }
      case .freezeCoordinator:
        fleet.freezeCoordinator()
        fleet.schedule(at: fleet.now + options.outage) { [unowned fleet] in fleet.thawCoordinator() }
      case .unreachable:
        fleet.isReachable = false
        for worker in fleet.workers { worker.link?.isBlackHole = true }
        fleet.schedule(at: fleet.now + options.outage) { [unowned fleet] in fleet.isReachable = true }
      case .refuse: fleet.refuseEveryone(for: options.outage)
      case .drainCoordinator:
        fleet.drainCoordinator(within: options.outage) { [outage = options.outage] in $0.startCoordinator(after: outage)
        }
      default: break
      }
    }
    for worker in fleet.workers where Int.random(in: 0..<10, using: &random) == 0 {
      let delay = Duration.nanoseconds(Int64.random(in: 0...third.wholeNanoseconds, using: &random))
      fleet.schedule(at: .zero + third + delay) { [self] in disturb(worker, kind) }
    }
  }

  private func disturb(_ worker: SimulatedWorker, _ kind: FaultKind) {
    switch kind {
    case .killCoordinator, .freezeCoordinator, .drainCoordinator, .unreachable, .refuse, .clock: break
    case .cut: worker.link?.cut()
    case .blackHole: worker.link?.isBlackHole = true
    case .oneWay: worker.link?.losesUp = true
    case .halfOpen: worker.link?.leaveHalfOpen(tellingWorker: true)
    case .hold: worker.link?.hold(up: true, down: true, until: fleet.now + options.outage)
    case .slow: worker.link?.delay = .milliseconds(500)
    case .congested: worker.link?.congest(up: true, down: true, until: fleet.now + options.outage)
    case .corrupt: worker.link?.corruptsNextMessage = true
    case .killWorker, .killBoth:
      worker.kill()
      fleet.schedule(at: fleet.now + options.outage) { worker.start() }
    case .drainWorker:
      worker.handles(.drain)
      fleet.schedule(at: fleet.now + options.outage + fleet.options.drainTimeout) { worker.start() }
    case .freezeWorker:
      worker.freeze()
      fleet.schedule(at: fleet.now + options.outage) { worker.thaw() }
    }
  }
}
