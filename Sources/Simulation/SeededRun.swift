import CoordinationCore
import Primitives

/// One short life of a fleet under faults that its seed chooses, and then the peace after them.
///
/// Safety is checked after every step by `HistoryChecker`; liveness when the faults have ended: everything that was
/// submitted ends within `peaceTime`, and nothing is left anywhere.
public struct SeededRun {
  /// Everything that was drawn, for people, in order of drawing.
  public private(set) var drawn: [String] = []
  let fleet: SimulatedFleet
  private var random: SeededGenerator
  private let tasks: [TaskID]
  private let specifications: [TaskSpecification]
  private var paused: [TaskID] = []
  private let faults: [FaultKind]
  /// What is drawn where there are several coordinators: a generator of its own, so that what a seed drew before there
  /// were several it draws still.
  private var cluster: SeededGenerator
  private let clusterFaults: [FaultKind]

  static let faultTime: Duration = .seconds(15)
  static let peaceTime: Duration = .seconds(180)

  /// - Parameters:
  ///   - traces: whether `trace` is kept.
  ///   - faults: what may be drawn.
  ///   - coordinators: how many; `nil`: from one to three, as the seed says.
  public init(
    seed: UInt64, traces: Bool = false, faults: [FaultKind] = FaultKind.allCases, coordinators: Int? = nil
  ) {
    random = SeededGenerator(seed: seed)
    self.faults = faults.filter { !$0.isOfSeveral }
    clusterFaults = faults.filter(\.isOfSeveral)
    var options = SimulationOptions()
    options.seed = random.next()
    cluster = SeededGenerator(seed: options.seed ^ 0x63_6C_75_73_74_65_72)
    let drawnCoordinators = max(1, Int.random(in: 0...3, using: &cluster))
    options.coordinators = coordinators ?? drawnCoordinators
    options.cluster.lease = .milliseconds(Int64.random(in: 1_000...3_000, using: &cluster))
    options.workers = Int.random(in: 1...3, using: &random)
    options.slots = Int.random(in: 1...3, using: &random)
    options.traces = traces
    options.coordinator.exclusiveLeases = Bool.random(using: &random)
    if Int.random(in: 0..<4, using: &random) == 0 {
      options.workerOutbox = Outbox.Limits(maxMessages: 3, maxBytes: 600)
      options.coordinator.outbox = Outbox.Limits(maxMessages: 4, maxBytes: 4_000)
    }
    if Int.random(in: 0..<4, using: &random) == 0 { options.coordinator.stateSyncBatch = 1 }
    if Int.random(in: 0..<4, using: &random) == 0 { options.workerSendBudgetBytes = 300 }
    if Int.random(in: 0..<4, using: &random) == 0 { options.commitDelay = 100_000...900_000 }
    options.signs = options.seed.isMultiple(of: 2)
    // A generator of its own: what a seed drew before there were labels it draws still.
    var placement = SeededGenerator(seed: options.seed ^ 0x70_6C_61_63_65)
    if Bool.random(using: &placement) { options.offers = Self.offers(options.workers, using: &placement) }
    fleet = SimulatedFleet(options)
    let count = Int.random(in: 2...7, using: &random)
    tasks = (1...count).map { TaskID(known: "t\($0)") }
    var specifications: [TaskSpecification] = []
    for _ in 0..<count {
      let failing = Int.random(in: 0...2, using: &random)
      var specification = work(
        units: Int.random(in: 1...8, using: &random), unit: Int64.random(in: 20...900, using: &random),
        failing: failing, retries: Int.random(in: 0...2, using: &random), maxLost: 100)
      Self.drawNeeds(&specification, options.offers, using: &placement)
      specifications.append(specification)
    }
    self.specifications = specifications
    for (id, offer) in options.offers.sorted(by: { $0.key < $1.key }) {
      drawn.append("\(id) offers \(JSONValue.object(offer.json).text)")
    }
    for (id, specification) in zip(tasks, specifications)
    where !specification.requirements.isEmpty || specification.slots > 1 {
      drawn.append("\(id) needs \(specification.slots) slots and \(specification.requirements)")
    }
    drawn.append(
      "\(options.coordinators > 1 ? "\(options.coordinators) coordinators with leases of \(options.cluster.lease), " : "")"
        + "\(options.workers) workers of \(options.slots) slots\(options.signs ? " with keys" : ""), \(count) tasks, "
        + "\(options.coordinator.exclusiveLeases ? "exclusive leases" : "early release"), outboxes of "
        + "\(options.workerOutbox.maxMessages) messages, commits of up to \(options.commitDelay.upperBound / 1_000) ms")
  }

