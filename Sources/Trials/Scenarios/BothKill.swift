import History
import Primitives
import TrialReport

/// The coordinator and a worker are killed in the same moment.
final class BothKill: Scenario {
  static let about = ScenarioAbout(
    name: "both_kill9", summary: "The coordinator and a worker are killed (SIGKILL) together, again and again.",
    passes: "both were killed, and both were there again", workers: 4, duration: .seconds(30), quickWorkers: 3,
    quickDuration: .seconds(9))

  private var kills = 0

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 6 }
    plan(run)
  }

  private func plan(_ run: TrialRun) {
    let pause = Duration.milliseconds(Int.random(in: 1_500...2_500, using: &run.random))
    let down = Duration.milliseconds(Int.random(in: 50...800, using: &run.random))
    let name = run.drawnWorker()
    run.at(pause) { [self] run in
      kills += 1
      run.killWorker(name, for: down)
      run.killCoordinator(for: down) { [self] in plan($0) }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let (coordinators, workers) = (run.fleet.coordinatorStarts, evidence.statistics.workerStarts)
    return [
      TrialReport.Criterion(
        "both were killed and started", expected: "at least once, and started as often",
        measured: "\(kills) kills, \(coordinators) coordinators, \(workers) workers started",
        isMet: kills > 0 && coordinators == kills + run.options.coordinators && workers > run.options.workers)
    ]
  }
}
