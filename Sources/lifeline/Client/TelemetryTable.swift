import CoordinationCore
import Primitives
import Terminal

/// What workers say about themselves, one row each.
enum TelemetryTable {
  static func show(_ workers: [JSONObject], to console: Console) {
    var table = Table([
      Table.Column("WORKER"), Table.Column("TOLD AT"), Table.Column("UP", .right), Table.Column("RUNNING", .right),
      Table.Column("DONE", .right), Table.Column("FAILED", .right), Table.Column("CHECKPOINTS", .right),
      Table.Column("SENT", .right), Table.Column("RECEIVED", .right), Table.Column("WAITING", .right),
      Table.Column("RETURNS", .right), Table.Column("RTT", .right),
    ])
    for worker in workers {
      let text = TaskText(worker)
      let telemetry = worker["telemetry"]?.object ?? JSONObject()
      let (metrics, queue, connection) =
        (member("metrics", telemetry), member("queue_status", telemetry), member("connection_stats", telemetry))
      let waiting = ["waiting", "persisting", "outbox_messages"].compactMap { queue[$0]?.integer }
      table.append([
        Table.Cell(text.worker), Table.Cell(TimeText.short(text.text("telemetry_at"))),
        Table.Cell(metrics["uptime_s"]?.number.map { "\(Int64($0)) s" } ?? ""), Table.Cell(count(queue, "running")),
        Table.Cell(count(metrics, "tasks_completed")), Table.Cell(count(metrics, "tasks_failed")),
        Table.Cell(count(metrics, "checkpoints")), Table.Cell(count(metrics, "messages_sent")),
        Table.Cell(count(metrics, "messages_received")),
        Table.Cell(waiting.isEmpty ? "" : "\(waiting.reduce(0, &+))"), Table.Cell(count(connection, "reconnections")),
        Table.Cell(connection["rtt_s"]?.number.map { "\(($0 * 10_000).rounded() / 10) ms" } ?? ""),
      ])
    }
    console.write(table)
  }

  private static func member(_ name: String, _ object: JSONObject) -> JSONObject {
    object[name]?.object ?? JSONObject()
  }

  private static func count(_ object: JSONObject, _ name: String) -> String {
    object[name]?.integer.map { "\($0)" } ?? ""
  }
}
