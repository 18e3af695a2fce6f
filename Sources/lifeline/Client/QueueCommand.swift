import ArgumentParsing
import CoordinationCore
import Terminal

/// `lifeline queue`
enum QueueCommand: Subcommand {
  static let command = ArgumentParsing.Command(
    "queue", "shows how much waits, by priority",
    details: [
      "TASKS wait for a worker that has room, and are as old as their submission. MESSAGES have been given to a worker whose "
        + "connection takes no more for now."
    ],
    options: [ClientOptions.json],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [
      Example("lifeline queue", "How much waits, and for how long."),
      Example("lifeline queue --json | jq '[.tasks[].waiting] | add'", "How many tasks no worker has yet."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      session.ask("queue_status") { reply in
        let status: JSONObject = ["tasks": reply["tasks"] ?? .null, "messages": reply["messages"] ?? .null]
        if invocation[ClientOptions.json] {
          Console.standard.write("\(status.text)\n")
        } else {
          show(status, to: Console.standard)
        }
        session.finish(0)
      }
    }
  }

  private static func show(_ status: JSONObject, to console: Console) {
    var table = Table([
      Table.Column("PRIORITY"), Table.Column("TASKS", .right), Table.Column("OLDEST", .right),
      Table.Column("MESSAGES", .right),
    ])
    for priority in Priority.allCases {
      let tasks = status["tasks"]?.object?[priority.name]?.object
      let messages = status["messages"]?.object?[priority.name]?.object
      table.append([
        Table.Cell(priority.name), Table.Cell("\(tasks?["waiting"]?.integer ?? 0)"),
        Table.Cell(tasks?["oldest_s"]?.number.map { TimeText.short(.seconds($0)) } ?? ""),
        Table.Cell("\(messages?["waiting"]?.integer ?? 0)"),
      ])
    }
    console.write(table)
  }
}
