import Primitives

/// A task that has not ended, as the coordinator holds it in memory.
final class LiveTask {
  let id: TaskID
  let specification: TaskSpecification
  let submittedAt: WallTime
  var state: TaskState
  /// The newest attempt, when there was one.
  var attempt: AttemptRecord?
  /// The newest durable checkpoint, or one that will be durable before anything depends on it.
  var checkpoint: CheckpointRecord?
  /// The newest attempt whose assignment is in its worker's outbox, or was: it will arrive, however late.
  var assignmentSent = 0
  /// Whether its class has an entry for it, so that it never has two.
  var isInLine = false
  /// Where it waits, or waited last.
  weak var taskClass: TaskClass?
  /// It is not this coordinator's any more: whoever still has a hint of it must let it be.
  var isGone = false
  /// Its test's worker died with it, and only the store knows how often that has happened by now: it goes back to the pool,
  /// and whoever claims it asks first.
  var mustGoBack = false

  init(_ record: TaskRecord, checkpoint: CheckpointRecord? = nil, attempt: AttemptRecord? = nil) {
    id = record.id
    specification = record.specification
    submittedAt = record.submittedAt
    state = record.state
    self.checkpoint = checkpoint
    self.attempt = attempt
  }

  /// Whether it may be given out.
  var isReady: Bool { state.status == .queued && !state.isPauseRequested && !isGone && !mustGoBack }

  var record: TaskRecord {
    TaskRecord(id: id, specification: specification, submittedAt: submittedAt, state: state)
  }
}

/// How one attempt ended, in its worker's words.
public struct AttemptEnding: Equatable, Sendable {
  public enum Outcome: String, Sendable { case completed, failed, cancelled }

  public var outcome: Outcome
  public var exitCode: Int?
  public var reason: String?
  public var result: JSONValue?
  public var output: AttemptOutput?

  public init(
    _ outcome: Outcome, exitCode: Int? = nil, reason: String? = nil, result: JSONValue? = nil,
    output: AttemptOutput? = nil
  ) {
    self.outcome = outcome
    self.exitCode = exitCode
    self.reason = reason
    self.result = result
    self.output = output
  }
}

/// What became of something that a worker said about an attempt.
public enum AttemptVerdict: Equatable, Sendable {
  case accepted
  /// Said before; nothing changed.
  case repeated
  /// The attempt lost its lease and a newer one exists, or the task belongs to someone else: refused.
  case stale(newestAttempt: Int)
  /// The task has ended, or was never known here: nothing may change it.
  case ended

  public var isAccepted: Bool { self == .accepted || self == .repeated }
}

/// Every task that has not ended, and the only place where a task's state changes.
///
///     queued ──assign──▶ assigned ──start──▶ running ◀──pause / resume──▶ paused
///       ▲                    └───────────────────┴────────────┬──────────────┘
///       └── lease lost, or failed with retries left ──────────┤
///                                                             ▼
///                                             completed │ failed │ cancelled
///
/// The attempt number grows with each assignment and never otherwise: it is the fencing token, and every word about an
/// attempt is checked against it in `standing(of:)`. Each change is appended to `writes`, to be committed with the turn.
struct TaskBook {
  private(set) var tasks: [TaskID: LiveTask] = [:]
  /// Where they wait for workers.
  var dispatcher: Dispatcher
  /// Tasks that ended in line since it was last tidied; some of their entries may have come up meanwhile.
  private var endedInLine = 0
  private static let maxEndedInLine = 1_000
  var statistics = TaskStatistics()
  /// What the store must be told; taken by whoever cuts the batch.
  var writes: [StoreWrite] = []
  /// Tasks that changed since this was last taken, each as it then was, for whoever watches.
  var changes: [TaskRecord] = []
  /// Tasks that ended in `writes`, or became another's, and that the store may not know of yet.
  var ended: Set<TaskID> = []
  let checkpointsKept: Int
  /// How many tasks that have not ended need each file.
  private(set) var neededFiles: [FileDigest: Int] = [:]
  var quarantine: Quarantine
  /// Whether others use the same store.
  let isShared: Bool

  /// - Parameter aging: how long a task is queued before it is overdue; `nil`: it never is.
  init(
    checkpointsKept: Int, aging: Duration? = nil, isPrioritized: Bool = true, quarantine: Quarantine = Quarantine(),
    isShared: Bool = false
  ) {
    self.isShared = isShared
    self.checkpointsKept = checkpointsKept
    dispatcher = Dispatcher(aging: aging, isPrioritized: isPrioritized)
    self.quarantine = quarantine
  }

  subscript(id: TaskID) -> LiveTask? { tasks[id] }

