import Coordination
import Primitives
import Reactor
import Terminal
import Trials

/// The demonstration of several coordinators from start to end: the machines, and the faults in their order.
final class ClusterShow {
  private static let limit: Duration = .seconds(80)

  private let stage: DemoStage
  private let fleet: ClusterFleet
  private var work: DemoWork?
  private var faults = ClusterFaults()

  init(_ network: any ClusterNetwork, directory: String, on loop: EventLoop) throws {
    stage = DemoStage(on: loop)
    fleet = try ClusterFleet(network, directory: directory, on: loop)
    fleet.onProblem = { [stage] in stage.end(.failed($0)) }
    (network as? NamespaceNetwork)?.onProblem = { [stage] in stage.end(.failed($0)) }
    stage.onEnd = { [weak self] in
      guard let self else { return }
      faults.close(fleet.failovers())
      work?.close()
      fleet.stop { loop.stop() }
    }
  }

  func interrupt() { stage.end(.interrupted) }

  // MARK: The course of events

  func start() {
    stage.say("machines: \(fleet.network.summary)")
    fleet.network.build { [weak self] problem in
      guard let self, stage.end == nil else { return }
      if let problem { return stage.end(.failed(problem)) }
      fleet.startDatabase { [weak self] in self?.databaseIsUp() }
    }
  }

  private func databaseIsUp() {
    guard stage.end == nil else { return }
    stage.say("PostgreSQL is ready")
    var left = ClusterMachines.coordinators.count
    stage.attempt {
      for name in ClusterMachines.coordinators {
        try fleet.startCoordinator(name) { [weak self] in
          left -= 1
          if left == 0 { self?.coordinatorsAreUp() }
        }
      }
    }
  }

  private func coordinatorsAreUp() {
    guard stage.end == nil, work == nil else { return }
    stage.attempt {
      stage.say("three coordinators share it; six workers connect, four slots each")
      for worker in ClusterMachines.workers { try fleet.startWorker(worker) }
      var settings = ClientSettings()
      settings.coordinator = fleet.urls.joined(separator: ",")
      settings.patience = nil
      settings.pingInterval = .seconds(1)
      settings.pingTimeout = .milliseconds(1_500)
      let work = try DemoWork(ClusterTasks.all, settings, on: stage)
      self.work = work
      work.onTaskEnd = { [weak self] in
        guard let self else { return }
        faults.worked(stage.loop.now)
      }
      work.submit { [weak self] in self?.schedule() }
    }
  }

  private func schedule() {
    at(3) { show in
      show.fault("worker-2 is killed (SIGKILL)")
      show.fleet.kill("worker-2")
    }
    at(5.5) { show in
      show.stage.say("worker-2 is started again")
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
    stage.limit(Self.limit) { [weak self] in
      let missing = self?.work?.missing ?? []
      return "\(missing.count) commands had not ended after \(Int(Self.limit.inSeconds)) s: \(missing.prefix(9))"
    }
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
        return show.stage.end(.failed("no coordinator serves a worker"))
      }
      show.fault("\(name) \(what); it serves \(workers.count) workers")
      let index = show.faults.add(
        "\(name) \(what)", seconds, Failovers.Departure(coordinator: name, time: MonotonicClock.now()))
      try leave(show.fleet, name)
      show.await(index)
      show.at(pause) { show in
        show.stage.say("\(name) \(how)")
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
      show.stage.say("its \(outcome.sessions) workers are elsewhere after \(DemoStage.text(outcome.longest))")
    }
  }

  private func killDatabase() {
    fault("the database is killed (SIGKILL), with everything it started")
    let index = faults.add("the database is killed (SIGKILL)", (stage.loop.now - stage.began).inSeconds, nil)
    fleet.database.kill()
    at(3) { show in
      show.fleet.startDatabase { [weak show] in
        guard let show, show.stage.end == nil else { return }
        show.stage.say("the database is started again")
        show.faults.back(index, show.stage.loop.now)
      }
    }
  }

  private func at(_ seconds: Double, _ body: @escaping (ClusterShow) throws -> Void) {
    stage.at(seconds) { [weak self] in if let self { try body(self) } }
  }

  private func fault(_ text: String) { stage.say(text, .bold) }

  /// - Returns: whether everything came as it must.
  func report() -> Bool {
    guard stage.tellEnd(), let work else { return false }
    return ClusterVerdict(outcome: work.outcome, faults: faults).show(on: stage.console)
  }
}