  /// What happened, line by line, if it was to be kept.
  public var trace: [String] { fleet.trace }
  /// The same for two runs of one seed.
  public var fingerprint: UInt64 { fleet.fingerprint }
  /// Simulated time, times workers.
  public var workerSeconds: Double { (fleet.now - .zero).inSeconds * Double(fleet.workers.count) }

  /// - Returns: what went wrong; empty when nothing did.
  public mutating func run() -> [String] {
    plan()
    fleet.startAll()
    fleet.run(for: Self.faultTime)
    heal()
    let ended = fleet.run(for: Self.peaceTime) { tasks.allSatisfy { fleet.store.status($0)?.isTerminal == true } }
    var problems: [String] = []
    if !ended {
      for id in tasks where fleet.store.status(id)?.isTerminal != true {
        problems.append("\(id) is \(fleet.store.status(id)?.rawValue ?? "unknown") after \(Self.peaceTime) of peace")
      }
    }
    if !fleet.run(for: .seconds(60), until: { fleet.workers.allSatisfy { $0.disk.isEmpty && $0.executors.isEmpty } }) {
      for worker in fleet.workers {
        problems.append(
          "\(worker.id) still has \(worker.disk.map(\.key)) on disk, and runs \(worker.executors.keys.map { "\($0)" })")
      }
    }
    for id in tasks where fleet.shared?.owners[id] != nil {
      problems.append("\(id) is still member \(fleet.shared?.owners[id]?.description ?? "")'s")
    }
    fleet.finish()
    for (id, specification) in zip(tasks, specifications) { problems += judge(id, specification) }
    var queue = QueueRun(seed: fleet.options.seed)
    return fleet.violations + problems + queue.run()
  }

  private func judge(_ id: TaskID, _ specification: TaskSpecification) -> [String] {
    guard let entry = fleet.store[id] else { return ["\(id) was never stored"] }
    let state = entry.record.state
    var problems: [String] = []
    guard case .custom(_, let input) = specification.work else { return problems }
    switch state.status {
    case .completed:
      if state.result?.object?["done"] != input["units"] { problems.append("\(id) completed with \(state)") }
    case .failed:
      if state.failedAttempts != specification.retries + 1 { problems.append("\(id) failed too early: \(state)") }
    default: break
    }
    let outcomes = entry.attempts.values.map(\.outcome)
    if state.status.isTerminal, outcomes.contains(.running) { problems.append("\(id) ended; an attempt of it runs") }
    if entry.attempts.values.count(where: { $0.outcome == .lost && !$0.isHandedBack }) > state.lostAttempts {
      problems.append("\(id): \(outcomes) and \(state.lostAttempts) lost")
    }
    if outcomes.count(where: { $0 == .failed }) != state.failedAttempts {
      problems.append("\(id): \(outcomes) and \(state.failedAttempts) failed")
    }
    return problems
  }

  // MARK: Drawing

  private static func offers(
    _ workers: Int, using random: inout SeededGenerator
  ) -> [WorkerID: WorkerCapabilities] {
    var offers: [WorkerID: WorkerCapabilities] = [:]
    for number in 1...max(1, workers) {
      var offer = WorkerCapabilities(slots: Int.random(in: 1...4, using: &random), kinds: ["work"])
      let zone = ["a", "b"].randomElement(using: &random) ?? "a"
      for (name, value) in [("number", "\(number)"), ("zone", zone)] { try? offer.labels.set(name, value) }
      offers[WorkerID(known: "w\(number)")] = offer
    }
    return offers
  }

