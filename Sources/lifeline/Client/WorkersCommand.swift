import ArgumentParsing
import CoordinationCore
import Primitives
import Reactor
import Terminal

/// `lifeline workers`
enum WorkersCommand: Subcommand {
  private static let telemetry = Option(
    flag: "telemetry", "Ask the workers how they fare, and show that: figures of their tasks, queues and connections.")

  static let command = ArgumentParsing.Command(
    "workers", "lists workers", options: [telemetry, ClientOptions.json],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [
      Example("lifeline workers", "Who is there, with how much to do, and how often it came back."),
      Example("lifeline workers --telemetry", "What each has done, and what waits in it."),
      Example("lifeline workers --json | jq '.[] | select(.state != \"connected\")'", "Who is away."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let wantsTelemetry = invocation[telemetry]
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      func show(_ workers: [JSONObject]) {
        if invocation[ClientOptions.json] {
          let list = JSONList(to: Console.standard)
          list.append(workers)
          list.end()
        } else if wantsTelemetry {
          TelemetryTable.show(workers, to: Console.standard)
        } else {
          Self.show(workers, to: Console.standard)
        }
        session.finish(0)
      }
      let wanted = wantsTelemetry || invocation[ClientOptions.json]
      list(session, withTelemetry: wanted) { workers in
        guard wantsTelemetry else { return show(workers) }
        session.ask("request_telemetry") { _ in
          TelemetryWait(session, known: workers).end(show)
        }
      }
    }
  }

  fileprivate static func list(
    _ session: ClientSession, withTelemetry: Bool, _ body: @escaping ([JSONObject]) -> Void
  ) {
    session.ask("list_workers", ["telemetry": .bool(withTelemetry)]) { reply in
      body((reply["workers"]?.array ?? []).compactMap(\.object))
    }
  }

  private static func show(_ workers: [JSONObject], to console: Console) {
    var table = Table([
      Table.Column("WORKER"), Table.Column("STATE"), Table.Column("TASKS", .right), Table.Column("SLOTS", .right),
      Table.Column("CONNECTED"), Table.Column("RETURNS", .right), Table.Column("RTT", .right),
      Table.Column("ADDRESS"), Table.Column("SESSION", mayShrink: true), Table.Column("LABELS", mayShrink: true),
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
        Table.Cell(text.text("remote_address")), Table.Cell(text.text("session_id")), Table.Cell(labels(of: worker)),
      ])
    }
    console.write(table)
  }

  /// Those that people gave it before those that every machine has.
  private static func labels(of worker: JSONObject) -> String {
    let builtIn: Set<String> = ["os", "arch", "host", "cpus", "memory_mb"]
    let all = (worker["labels"]?.object?.members ?? []).map { (name: $0.key, value: $0.value.string ?? "") }
    let sorted = all.filter { !builtIn.contains($0.name) } + all.filter { builtIn.contains($0.name) }
    return sorted.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
  }
}

/// Waits until the workers that were asked for telemetry have answered, or long enough.
private final class TelemetryWait {
  /// For all of them; one that does not answer by then has other troubles.
  private static let limit: Duration = .seconds(2)
  /// Between the first two looks; each later pause is longer, for a look at a large fleet is not cheap.
  private static let interval: Duration = .milliseconds(50)
  private static let maxInterval: Duration = .milliseconds(400)

  private let session: ClientSession
  /// When each of those that can answer last did, before it was asked.
  private let known: [String: JSONValue]
  private let deadline: Instant
  private var pause = interval

  init(_ session: ClientSession, known workers: [JSONObject]) {
    self.session = session
    var known: [String: JSONValue] = [:]
    for worker in workers where worker["mode"]?.string == "session" {
      if let id = worker["worker_id"]?.string { known[id] = worker["telemetry_at"] ?? .null }
    }
    self.known = known
    deadline = session.loop.now + Self.limit
  }

  func end(_ body: @escaping ([JSONObject]) -> Void) {
    WorkersCommand.list(session, withTelemetry: true) { [self] workers in
      let isWaiting = workers.contains { worker in
        guard worker["mode"]?.string == "session", let id = worker["worker_id"]?.string, let before = known[id] else {
          return false
        }
        return worker["telemetry_at"] ?? .null == before
      }
      guard isWaiting, session.loop.now < deadline else { return body(workers) }
      _ = session.loop.schedule(after: pause) { self.end(body) }
      pause = min(pause * 2, Self.maxInterval)
    }
  }
}
