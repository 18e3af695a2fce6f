import CoordinationCore
import Glibc
import Primitives
import Terminal

/// What `run` prints: on a terminal a progress line and what failed, in a pipe a line for each task that ended, and a
/// summary. A single command's own output has standard output to itself.
final class RunReport {
  private let plan: SubmissionPlan
  private let wantsJSON: Bool
  private let console = Console.standard
  /// The user has asked for the end.
  var isInterrupted = false
  private var progressLine = ProgressLine(isTerminal: true, unit: "tasks")

  init(_ plan: SubmissionPlan, wantsJSON: Bool) {
    self.plan = plan
    self.wantsJSON = wantsJSON
  }

  func show(_ progress: Progress) {
    guard !wantsJSON else { return }
    console.show(progressLine.update(progress, columns: console.outputColumns ?? TerminalDevice.usualColumns))
  }

  func ended(_ task: TaskText) {
    guard !wantsJSON, !plan.isSingle else { return }
    if console.outputIsTerminal {
      // The progress line counts those that went well, and who cancels a run knows what becomes of it.
      guard task.status != "completed", task.status != "cancelled" || !isInterrupted else { return }
    }
    console.write(line: line(task, style: console.outputStyle))
  }

  private func line(_ task: TaskText, style: TextStyle) -> String {
    let verdict = task.verdict
    var parts = [
      style.apply(task.emphasis, to: verdict) + String(repeating: " ", count: max(2, 9 - verdict.count))
        + task.name.escapedForDisplay
    ]
    if !task.exitCode.isEmpty { parts.append("exit \(task.exitCode)") }
    if task.attempt != "0" { parts.append("attempt \(task.attempt)") }
    if !task.worker.isEmpty { parts.append("worker \(task.worker.escapedForDisplay)") }
    if let duration = task.duration { parts.append("\(TimeText.seconds(duration)) s") }
    parts.append("task \(task.id.escapedForDisplay)")
    let reason = task.text("reason")
    if task.status != "completed", !reason.isEmpty, reason != "exit status \(task.exitCode)" {
      parts.append("(\(reason.escapedForDisplay))")
    }
    return parts.joined(separator: "  ")
  }

  /// A single command's output goes where it would have gone had it run here.
  func passOutput(of task: JSONObject) {
    guard !wantsJSON else { return }
    console.show(live: "")
    CommandOutputText.write(task, to: console)
  }

  func summarize(
    _ statuses: [String], objects: [JSONObject] = [], unsubmitted: Int, elapsed: Duration
  ) {
    var counts: [String: Int] = [:]
    for status in statuses { counts[status, default: 0] += 1 }
    console.show(live: "")
    if wantsJSON {
      let object: JSONObject = [
        "run": .string(plan.run), "total": .integer(Int64(plan.tasks.count)),
        "completed": .integer(Int64(counts["completed"] ?? 0)), "failed": .integer(Int64(counts["failed"] ?? 0)),
        "cancelled": .integer(Int64(counts["cancelled"] ?? 0)), "not_submitted": .integer(Int64(unsubmitted)),
        "seconds": .duration(elapsed), "tasks": .array(objects.map(JSONValue.object)),
      ]
      return console.write(object.text + "\n")
    }
    var parts = ["completed", "failed", "cancelled"].compactMap { status in counts[status].map { "\($0) \(status)" } }
    if unsubmitted > 0 { parts.append("\(unsubmitted) not submitted") }
    if parts.isEmpty { parts.append("nothing to do") }
    let count = plan.tasks.count
    let summary =
      "\(count) \(count == 1 ? "task" : "tasks"): \(parts.joined(separator: ", ")) in \(TimeText.short(elapsed)), run \(plan.run)"
    guard plan.isSingle else { return console.write(line: summary) }
    if let task = objects.first.map(TaskText.init) {
      console.complain(line(task, style: .plain))
    } else {
      console.complain(summary)
    }
  }
}
