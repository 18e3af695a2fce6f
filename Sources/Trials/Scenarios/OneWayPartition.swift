import FaultProxy
import Primitives
import TrialReport

/// Bytes are lost one way only: one side hears the other and is not heard.
final class OneWayPartition: Scenario {
  static let about = ScenarioAbout(
    name: "one_way_partition", summary: "For 4 s at a time a worker's bytes are lost, or the coordinator's to it.",
    passes: "bytes were lost; the worker is back within its heartbeat bound after", workers: 4, duration: .seconds(30),
    quickWorkers: 3, quickDuration: .seconds(10))

  private var count = 0
  private var dropped = 0

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 6 }
    run.at(.seconds(1)) { [self] in
      $0.every(.seconds(5)) { [self] run in
        count += 1
        let name = run.worker(count)
        let direction: FaultDirection = count.isMultiple(of: 2) ? .down : .up
        run.mark("\(name) \(direction == .up ? "is not heard" : "hears nothing") for 4 s", for: .seconds(4))
        run.fleet.ways[name]?.faults[direction].delivery = .dropped
        run.at(.seconds(4)) { run in
          run.fleet.mend(name)
          run.disturb(name, "\(name) is heard again")
        }
      }
    }
  }

  func end(_ run: TrialRun) {
    dropped = run.fleet.ways.values.reduce(0) { $0 + $1.droppedBytes }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    [
      TrialReport.Criterion("bytes were lost", expected: "some", measured: "\(dropped)", isMet: dropped > 0),
      evidence.rejoining(run),
    ]
  }
}
