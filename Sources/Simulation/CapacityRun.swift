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
  /// More than one share a store, and let workers in at the rate of production; what is done to a coordinator is done to
  /// the first of them.
  public var coordinators = 1
  public var cluster = ClusterConfiguration()
  public var admission = Admission.Limits()

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
  /// Where there are several coordinators.
  public var coordinators: [CoordinatorShare] = []
  /// Of the sessions that were with the coordinator to which it was done: from then until each stood again, anywhere.
  public var comebacks = LatencyHistogram()
  /// Sessions that have not come back.
  public var missing = 0
  /// What was asked of the store that several coordinators share, by kind.
  public var storeOperations: [String: RateCount] = [:]
}

/// What one of several coordinators had of the fleet.
public struct CoordinatorShare: Equatable, Sendable {
  /// At the end.
  public var registered = 0
  public var messages = 0
  public var peakMessagesPerSecond = 0
  public var peakBytes = 0
}

public final class CapacityRun {
  private let options: CapacityOptions
  private let fleet: SimulatedFleet
  private var random: SeededGenerator
  private var peakBytes: [Int]
  private var disturbedAt: Instant = .zero
  /// Workers whose coordinator is gone, and that are not registered anywhere.
  private var awaited: Set<WorkerID> = []
  private var comebacks = LatencyHistogram()

  public init(_ options: CapacityOptions) {
    self.options = options
    random = SeededGenerator(seed: options.seed)
    peakBytes = [Int](repeating: 0, count: max(1, options.coordinators))
    var fleetOptions = SimulationOptions()
    fleetOptions.seed = random.next()
    fleetOptions.workers = options.workers
    fleetOptions.slots = 4
    fleetOptions.checks = false
    fleetOptions.coordinator = options.coordinator
    fleetOptions.coordinator.maxWorkers = max(options.coordinator.maxWorkers, options.workers)
    fleetOptions.reconnectDelay = options.reconnectDelay
    fleetOptions.maxReconnectDelay = options.maxReconnectDelay
    fleetOptions.coordinators = options.coordinators
    fleetOptions.cluster = options.cluster
    fleet = SimulatedFleet(fleetOptions)
    guard options.coordinators > 1 else { return }
    for coordinator in fleet.coordinators { coordinator.admission = Admission(options.admission, at: .zero) }
  }

  public func run() -> CapacityResult {
    for coordinator in fleet.coordinators { coordinator.start() }
    fleet.onRegistered = { [unowned self] in registered($0) }
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
      for (index, coordinator) in fleet.coordinators.enumerated() {
        peakBytes[index] = max(peakBytes[index], coordinator.core?.estimatedBytes ?? 0)
      }
    }
    return result()
  }

  private func registered(_ worker: SimulatedWorker) {
    guard awaited.remove(worker.id) != nil else { return }
    comebacks.record(UInt64(max(0, (fleet.now - disturbedAt).wholeMilliseconds)))
  }

  /// Those that are with the first coordinator have to come back.
  private func awaitSessions() {
    disturbedAt = fleet.now
    for worker in fleet.workers where worker.link?.coordinator === fleet.coordinator && worker.state == .connected {
      awaited.insert(worker.id)
    }
  }

  private func result() -> CapacityResult {
    var result = CapacityResult()
    result.workers = options.workers
    result.registered = fleet.workers.count { $0.state == .connected }
    result.submitted = fleet.store.order.count
    result.ended = result.submitted - fleet.store.unfinishedCount
    for milliseconds in fleet.coordinator.load.registrations {
      result.reconnections.record(UInt64(max(0, milliseconds)))
    }
    let loads = fleet.coordinators.map(\.load)
    result.messages = loads.reduce(0) { $0 + $1.total }
    result.peakMessagesPerSecond = loads.map(\.peakPerSecond).max() ?? 0
    result.peakBytes = peakBytes.max() ?? 0
    result.comebacks = comebacks
    result.missing = awaited.count
    result.storeOperations = fleet.shared?.operations ?? [:]
    for (coordinator, peakBytes) in zip(fleet.coordinators, peakBytes) where options.coordinators > 1 {
      result.coordinators.append(
        CoordinatorShare(
          registered: coordinator.core?.connectedWorkers ?? 0, messages: coordinator.load.total,
          peakMessagesPerSecond: coordinator.load.peakPerSecond, peakBytes: peakBytes))
    }
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
      awaitSessions()
      switch kind {
      case .killCoordinator, .killBoth:
        fleet.coordinator.crash()
        fleet.schedule(at: fleet.now + options.outage) { [unowned fleet] in fleet.coordinator.start() }
      case .freezeCoordinator:
        fleet.coordinator.freeze()
        fleet.schedule(at: fleet.now + options.outage) { [unowned fleet] in fleet.coordinator.thaw() }
      case .unreachable:
        fleet.isReachable = false
        for worker in fleet.workers { worker.link?.isBlackHole = true }
        fleet.schedule(at: fleet.now + options.outage) { [unowned fleet] in fleet.isReachable = true }
      case .refuse: fleet.coordinator.refuseEveryone(for: options.outage)
      case .drainCoordinator:
        fleet.coordinator.drain(within: options.outage) { [outage = options.outage] in $0.start(after: outage) }
      case .store: for coordinator in fleet.coordinators { coordinator.loseStore(until: fleet.now + options.outage) }
      case .messages:
        fleet.shared?.lossPercent = 50
        fleet.schedule(at: fleet.now + options.outage) { [unowned fleet] in fleet.shared?.lossPercent = 0 }
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
    case .killCoordinator, .freezeCoordinator, .drainCoordinator, .unreachable, .refuse, .clock, .store, .messages:
      break
    case .partition:
      if let coordinator = worker.link?.coordinator {
        worker.link?.isBlackHole = true
        worker.cutOffFrom = [coordinator.index]
      }
    case .cut: worker.link?.cut()
    case .blackHole: worker.link?.isBlackHole = true
    case .oneWay: worker.link?.losesUp = true
    case .halfOpen: worker.link?.leaveHalfOpen(tellingWorker: true)
    case .hold: worker.link?.hold(up: true, down: true, until: fleet.now + options.outage)
    case .slow: worker.link?.delay = .milliseconds(500)
    case .congested: worker.link?.congest(up: true, down: true, until: fleet.now + options.outage)
    case .corrupt: worker.link?.corruptsNextMessage = true
    case .killWorker, .killBoth, .loseWorker:
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