  /// Needs that at least one of the workers meets.
  private static func drawNeeds(
    _ specification: inout TaskSpecification, _ offers: [WorkerID: WorkerCapabilities],
    using random: inout SeededGenerator
  ) {
    guard let id = offers.keys.sorted().randomElement(using: &random), let offer = offers[id] else { return }
    let number = offer.labels["number"] ?? "", zone = offer.labels["zone"] ?? ""
    let texts: [String]
    switch Int.random(in: 0..<6, using: &random) {
    case 0: texts = ["zone=\(zone)"]
    case 1: texts = ["number>=\(number)"]
    case 2: texts = ["number=\(number)", "!gpu"]
    default: texts = []
    }
    for text in texts { try? specification.requirements.add(argument: text) }
    if Int.random(in: 0..<3, using: &random) == 0 {
      specification.slots = Int.random(in: 1...offer.slots, using: &random)
    }
  }

  private mutating func at(_ what: String, _ body: @escaping (SimulatedFleet) -> Void) {
    let time = Duration.milliseconds(Int64.random(in: 0...Self.faultTime.wholeMilliseconds, using: &random))
    after(time, what, body)
  }

  private mutating func after(_ time: Duration, _ what: String, _ body: @escaping (SimulatedFleet) -> Void) {
    drawn.append("\(time.inSeconds) s: \(what)")
    let fleet = self.fleet
    fleet.schedule(at: .zero + time) { [unowned fleet] in
      fleet.note("fault: \(what)")
      body(fleet)
    }
  }

  private mutating func plan() {
    for (id, specification) in zip(tasks, specifications) {
      let time = Duration.milliseconds(Int64.random(in: 0...8_000, using: &random))
      let submission = TaskSubmission(id: id, specification)
      let place = Int.random(in: 0..<fleet.coordinators.count, using: &cluster)
      let other = Int.random(in: 0..<fleet.coordinators.count, using: &cluster)
      after(time, "submit \(id)") { Self.submit(submission, $0, at: place) }
      switch Int.random(in: 0..<8, using: &random) {
      case 0: at("cancel \(id)") { $0.ask(.cancel(id), at: $0.coordinators[other]) }
      case 1:
        paused.append(id)
        at("pause \(id)") { $0.ask(.pause(id), at: $0.coordinators[other]) }
      case 2:
        paused.append(id)
        at("pause \(id)") { $0.ask(.pause(id), at: $0.coordinators[other]) }
        at("resume \(id)") { $0.ask(.resume(id), at: $0.coordinators[place]) }
      case 3: at("checkpoint \(id)") { $0.ask(.checkpoint(id), at: $0.coordinators[other]) }
      case 4: at("submit \(id) again") { Self.submit(submission, $0, at: other) }
      default: break
      }
    }
    for number in 1...30 {
      let worker = Int.random(in: 0..<fleet.workers.count, using: &random)
      let time = Duration.milliseconds(500 * Int64(number))
      fleet.schedule(at: .zero + time) { [unowned fleet] in
        fleet.workers[worker].handles(.send(Message("probe", ["number": .integer(Int64(number))]), reliably: true))
      }
    }
    for _ in 0..<Int.random(in: 1...9, using: &random) where !faults.isEmpty { drawFault() }
    guard fleet.coordinators.count > 1, !clusterFaults.isEmpty else { return }
    for _ in 0..<Int.random(in: 0...4, using: &cluster) { drawClusterFault() }
  }

