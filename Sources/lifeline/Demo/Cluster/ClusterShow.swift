import Coordination
import CoordinationCore
import Primitives
import Reactor
import Terminal
import Trials

/// The demonstration of several coordinators from start to end: the machines, the faults in their order, and what
/// everyone sees of them.
final class ClusterShow {
  typealias End = DemoShow.End

  private static let limit: Duration = .seconds(80)

  private let loop: EventLoop
  let fleet: ClusterFleet
  private let console = Console.standard
  private var line: ProgressLine
  private var client: CoordinatorClient?
  private var tasks: [String: JSONObject] = [:]
  private var details: [String: JSONObject] = [:]
  private(set) var began = Instant.zero
  private var took: Duration = .zero
  private var timers: [Timer] = []
  private var end: End?
  private var faults = ClusterFaults()
  private var hasEnded = false

  init(_ network: any ClusterNetwork, directory: String, on loop: EventLoop) throws {
    self.loop = loop
    fleet = try ClusterFleet(network, directory: directory, on: loop)
    line = ProgressLine(isTerminal: console.outputIsTerminal, unit: "commands")
    fleet.onProblem = { [weak self] in self?.end(.failed($0)) }
    (network as? NamespaceNetwork)?.onProblem = { [weak self] in self?.end(.failed($0)) }
  }

  // MARK: The course of events

  func start() {
    say("machines: \(fleet.network.summary)")
    fleet.network.build { [weak self] problem in
      guard let self, end == nil else { return }
      if let problem { return end(.failed(problem)) }
      fleet.startDatabase { [weak self] in self?.databaseIsUp() }
    }
  }

  private func databaseIsUp() {
    guard end == nil else { return }
    say("PostgreSQL is ready")
    var left = ClusterMachines.coordinators.count
    attempt {
      for name in ClusterMachines.coordinators {
        try fleet.startCoordinator(name) { [weak self] in
          left -= 1
          if left == 0 { self?.coordinatorsAreUp() }
        }
      }
    }
  }

  private func coordinatorsAreUp() {
    guard end == nil, client == nil else { return }
    attempt {
      say("three coordinators share it; six workers connect, four slots each")
      for worker in ClusterMachines.workers { try fleet.startWorker(worker) }
      var settings = ClientSettings()
      settings.coordinator = fleet.urls.joined(separator: ",")
      settings.patience = nil
      settings.pingInterval = .seconds(1)
      settings.pingTimeout = .milliseconds(1_500)
      client = try CoordinatorClient(settings, on: loop)
      submit()
    }
  }

  private func submit() {
    let submissions = ClusterTasks.all.map { task -> JSONValue in
      ["task_id": .string(task.id), "name": .string(task.name), "command": ["sh", "-c", .string(task.script)]]
    }
    client?.request("submit", ["tasks": .array(submissions)]) { [weak self] result in
      guard let self else { return }
      if case .failure(let error) = result { return end(.failed("the commands cannot be submitted: \(error)")) }
      say("\(submissions.count) commands submitted")
      began = loop.now
      watch()
      schedule()
    }
  }

  private func watch() {
    client?.watch(WatchRequest()) { [weak self] event in
      guard let self else { return }
      switch event {
      case .established: list(after: nil)
      case .taskChanged(let task): changed(task)
      case .output: break
      case .failed(let error): end(.failed("no coordinator can be watched: \(error)"))
      }
    }
  }

  private func list(after: String?) {
    var fields: JSONObject = ["limit": 100]
    if let after { fields["after"] = .string(after) }
    client?.request("list_tasks", fields) { [weak self] result in
      guard let self, end == nil else { return }
      // A coordinator that has lost its database cannot read, and its clients stay.
      guard case .success(let reply) = result else { return listAgain(after: after) }
      let page = (reply["tasks"]?.array ?? []).compactMap(\.object)
      for task in page { changed(task) }
      if page.count == 100, let last = page.last?["task_id"]?.string { list(after: last) }
    }
  }

  private func listAgain(after: String?) {
    timers.append(loop.schedule(after: .milliseconds(200)) { [weak self] in self?.list(after: after) })
  }

  private func schedule() {
    at(3) { show in
      show.fault("worker-2 is killed (SIGKILL)")
      show.fleet.kill("worker-2")
    }
    at(5.5) { show in
      show.say("worker-2 is started again")
      try show.fleet.startWorker("worker-2")
    }
    depart(at: 6, for: 5, "is killed (SIGKILL)", "is started again") { fleet, name in
      fleet.kill(name)
    } back: { fleet, name in
      try fleet.startCoordinator(name)
    }
    depart(at: 15, for: 7, "is cut off from the database", "reaches the database again") { fleet, name in
      fleet.network.setCut(true, name, from: .data)
    } back: { fleet, name in
      fleet.network.setCut(false, name, from: .data)
    }
    depart(at: 26, for: 5, "is cut off from its workers", "can be reached again") { fleet, name in
      fleet.network.setCut(true, name, from: .front)
    } back: { fleet, name in
      fleet.network.setCut(false, name, from: .front)
    }
    at(34) { $0.killDatabase() }
    timers.append(
      loop.schedule(after: Self.limit) { [weak self] in
        guard let self else { return }
        let missing = ClusterTasks.all.map(\.id).filter { tasks[$0].map(Self.hasEnded) != true }
        end(
          .failed("\(missing.count) commands had not ended after \(Int(Self.limit.inSeconds)) s: \(missing.prefix(9))"))
      })
    tickAgain()
  }

