public import Primitives

/// One change to durable state. A turn's writes are committed together or not at all, in the order given.
public enum StoreWrite: Equatable, Sendable {
  /// A new task. One that exists already is left as it is: submitting twice is harmless.
  case submit(TaskRecord)
  /// The state of a task that exists.
  case update(TaskID, TaskState)
  /// A new attempt, or the newest words about one that exists (same task and attempt).
  case attempt(AttemptRecord)
  /// A checkpoint; the same key again changes nothing. Of one task only the newest `keep` are kept.
  case checkpoint(CheckpointRecord, keep: Int)
  /// What an attempt has written so far, while it runs: `bytes` belong at `offset` of the stream. Bytes known already
  /// are skipped, a hole is not filled, and the stream is kept up to `limit` bytes.
  case appendOutput(TaskID, attempt: Int, OutputStream, offset: Int, bytes: [UInt8], limit: Int)
  /// All that an attempt has written, in place of what is known of it.
  case output(TaskID, attempt: Int, AttemptOutput)
  /// A test ended well after so long; a mean is kept of it.
  case testRan(TestName, Duration)
  /// Something that changes what is held against a test, whatever that is by now: others may have written meanwhile.
  case testFate(TestName, TestFateChange, at: WallTime)
  /// A part of a run's plan, in place of what it was.
  case run(RunPart)
  /// A queued task goes back to the pool of a store that several coordinators share; nothing in other stores.
  case release(TaskID)
  /// A task becomes another member's of a shared store; nothing in other stores.
  case transfer(TaskID, to: MemberID)
}

/// A task, and the newest checkpoint that its next attempt would start from.
public struct UnfinishedTask: Equatable, Sendable {
  public let task: TaskRecord
  public let checkpoint: CheckpointRecord?
  /// The newest attempt's own record, when there was one.
  public let attempt: AttemptRecord?

  public init(task: TaskRecord, checkpoint: CheckpointRecord?, attempt: AttemptRecord?) {
    self.task = task
    self.checkpoint = checkpoint
    self.attempt = attempt
  }
}

/// Everything the store knows about one task.
public struct TaskDetail: Equatable, Sendable {
  public let task: TaskRecord
  /// In order, from attempt 1.
  public let attempts: [AttemptRecord]
  /// Those still kept, oldest first.
  public let checkpoints: [CheckpointRecord]
  /// By attempt; an attempt that wrote nothing may be missing.
  public let output: [Int: AttemptOutput]

  public init(
    task: TaskRecord, attempts: [AttemptRecord], checkpoints: [CheckpointRecord], output: [Int: AttemptOutput]
  ) {
    self.task = task
    self.attempts = attempts
    self.checkpoints = checkpoints
    self.output = output
  }
}

/// Which tasks a list shows. Every condition that is set must hold.
public struct TaskFilter: Equatable, Sendable {
  public var statuses: Set<TaskStatus>?
  public var run: String?
  public var workerID: WorkerID?
  public var ids: [TaskID]?
  /// Tasks submitted after this one, in submission order: the last id of the page before.
  public var after: TaskID?
  /// At most this many, from 1 to `maxLimit`.
  public var limit: Int

  public static let maxLimit = 1_000

  public init(
    statuses: Set<TaskStatus>? = nil, run: String? = nil, workerID: WorkerID? = nil, ids: [TaskID]? = nil,
    after: TaskID? = nil, limit: Int = Self.maxLimit
  ) {
    self.statuses = statuses
    self.run = run
    self.workerID = workerID
    self.ids = ids
    self.after = after
    self.limit = min(max(limit, 1), Self.maxLimit)
  }
}
