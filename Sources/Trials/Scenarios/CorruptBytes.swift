import FaultProxy
import History
import Primitives
import TrialReport

/// Bytes change on their way, in both directions.
final class CorruptBytes: Scenario {
  static let about = ScenarioAbout(
    name: "corrupt_bytes", summary: "One byte in 4,000 is changed on its way, in both directions.",
    passes: "changed messages were refused, their sessions resumed, and what they said replayed", workers: 4,
    duration: .seconds(30), quickWorkers: 3, quickDuration: .seconds(10))

  private static let oneIn = 4_000
  private var corrupted = 0

  func adjust(_ settings: inout FleetSettings) { settings.closedGrace = .seconds(4) }

  func begin(_ run: TrialRun) {
    run.keepBusy {
      $0.steps = 6
      $0.padBytes = 300
    }
    run.mark("one byte in \(Self.oneIn) is changed")
    for way in run.fleet.ways.values {
      way.faults.up.corruptsOneIn = Self.oneIn
      way.faults.down.corruptsOneIn = Self.oneIn
    }
  }

  func end(_ run: TrialRun) {
    corrupted = run.fleet.ways.values.reduce(0) { $0 + $1.corruptedBytes }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let refused = evidence.logLines(run) { $0.contains("message refused") }
    let resumed = evidence.statistics.resumedSessions
    return [
      TrialReport.Criterion("bytes were changed", expected: "some", measured: "\(corrupted)", isMet: corrupted > 0),
      TrialReport.Criterion(
        "changed messages are refused", expected: "at least one by its checksum", measured: "\(refused)",
        isMet: refused > 0),
      TrialReport.Criterion(
        "sessions are resumed after it", expected: "at least one", measured: "\(resumed)", isMet: resumed > 0),
    ]
  }
}
