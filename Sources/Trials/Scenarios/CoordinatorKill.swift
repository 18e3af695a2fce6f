import Primitives
import TrialReport

/// A coordinator is killed with SIGKILL, again and again, and started on the same store.
final class CoordinatorKill: Scenario {
  static let about = ScenarioAbout(
    name: "coordinator_kill9",
    summary: "A coordinator is killed (SIGKILL) again and again, of several sometimes all; work goes on meanwhile.",
    passes:
      "it was killed; no attempt is lost by it; of several, the others have its sessions within 5 s and a backoff",
    workers: 4, duration: .seconds(40), quickWorkers: 3, quickDuration: .seconds(8))

  private var kills = 0

  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 8 }
    kill(run)
  }

  private func kill(_ run: TrialRun) {
    let isAlone = run.options.coordinators == 1
    let pause = Duration.milliseconds(Int.random(in: 1_200...2_400, using: &run.random))
    // Long enough away for the others to take over.
    let down = Duration.milliseconds(Int.random(in: isAlone ? 0...1_000 : 2_000...7_000, using: &run.random))
    let takesAll = !isAlone && Int.random(in: 0..<4, using: &run.random) == 0
    run.at(pause) { [self] run in
      let names = takesAll ? run.fleet.coordinatorNames : [run.drawnCoordinator()]
      kills += names.count
      run.killCoordinators(names, for: down) { [self] in kill($0) }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let (starts, lost) = (run.fleet.coordinatorStarts, evidence.lostAttempts)
    return [
      TrialReport.Criterion(
        "the coordinator was killed", expected: "at least once, and started as often",
        measured: "\(kills) kills, \(starts) starts", isMet: kills > 0 && starts == kills + run.options.coordinators),
      TrialReport.Criterion(
        "its restart costs no attempt", expected: "0 lost", measured: "\(lost) lost", isMet: lost == 0),
    ] + (run.options.coordinators > 1 ? [evidence.failover(run)] : [])
  }
}

extension Evidence {
  /// Whether the sessions of coordinators that went away were with others in time.
  func failover(_ run: TrialRun) -> TrialReport.Criterion {
    let limit = Duration.seconds(5) + run.settings.maxReconnectDelay
    let outcomes = run.departures.map { failovers.outcome(of: $0) }
    let sessions = outcomes.reduce(0) { $0 + $1.sessions }
    let longest = outcomes.map(\.longest).max() ?? .zero
    let missing = outcomes.flatMap { outcome in
      outcome.missing.map { "\($0) of \(outcome.departure.coordinator) never came back" }
    }
    return TrialReport.Criterion(
      "sessions of a lost coordinator are back", expected: "each within \(limit.inSeconds) s",
      measured: "\(sessions - missing.count) of \(sessions) of \(outcomes.count) coordinators, the longest after "
        + "\(Self.rounded(longest.inSeconds)) s" + Self.some(missing),
      isMet: sessions > 0 && missing.isEmpty && longest <= limit)
  }
}