  private mutating func drawClusterFault() {
    let time = Duration.milliseconds(Int64.random(in: 0...Self.faultTime.wholeMilliseconds, using: &cluster))
    let pause = Duration.milliseconds(Int64.random(in: 20...9_000, using: &cluster))
    let place = Int.random(in: 0..<fleet.coordinators.count, using: &cluster)
    let worker = Int.random(in: 0..<fleet.workers.count, using: &cluster)
    let isAll = Int.random(in: 0..<3, using: &cluster) == 0
    let loss = [30, 90, 100].randomElement(using: &cluster) ?? 50
    switch clusterFaults[Int.random(in: 0..<clusterFaults.count, using: &cluster)] {
    case .store:
      let who = isAll ? "every coordinator" : "coordinator \(place + 1)"
      after(time, "\(who) loses the store for \(pause)") { fleet in
        for coordinator in isAll ? fleet.coordinators : [fleet.coordinators[place]] {
          coordinator.loseStore(until: fleet.now + pause)
        }
      }
    case .messages:
      after(time, "\(loss) of 100 messages between coordinators are lost for \(pause)") { fleet in
        fleet.shared?.lossPercent = loss
        fleet.schedule(at: fleet.now + pause) { [unowned fleet] in fleet.shared?.lossPercent = 0 }
      }
    case .partition:
      after(time, "w\(worker + 1) does not reach coordinator \(place + 1) for \(pause)") { fleet in
        let worker = fleet.workers[worker]
        worker.cutOffFrom.insert(place)
        if worker.link?.coordinator.index == place { worker.link?.isBlackHole = true }
        fleet.schedule(at: fleet.now + pause) { worker.cutOffFrom.remove(place) }
      }
    case .loseWorker:
      let with = isAll ? " with its coordinator" : ""
      after(time, "the machine of w\(worker + 1) is lost\(with), and another comes \(pause) later") { fleet in
        if isAll, let coordinator = fleet.workers[worker].link?.coordinator {
          Self.crash(coordinator.index, fleet, for: pause)
        }
        fleet.loseWorker(worker)
        fleet.schedule(at: fleet.now + pause) { [unowned fleet] in fleet.workers[worker].start() }
      }
    default: break
    }
  }

  private mutating func drawFault() {
    let index = Int.random(in: 0..<fleet.workers.count, using: &random)
    let name = "w\(index + 1)"
    let pause = Duration.milliseconds(Int64.random(in: 20...9_000, using: &random))
    let coin = Bool.random(using: &random)
    let other = Bool.random(using: &random)
    let kind = faults[Int.random(in: 0..<faults.count, using: &random)]
    let place = Int.random(in: 0..<fleet.coordinators.count, using: &cluster)
    let which = fleet.coordinators[place].name
    switch kind {
    case .cut: at("cut \(name)") { $0.workers[index].link?.cut() }
    case .blackHole: at("black hole \(name)") { $0.workers[index].link?.isBlackHole = true }
    case .oneWay:
      at("nothing \(coin ? "from" : "to") \(name) arrives") { fleet in
        if coin { fleet.workers[index].link?.losesUp = true } else { fleet.workers[index].link?.losesDown = true }
      }
    case .halfOpen:
      at("only \(coin ? name : "the coordinator") hears of the end") {
        $0.workers[index].link?.leaveHalfOpen(tellingWorker: coin)
      }
    case .hold:
      at("\(name) is held for \(pause)") { fleet in
        fleet.workers[index].link?.hold(up: coin || other, down: !coin || other, until: fleet.now + pause)
      }
    case .slow: at("\(name) is slow by \(pause / 20)") { $0.workers[index].link?.delay = pause / 20 }
    case .congested:
      at("\(name) is held back for \(pause)") { fleet in
        fleet.workers[index].link?.congest(up: coin || other, down: !coin || other, until: fleet.now + pause)
      }
    case .corrupt:
      at("corrupt \(coin ? "from" : "to") \(name)") { fleet in
        let link = fleet.workers[index].link
        if coin { link?.corruptsNextMessage = true } else { link?.corruptsNextAnswer = true }
      }
    case .killWorker:
      at("kill \(name)\(coin ? " silently" : "") for \(pause)") { Self.kill(index, $0, silently: coin, for: pause) }
    case .killCoordinator: at("crash the \(which) for \(pause)") { Self.crash(place, $0, for: pause) }
    case .killBoth:
      at("kill \(name) and the \(which) for \(pause)") { fleet in
        if coin { Self.crash(place, fleet, for: pause) }
        Self.kill(index, fleet, silently: other, for: pause)
        if !coin { Self.crash(place, fleet, for: pause / 2) }
      }
    case .freezeWorker:
      at("freeze \(name) for \(pause * 2)") { fleet in
        fleet.workers[index].freeze()
        fleet.schedule(at: fleet.now + pause * 2) { [unowned fleet] in fleet.workers[index].thaw() }
      }
    case .freezeCoordinator:
      at("freeze the \(which) for \(pause)") { fleet in
        fleet.coordinators[place].freeze()
        fleet.schedule(at: fleet.now + pause) { [unowned fleet] in fleet.coordinators[place].thaw() }
      }
    case .unreachable:
      at("unreachable for \(pause)") { fleet in
        fleet.isReachable = false
        for worker in fleet.workers { worker.link?.isBlackHole = true }
        fleet.schedule(at: fleet.now + pause) { [unowned fleet] in fleet.isReachable = true }
      }
    case .refuse:
      at("everyone is refused for \(pause / 2)") { fleet in
        for coordinator in fleet.coordinators { coordinator.refuseEveryone(for: pause / 2) }
      }
    case .drainWorker: at("drain \(name)") { Self.drain(index, $0) }
    case .drainCoordinator:
      at("drain the \(which) within \(pause / 4), and start another \(pause / 2) later") { fleet in
        fleet.coordinators[place].drain(within: pause / 4) { $0.start(after: pause / 2) }
      }
    case .clock:
      at("the wall clock steps \(coin ? "back" : "forth") by an hour") {
        $0.wallStep += .seconds(coin ? -3_600 : 3_600)
      }
    case .store, .messages, .partition, .loseWorker: break
    }
  }

