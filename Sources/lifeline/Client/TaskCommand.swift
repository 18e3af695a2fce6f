import ArgumentParsing
import CoordinationCore
import Primitives
import Terminal

/// `lifeline task`
enum TaskCommand: Subcommand {
  private static let id = Argument("ID", TaskArgument.type, "The task.")

  static let command = ArgumentParsing.Command(
    "task", "shows all that is known of a task", arguments: [id], options: [ClientOptions.json],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [
      Example("lifeline task nightly-0007", "Its attempts with their reasons, its checkpoints, its output."),
      Example("lifeline task nightly-0007 --json | jq .attempts", "The same for a program."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let id = try TaskArgument.read(invocation[id], invocation)
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      session.ask("get_task", ["task_id": .string(id)]) { reply in
        let task = reply["task"]?.object ?? JSONObject()
        if invocation[ClientOptions.json] {
          Console.standard.write(task.text + "\n")
        } else {
          show(task, to: Console.standard)
        }
        session.finish(0)
      }
    }
  }

  private static func show(_ task: JSONObject, to console: Console) {
    let text = TaskText(task)
    let style = console.outputStyle
    var lines: [String] = []
    func add(_ title: String, _ value: String, _ emphasis: TextStyle.Emphasis = .none) {
      guard !value.isEmpty else { return }
      let padding = String(repeating: " ", count: max(1, 12 - title.count))
      lines.append(style.apply(.bold, to: title) + padding + style.apply(emphasis, to: value.escapedForDisplay))
    }
    add("Task", text.id)
    add("Name", text.name)
    add("Status", text.status, text.emphasis)
    add("Reason", text.text("reason"))
    add("Waiting for", text.text("waiting_for"))
    add("Exit code", text.exitCode)
    add("Progress", text.progress)
    if let junit = task["result"]?.object?["junit"]?.string {
      add("Result", "a JUnit file of \(junit.utf8.count) bytes (--json shows it)")
    } else {
      add("Result", text.text("result"))
    }
    add("Attempt", text.attempt)
    add("Worker", text.worker)
    add("Run", text.text("run"))
    add("Priority", text.text("priority"))
    add("Command", text.text("command"))
    add("Kind", text.text("kind"))
    add("Input", text.text("input"))
    add("Requires", text.text("requires"))
    add("Slots", text.text("slots"))
    add("Submitted", TimeText.short(text.text("submitted_at")))
    add("Started", TimeText.short(text.text("started_at")))
    add("Finished", TimeText.short(text.text("finished_at")))
    add("Took", text.duration.map(TimeText.short) ?? "")
    lines += attempts(task, console) + checkpoints(task, console)
    for stream in OutputStream.allCases { lines += output(stream.rawValue, task, style) }
    if let dropped = task["dropped_bytes"]?.integer, dropped > 0 { lines.append("(\(dropped) bytes were not kept)") }
    console.write(lines.map { $0 + "\n" }.joined())
  }

  private static func attempts(_ task: JSONObject, _ console: Console) -> [String] {
    let attempts = (task["attempts"]?.array ?? []).compactMap(\.object).map(TaskText.init)
    guard !attempts.isEmpty else { return [] }
    var table = Table([
      Table.Column("ATTEMPT", .right), Table.Column("OUTCOME"), Table.Column("EXIT", .right), Table.Column("WORKER"),
      Table.Column("STARTED"), Table.Column("ENDED"), Table.Column("FROM"), Table.Column("REASON", mayShrink: true),
    ])
    for attempt in attempts {
      let from = attempt.task["resumed_from"]?.object.map(TaskText.init)
      table.append([
        Table.Cell(attempt.attempt), Table.Cell(attempt.text("outcome")), Table.Cell(attempt.exitCode),
        Table.Cell(attempt.worker), Table.Cell(TimeText.short(attempt.text("started_at"))),
        Table.Cell(TimeText.short(attempt.text("ended_at"))),
        Table.Cell(from.map { "\($0.attempt).\($0.text("number"))" } ?? ""), Table.Cell(attempt.text("reason")),
      ])
    }
    return [""] + table.lines(width: console.outputColumns, style: console.outputStyle)
  }

  private static func checkpoints(_ task: JSONObject, _ console: Console) -> [String] {
    let checkpoints = (task["checkpoints"]?.array ?? []).compactMap(\.object).map(TaskText.init)
    guard !checkpoints.isEmpty else { return [] }
    var table = Table([
      Table.Column("CHECKPOINT"), Table.Column("TIME"), Table.Column("DATA", mayShrink: true),
    ])
    for checkpoint in checkpoints {
      table.append([
        Table.Cell("\(checkpoint.attempt).\(checkpoint.text("number"))"),
        Table.Cell(TimeText.short(checkpoint.text("created_at"))), Table.Cell(checkpoint.text("data")),
      ])
    }
    return [""] + table.lines(width: console.outputColumns, style: console.outputStyle)
  }

  private static func output(_ name: String, _ task: JSONObject, _ style: TextStyle) -> [String] {
    let bytes = CommandOutputText.bytes(name, of: task)
    guard !bytes.isEmpty else { return [] }
    let text = String(decoding: bytes, as: UTF8.self)
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { String($0).escapedForDisplay }
    if lines.last == "" { lines.removeLast() }
    return ["", style.apply(.bold, to: name)] + lines.map { "  \($0)" }
  }
}

/// A task's id on the command line.
enum TaskArgument {
  static let type = ArgumentType.string.listed(by: TasksCommand.command.name)

  static func read(_ text: String, _ invocation: Invocation) throws(UsageError) -> String {
    do { return try TaskID(text).text } catch { throw invocation.error("\(error)") }
  }
}
