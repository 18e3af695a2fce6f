import CoordinationCore
import Primitives
import Reactor
import TrialReport

/// The coordinator dies while everybody is connected and working, and everybody comes back at once.
final class ThunderingHerd: Scenario {
  static let about = ScenarioAbout(
    name: "thundering_herd", summary: "The coordinator is killed (SIGKILL) and all workers come back at once.",
    passes: "all back within 10 s of the port's opening; heartbeats < 1 s late; memory ≤ 1.5 × steady", workers: 20,
    duration: .seconds(40), quickWorkers: 12, quickDuration: .seconds(12), maxWorkers: 20_000)

  private static let limit: Duration = .seconds(10)
  private var steadyMemory = 0
  private var openedAt: Instant?
  private var backAfter: Duration?
  private var longestRoundTrip = 0.0

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 6 }
    run.at(min(.seconds(4), run.options.duration / 3)) { [self] run in
      steadyMemory = run.sampler?.peakMemory ?? 0
      run.killCoordinator(for: .seconds(1)) { [self] run in
        openedAt = run.loop.now
        run.sampler?.forgetPeaks()
        run.sampler?.onLook = { [self] in look($0, run) }
      }
    }
  }

  private func look(_ sampler: TrialSampler, _ run: TrialRun) {
    guard let openedAt else { return }
    longestRoundTrip = max(longestRoundTrip, sampler.longestRoundTrip)
    if backAfter == nil, sampler.connected == run.options.workers {
      backAfter = run.loop.now - openedAt
      run.mark("all \(run.options.workers) workers are back")
    }
  }

  /// A hosted fleet measures itself, to the millisecond.
  private func readHost(_ run: TrialRun) {
    guard run.options.isHosted else { return }
    (backAfter, longestRoundTrip) = (nil, .infinity)
    guard let summary = run.fleet.hostSummary, let outages = summary["outages"]?.array, outages.count >= 2,
      let last = outages.last?.object, last["is_over"]?.bool == true
    else { return }
    backAfter = last["registered_after_s"]?.object?["max"]?.number.map { .seconds($0) }
    longestRoundTrip = max(
      summary["heartbeat_lateness_max_s"]?.number ?? .infinity,
      summary["heartbeat_round_trip_max_s"]?.number ?? .infinity)
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    run.sampler?.onLook = nil
    readHost(run)
    let peak = run.sampler?.peakMemory ?? 0
    let ratio = steadyMemory > 0 ? Double(peak) / Double(steadyMemory) : .infinity
    return [
      TrialReport.Criterion(
        "all workers are back", expected: "within \(Self.limit.inSeconds) s of the port's opening",
        measured: backAfter.map { "\(Evidence.rounded($0.inSeconds)) s" } ?? "never seen",
        isMet: backAfter.map { $0 <= Self.limit } ?? false),
      TrialReport.Criterion(
        "heartbeats are in time", expected: "sent and answered less than 1 s late",
        measured: longestRoundTrip.isFinite
          ? "\(Evidence.rounded(longestRoundTrip * 1_000)) ms at most" : "not measured",
        isMet: longestRoundTrip > 0 && longestRoundTrip < 1),
      TrialReport.Criterion(
        "memory stays", expected: "at most 1.5 times \(steadyMemory) KiB",
        measured: "\(peak) KiB, \(Evidence.rounded(ratio)) times", isMet: ratio <= 1.5),
    ]
  }
}
