public import CoordinationCore
public import Primitives

/// One thing that happened to a fleet, and when.
///
/// A run's whole history is the merge by time of what its coordinators, its workers, its submitter and whoever broke
/// things on purpose saw. `time` is the machine's monotonic clock, which all processes of a machine share, or the
/// simulation's; a writer notes what it is about to promise before the promise leaves, so causes precede effects.
public struct HistoryRecord: Equatable, Sendable {
  public var time: Instant
  public var event: HistoryEvent
  /// Where several coordinators share a store: which of them did it. A history file need not say so in each line; see
  /// `HistoryEvent.joined`.
  public var member: MemberID?

  public init(_ event: HistoryEvent, at time: Instant, by member: MemberID? = nil) {
    self.event = event
    self.time = time
    self.member = member
  }
}

/// What a checker must know to decide whether anything was lost, doubled or handled out of turn.
public enum HistoryEvent: Equatable, Sendable {
  // What the submitter saw.
  case submitAsked([TaskID])
  /// The coordinator promised that these survive.
  case submitAcknowledged([TaskID])
  case cancelAcknowledged(TaskID)
  /// What a task that is about to be submitted needs of its worker.
  case required(TaskID, Requirements, slots: Int)

  // What coordinators did.
  /// A process began, with everything its store had that has not ended. Tasks that the store knows and that have ended
  /// are not named.
  case coordinatorStarted([StoredTask])
  /// The store was asked to make this durable. Whether it did is open until `committed`, or until the next
  /// `coordinatorStarted` shows it; where several coordinators share a store, until something shows a task that it is
  /// about: `taken`, another's answer, or the store's last state.
  case commitBegun(batch: UInt64, [StoredChange])
  case committed(batch: UInt64)
  case registered(WorkerID, SessionID, resumed: Bool)
  /// What a worker said that it can do, when it registered.
  case offered(WorkerID, WorkerCapabilities)
  /// A numbered message took effect at the coordinator, in memory.
  case coordinatorHandled(WorkerID, SessionID, sequence: UInt64, MessageKind)
  /// The coordinator is this member of a shared store from here on, in place of the one that it may have been. It begins
  /// without a session and without a task. In a history file, what follows is this member's doing, up to the next
  /// `joined` or `coordinatorStarted` of the same file.
  case joined(MemberID)
  /// A membership has ended: in order, since its lease ran out, or since another of its name joined. Told by whoever knows
  /// it, such as the coordinator that was fenced; need not be told at all.
  case membershipEnded(MemberID)
  /// The store answered that these tasks are the asking member's now, as it has them: what a claim, a gathering or a
  /// locating returned, or a renewal took over. Noted before anything is done with them. It shows what became of commits
  /// of which nobody heard.
  case taken([StoredTask], Taking)
  /// A late word of an attempt that may no longer write.
  case staleAttemptRefused(AttemptKey, WorkerID, MessageKind)

  // What workers did.
  case workerStarted(WorkerID, boot: String)
  /// The process has ended, and whatever it ran with it.
  case workerEnded(WorkerID)
  case sessionJoined(WorkerID, SessionID, resumed: Bool)
  /// A numbered message took effect at the worker.
  case workerHandled(WorkerID, SessionID, sequence: UInt64, MessageKind)
  case attemptStarted(AttemptKey, WorkerID, from: CheckpointKey?)
  case attemptStopped(AttemptKey, WorkerID, StopReason)
  case attemptEnded(AttemptKey, WorkerID)
  /// A result (`nil`) or a checkpoint is on the worker's own disk.
  case persisted(AttemptKey, checkpoint: Int?, WorkerID)
  /// The worker forgot it: the coordinator acknowledged it, or something newer took its place.
  case forgotten(AttemptKey, checkpoint: Int?, WorkerID)
  case verdict(AttemptKey, WorkerID, SyncVerdict)

  // What was done to them, and what was measured.
  case fault(String)
  /// A queue, an outbox or a buffer of `owner` held `value`, where it may hold `limit`.
  case measured(String, owner: String, value: Int, limit: Int)
  /// From here on nothing is broken on purpose any more.
  case faultsEnded
}

/// How a member of a shared store came to have tasks.
public enum Taking: String, CaseIterable, Sendable {
  /// Out of the pool, to be given out.
  case claimed
  /// Out of the pool, since somebody asked for it by name.
  case located
  /// With the worker that may hold it; those that the member had already may be named as well.
  case gathered
  /// From members that have ended.
  case takenOver
}

/// A task as a store has it.
public struct StoredTask: Equatable, Sendable {
  public var id: TaskID
  public var status: TaskStatus
  public var attempt: Int
  public var worker: WorkerID?
  public var checkpoint: CheckpointKey?

  public init(id: TaskID, status: TaskStatus, attempt: Int, worker: WorkerID?, checkpoint: CheckpointKey?) {
    self.id = id
    self.status = status
    self.attempt = attempt
    self.worker = worker
    self.checkpoint = checkpoint
  }
}

/// `StoreWrite` without its contents.
public enum StoredChange: Equatable, Sendable {
  case submitted(TaskID)
  case state(TaskID, TaskStatus, attempt: Int, worker: WorkerID?)
  case attempt(AttemptKey, AttemptRecord.Outcome, WorkerID, resumedFrom: CheckpointKey?)
  case checkpoint(TaskID, CheckpointKey)
  case output(AttemptKey)
  /// A queued task is the pool's again.
  case released(TaskID)
  /// The task is another member's.
  case transferred(TaskID, to: MemberID)
  /// Something about no task.
  case other(String)

  public init(_ write: StoreWrite) {
    switch write {
    case .submit(let task): self = .submitted(task.id)
    case .update(let id, let state):
      self = .state(id, state.status, attempt: state.attempt, worker: state.workerID)
    case .attempt(let record):
      self = .attempt(
        AttemptKey(record.taskID, record.attempt), record.outcome, record.workerID, resumedFrom: record.resumedFrom)
    case .checkpoint(let checkpoint, _): self = .checkpoint(checkpoint.taskID, checkpoint.key)
    case .appendOutput(let id, let attempt, _, _, _, _), .output(let id, let attempt, _):
      self = .output(AttemptKey(id, attempt))
    case .testRan(let name, _), .testFate(let name, _, _): self = .other("test \(name)")
    case .run(let part): self = .other("run \(part.run)")
    case .release(let id): self = .released(id)
    case .transfer(let id, let member): self = .transferred(id, to: member)
    }
  }
}
