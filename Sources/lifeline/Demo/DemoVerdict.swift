import CoordinationCore
import Terminal

/// What became of one of the demonstration's commands, held against what must have.
struct DemoVerdict {
  let task: DemoTask
  let problems: [String]
  let status: String
  let exitCode: Int64?
  let attempts: Int
  /// The newest attempt's starting point, as ATTEMPT.NUMBER.
  let continuedFrom: String?
  /// Whether an attempt before the last wrote a checkpoint.
  let hadCheckpoint: Bool
  let worker: String
  let lastLine: String

  init(_ task: DemoTask, _ detail: JSONObject) {
    self.task = task
    status = detail["status"]?.string ?? "missing"
    exitCode = detail["exit_code"]?.integer
    worker = detail["worker_id"]?.string ?? ""
    let records = (detail["attempts"]?.array ?? []).compactMap(\.object)
    attempts = records.count
    let last = records.last
    if let from = last?["resumed_from"]?.object {
      continuedFrom = "\(from["attempt"]?.integer ?? 0).\(from["number"]?.integer ?? 0)"
    } else {
      continuedFrom = nil
    }
    let newest = last?["attempt"]?.integer ?? 0
    hadCheckpoint = (detail["checkpoints"]?.array ?? []).contains {
      ($0.object?["attempt"]?.integer ?? newest) < newest
    }
    lastLine = (detail["stdout"]?.string ?? "").split(separator: "\n").last.map(String.init) ?? ""
    var problems: [String] = []
    let expectedStatus = task.exitCode == 0 ? "completed" : "failed"
    if status != expectedStatus { problems.append("status \(status) instead of \(expectedStatus)") }
    if exitCode != Int64(task.exitCode) {
      problems.append("exit code \(exitCode.map(String.init) ?? "none") instead of \(task.exitCode)")
    }
    if lastLine != task.lastLine { problems.append("last line \"\(lastLine)\" instead of \"\(task.lastLine)\"") }
    let endings = records.count { $0["outcome"]?.string != "lost" }
    if endings != 1 { problems.append("\(endings) attempts ended by themselves instead of one") }
    self.problems = problems
  }

  static func table(_ verdicts: [DemoVerdict]) -> Table {
    var table = Table([
      Table.Column("TASK"), Table.Column("COMMAND", mayShrink: true), Table.Column("STATUS"),
      Table.Column("EXIT", .right), Table.Column("ATTEMPTS", .right), Table.Column("CONTINUED FROM"),
      Table.Column("WORKER"), Table.Column("LAST LINE", mayShrink: true), Table.Column("AS IT MUST"),
    ])
    for verdict in verdicts {
      table.append([
        Table.Cell(verdict.task.id), Table.Cell(verdict.task.name),
        Table.Cell(verdict.status, verdict.status == "completed" ? .green : .yellow),
        Table.Cell(verdict.exitCode.map(String.init) ?? ""),
        Table.Cell("\(verdict.attempts)", verdict.attempts > 1 ? .bold : .none),
        Table.Cell(verdict.continuedFrom.map { "checkpoint \($0)" } ?? ""), Table.Cell(verdict.worker),
        Table.Cell(verdict.lastLine),
        Table.Cell(verdict.problems.isEmpty ? "yes" : "NO", verdict.problems.isEmpty ? .none : .red),
      ])
    }
    return table
  }
}
