import FaultProxy
import Primitives
import TrialReport

/// Work goes on while one fault after the other is drawn from the seed.
final class EndToEnd: Scenario {
  static let about = ScenarioAbout(
    name: "e2e", summary: "Work goes on while faults are drawn from the seed: cuts, black holes, kills, freezes.",
    passes: "at least one fault happened", workers: 5, duration: .seconds(300), quickWorkers: 3,
    quickDuration: .seconds(12))

  private var faults = 0

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 6 }
    run.at(run.options.disruptionInterval / 2) { [self] in
      $0.every(run.options.disruptionInterval) { [self] in disrupt($0) }
    }
  }

  private func disrupt(_ run: TrialRun) {
    faults += 1
    // Everything is drawn whether it is used or not, so that one fault's needs do not shift what comes after it.
    let name = run.drawnWorker()
    let kind = Int.random(in: 0..<100, using: &run.random)
    let bytes = Int.random(in: 1...3_000, using: &run.random)
    let isUp = Bool.random(using: &run.random)
    let short = Duration.milliseconds(Int.random(in: 100...1_500, using: &run.random))
    let long = Duration.milliseconds(Int.random(in: 1_000...4_000, using: &run.random))
    let proxy = run.fleet.proxies[name]
    switch kind {
    case 0..<20:
      run.mark("\(name)'s connection is cut")
      proxy?.cut()
    case 20..<35:
      run.mark("\(name)'s connection is cut \(bytes) bytes \(isUp ? "up" : "down") from now")
      proxy?.cut(after: bytes, isUp ? .up : .down)
    case 35..<55:
      run.mark("\(name) is in a black hole for \(long.wholeMilliseconds) ms", for: long)
      proxy?.setBlackHole(true)
      run.at(long) { $0.fleet.proxies[name]?.setBlackHole(false) }
    case 55..<70: run.killWorker(name, for: short)
    case 70..<85: run.freezeWorker(name, for: long)
    case 85..<95: run.killCoordinator(for: short)
    default:
      run.killCoordinator(for: short)
      run.killWorker(name, for: short)
    }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    [
      TrialReport.Criterion(
        "things were broken", expected: "at least one fault", measured: "\(faults)", isMet: faults > 0)
    ]
  }
}
