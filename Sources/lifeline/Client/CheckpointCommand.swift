import ArgumentParsing
import Coordination
import CoordinationCore
import Glibc
import Primitives

/// `lifeline checkpoint`
enum CheckpointCommand: Subcommand {
  private static let data = Argument("JSON", optional: .string, "The checkpoint; standard input when left out.")
  private static let progress = Option(
    "progress", optional: .number(0...1), as: "SHARE", "Report how far the command has come.")
  private static let latest = Option(
    flag: "latest", "Print the checkpoint to go on from; the exit status is 1 if there is none.")
  private static let task = Option(
    "task", optional: TaskArgument.type, as: "ID", "Ask whoever runs this task for a checkpoint now.")

  private static let maxInputBytes = 16 << 20

  static let command = ArgumentParsing.Command(
    "checkpoint", "saves how far a command has come, for an attempt that follows it",
    details: [
      "Used by a command that a worker runs. A later attempt, on whichever worker, finds the newest checkpoint with "
        + "--latest, or in the file that the variable LIFELINE_CHECKPOINT_FILE names."
    ],
    arguments: [data], options: [progress, latest, task],
    sections: [
      OptionSection("Connection, for --task", [ClientOptions.coordinator, ClientOptions.patience]),
      ClientOptions.security,
    ],
    examples: [
      Example("lifeline checkpoint '{\"done\": 41}'", "Save a checkpoint."),
      Example("done=$(lifeline checkpoint --latest | jq .done || echo 0)", "Find the place to go on from."),
      Example("lifeline checkpoint --progress 0.4", "Report progress only."),
      Example("lifeline checkpoint --task nightly-0007", "Ask a running task for one, from outside."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let wishes = [invocation[latest], invocation[task] != nil, invocation[data] != nil || invocation[progress] != nil]
    guard wishes.count(where: { $0 }) <= 1 else {
      throw invocation.error("--latest, --task and saving a checkpoint exclude each other")
    }
    if invocation[latest] { return try printLatest(invocation) }
    if let id = invocation[task] { return try ask(TaskArgument.read(id, invocation), invocation) }
    return try save(invocation)
  }

  private static func save(_ invocation: Invocation) throws(UsageError) -> Int32 {
    guard let text = Surroundings.variables["LIFELINE_CONTROL_FD"] else {
      throw invocation.error(
        "LIFELINE_CONTROL_FD is not set: this is no command that a worker runs; from outside use --task ID")
    }
    guard let descriptor = Int32(text), descriptor >= 0, fcntl(descriptor, F_GETFD) >= 0 else {
      throw invocation.error("LIFELINE_CONTROL_FD is \(text), which is no open descriptor")
    }
    var line = JSONObject()
    if let value = try value(invocation) {
      let (bytes, limit) = (value.text.utf8.count, CommandExecutor.Configuration().maxCheckpointBytes)
      guard bytes <= limit else {
        Console.standard.complain("lifeline checkpoint: the checkpoint has \(bytes) bytes; at most \(limit) are kept")
        return 1
      }
      line["checkpoint"] = value
    }
    if let share = invocation[progress] { line["progress"] = .number(share) }
    Console.standard.write(Array((line.text + "\n").utf8), to: descriptor)
    return 0
  }

  /// The checkpoint to save; `nil` when only progress is to be reported.
  private static func value(_ invocation: Invocation) throws(UsageError) -> JSONValue? {
    let bytes: [UInt8]
    if let text = invocation[data] {
      bytes = Array(text.utf8)
    } else if invocation[progress] != nil {
      return nil
    } else {
      guard let input = StandardInput.read(maxBytes: maxInputBytes) else {
        throw invocation.error("standard input cannot be read, or has more than \(maxInputBytes >> 20) MiB")
      }
      bytes = input
    }
    do { return try JSONParser.parse(bytes) } catch { throw invocation.error("the checkpoint is not JSON: \(error)") }
  }

  private static func printLatest(_ invocation: Invocation) throws(UsageError) -> Int32 {
    guard let path = Surroundings.variables["LIFELINE_CHECKPOINT_FILE"] else {
      throw invocation.error("LIFELINE_CHECKPOINT_FILE is not set: this is no command that a worker runs")
    }
    // SAFETY: the path lives for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno != ENOENT {
        // SAFETY: strerror's text is copied before anyone else could ask for another.
        Console.standard.complain("lifeline checkpoint: \(path): \(unsafe String(cString: strerror(errno)))")
      }
      return 1
    }
    defer { close(descriptor) }
    guard var bytes = StandardInput.read(from: descriptor, maxBytes: maxInputBytes), !bytes.isEmpty else { return 1 }
    if bytes.last != UInt8(ascii: "\n") { bytes.append(UInt8(ascii: "\n")) }
    Console.standard.write(bytes)
    return 0
  }

  private static func ask(_ id: String, _ invocation: Invocation) throws(UsageError) -> Int32 {
    try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      session.ask("checkpoint_task", ["task_id": .string(id)]) { _ in
        Console.standard.write("\(id): checkpoint requested\n")
        session.finish(0)
      }
    }
  }
}
