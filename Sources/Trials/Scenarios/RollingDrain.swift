import Primitives
import TrialReport

/// Every worker in turn is asked to leave, leaves in order, and is started again: an upgrade of the fleet.
final class RollingDrain: Scenario {
  static let about = ScenarioAbout(
    name: "rolling_drain", summary: "Each worker in turn is drained (SIGTERM) and started again while work goes on.",
    passes: "workers left in order; no attempt is lost", workers: 4, duration: .seconds(30), quickWorkers: 3,
    quickDuration: .seconds(10))

  private var drained = 0
  private var restarted = 0

  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) {
    run.keepBusy()
    run.at(.seconds(1)) { [self] in next($0) }
  }

  private func next(_ run: TrialRun) {
    let name = run.worker(drained)
    drained += 1
    run.mark("\(name) is asked to leave")
    run.fleet.drainWorker(name)
    restart(name, run)
  }

  private func restart(_ name: String, _ run: TrialRun) {
    run.at(.milliseconds(100)) { [self] run in
      guard run.fleet.workers[name] == nil else { return restart(name, run) }
      restarted += 1
      try run.fleet.startWorker(name)
      run.at(.milliseconds(500)) { [self] in next($0) }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    // An assignment may cross with the news that its worker is leaving: handed back unstarted, it costs nothing.
    let lost = evidence.lostStartedAttempts
    return [
      TrialReport.Criterion(
        "workers leave and come back", expected: "at least two", measured: "\(restarted) of \(drained) asked",
        isMet: restarted >= 2),
      TrialReport.Criterion(
        "leaving costs no attempt that had started", expected: "0 lost",
        measured: "\(lost) lost, \(evidence.handedBackAttempts) handed back unstarted",
        isMet: lost == 0 && evidence.lostAttempts == 0),
    ]
  }
}
