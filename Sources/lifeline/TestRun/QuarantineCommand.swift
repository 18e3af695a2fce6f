import ArgumentParsing
import CoordinationCore
import Primitives
import Terminal

/// `lifeline quarantine`
enum QuarantineCommand: Subcommand {
  enum Action: String, CaseIterable, Sendable { case list, add, release }

  private static let action = Argument(
    "ACTION", optional: ArgumentType<Action>.choice, "list (unless given), add or release.")
  private static let suite = Argument("SUITE", optional: .string, "The suite: what --name was.")
  private static let test = Argument("TEST", optional: .string, "The test.")
  private static let reason = Option(
    "reason", optional: .string, as: "TEXT", whenMissing: "by hand", "With add: why, for those who find it skipped.")

  static let command = ArgumentParsing.Command(
    "quarantine", "shows, adds and releases tests that are not run",
    details: [
      "A test during which the processes of three workers died is not run any more: it ends as failed, and in later runs it "
        + "is skipped, until it is released. Counted are workers that were started again, and those whose connection ended "
        + "without a farewell and did not come back in time, unless most of the fleet went with them."
    ],
    arguments: [action, suite, test], options: [reason, ClientOptions.json],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [
      Example("lifeline quarantine", "What is in quarantine, and what is under suspicion."),
      Example("lifeline quarantine release unit tests/test_fork.py", "Let a test run again."),
      Example("lifeline quarantine add unit tests/test_fork.py --reason 'ticket 4711'", "Keep one from running."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let action = invocation[action] ?? .list
    let (suite, test) = (invocation[suite], invocation[test])
    if action == .list {
      guard test == nil else { throw invocation.error("list takes a suite, or nothing") }
    } else {
      guard suite != nil, test != nil else { throw invocation.error("\(action.rawValue) takes SUITE and TEST") }
    }
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      guard action != .list else { return list(suite, asJSON: invocation[ClientOptions.json], in: session) }
      var fields: JSONObject = ["suite": .string(suite ?? ""), "test": .string(test ?? "")]
      if action == .add, let reason = invocation[reason] { fields["reason"] = .string(reason) }
      session.ask(action == .add ? "quarantine_test" : "release_test", fields) { _ in
        let done = action == .add ? "in quarantine" : "released"
        Console.standard.write("\("\(suite ?? "") \(test ?? "")".escapedForDisplay): \(done)\n")
        session.finish(0)
      }
    }
  }

  private static func list(_ suite: String?, asJSON: Bool, in session: ClientSession) {
    var tests: [JSONObject] = []
    func ask(after: JSONObject?) {
      var fields: JSONObject = ["suspects": true, "limit": .integer(Int64(TestFilter.maxLimit))]
      if let suite { fields["suite"] = .string(suite) }
      if let after { fields["after"] = .object(after) }
      session.ask("list_tests", fields) { reply in
        let page = (reply["tests"]?.array ?? []).compactMap(\.object)
        tests += page
        if page.count == TestFilter.maxLimit, let last = page.last, let suite = last["suite"], let test = last["test"] {
          return ask(after: ["suite": suite, "test": test])
        }
        if asJSON {
          Console.standard.write(JSONValue.array(tests.map(JSONValue.object)).text + "\n")
        } else {
          show(tests, to: Console.standard)
        }
        session.finish(0)
      }
    }
    ask(after: nil)
  }

  private static func show(_ tests: [JSONObject], to console: Console) {
    guard !tests.isEmpty else { return console.complain("No test is in quarantine, and none is under suspicion.") }
    var table = Table([
      Table.Column("SUITE"), Table.Column("TEST"), Table.Column("STATE"), Table.Column("KILLED", .right),
      Table.Column("SINCE"), Table.Column("WHY", mayShrink: true),
    ])
    for test in tests {
      let isQuarantined = test["quarantined"] == true
      table.append([
        Table.Cell(test["suite"]?.string ?? ""), Table.Cell(test["test"]?.string ?? ""),
        Table.Cell(isQuarantined ? "quarantined" : "suspect", isQuarantined ? .red : .yellow),
        Table.Cell("\(test["killed_workers"]?.integer ?? 0)"),
        Table.Cell(TimeText.short(test["changed_at"]?.string ?? "")), Table.Cell(test["reason"]?.string ?? ""),
      ])
    }
    console.write(table)
  }
}
