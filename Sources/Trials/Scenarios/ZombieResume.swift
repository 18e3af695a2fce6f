import History
import Primitives
import TrialReport

/// A worker stands still for three leases while its commands go on, and then speaks for attempts that are others' by now.
final class ZombieResume: Scenario {
  static let about = ScenarioAbout(
    name: "zombie_resume", summary: "A worker is stopped (SIGSTOP) for three leases and continued (SIGCONT).",
    passes: "its attempts were given to others; its late words were refused", workers: 4, duration: .seconds(32),
    quickWorkers: 3, quickDuration: .seconds(10))

  private var zombies = 0

  func adjust(_ settings: inout FleetSettings) { settings.lease = .seconds(2) }

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 6 }
    run.at(.seconds(1)) { [self] in
      $0.every(run.settings.lease * 3 + .seconds(2)) { [self] run in
        zombies += 1
        run.freeze(run.worker(zombies), for: run.settings.lease * 3)
      }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let (lost, refused) = (evidence.lostAttempts, evidence.statistics.refusals)
    return [
      TrialReport.Criterion(
        "a zombie's attempts go to others", expected: "at least one for each of \(zombies) freezes",
        measured: "\(lost)", isMet: zombies > 0 && lost >= zombies),
      TrialReport.Criterion(
        "its late words are refused", expected: "at least one", measured: "\(refused)", isMet: refused > 0),
    ]
  }
}
