import ArgumentParsing
import Coordination
import CoordinationCore

/// `lifeline retry`
enum RetryCommand: Subcommand {
  private static let tasks = Argument("ID", repeated: .string, required: true, "The tasks.")

  static let command = ArgumentParsing.Command(
    "retry", "does tasks again that have ended",
    details: [
      "What ended never changes: a new task with the same specification is submitted, named ID.2, ID.3 and so on. While "
        + "the newest of them has not ended, it is the answer, so asking twice does it once.",
      "Prints a line for each task; the exit status is 1 if one of them could not be done again.",
    ],
    arguments: [tasks],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [
      Example("lifeline retry nightly-0007", "Do one task again."),
      Example(
        "lifeline tasks --run nightly --status failed --json | jq -r '.[].task_id' | xargs lifeline retry",
        "Do again whatever failed."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    var ids: [String] = []
    for text in invocation[tasks] { ids.append(try TaskArgument.read(text, invocation)) }
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      session.askEach(of: ids, "retry_task", "task_id") { id, reply in
        "\(id): submitted again as \(reply["task_id"]?.string ?? "")"
      }
    }
  }
}

extension ClientSession {
  /// Asks the same of one thing after the other, so that the lines come in the order of the command line, and ends.
  func askEach(
    of names: [String], _ request: MessageKind, _ member: String, _ line: @escaping (String, JSONObject) -> String
  ) {
    askEach(of: names[...], request, member, hasFailed: false, line)
  }

  private func askEach(
    of names: ArraySlice<String>, _ request: MessageKind, _ member: String, hasFailed: Bool,
    _ line: @escaping (String, JSONObject) -> String
  ) {
    guard let name = names.first else { return finish(hasFailed ? 1 : 0) }
    client.request(request, [member: .string(name)]) { [self] result in
      var hasFailed = hasFailed
      switch result {
      case .success(let reply): Console.standard.write(line(name, reply) + "\n")
      case .failure(let error) where error.code != nil:
        complain(error)
        hasFailed = true
      case .failure(let error): return fail(error)
      }
      askEach(of: names.dropFirst(), request, member, hasFailed: hasFailed, line)
    }
  }
}
