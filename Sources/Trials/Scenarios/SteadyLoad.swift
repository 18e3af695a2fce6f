import TrialReport

/// Work arrives as fast as it is done, and nothing is broken.
final class SteadyLoad: Scenario {
  static let about = ScenarioAbout(
    name: "steady_load", summary: "Tasks arrive as fast as the fleet does them; nothing is broken.",
    passes: "no worker reconnects; no attempt is lost", workers: 5, duration: .seconds(30), quickWorkers: 3,
    quickDuration: .seconds(5))

  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) { run.keepBusy() }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let reconnections = run.sampler?.reconnections ?? 0
    let lost = evidence.lostAttempts
    return [
      TrialReport.Criterion(
        "nobody reconnects", expected: "0", measured: "\(reconnections)", isMet: reconnections == 0),
      TrialReport.Criterion("no attempt is lost", expected: "0", measured: "\(lost)", isMet: lost == 0),
    ]
  }
}

extension TrialRun {
  /// Submits, each second, what two thirds of the fleet's slots do in a second, so that a fault's backlog can be caught up.
  func keepBusy(_ shape: @escaping (inout TrialWork) -> Void = { _ in }) {
    let perSecond = options.isHosted ? 200 : max(1, options.workers * settings.slots * 2 / 3)
    every(.seconds(1)) { run in
      // What waits already is enough.
      guard run.orders.count - run.ended < perSecond * 6 else { return }
      run.submit(perSecond, shape)
    }
  }
}