  /// Takes over what the store had at start. Tasks must come in submission order.
  mutating func restore(_ unfinished: UnfinishedTask) {
    let task = LiveTask(unfinished.task, checkpoint: unfinished.checkpoint, attempt: unfinished.attempt)
    tasks[task.id] = task
    needFiles(of: task)
    statistics.entered(task.state.status, task.specification.priority)
    if task.state.status == .queued { enqueue(task, atFront: false) }
  }

  // MARK: Submitting

  /// - Returns: `false` when the task is known already; nothing changes then.
  mutating func submit(_ id: TaskID, _ specification: TaskSpecification, wall: WallTime) -> Bool {
    guard tasks[id] == nil else { return false }
    let task = LiveTask(TaskRecord(id: id, specification: specification, submittedAt: wall))
    tasks[id] = task
    needFiles(of: task)
    statistics.submitted += 1
    statistics.entered(.queued, specification.priority)
    writes.append(.submit(task.record))
    changes.append(task.record)
    if let reason = quarantine.reason(specification) {
      finish(task, .failed, reason: reason, wall: wall)
    } else {
      enqueue(task, atFront: false)
    }
    return true
  }

  // MARK: Giving out and taking back

  /// How many tasks are queued, and since when the oldest of those that could be given out was submitted.
  func status(at wall: WallTime) -> QueueStatus {
    var status = QueueStatus()
    for priority in Priority.allCases where statistics.queued(priority) > 0 {
      status[priority].waiting = statistics.queued(priority)
      let oldest = dispatcher.oldest(of: priority) { $0.specification.priority == priority && $0.isReady }
      status[priority].oldest = oldest.map { .milliseconds(max(0, wall.milliseconds - $0)) }
    }
    return status
  }

  mutating func assign(_ task: LiveTask, to worker: WorkerID, wall: WallTime) {
    precondition(task.state.status == .queued, "only a queued task can be assigned")
    statistics.attempts += 1
    statistics.queueWait.record(task.attempt?.endedAt ?? task.submittedAt, to: wall)
    move(task, to: .assigned)
    task.state.attempt += 1
    task.state.workerID = worker
    task.state.progress = task.state.attempt == 1 ? nil : task.state.progress
    task.attempt = AttemptRecord(
      taskID: task.id, attempt: task.state.attempt, workerID: worker, startedAt: wall, resumedFrom: task.checkpoint?.key
    )
    note(task, attemptChanged: true)
  }

  /// The attempt is lost with its worker, or was given up: another follows, unless somebody asked for the end or too
  /// many were lost.
  mutating func lose(_ task: LiveTask, reason: String, wall: WallTime) {
    guard task.state.status.isHeld else { return }
    end(attemptOf: task, .lost, exitCode: nil, reason: reason, wall: wall)
    statistics.lostAttempts += 1
    task.state.lostAttempts += 1
    if task.state.isCancelRequested {
      finish(task, .cancelled, reason: "cancelled; its worker was lost meanwhile (\(reason))", wall: wall)
    } else if let reason = quarantine.reason(task.specification) {
      finish(task, .failed, reason: reason, wall: wall)
    } else if task.state.lostAttempts > task.specification.maxLostAttempts {
      let limit = task.specification.maxLostAttempts
      finish(
        task, .failed, reason: "\(limit + 1) attempts were lost with their workers; the last: \(reason)", wall: wall)
    } else {
      task.mustGoBack = isShared && task.specification.testName != nil
      requeue(task)
    }
  }

  /// A worker that is leaving gave the attempt back in order: it counts against nobody.
  mutating func handBack(_ task: LiveTask, reason: String, wall: WallTime) {
    guard task.state.status.isHeld else { return }
    end(attemptOf: task, .lost, exitCode: nil, reason: AttemptRecord.handedBackReason(reason), wall: wall)
    // Whatever its former worker may still say of it: nobody holds it, and nobody can go on with it.
    task.state.workerID = nil
    if task.state.isCancelRequested {
      finish(task, .cancelled, reason: "cancelled; its worker left meanwhile", wall: wall)
    } else {
      requeue(task)
    }
  }

  // MARK: What workers say

  /// Whether `attempt` of a task, spoken for by `worker`, may still write.
  func standing(of id: TaskID, attempt: Int, worker: WorkerID) -> AttemptVerdict {
    guard let task = tasks[id] else { return .ended }
    guard task.state.attempt == attempt, task.state.workerID == worker else {
      return .stale(newestAttempt: task.state.attempt)
    }
    return .accepted
  }

  mutating func start(_ id: TaskID, attempt: Int, worker: WorkerID, wall: WallTime) -> AttemptVerdict {
    let standing = standing(of: id, attempt: attempt, worker: worker)
    guard standing == .accepted, let task = tasks[id] else { return standing }
    guard task.state.status == .assigned else {
      return task.state.status == .queued ? .stale(newestAttempt: attempt) : .repeated
    }
    move(task, to: .running)
    if task.state.startedAt == nil { task.state.startedAt = wall }
    note(task)
    return .accepted
  }

