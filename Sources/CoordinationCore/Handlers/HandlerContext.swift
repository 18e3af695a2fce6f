public import Primitives

/// What a handler may see and do while it handles one message. Good for that one call only.
///
/// Whatever it promises to anyone goes out once the turn's writes are durable; a handler need not think about the store.
public struct HandlerContext {
  let core: CoordinatorCore
  let link: WorkerLink

  // MARK: Seeing

  public var now: Instant { core.now }
  public var wall: WallTime { core.wall }
  public var configuration: CoordinatorConfiguration { core.configuration }
  /// Who sent the message.
  public var workerID: WorkerID { link.workerID }
  public var mode: ConnectionMode { link.mode }
  public var isRegistered: Bool { link.isRegistered }
  public var worker: WorkerSummary? { entry?.summary(at: now) }

  /// A task that has not ended.
  public func task(_ id: TaskID) -> TaskRecord? { core.liveTask(id) }

  var entry: WorkerEntry? { core.workers[link.workerID] }

  // MARK: Answering

  /// Answers over this connection, once what was done so far is durable; lost with the connection. For what is asked
  /// again when no answer comes.
  public func reply(_ kind: MessageKind, _ fields: JSONObject = [:]) {
    core.promisePlain(Message(kind, fields), over: link)
  }

  /// Answers over this connection at once: for what promises nothing, such as a heartbeat's answer.
  public func replyNow(_ kind: MessageKind, _ fields: JSONObject = [:]) {
    core.sendPlain(Message(kind, fields), over: link)
  }

  /// Sends to a worker, numbered and replayed until it is acknowledged or the worker's session ends.
  public func send(_ kind: MessageKind, _ fields: JSONObject = [:], to worker: WorkerID? = nil) {
    core.promiseReliable(Message(kind, fields), to: worker ?? link.workerID)
  }

  /// Ends the connection.
  public func close(_ code: UInt16, _ reason: String) {
    core.close(link, code, reason)
  }

  /// Tells whoever watches.
  public func notify(_ notice: CoordinatorNotice) {
    core.promise(notice)
  }

  public func log(_ level: LogLevel, _ message: String, _ facts: KeyValuePairs<String, String> = [:]) {
    let facts = [("worker", workerID.text), ("connection", "\(link.connection)")] + facts.map { ($0.key, $0.value) }
    core.log(LogEntry(level: level, message: message, facts: facts))
  }

  // MARK: Tasks

  /// An attempt runs.
  @discardableResult
  public func start(_ id: TaskID, attempt: Int) -> AttemptVerdict {
    core.book.start(id, attempt: attempt, worker: workerID, wall: wall)
  }

  /// An attempt stands still, or goes on.
  @discardableResult
  public func setPaused(_ paused: Bool, _ id: TaskID, attempt: Int) -> AttemptVerdict {
    core.book.setPaused(paused, id, attempt: attempt, worker: workerID)
  }

  /// - Parameter progress: from 0 to 1; clamped.
  @discardableResult
  public func setProgress(_ progress: Double, _ id: TaskID, attempt: Int) -> AttemptVerdict {
    core.book.setProgress(progress, id, attempt: attempt, worker: workerID)
  }

  /// Keeps a checkpoint; it is durable before its worker is told so.
  public func addCheckpoint(_ data: JSONValue, _ id: TaskID, _ key: CheckpointKey) -> AttemptVerdict {
    let record = CheckpointRecord(taskID: id, key: key, createdAt: wall, data: data)
    let verdict = core.book.addCheckpoint(record, worker: workerID)
    if verdict == .accepted { notify(.checkpointStored(id, key)) }
    return verdict
  }

  /// An attempt ended.
  public func end(_ id: TaskID, attempt: Int, _ ending: AttemptEnding) -> AttemptVerdict {
    let verdict = core.book.end(id, attempt: attempt, worker: workerID, ending, wall: wall)
    if let entry, verdict == .accepted { core.release(id, from: entry) }
    return verdict
  }

  /// Keeps a piece of what a running attempt writes. Pieces may be lost; the attempt's end brings the whole.
  public func appendOutput(_ id: TaskID, attempt: Int, _ stream: OutputStream, offset: Int, _ bytes: [UInt8]) {
    guard core.book.standing(of: id, attempt: attempt, worker: workerID) == .accepted else { return }
    let limit = configuration.maxOutputBytes
    core.book.writes.append(
      .appendOutput(id, attempt: attempt, stream, offset: offset, bytes: bytes, limit: limit))
    notify(.outputAppended(id, attempt: attempt, stream, offset: offset, bytes: bytes))
  }

  /// The worker gave an attempt up, or no longer has it: another follows, at once.
  public func takeBack(_ id: TaskID, reason: String) {
    if let entry { core.takeBack(id, from: entry, reason: reason) }
  }

  /// The worker is leaving and gave an attempt back: another follows, at once, and nothing counts as lost.
  public func handBack(_ id: TaskID, reason: String) {
    if let entry { core.handBack(id, from: entry, reason: reason) }
  }

  /// Reports a late word from an attempt that may no longer write. The worker is told to stop that attempt.
  public func refuse(_ kind: MessageKind, _ id: TaskID, attempt: Int, _ verdict: AttemptVerdict) {
    entry?.refusedWrites += 1
    core.counted.refusedWrites += 1
    let reason =
      switch verdict {
      case .stale(let newest):
        newest > attempt ? "attempt \(newest) has superseded it" : "the task is not this worker's"
      case .ended: "the task has ended or is not known here"
      case .accepted, .repeated: "accepted"
      }
    log(
      .warning, "stale attempt refused",
      ["task": id.text, "attempt": "\(attempt)", "type": kind.name, "reason": reason])
    notify(.staleAttemptRefused(id, attempt: attempt, workerID, kind))
    switch mode {
    case .session:
      send(
        .taskResultAck,
        [
          "task_id": .string(id.text), "attempt": .integer(Int64(attempt)), "accepted": false,
          "reason": .string(reason),
        ])
    case .legacy: reply(.error, ["message": .string("\(kind) for task \(id) refused: \(reason)")])
    }
  }
}

extension LogEntry {
  init(level: LogLevel, message: String, facts: [(String, String)]) {
    self.level = level
    self.message = message
    self.facts = facts.map { (key: $0.0, value: $0.1) }
  }
}
