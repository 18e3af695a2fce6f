import FaultProxy
import Primitives
import TrialReport

/// Work goes on while one fault after the other is drawn from the seed.
final class EndToEnd: Scenario {
  static let about = ScenarioAbout(
    name: "e2e",
    summary:
      "Work goes on while faults are drawn from the seed: cuts, black holes, lost and changed bytes, kills, freezes.",
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
    let (direction, side) = isUp ? (FaultDirection.up, "from") : (.down, "to")
    let way = run.fleet.ways[name]
    switch kind {
    case 0..<12:
      run.mark("\(name)'s connection is cut")
      way?.cut()
    case 12..<22:
      run.mark("\(name)'s connection is cut \(bytes) bytes \(direction) from now")
      way?.cut(after: bytes, direction)
    case 22..<34:
      run.mark("\(name) is in a black hole for \(long.wholeMilliseconds) ms", for: long)
      way?.setBlackHole(true)
      run.at(long) { $0.fleet.ways[name]?.setBlackHole(false) }
    case 34..<42:
      run.mark("\(name)'s connection is half open: \(isUp ? "its own" : "the coordinator's") end is gone")
      way?.leaveHalfOpen(gone: isUp ? .near : .far)
    case 42..<50:
      breaks(name, "bytes \(side) \(name) are lost", for: long, run) { $0[direction].delivery = .dropped }
    case 50..<55:
      breaks(name, "bytes \(side) \(name) wait", for: long, run) { $0[direction].delivery = .held }
    case 55..<60:
      breaks(name, "one byte in 2,000 \(side) \(name) is changed", for: long, run) {
        $0[direction].corruptsOneIn = 2_000
      }
    case 60..<65:
      breaks(name, "bytes \(side) \(name) come one by one, and slowly", for: long, run) {
        $0[direction].sliceBytes = 1
        $0[direction].bytesPerSecond = 2_000
      }
    case 65..<77: run.killWorker(name, for: short)
    case 77..<87: run.freeze(name, for: long)
    case 87..<96: run.killCoordinator(for: short)
    default:
      run.killCoordinator(for: short)
      run.killWorker(name, for: short)
    }
  }

  private func breaks(
    _ name: String, _ label: String, for time: Duration, _ run: TrialRun, _ change: (inout FaultTable) -> Void
  ) {
    run.mark("\(label) for \(time.wholeMilliseconds) ms", for: time)
    if let way = run.fleet.ways[name] { change(&way.faults) }
    run.at(time) { $0.fleet.mend(name) }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    [
      TrialReport.Criterion(
        "things were broken", expected: "at least one fault", measured: "\(faults)", isMet: faults > 0)
    ]
  }
}
