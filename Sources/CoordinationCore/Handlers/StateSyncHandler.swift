/// Brings both sides to one view of which attempts a worker holds, and keeps it while they run.
///
/// A worker with a new session reports everything it holds in batches of `state_sync`. Each task gets a verdict:
///
/// | verdict | when | the worker |
/// | --- | --- | --- |
/// | `keep` | the attempt is the newest and nobody else was given the task | goes on, and reports its result; is told again what was asked of it |
/// | `cancel` | the attempt was superseded | stops it |
/// | `restart` | the worker no longer runs it and has no result | forgets it; the next attempt follows at once |
/// | `done` | the task has ended, or is not known here | stops it and drops what it kept |
public struct StateSyncHandler: MessageHandler {
  public static let kinds: [MessageKind] = [
    .stateSync, .taskState, .taskCancelled, .taskPaused, .taskResumed, .taskOutput, .stateError,
  ]

  public init() {}

  public func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {
    switch message.kind {
    case .stateSync: try synchronise(message, in: context)
    case .taskState: try state(message, in: context)
    case .taskOutput: try output(message, in: context)
    case .taskPaused, .taskResumed: try pause(message, in: context)
    case .taskCancelled: try cancelled(message, in: context)
    default:
      let problem = try message.reader.optionalString("error", maxBytes: 4_096) ?? "unknown"
      context.log(.warning, "worker could not report a state", ["problem": problem])
    }
  }

  // MARK: The full synchronisation

  private func synchronise(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let tasks = try message.reader.optionalArray("tasks", maxCount: 10_000) ?? []
    let isLast = try message.reader.optionalBool("final") ?? true
    var verdicts: [JSONValue] = []
    for task in tasks {
      guard let object = task.object else { throw .wrongType("tasks", expected: "objects", found: task.typeName) }
      let reader = FieldReader(object)
      let id = try reader.taskID()
      let attempt = try reader.integer("attempt", in: 1...Int(Int32.max))
      let status = try reader.string("status", maxBytes: 32)
      let verdict = context.reconcile(id, attempt: attempt, status: status)
      verdicts.append([
        "task_id": .string(id.text), "attempt": .integer(Int64(attempt)), "verdict": .string(verdict.rawValue),
      ])
    }
    context.send(.stateSyncAck, ["verdicts": .array(verdicts), "final": .bool(isLast)])
    if isLast { context.finishSynchronisation() }
  }

  // MARK: While attempts run

  private func state(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let id = try message.reader.taskID()
    let state = FieldReader(try message.reader.optionalObject("state") ?? JSONObject())
    let attempt = try context.attempt(of: id, message.reader)
    if let progress = try state.optionalNumber("progress") { context.setProgress(progress, id, attempt: attempt) }
    if try state.optionalString("status", maxBytes: 64) == "running" {
      let verdict = context.start(id, attempt: attempt)
      if !verdict.isAccepted, context.mode == .session { context.refuse(.taskState, id, attempt: attempt, verdict) }
    }
    if context.mode == .legacy { context.reply(.taskStateAck, ["task_id": .string(id.text)]) }
  }

  private func output(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let id = try message.reader.taskID()
    let attempt = try message.reader.integer("attempt", in: 1...Int(Int32.max))
    let name = try message.reader.string("stream", maxBytes: 16)
    guard let stream = OutputStream(rawValue: name) else {
      throw .badValue("stream", problem: "\(name) is neither stdout nor stderr")
    }
    let offset = try message.reader.integer("offset", in: 0...Int.max)
    let limit = context.configuration.maxOutputBytes
    guard let bytes = try AttemptEnding.bytes("data", message.reader, limit) else { throw .missingField("data") }
    context.appendOutput(id, attempt: attempt, stream, offset: offset, bytes)
  }

  private func pause(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let id = try message.reader.taskID()
    let attempt = try context.attempt(of: id, message.reader)
    context.setPaused(message.kind == .taskPaused, id, attempt: attempt)
    if context.mode == .legacy {
      context.reply(MessageKind("\(message.kind)_ack"), ["task_id": .string(id.text)])
    }
  }

  private func cancelled(_ message: Message, in context: HandlerContext) throws(MessageError) {
    let id = try message.reader.taskID()
    let attempt = try context.attempt(of: id, message.reader)
    let limit = context.configuration.maxOutputBytes
    // That it ended matters more than how: the message will not come again.
    let ending =
      (try? AttemptEnding(message.reader, outcome: .cancelled, maxOutputBytes: limit)) ?? AttemptEnding(.cancelled)
    if let task = context.task(id), !task.state.isCancelRequested, task.state.attempt == attempt {
      // The worker stopped it for a reason of its own; the task itself goes on elsewhere.
      let reason = ending.reason ?? "worker \(context.workerID) gave it up"
      if try message.reader.optionalBool("draining") ?? false {
        // It is given nothing more, so that nothing is handed to and fro.
        context.entry?.isDraining = true
        context.handBack(id, reason: reason)
      } else {
        context.takeBack(id, reason: reason)
      }
    } else {
      let verdict = context.end(id, attempt: attempt, ending)
      if !verdict.isAccepted, context.mode == .session { context.refuse(message.kind, id, attempt: attempt, verdict) }
    }
    if context.mode == .legacy { context.reply("task_cancelled_ack", ["task_id": .string(id.text)]) }
  }
}

/// What a worker is to do with an attempt it still holds.
public enum SyncVerdict: String, Sendable {
  case keep, cancel, restart, done
}

extension HandlerContext {
  /// The attempt that a message is about. A legacy worker knows no attempts: it means the one it was given.
  func attempt(of id: TaskID, _ reader: FieldReader) throws(MessageError) -> Int {
    switch mode {
    case .session: try reader.integer("attempt", in: 1...Int(Int32.max))
    case .legacy: task(id)?.state.attempt ?? 0
    }
  }

  /// Judges one attempt that the worker says it holds.
  public func reconcile(_ id: TaskID, attempt: Int, status: String) -> SyncVerdict {
    guard let worker = entry, let task = core.book[id] else { return .done }
    guard task.state.attempt == attempt, task.state.workerID == workerID else { return .cancel }
    if status == "lost" {
      takeBack(id, reason: "worker \(workerID) was restarted while it ran")
      return .restart
    }
    if task.state.status == .queued {
      // Its lease ran out here, but nobody else was given the task.
      guard task.attempt?.outcome == .lost else { return status == "finished" ? .keep : .cancel }
      core.book.readopt(task, wall: wall)
      worker.hold(task)
    }
    worker.reported.insert(id)
    return .keep
  }

  /// Everything the worker holds has been reported: what was given to it and not reported is gone.
  public func finishSynchronisation() {
    guard let worker = entry else { return }
    let gone = worker.held.subtracting(worker.reported).sorted()
    if worker.hasDied { core.died(worker, with: gone) }
    worker.hasDied = false
    for id in gone {
      core.takeBack(id, from: worker, reason: "worker \(workerID) was restarted and no longer has it")
    }
    worker.reported = []
    worker.isSynchronised = true
    core.remind(worker)
    core.offer(worker)
  }
}
