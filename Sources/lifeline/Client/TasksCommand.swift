import ArgumentParsing
import CoordinationCore
import Primitives
import Terminal

/// `lifeline tasks`
enum TasksCommand: Subcommand {
  private static let status = Option(
    "status", repeated: ArgumentType<TaskStatus>.choice, as: "STATUS", "Only tasks of this status.")
  private static let run = Option("run", optional: .string, as: "ID", "Only tasks of this run.")
  private static let worker = Option(
    "worker", optional: .string.listed(by: WorkersCommand.command.name), as: "ID",
    "Only tasks that this worker holds or ended.")
  private static let limit = Option("limit", optional: .integer(0...Int.max), as: "N", "At most so many tasks.")

  static let command = ArgumentParsing.Command(
    "tasks", "lists tasks",
    options: [status, run, worker, limit, ClientOptions.json],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [
      Example("lifeline tasks --status running", "What runs now."),
      Example("lifeline tasks --status failed --status cancelled --run nightly", "What went wrong in a run."),
      Example(
        "lifeline tasks --json | jq -r '.[] | select(.attempt > 1) | .task_id'", "What was tried more than once."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    var filter = JSONObject()
    let statuses = invocation[status]
    if !statuses.isEmpty { filter["statuses"] = .array(statuses.map { .string($0.rawValue) }) }
    if let run = invocation[run] { filter["run"] = .string(run) }
    if let worker = invocation[worker] {
      do { filter["worker_id"] = .string(try WorkerID(worker).text) } catch {
        throw invocation.error("--worker: \(error)")
      }
    }
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      let console = Console.standard
      if invocation[ClientOptions.json] {
        let list = JSONList(to: console)
        session.list(filter, limit: invocation[limit], page: { list.append($0) }) {
          list.end()
          session.finish(0)
        }
      } else {
        var table = Table([
          Table.Column("TASK"), Table.Column("STATUS"), Table.Column("EXIT", .right), Table.Column("TRY", .right),
          Table.Column("WORKER", mayShrink: true), Table.Column("SUBMITTED"), Table.Column("TIME", .right),
          Table.Column("NAME", mayShrink: true),
        ])
        session.list(filter, limit: invocation[limit], page: { page in for task in page { append(task, to: &table) } })
        {
          console.write(table)
          session.finish(0)
        }
      }
    }
  }

  private static func append(_ task: JSONObject, to table: inout Table) {
    let text = TaskText(task)
    let status = text.status == "running" && !text.progress.isEmpty ? "running \(text.progress)" : text.status
    table.append([
      Table.Cell(text.id), Table.Cell(status, text.emphasis), Table.Cell(text.exitCode), Table.Cell(text.attempt),
      Table.Cell(text.worker), Table.Cell(TimeText.short(text.text("submitted_at"))),
      Table.Cell(text.duration.map(TimeText.short) ?? ""), Table.Cell(text.name),
    ])
  }
}

/// A JSON array that is written as its elements come, each on a line of its own.
final class JSONList {
  private let console: Console
  private var isEmpty = true

  init(to console: Console) {
    self.console = console
  }

  func append(_ objects: [JSONObject]) {
    var text = ""
    for object in objects {
      text += (isEmpty ? "[\n" : ",\n") + object.text
      isEmpty = false
    }
    if !text.isEmpty { console.write(text) }
  }

  func end() { console.write(isEmpty ? "[]\n" : "\n]\n") }
}
