import Coordination
import CoordinationCore
import History
import Primitives
public import Reactor
public import TrialReport

/// One trial from start to verdict: a fleet of real processes, its work, what is done to it, and who looks on.
///
///     fleet comes up ─▶ work and faults for a while ─▶ faults end ─▶ work drains ─▶ fleet ends in order ─▶ verdict
///
/// Everything is called on its loop.
public final class TrialRun {
  enum Phase { case starting, loading, draining, stopping, over }

  /// A task as its submitter knows it.
  struct Order {
    let work: TrialWork
    let askedAt: Instant
    var isAcknowledged = false
    var endedAt: Instant?
  }

  public let options: TrialOptions
  public let loop: EventLoop
  let about: ScenarioAbout
  let scenario: any Scenario
  let settings: FleetSettings
  let fleet: TrialFleet
  private(set) var phase = Phase.starting
  private(set) var began = Instant.zero
  private(set) var loadEnded = Instant.zero
  private(set) var drained: Duration?
  /// The schedule's own; nothing else draws from it.
  var random: SeededGenerator
  private(set) var orders: [TaskID: Order] = [:]
  private(set) var unanswered = 0
  private(set) var ended = 0
  private(set) var refusals: [String] = []
  private var numbered = 0
  private var history: HistoryFile?
  private(set) var client: CoordinatorClient?
  private(set) var sampler: TrialSampler?
  private var timers: [Timer] = []
  /// When something that a worker must notice was done to it.
  var disturbances: [(worker: String, time: Instant)] = []
  /// When a coordinator went away while others were there.
  var departures: [Failovers.Departure] = []
  var report: TrialReport
  private var completion: ((TrialReport) -> Void)?
  /// Where the run stands, each second.
  public var onProgress: ((TrialProgress) -> Void)?
  /// A fault, as it happens.
  public var onMark: ((TrialReport.Mark) -> Void)?

  public struct UnknownScenario: Error, CustomStringConvertible {
    let name: String
    public var description: String { "there is no scenario \(name)" }
  }

  public init(_ name: String, _ options: TrialOptions, on loop: EventLoop) throws {
    guard let type = Scenarios.scenario(named: name) else { throw UnknownScenario(name: name) }
    self.options = options
    self.loop = loop
    about = type.about
    scenario = type.init()
    var settings = FleetSettings()
    scenario.adjust(&settings)
    if options.isHosted { settings.beAtProductionScale() }
    self.settings = settings
    random = SeededGenerator(seed: options.seed)
    fleet = try TrialFleet(options, settings, on: loop)
    report = TrialReport(
      title: name, command: options.command, seed: options.seed, startedAt: SystemWallClock.now(), duration: .zero,
      options: Self.options(options, settings))
    let history = try HistoryFile(appendingTo: fleet.history(of: "trial")) { _ in }
    self.history = history
    fleet.onWorkerEnd = { name in if let id = try? WorkerID(name) { history.record(.workerEnded(id)) } }
  }

  private static func options(_ options: TrialOptions, _ settings: FleetSettings) -> [TrialReport.Option] {
    func seconds(_ duration: Duration) -> String { "\(duration.inSeconds) s" }
    return [
      .init("workers", "\(options.workers)"), .init("slots of each", "\(settings.slots)"),
      .init("duration", seconds(options.duration)), .init("heartbeat interval", seconds(settings.heartbeatInterval)),
      .init("heartbeat timeout", seconds(settings.heartbeatTimeout)),
      .init("closed grace", seconds(settings.closedGrace)),
      .init("lease", seconds(settings.lease)), .init("reconnect delay", seconds(settings.reconnectDelay)),
      .init("drain within", seconds(settings.drain)),
    ] + store(options, settings)
  }

  private static func store(_ options: TrialOptions, _ settings: FleetSettings) -> [TrialReport.Option] {
    let name =
      switch options.store {
      case .file: "SQLite"
      case .ownServer: "PostgreSQL, a server of the trial's own"
      case .database: "PostgreSQL"
      }
    guard options.store != .file else { return [.init("store", name)] }
    return [
      .init("store", name), .init("coordinators", "\(options.coordinators)"),
      .init("member lease", "\(settings.memberLease.inSeconds) s"),
    ]
  }

  // MARK: The course of events

