import Primitives
import Reactor

/// What scenarios do to processes, and how it is undone.
extension TrialRun {
  /// The only coordinator, or one that is drawn of those that serve a worker: with one, nothing is drawn.
  func drawnCoordinator() -> String {
    let serving = fleet.servingCoordinators
    let names = serving.isEmpty ? fleet.coordinatorNames : serving
    guard fleet.coordinatorNames.count > 1 else { return names.first ?? "" }
    return names[Int.random(in: 0..<names.count, using: &random)]
  }

  /// A coordinator is killed, and another started in its place after `pause`; `ready` is called once it listens.
  func killCoordinator(_ name: String? = nil, for pause: Duration, ready: @escaping (TrialRun) -> Void = { _ in }) {
    killCoordinators([name ?? drawnCoordinator()], for: pause, ready: ready)
  }

  /// These are killed in the same moment; `ready` is called once all listen again.
  func killCoordinators(_ names: [String], for pause: Duration, ready: @escaping (TrialRun) -> Void = { _ in }) {
    let who = names.count == 1 ? Self.subject(names[0]) : "every coordinator"
    mark("\(who) is killed for \(pause.wholeMilliseconds) ms", for: pause)
    let others = fleet.coordinators.keys.filter { !names.contains($0) }
    var left = names.count
    for name in names {
      if !others.isEmpty { departures.append(Failovers.Departure(coordinator: name, time: MonotonicClock.now())) }
      fleet.killCoordinator(name)
      startCoordinator(name, after: pause) { run in
        left -= 1
        if left == 0 { ready(run) }
      }
    }
  }

  /// `the coordinator`, where there is only one.
  private static func subject(_ name: String) -> String { name == "coordinator" ? "the coordinator" : name }

  private func startCoordinator(_ name: String, after pause: Duration, _ ready: @escaping (TrialRun) -> Void) {
    at(pause) { run in
      // It may not have died yet.
      guard run.fleet.coordinators[name] == nil else {
        return run.startCoordinator(name, after: .milliseconds(20), ready)
      }
      try run.fleet.startCoordinator(name) { [weak run] in
        guard let run else { return }
        ready(run)
      }
    }
  }

  /// The trial's own database is killed with all its processes, and started again after `pause`; `ready` is called once
  /// it lets anybody in.
  func killDatabase(for pause: Duration, ready: @escaping (TrialRun) -> Void = { _ in }) {
    mark("the database is killed for \(pause.wholeMilliseconds) ms", for: pause)
    let due = loop.now + pause
    fleet.database?.kill { [weak self] in
      guard let self else { return }
      at(max(.zero, due - loop.now)) { run in
        run.fleet.startDatabase { [weak run] in
          guard let run else { return }
          ready(run)
        }
      }
    }
  }

  /// Remembers that `name` must come back from now on.
  func disturb(_ name: String, _ label: String) {
    mark(label)
    disturbances.append((worker: name, time: MonotonicClock.now()))
  }

  func killWorker(_ name: String, for pause: Duration) {
    mark("\(name) is killed for \(pause.wholeMilliseconds) ms", for: pause)
    fleet.killWorker(name)
    startWorker(name, after: pause)
  }

  private func startWorker(_ name: String, after pause: Duration) {
    at(pause) { run in
      guard run.fleet.workers[name] == nil else { return run.startWorker(name, after: .milliseconds(20)) }
      try run.fleet.startWorker(name)
    }
  }

  /// A worker or a coordinator is stopped as it is.
  func freeze(_ name: String, for pause: Duration, thawed: @escaping (TrialRun) -> Void = { _ in }) {
    mark("\(name) is frozen for \(pause.wholeMilliseconds) ms", for: pause)
    if fleet.coordinators[name] != nil, fleet.coordinators.count > 1 {
      departures.append(Failovers.Departure(coordinator: name, time: MonotonicClock.now()))
    }
    fleet.freeze(name)
    at(pause) { run in
      run.fleet.thaw(name)
      thawed(run)
    }
  }
}
