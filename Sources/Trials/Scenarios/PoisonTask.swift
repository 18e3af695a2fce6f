import CoordinationCore
import Primitives
import TrialReport

/// Tasks that always fail, and tasks that kill whatever worker runs them, among good ones.
final class PoisonTask: Scenario {
  static let about = ScenarioAbout(
    name: "poison_task", summary: "Some tasks always fail, others kill (SIGKILL) each worker that runs them.",
    passes: "each fails for good after its retries, and every other task completes", workers: 4,
    duration: .seconds(30), quickWorkers: 3, quickDuration: .seconds(8))

  private static let retries = 2
  private static let lethalAttempts = 2

  func prepare(_ fleet: TrialFleet) { fleet.revivesWorkers = true }

  func begin(_ run: TrialRun) {
    run.keepBusy()
    run.at(.seconds(1)) { run in
      run.mark("two tasks that always fail, and one that kills its workers")
      run.submit(2) {
        $0.exitCode = 7
        $0.retries = Self.retries
        $0.steps = 1
      }
      run.submit(1) {
        $0.exitCode = nil
        $0.lethalAttempts = Self.lethalAttempts
      }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let works = run.orders.values.map(\.work)
    let failing = works.filter { $0.exitCode == 7 }.compactMap { evidence.tasks[$0.id] }
    let lethal = works.filter { $0.lethalAttempts != nil }.compactMap { evidence.tasks[$0.id] }
    let tries = failing.map { $0.task.state.failedAttempts }
    let deaths = lethal.map { $0.task.state.lostAttempts }
    return [
      TrialReport.Criterion(
        "what always fails fails for good", expected: "after \(Self.retries + 1) attempts each",
        measured: "\(tries)", isMet: !tries.isEmpty && tries.allSatisfy { $0 == Self.retries + 1 }),
      TrialReport.Criterion(
        "what kills its workers is given up",
        expected: "failed, after \(Self.lethalAttempts + 1) lost attempts at most",
        measured: "\(deaths) lost attempts, \(run.fleet.revivals) workers killed",
        isMet: !lethal.isEmpty && run.fleet.revivals >= Self.lethalAttempts
          && lethal.allSatisfy {
            $0.task.state.status == .failed && $0.task.state.lostAttempts <= Self.lethalAttempts + 1
          }),
    ]
  }
}