  /// Runs it all; `done` is called once with the verdict.
  public func start(_ done: @escaping (TrialReport) -> Void) {
    completion = done
    began = loop.now
    scenario.prepare(fleet)
    fleet.onDatabaseProblem = { [weak self] in self?.fail($0) }
    fleet.prepareStore { [weak self] in
      self?.fleet.startDatabase { [weak self] in
        guard let self, phase == .starting else { return }
        attempt { try self.fleet.startCoordinators { [weak self] in self?.coordinatorsAreUp() } }
      }
    }
    timers.append(
      loop.schedule(after: .seconds(60)) { [weak self] in
        guard let self, phase == .starting else { return }
        fail("the fleet was not complete after 60 s")
      })
  }

  private func coordinatorsAreUp() {
    guard phase == .starting else { return }
    attempt {
      for name in fleet.names { try fleet.startWorker(name) }
      var settings = ClientSettings()
      settings.coordinator = fleet.url
      settings.patience = nil
      let client = try CoordinatorClient(settings, on: loop)
      self.client = client
      client.watch(WatchRequest()) { [weak self] event in
        switch event {
        case .established: self?.list(after: nil)
        case .taskChanged(let task): self?.changed(task)
        case .output: break
        case .failed(let error): self?.fail("the coordinator cannot be watched: \(error)")
        }
      }
      let sampler = TrialSampler(self)
      self.sampler = sampler
      try sampler.start()
    }
  }

  /// The sampler has seen so many workers connected.
  func saw(connected: Int) {
    guard phase == .starting, connected >= options.workers else { return }
    phase = .loading
    began = loop.now
    scenario.begin(self)
    timers.append(loop.schedule(after: options.duration) { [weak self] in self?.endFaults() })
  }

  private func endFaults() {
    guard phase == .loading else { return }
    phase = .draining
    for timer in timers { timer.cancel() }
    timers = []
    scenario.end(self)
    attempt {
      try fleet.heal { [weak self] in
        guard let self, phase == .draining, loadEnded == .zero else { return }
        loadEnded = loop.now
        mark("nothing is broken any more")
        history?.record(.faultsEnded)
        timers.append(loop.schedule(after: settings.drain) { [weak self] in self?.stop() })
        stopIfDrained()
      }
    }
  }

  private func stopIfDrained() {
    guard phase == .draining, loadEnded != .zero, unanswered == 0, ended == orders.count else { return }
    drained = loop.now - loadEnded
    stop()
  }

  private func stop() {
    guard phase != .stopping, phase != .over else { return }
    phase = .stopping
    for timer in timers { timer.cancel() }
    sampler?.stop()
    client?.close()
    fleet.stop { [weak self] in self?.judge() }
  }

  /// Ends the trial early; it has failed.
  public func fail(_ reason: String) {
    guard phase != .stopping, phase != .over else { return }
    report.violations.append(reason)
    stop()
  }

  func attempt(_ body: () throws -> Void) {
    do { try body() } catch { fail("\(error)") }
  }

  private func judge() {
    guard phase == .stopping else { return }
    phase = .over
    options.sabotage?(fleet.store)
    report.duration = loop.now - began
    var histogram = LatencyHistogram()
    for order in orders.values { if let end = order.endedAt { histogram.record(end - order.askedAt) } }
    report.latencies.append(.init("from asking for a task to hearing of its end", histogram))
    report.series = sampler?.series ?? []
    Evidence.collect(self) { [self] evidence in
      report.criteria = evidence.criteria(self) + scenario.judge(self, evidence)
      report.violations += evidence.violations
      report.logs = (fleet.processNames + (fleet.database == nil ? [] : ["postgres"])).map { "logs/\($0).log" }
      fleet.end(keepingStore: options.keepsStore) { [self] problem in
        if let problem { report.violations.append("the store cannot be removed: \(problem)") }
        let completion = self.completion
        self.completion = nil
        completion?(report)
      }
    }
  }

  /// Where the store stays, if it does beside the report.
  public var keptStore: String? { options.keepsStore ? fleet.storePlace : nil }

  /// There was neither a verdict nor an error.
  public struct NoVerdict: Error, CustomStringConvertible {
    public init() {}
    public var description: String { "the trial ended without a verdict" }
  }

  /// Writes `report.json` and `report.html` into the report's folder.
  public func write(_ report: TrialReport) throws {
    try TextFile.write(report.json, to: "\(options.directory)/report.json")
    try TextFile.write(report.html, to: "\(options.directory)/report.html")
  }

