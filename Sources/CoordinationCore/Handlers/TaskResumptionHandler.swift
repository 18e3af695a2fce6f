/// Takes checkpoints and results: everything a later attempt, or the submitter, depends on.
public struct TaskResumptionHandler: MessageHandler {
  public static let kinds: [MessageKind] = [.checkpoint, .checkpointData, .checkpointError, .taskResult]

  public init() {}

  public func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {
    switch (message.kind, context.mode) {
    case (.taskResult, .session): try result(message, in: context)
    case (.taskResult, .legacy): try legacyResult(message, in: context)
    case (.checkpoint, .session): try checkpoint(message, in: context)
    case (.checkpoint, .legacy): try legacyAnnouncement(message, in: context)
    case (.checkpointData, _): try legacyCheckpoint(message, in: context)
    default:
      let problem = try message.reader.optionalString("error", maxBytes: 4_096) ?? "unknown"
      context.log(.warning, "worker could not take a checkpoint", ["problem": problem])
    }
  }

  // MARK: Session mode

  private func result(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let id = try message.reader.taskID()
    let attempt = try message.reader.integer("attempt", in: 1...Int(Int32.max))
    var ending: AttemptEnding
    do { ending = try self.ending(message, in: context) } catch {
      // The message counts as handled and will not come again: without an end the task would be held for ever.
      _ = context.end(id, attempt: attempt, AttemptEnding(.failed, reason: "its result could not be read: \(error)"))
      throw error
    }
    if let task = context.task(id), !task.specification.outputs.isEmpty {
      if let problem = outputProblem(ending.result, context.core.files) {
        ending = AttemptEnding(.failed, exitCode: ending.exitCode, reason: problem, output: ending.output)
      }
    }
    let verdict = context.end(id, attempt: attempt, ending)
    if !verdict.isAccepted { context.refuse(.taskResult, id, attempt: attempt, verdict) }
  }

  /// A result may name only files that are here for good; its worker sends them before it.
  private func outputProblem(_ result: JSONValue?, _ files: FileCatalog) -> String? {
    do throws(MessageError) {
      guard let lost = try TaskOutput.outputs(in: result).first(where: { !files.has($0.file) }) else { return nil }
      return "its output \(lost.path) (sha256 \(lost.file.digest)) did not reach the coordinator"
    } catch {
      return "its outputs could not be read: \(error)"
    }
  }

  private func ending(_ message: Message, in context: HandlerContext) throws(MessageError) -> AttemptEnding {
    let status = try message.reader.string("status", maxBytes: 32)
    guard let outcome = AttemptEnding.Outcome(rawValue: status) else {
      throw .badValue("status", problem: "\(status) is none of completed failed cancelled")
    }
    try checkDepth(message.fields["result"] ?? .null, "result")
    let limit = context.configuration.maxOutputBytes
    return try AttemptEnding(message.reader, outcome: outcome, maxOutputBytes: limit)
  }

  private func checkpoint(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let id = try message.reader.taskID()
    let attempt = try message.reader.integer("attempt", in: 1...Int(Int32.max))
    let number = try message.reader.integer("number", in: 1...Int(Int32.max))
    let data = message.fields["data"] ?? .null
    let bytes = try check(data, in: context)
    let verdict = context.addCheckpoint(data, id, CheckpointKey(attempt: attempt, number: number))
    if verdict == .accepted { context.countCheckpoint(bytes: bytes) }
    if !verdict.isAccepted { context.refuse(.checkpoint, id, attempt: attempt, verdict) }
  }

  private func checkDepth(_ value: JSONValue, _ name: String) throws(MessageError) {
    guard value.nests(atMost: JSONValue.maxCarriedDepth) else {
      throw .badValue(name, problem: "nested more than \(JSONValue.maxCarriedDepth) levels deep")
    }
  }

  /// - Returns: how long it is, in bytes of JSON text.
  private func check(_ data: JSONValue, in context: HandlerContext) throws(MessageError) -> Int {
    try checkDepth(data, "data")
    let bytes = data.text.utf8.count
    guard bytes <= context.configuration.maxCheckpointBytes else {
      throw .badValue(
        "data", problem: "\(bytes) bytes; at most \(context.configuration.maxCheckpointBytes) are allowed")
    }
    return bytes
  }

  // MARK: Legacy mode

  /// The basic worker first sends a placeholder with the status `running`, and sends results again until they are
  /// acknowledged. Every one is acknowledged, or it would be sent for ever; only a true one from the task's holder counts.
  private func legacyResult(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let id = try message.reader.taskID()
    defer { context.reply(.taskResultAck, ["task_id": .string(id.text)]) }
    let value = message.fields["result"] ?? .null
    let attempt = context.task(id)?.state.attempt ?? 0
    if value.object?["status"]?.string == "running" {
      context.start(id, attempt: attempt)
      return
    }
    var ending = AttemptEnding(.completed, result: value)
    if !value.nests(atMost: JSONValue.maxCarriedDepth) {
      let limit = JSONValue.maxCarriedDepth
      ending = AttemptEnding(.failed, reason: "its result is nested more than \(limit) levels deep")
    } else if let error = message.fields["error"], error != .null {
      ending.outcome = .failed
      let text = error.object?["message"]?.string ?? error.string ?? "failed"
      ending.reason = String(text.prefix(1_000))
    }
    let verdict = context.end(id, attempt: attempt, ending)
    if !verdict.isAccepted {
      // A result for a task that has ended is a repetition, or followed a cancellation: noted, nothing more.
      if verdict == .ended {
        context.log(.debug, "result of an ended task ignored", ["task": id.text])
      } else {
        context.refuse(.taskResult, id, attempt: attempt, verdict)
      }
    }
  }

  /// A legacy worker only announces a checkpoint; its bytes must be asked for.
  private func legacyAnnouncement(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let id = try message.reader.taskID()
    let name = try message.reader.optionalString("checkpoint_id", maxBytes: 256)
    context.reply(.checkpointAck, ["checkpoint_id": JSONValue(name), "task_id": .string(id.text)])
    if context.task(id)?.state.workerID == context.workerID {
      context.reply(.checkpointRequest, ["task_id": .string(id.text), "checkpoint_id": JSONValue(name)])
    }
  }

  private func legacyCheckpoint(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let id = try message.reader.taskID()
    let name = try message.reader.optionalString("checkpoint_id", maxBytes: 256)
    let data = message.fields["data"] ?? .null
    let bytes = try check(data, in: context)
    if let task = context.task(id) {
      let last = context.newestCheckpoint(of: id)
      let attempt = task.state.attempt
      let number = last?.attempt == attempt ? (last?.number ?? 0) + 1 : 1
      if attempt > 0 {
        let verdict = context.addCheckpoint(data, id, CheckpointKey(attempt: attempt, number: number))
        if verdict == .accepted { context.countCheckpoint(bytes: bytes) }
        if !verdict.isAccepted { context.refuse(.checkpointData, id, attempt: attempt, verdict) }
      }
    }
    context.reply(.checkpointDataAck, ["checkpoint_id": JSONValue(name), "task_id": .string(id.text)])
  }
}

extension HandlerContext {
  func countCheckpoint(bytes: Int) { core.book.statistics.checkpointBytes += UInt64(clamping: bytes) }

  /// The newest checkpoint of a task that has not ended.
  public func newestCheckpoint(of id: TaskID) -> CheckpointKey? { core.book[id]?.checkpoint?.key }
}
