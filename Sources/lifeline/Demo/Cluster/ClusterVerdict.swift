import CoordinationCore
import Primitives
import Terminal

/// What the demonstration of several coordinators has shown.
struct ClusterVerdict {
  /// A worker and a database are not all: of coordinators, one is killed and two are cut off.
  private static let faultCount = 4

  private let verdicts: [DemoVerdict]
  private let faults: ClusterFaults
  private let took: Duration

  init(_ details: [String: JSONObject], _ faults: ClusterFaults, _ took: Duration) {
    verdicts = ClusterTasks.all.map { DemoVerdict($0, details[$0.id] ?? [:]) }
    self.faults = faults
    self.took = took
  }

  /// - Returns: whether everything came as it must.
  func show(on console: Console) -> Bool {
    console.write(line: "")
    write(DemoVerdict.table(verdicts), console)
    console.write(line: "")
    write(faults.table, console)
    console.write(line: "")
    let wrong = verdicts.filter { !$0.problems.isEmpty }
    let continued = verdicts.filter { $0.continuedFrom != nil }
    let restarted = verdicts.filter { $0.attempts > 1 }
    console.write(
      line: "\(verdicts.count - wrong.count) of \(verdicts.count) commands ended exactly once, as they must, in "
        + "\(Int(took.inSeconds.rounded())) s")
    console.write(
      line: "\(restarted.count) were started again elsewhere, \(continued.count) of them continued from a checkpoint")
    for verdict in wrong { console.complain("\(verdict.task.id): \(verdict.problems.joined(separator: "; "))") }
    let forgotten = restarted.filter { $0.continuedFrom == nil && $0.hadCheckpoint }
    for verdict in forgotten { console.complain("\(verdict.task.id) had a checkpoint and did not continue from it") }
    if continued.isEmpty { console.complain("no command continued from a checkpoint: there was nothing to see") }
    let open = faults.list.filter { !$0.isOver }
    for fault in open { console.complain("\(fault.what): not everything went on") }
    if faults.list.count < Self.faultCount {
      console.complain("only \(faults.list.count) of \(Self.faultCount) faults came before everything was done")
    }
    return wrong.isEmpty && forgotten.isEmpty && !continued.isEmpty && open.isEmpty
      && faults.list.count == Self.faultCount
  }

  private func write(_ table: Table, _ console: Console) {
    for line in table.lines(width: console.outputColumns, style: console.outputStyle) { console.write(line: line) }
  }
}