  mutating func setPaused(_ paused: Bool, _ id: TaskID, attempt: Int, worker: WorkerID) -> AttemptVerdict {
    let standing = standing(of: id, attempt: attempt, worker: worker)
    guard standing == .accepted, let task = tasks[id] else { return standing }
    guard task.state.status.isHeld else { return .stale(newestAttempt: attempt) }
    let status: TaskStatus = paused ? .paused : .running
    guard task.state.status != status else { return .repeated }
    move(task, to: status)
    note(task)
    return .accepted
  }

  /// Progress is for people: kept in memory and shown, and stored with the next change that matters.
  mutating func setProgress(_ progress: Double, _ id: TaskID, attempt: Int, worker: WorkerID) -> AttemptVerdict {
    let standing = standing(of: id, attempt: attempt, worker: worker)
    guard standing == .accepted, let task = tasks[id] else { return standing }
    task.state.progress = min(max(progress, 0), 1)
    changes.append(task.record)
    return .accepted
  }

  mutating func addCheckpoint(_ checkpoint: CheckpointRecord, worker: WorkerID) -> AttemptVerdict {
    let standing = standing(of: checkpoint.taskID, attempt: checkpoint.key.attempt, worker: worker)
    guard standing == .accepted, let task = tasks[checkpoint.taskID] else { return standing }
    if let newest = task.checkpoint?.key, checkpoint.key <= newest { return .repeated }
    task.checkpoint = checkpoint
    statistics.checkpoints += 1
    writes.append(.checkpoint(checkpoint, keep: checkpointsKept))
    return .accepted
  }

  /// An attempt ended. It may be one whose lease ran out, as long as nobody else was given the task: its work is done,
  /// and doing it again would help no one.
  mutating func end(
    _ id: TaskID, attempt: Int, worker: WorkerID, _ ending: AttemptEnding, wall: WallTime
  ) -> AttemptVerdict {
    let standing = standing(of: id, attempt: attempt, worker: worker)
    guard standing == .accepted, let task = tasks[id] else { return standing }
    // A failure with retries left puts the task back in line under the same attempt number until it is given out again;
    // the same result, replayed after a restart, must not count as another failure.
    if task.state.status == .queued, let outcome = task.attempt?.outcome, outcome != .lost { return .repeated }
    if let output = ending.output { writes.append(.output(id, attempt: attempt, output)) }
    task.state.exitCode = ending.exitCode
    task.state.result = ending.result
    switch ending.outcome {
    case .completed:
      if let name = task.specification.testName, let start = task.attempt?.startedAt {
        quarantine.endedWell(name)
        let (took, overflow) = wall.milliseconds.subtractingReportingOverflow(start.milliseconds)
        if !overflow, took >= 0 { writes.append(.testRan(name, .milliseconds(took))) }
      }
      end(attemptOf: task, .completed, exitCode: ending.exitCode, reason: ending.reason ?? "", wall: wall)
      finish(task, .completed, reason: nil, wall: wall)
    case .cancelled:
      let reason = ending.reason ?? "cancelled on request"
      end(attemptOf: task, .cancelled, exitCode: ending.exitCode, reason: reason, wall: wall)
      finish(task, .cancelled, reason: reason, wall: wall)
    case .failed:
      let reason = ending.reason ?? ending.exitCode.map { "exit status \($0)" } ?? "failed"
      end(attemptOf: task, .failed, exitCode: ending.exitCode, reason: reason, wall: wall)
      task.state.failedAttempts += 1
      if task.state.isCancelRequested {
        finish(task, .cancelled, reason: "cancelled on request", wall: wall)
      } else if task.state.failedAttempts <= task.specification.retries {
        statistics.retries += 1
        if task.state.status == .queued { note(task) } else { requeue(task) }
      } else {
        finish(task, .failed, reason: reason, wall: wall)
      }
    }
    return .accepted
  }

  /// A worker kept an attempt that this coordinator had taken back and not given to anyone else: it may go on.
  mutating func readopt(_ task: LiveTask, wall: WallTime) {
    precondition(task.state.status == .queued && task.attempt?.outcome == .lost)
    move(task, to: .running)
    if task.isInLine { dispatcher.left(task) }
    statistics.readoptedAttempts += 1
    task.state.lostAttempts -= 1
    task.mustGoBack = false
    task.attempt?.outcome = .running
    task.attempt?.reason = ""
    task.attempt?.endedAt = nil
    note(task, attemptChanged: true)
  }