  private static func kill(_ index: Int, _ fleet: SimulatedFleet, silently: Bool, for pause: Duration) {
    fleet.workers[index].kill(silently: silently, bringsBackForgotten: silently)
    fleet.schedule(at: fleet.now + pause) { [unowned fleet] in fleet.workers[index].start() }
  }

  /// Whatever ends it, and whenever that is, it is started again.
  private static func drain(_ index: Int, _ fleet: SimulatedFleet) {
    let run = fleet.workers[index].run
    fleet.workers[index].handles(.drain)
    func look() {
      let worker = fleet.workers[index]
      guard !worker.isRunning || worker.run == run else { return }
      worker.start()
      fleet.schedule(at: fleet.now + .milliseconds(200), look)
    }
    look()
  }

  private static func crash(_ place: Int, _ fleet: SimulatedFleet, for pause: Duration) {
    fleet.coordinators[place].crash()
    fleet.schedule(at: fleet.now + pause) { [unowned fleet] in fleet.coordinators[place].start() }
  }

  /// As a client does: again and again until there is an answer, at one coordinator after the other.
  private static func submit(_ submission: TaskSubmission, _ fleet: SimulatedFleet, at place: Int) {
    let request = fleet.ask(.submit([submission]), at: fleet.coordinators[place])
    fleet.schedule(at: fleet.now + .seconds(1)) { [unowned fleet] in
      if fleet.answers[request] == nil { submit(submission, fleet, at: (place + 1) % fleet.coordinators.count) }
    }
  }

  private func heal() {
    fleet.note("peace")
    fleet.isReachable = true
    fleet.shared?.lossPercent = 0
    for coordinator in fleet.coordinators {
      coordinator.thaw()
      coordinator.start()
    }
    for worker in fleet.workers {
      worker.cutOffFrom = []
      worker.thaw()
      worker.start()
    }
    fleet.faultsEnded()
    // Whoever paused something resumes it, as often as it takes to reach a coordinator that knows it; of nothing else, for
    // whoever asks about a task brings it to where it is asked for, and what was forgotten would not be missed.
    for second in 0..<20 {
      fleet.schedule(at: fleet.now + .seconds(second)) { [unowned fleet, paused] in
        for id in paused { fleet.ask(.resume(id), at: fleet.coordinators[second % fleet.coordinators.count]) }
      }
    }
  }
}
