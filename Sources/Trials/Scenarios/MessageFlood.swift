import CoordinationCore
import Primitives
import TrialReport

/// A hundred large messages a second, each of which must be kept.
final class MessageFlood: Scenario {
  static let about = ScenarioAbout(
    name: "message_flood", summary: "Workers send 100 checkpoints of 10 KiB a second, in all.",
    passes: "the rate was reached; heartbeats are answered within 1 s", workers: 4, duration: .seconds(30),
    quickWorkers: 4, quickDuration: .seconds(8))

  private static let perSecond = 100

  func adjust(_ settings: inout FleetSettings) { settings.slots = 8 }

  func begin(_ run: TrialRun) {
    // 32 tasks at a time, nearly five steps a second each, leave room for a slow machine.
    let perTask = 20
    run.every(.seconds(1)) { run in
      guard run.orders.count - run.ended < run.options.workers * run.settings.slots * 3 / 2 else { return }
      run.submit(run.options.workers * run.settings.slots / 2) {
        $0.steps = perTask
        $0.pause = .milliseconds(200)
        $0.padBytes = 10 << 10
      }
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let sent = evidence.count { $0.isHandledCheckpoint }
    let wanted = Int(Double(Self.perSecond) * run.options.duration.inSeconds)
    let slowest = (run.sampler?.worstRoundTrip ?? 0) * 1_000
    return [
      TrialReport.Criterion(
        "the flood came", expected: "at least \(wanted) messages of 10 KiB", measured: "\(sent)", isMet: sent >= wanted),
      TrialReport.Criterion(
        "heartbeats are answered in time", expected: "round trips below 1 s",
        measured: "\(Evidence.rounded(slowest)) ms at most", isMet: slowest > 0 && slowest < 1_000),
    ]
  }
}