  /// A task that was taken out of line, and that nobody may have now, is next in line again.
  mutating func putBack(_ task: LiveTask) { enqueue(task, atFront: true) }

  // MARK: What people ask

  enum ControlOutcome: Equatable {
    /// Nobody holds the task; it is settled.
    case done
    /// Its worker must be told.
    case tell(WorkerID, attempt: Int)
    case unknown
  }

  mutating func requestCancel(_ id: TaskID, wall: WallTime) -> ControlOutcome {
    guard let task = tasks[id] else { return .unknown }
    guard task.state.status.isHeld, let worker = task.state.workerID else {
      let reason = task.state.attempt == 0 ? "cancelled before it was started" : "cancelled between two attempts"
      finish(task, .cancelled, reason: reason, wall: wall)
      return .done
    }
    task.state.isCancelRequested = true
    note(task)
    return .tell(worker, attempt: task.state.attempt)
  }

  mutating func requestPause(_ paused: Bool, _ id: TaskID) -> ControlOutcome {
    guard let task = tasks[id] else { return .unknown }
    if task.state.isPauseRequested != paused {
      task.state.isPauseRequested = paused
      if !paused, task.state.status == .queued { enqueue(task, atFront: true) }
      if paused, task.isInLine { dispatcher.left(task) }
      note(task)
    }
    guard task.state.status.isHeld, let worker = task.state.workerID else { return .done }
    return .tell(worker, attempt: task.state.attempt)
  }

  // MARK: Inside

  private mutating func needFiles(of task: LiveTask) {
    for input in task.specification.inputs { neededFiles[input.file.digest, default: 0] += 1 }
  }

  private mutating func enqueue(_ task: LiveTask, atFront: Bool) {
    guard !task.isInLine else { return }
    task.isInLine = true
    dispatcher.push(task, atFront: atFront)
  }

  /// Back in line, ahead of what was never started: it has waited once already.
  private mutating func requeue(_ task: LiveTask) {
    move(task, to: .queued)
    enqueue(task, atFront: true)
    note(task)
  }

  private mutating func end(
    attemptOf task: LiveTask, _ outcome: AttemptRecord.Outcome, exitCode: Int?, reason: String, wall: WallTime
  ) {
    guard var attempt = task.attempt else { return }
    attempt.outcome = outcome
    attempt.exitCode = exitCode
    attempt.reason = reason
    attempt.endedAt = wall
    if outcome != .lost { statistics.runTime.record(attempt.startedAt, to: wall) }
    task.attempt = attempt
    writes.append(.attempt(attempt))
  }

  mutating func finish(_ task: LiveTask, _ status: TaskStatus, reason: String?, wall: WallTime) {
    move(task, to: status)
    task.state.reason = reason
    task.state.finishedAt = wall
    if status == .completed { task.state.progress = 1 }
    note(task)
    forget(task)
  }

  private mutating func forget(_ task: LiveTask) {
    tasks[task.id] = nil
    for input in task.specification.inputs {
      let count = neededFiles[input.file.digest] ?? 0
      neededFiles[input.file.digest] = count > 1 ? count - 1 : nil
    }
    ended.insert(task.id)
    if task.isInLine {
      dispatcher.left(task)
      tidyLine()
    }
  }

  /// The task is another's to write from here on.
  mutating func give(_ task: LiveTask, by write: StoreWrite) {
    statistics.left(task.state.status, task.specification.priority)
    writes.append(write)
    task.isGone = true
    forget(task)
  }

  /// A task has ended that still has an entry in line. Once these may be as many as the others, they are taken out.
  private mutating func tidyLine() {
    endedInLine += 1
    guard endedInLine > max(Self.maxEndedInLine, tasks.count) else { return }
    endedInLine = 0
    dispatcher.removeAll { !$0.isGone && !$0.state.status.isTerminal }
  }

  /// Every change of a task's status comes here, so that the counts hold.
  private mutating func move(_ task: LiveTask, to status: TaskStatus) {
    statistics.left(task.state.status, task.specification.priority)
    task.state.status = status
    statistics.entered(status, task.specification.priority)
  }

  private mutating func note(_ task: LiveTask, attemptChanged: Bool = false) {
    if attemptChanged, let attempt = task.attempt { writes.append(.attempt(attempt)) }
    writes.append(.update(task.id, task.state))
    changes.append(task.record)
  }
}

extension LatencyHistogram {
  /// Records what lies between two readings of the wall clock, in milliseconds; none where that was set back meanwhile.
  fileprivate mutating func record(_ start: WallTime, to end: WallTime) {
    let (span, overflow) = end.milliseconds.subtractingReportingOverflow(start.milliseconds)
    record(overflow ? 0 : UInt64(clamping: span))
  }
}
