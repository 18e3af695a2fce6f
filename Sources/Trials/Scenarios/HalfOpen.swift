import FaultProxy
import Primitives
import TrialReport

/// One end of a connection goes, and the other is never told.
final class HalfOpen: Scenario {
  static let about = ScenarioAbout(
    name: "half_open", summary: "One end of a worker's connection is reset, and the other hears nothing of it.",
    passes: "the worker is back within its heartbeat bound", workers: 4, duration: .seconds(30), quickWorkers: 3,
    quickDuration: .seconds(10))

  private var count = 0

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 6 }
    run.at(.seconds(1)) { [self] in
      $0.every(.seconds(3)) { [self] run in
        count += 1
        let name = run.worker(count)
        let gone: FaultProxy.End = count.isMultiple(of: 2) ? .far : .near
        run.disturb(
          name, "\(name)'s connection is half open: \(gone == .near ? "its own" : "the coordinator's") end is gone")
        run.fleet.ways[name]?.leaveHalfOpen(gone: gone)
      }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] { [evidence.rejoining(run)] }
}
