import ArgumentParsing
import CoordinationCore

/// `lifeline drain`
enum DrainCommand: Subcommand {
  private static let workers = Argument("WORKER", repeated: .string, required: true, "The workers.")

  static let command = ArgumentParsing.Command(
    "drain", "lets workers leave",
    details: [
      "A worker is given nothing more and does as after SIGTERM: what runs ends, or is handed to others after the worker's "
        + "--drain-timeout; then it leaves. One that does not know the request is only given nothing more.",
      "Prints a line for each worker; the exit status is 1 if one of them is not known.",
    ],
    arguments: [workers],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [Example("lifeline drain rack7-a rack7-b", "Take two workers out of the fleet.")])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    var names: [String] = []
    for text in invocation[workers] {
      do { names.append(try WorkerID(text).text) } catch { throw invocation.error("\(error)") }
    }
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      session.askEach(of: names, "drain_worker", "worker_id") { name, _ in "\(name): asked to leave" }
    }
  }
}
