import Primitives
import TrialReport

/// A coordinator stands still for longer than the others wait for it, and wakes up as one that is not among them any more.
final class CoordinatorFrozen: Scenario {
  static let about = ScenarioAbout(
    name: "coordinator_frozen",
    summary: "One of several coordinators is stopped (SIGSTOP) for longer than its lease, and continued (SIGCONT).",
    passes: "its sessions are with the others in time; awake, it is told that it was given up, and joins anew",
    workers: 4, duration: .seconds(40), quickWorkers: 3, quickDuration: .seconds(16), needs: .severalCoordinators)

  private var freezes = 0

  func adjust(_ settings: inout FleetSettings) {
    // Its workers notice by their heartbeats, so these decide how soon they are elsewhere.
    settings.closedGrace = .seconds(4)
    settings.lease = .seconds(12)
  }

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 8 }
    freeze(run)
  }

  private func freeze(_ run: TrialRun) {
    let pause = Duration.milliseconds(Int.random(in: 2_000...3_500, using: &run.random))
    let extra = Duration.milliseconds(Int.random(in: 1_500...4_000, using: &run.random))
    run.at(pause) { [self] run in
      let name = run.drawnCoordinator()
      freezes += 1
      run.freeze(name, for: run.settings.memberLease + extra) { [self] in freeze($0) }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let joined = evidence.logLines(run) { $0.contains(Self.joinedAnew) }
    return [
      TrialReport.Criterion(
        "a coordinator was frozen", expected: "at least once", measured: "\(freezes) times", isMet: freezes > 0),
      TrialReport.Criterion(
        "it was given up, and joined anew", expected: "at least once", measured: "\(joined) times of \(freezes)",
        isMet: joined > 0),
      evidence.failover(run),
    ]
  }

  /// How a coordinator logs it.
  private static let joinedAnew = "it takes its place anew"
}