  /// Whoever serves the most workers then goes away, and comes back.
  private func depart(
    at seconds: Double, for pause: Double, _ what: String, _ how: String,
    _ leave: @escaping (ClusterFleet, String) throws -> Void,
    back: @escaping (ClusterFleet, String) throws -> Void
  ) {
    at(seconds) { show in
      let sessions = show.fleet.failovers().sessions(at: MonotonicClock.now())
      let most = ClusterMachines.coordinators.max { (sessions[$0]?.count ?? 0) < (sessions[$1]?.count ?? 0) }
      guard let name = most, let workers = sessions[name] else {
        return show.end(.failed("no coordinator serves a worker"))
      }
      show.fault("\(name) \(what); it serves \(workers.count) workers")
      let index = show.faults.add(
        "\(name) \(what)", seconds, Failovers.Departure(coordinator: name, time: MonotonicClock.now()))
      try leave(show.fleet, name)
      show.await(index)
      show.at(pause) { show in
        show.say("\(name) \(how)")
        try back(show.fleet, name)
      }
    }
  }

  /// Says it as soon as every session of a departed coordinator is somewhere else.
  private func await(_ index: Int) {
    at(0.25) { show in
      guard let outcome = show.faults.outcome(index, show.fleet.failovers()), outcome.missing.isEmpty else {
        return show.await(index)
      }
      show.say("its \(outcome.sessions) workers are elsewhere after \(Self.text(outcome.longest))")
    }
  }

  private func killDatabase() {
    fault("the database is killed (SIGKILL), with everything it started")
    let index = faults.add("the database is killed (SIGKILL)", (loop.now - began).inSeconds, nil)
    fleet.database.kill()
    at(3) { show in
      show.fleet.startDatabase { [weak show] in
        guard let show, show.end == nil else { return }
        show.say("the database is started again")
        show.faults.back(index, show.loop.now)
      }
    }
  }

  // MARK: Time

  private func at(_ seconds: Double, _ body: @escaping (ClusterShow) throws -> Void) {
    timers.append(
      loop.schedule(after: .seconds(seconds)) { [weak self] in
        guard let self, end == nil, !hasEnded else { return }
        attempt { try body(self) }
      })
  }

  private func tickAgain() {
    timers.append(
      loop.schedule(after: .milliseconds(200)) { [weak self] in
        guard let self, end == nil else { return }
        console.show(line.update(progress, columns: console.outputColumns ?? TerminalDevice.usualColumns))
        tickAgain()
      })
  }

  private func changed(_ task: JSONObject) {
    guard let id = task["task_id"]?.string else { return }
    let isNews = Self.hasEnded(task) && !(tasks[id].map(Self.hasEnded) ?? false)
    tasks[id] = task
    if isNews { faults.worked(loop.now) }
    if ended == ClusterTasks.all.count, end == nil, !hasEnded { collect() }
  }

  private static func hasEnded(_ task: JSONObject) -> Bool {
    ["completed", "failed", "cancelled"].contains(task["status"]?.string)
  }

  private var ended: Int { tasks.values.count(where: Self.hasEnded) }

  private var progress: Progress {
    Progress(
      done: ended, running: tasks.values.count { $0["status"]?.string == "running" }, total: ClusterTasks.all.count,
      elapsed: loop.now - began)
  }

  /// Everything has ended: asks for the whole story of each task.
  private func collect() {
    hasEnded = true
    took = loop.now - began
    for task in ClusterTasks.all {
      client?.request("get_task", ["task_id": .string(task.id)]) { [weak self] result in
        guard let self else { return }
        switch result {
        case .success(let reply): details[task.id] = reply["task"]?.object ?? [:]
        case .failure(let error): end(.failed("task \(task.id) cannot be read: \(error)"))
        }
        if details.count == ClusterTasks.all.count { end(.finished) }
      }
    }
  }

  func end(_ end: End) {
    guard self.end == nil else { return }
    self.end = end
    faults.close(fleet.failovers())
    for timer in timers { timer.cancel() }
    client?.close()
    fleet.stop { [loop] in loop.stop() }
  }

  private func attempt(_ body: () throws -> Void) {
    do { try body() } catch { end(.failed("\(error)")) }
  }

  // MARK: What is said

  static func text(_ duration: Duration) -> String {
    let tenths = Int((duration.inSeconds * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) s"
  }

  private func fault(_ text: String) { say(text, .bold) }

  private func say(_ text: String, _ style: TextStyle.Emphasis = .none) {
    let time = Self.text(began == .zero ? .zero : loop.now - began)
    console.show(live: "")
    console.write(
      line: String(repeating: " ", count: max(0, 7 - time.count)) + time + "  "
        + console.outputStyle.apply(style, to: text))
  }

  // MARK: The table

  /// - Returns: whether everything came as it must.
  func report(to console: Console) -> Bool {
    console.show(live: "")
    switch end {
    case .failed(let reason):
      console.complain("lifeline demo: \(reason)")
      return false
    case .interrupted, nil:
      console.complain("lifeline demo: interrupted")
      return false
    case .finished: return ClusterVerdict(details, faults, took).show(on: console)
    }
  }
}
