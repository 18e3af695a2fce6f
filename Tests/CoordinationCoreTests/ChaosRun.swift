import CoordinationCore
import Primitives

/// One short life of a fleet under faults that its seed chooses, and then the peace after them.
struct ChaosRun {
  let seed: UInt64
  private let fleet: CoreFleet
  private var random: SeededGenerator
  private let tasks: [TaskID]
  private let specifications: [TaskSpecification]
  private(set) var drawn: [String] = []

  static let faultTime: Duration = .seconds(15)
  static let peaceTime: Duration = .seconds(180)

  init(seed: UInt64, traces: Bool = false) {
    self.seed = seed
    random = SeededGenerator(seed: seed)
    var options = FleetOptions()
    options.seed = random.next()
    options.workers = Int.random(in: 1...3, using: &random)
    options.slots = Int.random(in: 1...3, using: &random)
    options.traces = traces
    if Int.random(in: 0..<4, using: &random) == 0 {
      options.workerOutbox = Outbox.Limits(maxMessages: 3, maxBytes: 600)
      options.coordinator.outbox = Outbox.Limits(maxMessages: 4, maxBytes: 4_000)
    }
    if Int.random(in: 0..<4, using: &random) == 0 { options.coordinator.stateSyncBatch = 1 }
    if Int.random(in: 0..<4, using: &random) == 0 { options.commitDelay = 100_000...900_000 }
    fleet = CoreFleet(options)
    let count = Int.random(in: 2...7, using: &random)
    tasks = (1...count).map { TaskID(known: "t\($0)") }
    var specifications: [TaskSpecification] = []
    for _ in 0..<count {
      let failing = Int.random(in: 0...2, using: &random)
      specifications.append(
        work(
          units: Int.random(in: 1...8, using: &random), unit: Int64.random(in: 20...900, using: &random),
          failing: failing, retries: Int.random(in: 0...2, using: &random), maxLost: 100))
    }
    self.specifications = specifications
  }

  var trace: [String] { fleet.trace }

  /// - Returns: what went wrong; empty when nothing did.
  mutating func run() -> [String] {
    plan()
    fleet.startAll()
    fleet.run(for: Self.faultTime)
    heal()
    let ended = fleet.run(for: Self.peaceTime) { tasks.allSatisfy { fleet.store.status($0)?.isTerminal == true } }
    var problems = fleet.violations
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
    problems += fleet.violations.dropFirst(problems.count)
    for (id, specification) in zip(tasks, specifications) { problems += judge(id, specification) }
    return problems
  }

  private func judge(_ id: TaskID, _ specification: TaskSpecification) -> [String] {
    guard let entry = fleet.store[id] else { return ["\(id) was never stored"] }
    let state = entry.record.state
    var problems: [String] = []
    if entry.terminalRecords > 1 { problems.append("\(id) has \(entry.terminalRecords) terminal records") }
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
    if outcomes.count(where: { $0 == .lost }) > state.lostAttempts {
      problems.append("\(id): \(outcomes) and \(state.lostAttempts) lost")
    }
    if outcomes.count(where: { $0 == .failed }) != state.failedAttempts {
      problems.append("\(id): \(outcomes) and \(state.failedAttempts) failed")
    }
    return problems
  }

  // MARK: Drawing

  private mutating func at(_ what: String, _ body: @escaping (CoreFleet) -> Void) {
    let time = Duration.milliseconds(Int64.random(in: 0...Self.faultTime.wholeMilliseconds, using: &random))
    after(time, what, body)
  }

  private mutating func after(_ time: Duration, _ what: String, _ body: @escaping (CoreFleet) -> Void) {
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
      after(time, "submit \(id)") { Self.submit(submission, $0) }
      switch Int.random(in: 0..<8, using: &random) {
      case 0: at("cancel \(id)") { $0.ask(.cancel(id)) }
      case 1: at("pause \(id)") { $0.ask(.pause(id)) }
      case 2:
        at("pause \(id)") { $0.ask(.pause(id)) }
        at("resume \(id)") { $0.ask(.resume(id)) }
      case 3: at("checkpoint \(id)") { $0.ask(.checkpoint(id)) }
      case 4: at("submit \(id) again") { Self.submit(submission, $0) }
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
    for _ in 0..<Int.random(in: 1...9, using: &random) { drawFault() }
  }

  private mutating func drawFault() {
    let index = Int.random(in: 0..<fleet.workers.count, using: &random)
    let name = "w\(index + 1)"
    let pause = Duration.milliseconds(Int64.random(in: 20...9_000, using: &random))
    let coin = Bool.random(using: &random)
    switch Int.random(in: 0..<9, using: &random) {
    case 0: at("cut \(name)") { $0.workers[index].link?.cut() }
    case 1: at("black hole \(name)") { $0.workers[index].link?.isBlackHole = true }
    case 2: at("corrupt \(name)") { $0.workers[index].link?.corruptsNextMessage = true }
    case 3, 4:
      at("kill \(name)\(coin ? " silently" : "") for \(pause)") { fleet in
        fleet.workers[index].kill(silently: coin, bringsBackForgotten: coin)
        fleet.schedule(at: fleet.now + pause) { [unowned fleet] in fleet.workers[index].start() }
      }
    case 5, 6:
      at("crash the coordinator for \(pause)") { fleet in
        fleet.crashCoordinator()
        fleet.schedule(at: fleet.now + pause) { [unowned fleet] in fleet.startCoordinator() }
      }
    case 7:
      at("freeze \(name) for \(pause * 2)") { fleet in
        fleet.workers[index].freeze()
        fleet.schedule(at: fleet.now + pause * 2) { [unowned fleet] in fleet.workers[index].thaw() }
      }
    default:
      at("unreachable for \(pause)") { fleet in
        fleet.isReachable = false
        for worker in fleet.workers { worker.link?.isBlackHole = true }
        fleet.schedule(at: fleet.now + pause) { [unowned fleet] in fleet.isReachable = true }
      }
    }
  }

  /// As a client does: again and again until there is an answer.
  private static func submit(_ submission: TaskSubmission, _ fleet: CoreFleet) {
    let request = fleet.ask(.submit([submission]))
    fleet.schedule(at: fleet.now + .seconds(1)) { [unowned fleet] in
      if fleet.answers[request] == nil { submit(submission, fleet) }
    }
  }

  private func heal() {
    fleet.note("peace")
    fleet.isReachable = true
    fleet.startCoordinator()
    for worker in fleet.workers {
      worker.thaw()
      worker.start()
    }
    // Whoever paused something resumes it, as often as it takes to reach a coordinator that knows it.
    for second in 0..<20 {
      fleet.schedule(at: fleet.now + .seconds(second)) { [unowned fleet, tasks] in
        for id in tasks { fleet.ask(.resume(id)) }
      }
    }
  }
}