  /// Writes `index.json` and `index.html`.
  public static func write(_ suite: SuiteReport, in directory: String) throws {
    try TextFile.write(suite.json, to: "\(directory)/index.json")
    try TextFile.write(suite.html, to: "\(directory)/index.html")
  }

  // MARK: Work

  var acknowledged: Set<TaskID> { Set(orders.values.filter(\.isAcknowledged).map(\.work.id)) }
  /// Seconds since all workers were there.
  var seconds: Double { (loop.now - began).inSeconds }

  /// Submits tasks in one request; each is changed by `shape` before.
  func submit(_ count: Int, _ shape: (inout TrialWork) -> Void = { _ in }) {
    var works: [TrialWork] = []
    for _ in 0..<count {
      numbered += 1
      let digits = "\(numbered)"
      let text = "\(about.name)-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
      guard let id = try? TaskID(text) else { continue }
      var work = TrialWork(id: id)
      shape(&work)
      // A demo task has a result, and no exit code.
      if options.isHosted { work.exitCode = nil }
      works.append(work)
      orders[id] = Order(work: work, askedAt: loop.now)
    }
    guard !works.isEmpty else { return }
    unanswered += 1
    let ids = works.map(\.id)
    history?.record(.submitAsked(ids))
    let submissions = works.map {
      options.isHosted ? $0.demonstration(run: about.name) : $0.submission(script: fleet.script, run: about.name)
    }
    client?.request("submit", ["tasks": .array(submissions)]) { [weak self] answer in
      guard let self else { return }
      unanswered -= 1
      switch answer {
      case .success:
        history?.record(.submitAcknowledged(ids))
        for id in ids { orders[id]?.isAcknowledged = true }
      case .failure(.closed): break
      case .failure(let error):
        refusals.append("\(error)")
        for id in ids { orders[id] = nil }
      }
      stopIfDrained()
    }
  }

  /// Lists tasks that have ended: what happened while nobody was connected.
  private func list(after: String?) {
    var fields: JSONObject = ["statuses": ["completed", "failed", "cancelled"], "limit": 500]
    if let after { fields["after"] = .string(after) }
    client?.request("list_tasks", fields) { [weak self] answer in
      guard let self, phase != .stopping, phase != .over else { return }
      guard case .success(let reply) = answer else {
        // A coordinator that has lost its database cannot read, and its clients stay.
        loop.schedule(after: .milliseconds(200)) { [weak self] in self?.list(after: after) }
        return
      }
      let tasks = (reply["tasks"]?.array ?? []).compactMap(\.object)
      for task in tasks { changed(task) }
      if tasks.count == 500, let last = tasks.last?["task_id"]?.string { list(after: last) }
    }
  }

  private func changed(_ task: JSONObject) {
    guard let text = task["task_id"]?.string, let id = try? TaskID(text),
      let status = task["status"]?.string.flatMap(TaskStatus.init(rawValue:)), status.isTerminal,
      orders[id]?.endedAt == nil, orders[id] != nil
    else { return }
    orders[id]?.endedAt = loop.now
    ended += 1
    stopIfDrained()
  }

  // MARK: What scenarios plan with

  func at(_ time: Duration, _ body: @escaping (TrialRun) throws -> Void) {
    timers.append(
      loop.schedule(after: time) { [weak self] in
        guard let self, phase == .loading else { return }
        attempt { try body(self) }
      })
  }

  /// Again and again until the faults end, the first time at once.
  func every(_ interval: Duration, _ body: @escaping (TrialRun) throws -> Void) {
    attempt { try body(self) }
    at(interval) { $0.every(interval, body) }
  }

  /// Says what is being done to the fleet, and how long it is meant to last, if it does.
  func mark(_ label: String, for duration: Duration? = nil) {
    let mark = TrialReport.Mark(at: seconds, until: duration.map { seconds + $0.inSeconds }, label)
    report.marks.append(mark)
    history?.record(.fault(label))
    onMark?(mark)
  }

  func worker(_ index: Int) -> String { fleet.names[index % fleet.names.count] }
  func drawnWorker() -> String { worker(Int.random(in: 0..<fleet.names.count, using: &random)) }
}

@available(*, unavailable) extension TrialRun: Sendable {}
