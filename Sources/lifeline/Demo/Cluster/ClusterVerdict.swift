/// What the demonstration of several coordinators has shown.
struct ClusterVerdict {
  /// A worker and a database are not all: of coordinators, one is killed and two are cut off.
  private static let faultCount = 4

  let outcome: DemoOutcome
  let faults: ClusterFaults

  /// - Returns: whether everything came as it must.
  func show(on console: Console) -> Bool {
    console.write(line: "")
    console.write(outcome.table)
    console.write(line: "")
    console.write(faults.table)
    console.write(line: "")
    console.write(line: outcome.summary("as they must"))
    console.write(
      line: "\(outcome.restarted.count) were started again elsewhere, "
        + "\(outcome.continued.count) of them continued from a checkpoint")
    outcome.complain(to: console)
    if outcome.continued.isEmpty {
      console.complain("no command continued from a checkpoint: there was nothing to see")
    }
    let open = faults.list.filter { !$0.isOver }
    for fault in open { console.complain("\(fault.what): not everything went on") }
    if faults.list.count < Self.faultCount {
      console.complain("only \(faults.list.count) of \(Self.faultCount) faults came before everything was done")
    }
    return outcome.isRight && !outcome.continued.isEmpty && open.isEmpty && faults.list.count == Self.faultCount
  }
}
