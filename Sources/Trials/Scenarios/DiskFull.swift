import Primitives
import Reactor
import TrialReport

/// The disk under the store is full for a while: its files may not grow.
final class DiskFull: Scenario {
  static let about = ScenarioAbout(
    name: "disk_full",
    summary: "The store's files may not grow beyond 1 MiB (RLIMIT_FSIZE), until the limit is lifted.",
    passes: "the coordinator said that it cannot commit, and went on once it could", workers: 4,
    duration: .seconds(30), quickWorkers: 3, quickDuration: .seconds(12), needs: .file)

  /// `ulimit -f` counts half kibibytes.
  private static let halfKibibytes = 2_048

  private var lifting: ChildProcess?

  func prepare(_ fleet: TrialFleet) {
    // An error for whoever writes, not a signal that ends it.
    fleet.coordinatorPrefix = [
      "/bin/sh", "-c", "trap '' XFSZ; ulimit -S -f \(Self.halfKibibytes); exec \"$@\"", "sh",
    ]
  }

  func begin(_ run: TrialRun) {
    run.mark("no file of the coordinator may grow beyond \(Self.halfKibibytes / 2) KiB")
    run.keepBusy {
      $0.steps = 6
      $0.padBytes = 10 << 10
    }
  }

  func end(_ run: TrialRun) {
    run.fleet.coordinatorPrefix = []
    guard let pid = run.fleet.coordinator?.pid else { return }
    let lift = ChildProcess.Configuration(
      executable: "prlimit", arguments: ["--pid", "\(pid)", "--fsize=unlimited:unlimited"])
    do {
      lifting = try ChildProcess.spawn(lift, on: run.loop) { status in
        guard status == .exited(0) else { return run.fail("the limit cannot be lifted: prlimit ended with \(status)") }
        run.mark("the coordinator's files may grow again")
      }
    } catch { run.fail("the limit cannot be lifted: \(error)") }
  }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    let refused = evidence.logLines(run) { $0.contains("the store cannot commit") }
    return [
      TrialReport.Criterion(
        "the full disk is said", expected: "the coordinator logs that it cannot commit, at least once",
        measured: "\(refused) times", isMet: refused > 0)
    ]
  }
}
