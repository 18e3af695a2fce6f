import FaultProxy
import History
import Primitives
import TrialReport

/// Every connection is cut again and again, faster than a session becomes useful.
final class Flapping: Scenario {
  static let about = ScenarioAbout(
    name: "flapping", summary: "Every connection is cut every 700 ms.",
    passes: "sessions are resumed; no attempt is lost", workers: 4, duration: .seconds(30), quickWorkers: 3,
    quickDuration: .seconds(8))

  private var cuts = 0

  // What is tried is the session, so a grace that a backoff may exceed is not wanted.
  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 6 }
    run.at(.milliseconds(700)) { [self] in
      $0.every(.milliseconds(700)) { [self] run in
        cuts += 1
        if cuts == 1 { run.mark("every connection is cut every 700 ms") }
        for way in run.fleet.ways.values { way.cut() }
      }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let (resumed, lost) = (evidence.statistics.resumedSessions, evidence.lostAttempts)
    return [
      TrialReport.Criterion(
        "sessions are resumed", expected: "at least one for every three cuts",
        measured: "\(resumed) in \(cuts) cuts", isMet: cuts > 0 && resumed * 3 >= cuts),
      TrialReport.Criterion("no attempt is lost", expected: "0", measured: "\(lost)", isMet: lost == 0),
    ]
  }
}
