import ArgumentParsing
import CoordinationCore
import Primitives
import Terminal

/// `lifeline workers`
enum WorkersCommand: Subcommand {
  static let command = ArgumentParsing.Command(
    "workers", "lists workers", options: [ClientOptions.json],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [
      Example("lifeline workers", "Who is there, with how much to do, and how often it came back."),
      Example("lifeline workers --json | jq '.[] | select(.state != \"connected\")'", "Who is away."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      session.ask("list_workers") { reply in
        let workers = (reply["workers"]?.array ?? []).compactMap(\.object)
        if invocation[ClientOptions.json] {
          let list = JSONList(to: Console.standard)
          list.append(workers)
          list.end()
        } else {
          show(workers, to: Console.standard)
        }
        session.finish(0)
      }
    }
  }

  private static func show(_ workers: [JSONObject], to console: Console) {
    var table = Table([
      Table.Column("WORKER"), Table.Column("STATE"), Table.Column("TASKS", .right), Table.Column("SLOTS", .right),
      Table.Column("CONNECTED"), Table.Column("RETURNS", .right), Table.Column("RTT", .right),
      Table.Column("ADDRESS"), Table.Column("SESSION", mayShrink: true),
    ])
    for worker in workers {
      let text = TaskText(worker)
      let state = text.text("state")
      let isAway = ["disconnected", "suspected", "lost"].contains(state)
      table.append([
        Table.Cell(text.worker), Table.Cell(state, isAway ? .yellow : .none),
        Table.Cell("\(worker["active_tasks"]?.array?.count ?? 0)"), Table.Cell(text.text("slots")),
        Table.Cell(TimeText.short(text.text("connected_at"))), Table.Cell(text.text("reconnections")),
        Table.Cell(worker["rtt_s"]?.number.map { "\(($0 * 10_000).rounded() / 10) ms" } ?? ""),
        Table.Cell(text.text("remote_address")), Table.Cell(text.text("session_id")),
      ])
    }
    for line in table.lines(width: console.outputColumns, style: console.outputStyle) { console.write("\(line)\n") }
  }
}
