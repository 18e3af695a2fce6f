import CoordinationCore
import Primitives
import TrialReport

/// Many checkpoints, and workers that die between them.
final class CheckpointHeavy: Scenario {
  static let about = ScenarioAbout(
    name: "checkpoint_heavy", summary: "Tasks take a checkpoint every 100 ms while their workers are killed.",
    passes: "attempts were lost, and others continued from their checkpoints", workers: 4, duration: .seconds(30),
    quickWorkers: 3, quickDuration: .seconds(10))

  private var kills = 0

  func begin(_ run: TrialRun) {
    run.every(.seconds(1)) { run in
      guard run.orders.count - run.ended < run.options.workers * run.settings.slots * 2 else { return }
      run.submit(run.options.workers * run.settings.slots / 2) {
        $0.steps = 30
        $0.pause = .milliseconds(80)
        $0.padBytes = 1 << 10
      }
    }
    run.at(.seconds(2)) { [self] in
      $0.every(.seconds(2)) { [self] run in
        kills += 1
        run.killWorker(run.worker(kills), for: .milliseconds(1_500))
      }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let continued = evidence.tasks.values.count { $0.attempts.contains { $0.resumedFrom != nil } }
    return [
      TrialReport.Criterion(
        "attempts were lost", expected: "at least one for each of \(kills) kills", measured: "\(evidence.lostAttempts)",
        isMet: kills > 0 && evidence.lostAttempts >= kills),
      TrialReport.Criterion(
        "tasks continue from a checkpoint", expected: "at least one", measured: "\(continued)", isMet: continued > 0),
    ]
  }
}
