import ArgumentParsing
import Coordination
import CoordinationCore
import Primitives

/// A command that asks the same of each task it names.
protocol ControlCommand: Subcommand {
  static var request: MessageKind { get }
  /// What a task's line says once the request is durable.
  static var done: String { get }
  /// The status at which there is nothing left to ask for.
  static var goal: TaskStatus { get }
}

private let controlledTasks = Argument("ID", repeated: TaskArgument.type, required: true, "The tasks.")

extension ControlCommand {
  fileprivate static func page(
    _ name: String, _ purpose: String, details: String, examples: [Example]
  ) -> ArgumentParsing.Command {
    ArgumentParsing.Command(
      name, purpose,
      details: [details + " Prints a line for each task; the exit status is 1 if one of them could not be asked."],
      arguments: [controlledTasks],
      sections: [
        OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
      ], examples: examples)
  }

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    var ids: [String] = []
    for text in invocation[controlledTasks] { ids.append(try TaskArgument.read(text, invocation)) }
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      ask(ids[...], hasFailed: false, in: session)
    }
  }

  /// One after the other, so that the lines come in the order of the command line.
  private static func ask(_ ids: ArraySlice<String>, hasFailed: Bool, in session: ClientSession) {
    guard let id = ids.first else { return session.finish(hasFailed ? 1 : 0) }
    session.client.request(request, ["task_id": .string(id)]) { result in
      switch result {
      case .success:
        Console.standard.write("\(id): \(done)\n")
        ask(ids.dropFirst(), hasFailed: hasFailed, in: session)
      case .failure(let error) where error.code == "refused":
        // Asked a second time, as after a lost answer, what was wanted may hold already.
        session.client.request("get_task", ["task_id": .string(id)]) { detail in
          let status = (try? detail.get())?["task"]?.object?["status"]?.string
          if status == goal.rawValue {
            Console.standard.write("\(id): \(goal.rawValue) already\n")
          } else {
            session.complain(error)
          }
          ask(ids.dropFirst(), hasFailed: hasFailed || status != goal.rawValue, in: session)
        }
      case .failure(let error) where error.code != nil:
        session.complain(error)
        ask(ids.dropFirst(), hasFailed: true, in: session)
      case .failure(let error): session.fail(error)
      }
    }
  }
}

/// `lifeline cancel`
enum CancelCommand: ControlCommand {
  static let request: MessageKind = "cancel_task"
  static let done = "cancellation requested"
  static let goal = TaskStatus.cancelled
  static let command = page(
    "cancel", "cancels tasks",
    details: "A command that runs is sent SIGTERM, and SIGKILL if it does not end.",
    examples: [
      Example("lifeline cancel nightly-0007", "Cancel one task."),
      Example(
        "lifeline tasks --run nightly --status queued --json | jq -r '.[].task_id' | xargs lifeline cancel",
        "Cancel what has not begun."),
    ])
}

/// `lifeline pause`
enum PauseCommand: ControlCommand {
  static let request: MessageKind = "pause_task"
  static let done = "pause requested"
  static let goal = TaskStatus.paused
  static let command = page(
    "pause", "makes tasks stand still",
    details: "A command that runs is stopped with SIGSTOP and keeps its worker's slot.",
    examples: [Example("lifeline pause nightly-0007", "Stop a task where it is; resume makes it go on.")])
}

/// `lifeline resume`
enum ResumeCommand: ControlCommand {
  static let request: MessageKind = "resume_task"
  static let done = "resumption requested"
  static let goal = TaskStatus.running
  static let command = page(
    "resume", "makes paused tasks go on", details: "A command that was paused goes on where it stood.",
    examples: [Example("lifeline resume nightly-0007", "Let a paused task go on.")])
}
