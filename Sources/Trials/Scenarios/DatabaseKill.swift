import Primitives
import Reactor
import TrialReport

/// The database that coordinators share is killed with all its processes, again and again, and started again.
final class DatabaseKill: Scenario {
  static let about = ScenarioAbout(
    name: "database_kill9",
    summary: "PostgreSQL is killed (SIGKILL) with all its processes again and again; commands go on meanwhile.",
    passes: "coordinators say in /readyz that their store is gone, and are ready again with it; commands went on",
    workers: 4, duration: .seconds(40), quickWorkers: 3, quickDuration: .seconds(12), needs: .ownServer)

  private struct Outage {
    var began: Instant
    var over: Instant?
    /// Bytes that commands had written down when it began, and when the database was started again.
    var before: Int
    var after: Int?
  }

  private var outages: [Outage] = []
  private var watch: ReadinessWatch?

  func adjust(_ settings: inout FleetSettings) { settings.beUnhurried() }

  func begin(_ run: TrialRun) {
    run.keepBusy { $0.steps = 16 }
    let watch = ReadinessWatch(run)
    self.watch = watch
    watch.start()
    kill(run)
  }

  private func kill(_ run: TrialRun) {
    let pause = Duration.milliseconds(Int.random(in: 2_500...4_000, using: &run.random))
    // Sometimes for longer than coordinators may be silent.
    let down = Duration.milliseconds(Int.random(in: 1_000...4_500, using: &run.random))
    run.at(pause) { [self] run in
      outages.append(Outage(began: run.loop.now, before: journalBytes(run)))
      let index = outages.count - 1
      run.killDatabase(for: down) { [self] run in
        outages[index].over = run.loop.now
        kill(run)
      }
      run.at(down - .milliseconds(50)) { [self] run in outages[index].after = journalBytes(run) }
    }
  }

  private func journalBytes(_ run: TrialRun) -> Int { TextFile.read(run.fleet.journal)?.count ?? 0 }

  func judge(_ run: TrialRun, _ evidence: Evidence) -> [TrialReport.Criterion] {
    watch?.stop()
    // The last outage may have been under way when faults ended; what was not seen to its end is not judged.
    let outages = self.outages.filter { $0.over != nil && $0.after != nil }
    var silent: [String] = []
    var slowest = Duration.zero
    var reason = ""
    for (index, outage) in outages.enumerated() {
      guard let over = outage.over else { continue }
      for name in run.fleet.coordinatorNames {
        guard let said = watch?.first(503, of: name, from: outage.began), said.at <= over + .seconds(1),
          !said.reason.isEmpty
        else {
          silent.append("\(name) did not say so of outage \(index + 1)")
          continue
        }
        reason = said.reason
        guard let back = watch?.first(200, of: name, from: said.at) else {
          silent.append("\(name) was not ready again after outage \(index + 1)")
          continue
        }
        slowest = max(slowest, back.at - over)
      }
    }
    let idle = outages.count { ($0.after ?? $0.before) <= $0.before }
    let lost = evidence.lostAttempts
    return [
      TrialReport.Criterion(
        "the database was killed", expected: "at least once", measured: "\(outages.count) times",
        isMet: !outages.isEmpty),
      TrialReport.Criterion(
        "coordinators say so", expected: "each answers /readyz with 503 and a reason, and with 200 again afterwards",
        measured: silent.isEmpty
          ? "\"\(reason.prefix(60))\"; ready again at most \(Evidence.rounded(slowest.inSeconds)) s after it"
          : "not each" + Evidence.some(silent), isMet: silent.isEmpty),
      TrialReport.Criterion(
        "commands go on without it", expected: "some write in each outage", measured: "in \(outages.count - idle)",
        isMet: idle == 0),
      TrialReport.Criterion(
        "it costs no attempt", expected: "0 lost", measured: "\(lost) lost", isMet: lost == 0),
    ]
  }
}
