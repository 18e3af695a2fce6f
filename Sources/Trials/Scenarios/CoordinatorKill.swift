import Primitives
import TrialReport

/// The coordinator is killed with SIGKILL, again and again, and started on the same store.
final class CoordinatorKill: Scenario {
  static let about = ScenarioAbout(
    name: "coordinator_kill9", summary: "The coordinator is killed (SIGKILL) again and again; work goes on meanwhile.",
    passes: "it was killed; no attempt is lost by it", workers: 4, duration: .seconds(40), quickWorkers: 3,
    quickDuration: .seconds(8))

  private var kills = 0

  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 8 }
    kill(run)
  }

  private func kill(_ run: TrialRun) {
    let pause = Duration.milliseconds(Int.random(in: 1_200...2_400, using: &run.random))
    let down = Duration.milliseconds(Int.random(in: 0...1_000, using: &run.random))
    run.at(pause) { [self] run in
      kills += 1
      run.killCoordinator(for: down) { [self] in kill($0) }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let (starts, lost) = (evidence.coordinatorStarts, evidence.lostAttempts)
    return [
      TrialReport.Criterion(
        "the coordinator was killed", expected: "at least once, and started as often",
        measured: "\(kills) kills, \(starts) starts", isMet: kills > 0 && starts == kills + 1),
      TrialReport.Criterion(
        "its restart costs no attempt", expected: "0 lost", measured: "\(lost) lost", isMet: lost == 0),
    ]
  }
}
