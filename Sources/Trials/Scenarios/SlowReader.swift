import Coordination
import CoordinationCore
import FaultProxy
import Primitives
import Reactor
import TrialReport

/// A client asks to be told everything, and reads a byte a second.
final class SlowReader: Scenario {
  static let about = ScenarioAbout(
    name: "slow_reader", summary: "A client watches all output and reads 1 byte a second; tasks write 180 KiB each.",
    passes: "the coordinator's memory stays bounded, and nobody else waits", workers: 4, duration: .seconds(30),
    quickWorkers: 3, quickDuration: .seconds(10))

  /// What a coordinator keeps for a client that does not read is bounded at 8 MiB; the rest is room for its work.
  private static let maxGrowth = 64 << 10
  private static let outputBytes = 180 << 10
  private var watcher: CoordinatorClient?
  private var proxy: FaultProxy?
  private var before = 0

  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) {
    before = run.sampler?.memory ?? 0
    run.every(.milliseconds(500)) { run in
      guard run.orders.count - run.ended < run.options.workers * run.settings.slots * 2 else { return }
      run.submit(run.options.workers * run.settings.slots) {
        $0.steps = 1
        $0.outputBytes = Self.outputBytes
      }
    }
    run.at(.milliseconds(200)) { [self] run in
      guard let address = run.fleet.address else { return }
      let proxy = try FaultProxy(to: address, on: run.loop)
      var settings = ClientSettings()
      settings.coordinator = "ws://127.0.0.1:\(proxy.address.port ?? 0)"
      settings.patience = nil
      let watcher = try CoordinatorClient(settings, on: run.loop)
      watcher.watch(WatchRequest(wantsOutput: true)) { event in
        guard case .established = event else { return }
        run.mark("a client that watches reads 1 byte a second")
        proxy.faults.down.bytesPerSecond = 1
      }
      (self.proxy, self.watcher) = (proxy, watcher)
    }
  }

  func end(_ run: TrialRun) {
    watcher?.close()
    proxy?.close()
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let growth = max(0, (run.sampler?.peakMemory ?? 0) - before)
    let output = evidence.tasks.values.reduce(0) { $0 + $1.output.values.reduce(0) { $0 + $1.stdout.count } }
    let reconnections = run.sampler?.reconnections ?? 0
    return [
      TrialReport.Criterion(
        "there was much to read", expected: "more than the 8 MiB kept for a reader",
        measured: "\(output >> 20) MiB of output", isMet: output > 8 << 20),
      TrialReport.Criterion(
        "memory is bounded", expected: "at most \(Self.maxGrowth >> 10) MiB more",
        measured: "\(growth >> 10) MiB more than \(before >> 10) MiB", isMet: growth <= Self.maxGrowth),
      TrialReport.Criterion(
        "nobody else notices", expected: "no worker reconnects", measured: "\(reconnections)",
        isMet: reconnections == 0),
    ]
  }
}
