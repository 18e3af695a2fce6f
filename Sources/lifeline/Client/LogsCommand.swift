import ArgumentParsing
import Coordination
import CoordinationCore
import Glibc

/// `lifeline logs`
enum LogsCommand: Subcommand {
  private static let id = Argument("ID", TaskArgument.type, "The task.")
  private static let follow = Option(flag: "follow", "Go on until the task has ended.")
  private static let stream = Option(
    "stream", optional: ArgumentType<OutputStream>.choice, as: "STREAM", whenMissing: "both", "Only this one.")

  static let command = ArgumentParsing.Command(
    "logs", "prints what a task's command has written",
    details: ["What it wrote to standard output and standard error goes to ours; the newest attempt's."],
    arguments: [id], options: [follow, stream],
    sections: [
      OptionSection("Connection", [ClientOptions.coordinator, ClientOptions.patience]), ClientOptions.security,
    ],
    examples: [
      Example("lifeline logs nightly-0007 --stream stderr", "Its complaints."),
      Example("lifeline logs nightly-0007 --follow", "What it has written, and what it writes until it ends."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let id = try TaskArgument.read(invocation[id], invocation)
    let streams = invocation[stream].map { Set([$0]) } ?? Set(OutputStream.allCases)
    return try ClientSession.run(invocation, patience: invocation[ClientOptions.patience]) { session in
      if invocation[follow] { return OutputFollower(id, streams, in: session).start() }
      session.ask("get_task", ["task_id": .string(id)]) { reply in
        if let task = reply["task"]?.object { CommandOutputText.write(task, streams: streams, to: .standard) }
        session.finish(0)
      }
    }
  }
}

/// Prints a task's output as it comes. Each piece names its place in its stream, so what was printed before a
/// connection was lost is not printed again after it.
private final class OutputFollower {
  private let id: String
  private let streams: Set<OutputStream>
  private let session: ClientSession
  private var attempt: Int64 = 0
  /// How much of each stream of the attempt has been printed, in bytes.
  private var printed: [OutputStream: Int] = [:]

  init(_ id: String, _ streams: Set<OutputStream>, in session: ClientSession) {
    self.id = id
    self.streams = streams
    self.session = session
  }

  func start() {
    session.client.watch(WatchRequest(taskIDs: [id], wantsOutput: true)) { [self] event in
      switch event {
      case .established: catchUp()
      // The last of the output may have come in the same breath as the end.
      case .taskChanged(let task): if TaskText(task).isEnded { catchUp() }
      case .output(let piece): print(piece)
      case .failed(let error): session.fail(error)
      }
    }
  }

  private func catchUp() {
    session.ask("get_task", ["task_id": .string(id)]) { [self] reply in
      guard let task = reply["task"]?.object else { return session.fail("task \(id) is unknown") }
      begin(task["attempt"]?.integer ?? 0)
      let dropped = Int(clamping: task["dropped_bytes"]?.integer ?? 0)
      for stream in OutputStream.allCases {
        let bytes = CommandOutputText.bytes(stream.rawValue, of: task)
        if dropped == 0 {
          print(stream, offset: 0, bytes)
        } else if printed[stream, default: 0] == 0 {
          // Where the gap is cannot be told; what is kept is better than nothing.
          print(stream, offset: 0, bytes)
          printed[stream] = bytes.count + dropped
        }
      }
      if TaskText(task).isEnded {
        if dropped > 0 { Console.standard.remark("(\(dropped) bytes of the output were not kept)") }
        session.finish(0)
      }
    }
  }

  private func print(_ piece: JSONObject) {
    guard let stream = piece["stream"]?.string.flatMap(OutputStream.init(rawValue:)),
      let offset = piece["offset"]?.integer.flatMap({ Int(exactly: $0) }), let attempt = piece["attempt"]?.integer,
      attempt >= self.attempt
    else { return }
    begin(attempt)
    print(stream, offset: offset, CommandOutputText.bytes("data", of: piece))
  }

  private func begin(_ attempt: Int64) {
    guard attempt > self.attempt else { return }
    if self.attempt > 0, !printed.isEmpty { Console.standard.remark("(attempt \(attempt) begins)") }
    self.attempt = attempt
    printed = [:]
  }

  private func print(_ stream: OutputStream, offset: Int, _ bytes: [UInt8]) {
    let known = printed[stream, default: 0]
    let (end, overflow) = offset.addingReportingOverflow(bytes.count)
    guard !overflow, offset >= 0, end > known else { return }
    if offset > known, streams.contains(stream) {
      Console.standard.remark("(\(offset - known) bytes were not kept)")
    }
    printed[stream] = end
    guard streams.contains(stream) else { return }
    let news = Array(bytes.dropFirst(max(0, known - offset)))
    Console.standard.write(news, to: stream == .stdout ? STDOUT_FILENO : STDERR_FILENO)
  }
}
