public import Primitives

/// Where a task is in its life: `queued → assigned → running ⇄ paused → completed | failed | cancelled`.
public enum TaskStatus: String, CaseIterable, Sendable {
  case queued, assigned, running, paused, completed, failed, cancelled

  /// Whether the task has ended: its record will never change again.
  public var isTerminal: Bool {
    switch self {
    case .completed, .failed, .cancelled: true
    case .queued, .assigned, .running, .paused: false
    }
  }

  /// Whether a worker holds the task.
  public var isHeld: Bool {
    switch self {
    case .assigned, .running, .paused: true
    case .queued, .completed, .failed, .cancelled: false
    }
  }
}

/// The part of a task that changes.
public struct TaskState: Equatable, Sendable {
  public var status: TaskStatus
  /// The newest attempt, from 1; 0 before the first. It is the fencing token: a smaller one may not write.
  public var attempt: Int
  /// Attempts that ended by themselves and failed.
  public var failedAttempts: Int
  /// Attempts lost with their worker.
  public var lostAttempts: Int
  /// Who holds the newest attempt or ended it.
  public var workerID: WorkerID?
  public var startedAt: WallTime?
  public var finishedAt: WallTime?
  /// A command's exit status, or 128 + the signal that ended it, as a shell reports it.
  public var exitCode: Int?
  /// Why the task failed or was cancelled, for people.
  public var reason: String?
  /// What a custom task returned, as JSON text.
  public var result: JSONValue?
  /// From 0 to 1, as the task reported it.
  public var progress: Double?
  /// Somebody asked for the task to end; it ends as soon as its worker says so or is lost.
  public var isCancelRequested: Bool
  /// Somebody asked for the task to stand still; a new attempt starts paused as well.
  public var isPauseRequested: Bool

  public init(status: TaskStatus = .queued) {
    self.status = status
    attempt = 0
    failedAttempts = 0
    lostAttempts = 0
    isCancelRequested = false
    isPauseRequested = false
  }
}

/// A task as the store keeps it.
public struct TaskRecord: Equatable, Sendable {
  public let id: TaskID
  public let specification: TaskSpecification
  public let submittedAt: WallTime
  public var state: TaskState

  public init(id: TaskID, specification: TaskSpecification, submittedAt: WallTime, state: TaskState = TaskState()) {
    self.id = id
    self.specification = specification
    self.submittedAt = submittedAt
    self.state = state
  }
}

/// One execution of a task under one lease.
public struct AttemptRecord: Equatable, Sendable {
  public enum Outcome: String, CaseIterable, Sendable {
    case running, completed, failed, cancelled
    /// Its worker was lost or gave it up; another attempt may follow.
    case lost
  }

  public let taskID: TaskID
  public let attempt: Int
  public var workerID: WorkerID
  public var startedAt: WallTime
  public var endedAt: WallTime?
  public var outcome: Outcome
  /// Why it ended as it did, for people; empty while it runs.
  public var reason: String
  public var exitCode: Int?
  /// The checkpoint it started from.
  public var resumedFrom: CheckpointKey?

  public init(taskID: TaskID, attempt: Int, workerID: WorkerID, startedAt: WallTime, resumedFrom: CheckpointKey? = nil)
  {
    self.taskID = taskID
    self.attempt = attempt
    self.workerID = workerID
    self.startedAt = startedAt
    self.resumedFrom = resumedFrom
    outcome = .running
    reason = ""
  }

  private static let handedBack = "handed back: "
  /// The reason of a lost attempt that its worker gave back because it was leaving: it does not count as lost.
  static func handedBackReason(_ reason: String) -> String { handedBack + reason }
  /// Whether it was given back in order, and not lost with its worker.
  public var isHandedBack: Bool { outcome == .lost && reason.hasPrefix(Self.handedBack) }
}

/// A checkpoint's place in a task's history: attempts in order, then the checkpoints of each.
public struct CheckpointKey: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let attempt: Int
  /// From 1 within its attempt.
  public let number: Int

  public init(attempt: Int, number: Int) {
    self.attempt = attempt
    self.number = number
  }

  public var description: String { "\(attempt).\(number)" }

  public static func < (left: CheckpointKey, right: CheckpointKey) -> Bool {
    (left.attempt, left.number) < (right.attempt, right.number)
  }
}

/// Progress that a later attempt can start from.
public struct CheckpointRecord: Equatable, Sendable {
  public let taskID: TaskID
  public let key: CheckpointKey
  public let createdAt: WallTime
  public let data: JSONValue

  public init(taskID: TaskID, key: CheckpointKey, createdAt: WallTime, data: JSONValue) {
    self.taskID = taskID
    self.key = key
    self.createdAt = createdAt
    self.data = data
  }
}

/// Which of a command's two outputs.
public enum OutputStream: String, CaseIterable, Sendable {
  case stdout, stderr
}

/// What one attempt wrote, as far as it was kept.
public struct AttemptOutput: Equatable, Sendable {
  public var stdout: [UInt8]
  public var stderr: [UInt8]
  /// Bytes that were written but not kept, over both streams.
  public var droppedBytes: Int

  public init(stdout: [UInt8] = [], stderr: [UInt8] = [], droppedBytes: Int = 0) {
    self.stdout = stdout
    self.stderr = stderr
    self.droppedBytes = droppedBytes
  }

  /// Keeps the first `limit` bytes of each stream and counts the rest as dropped.
  mutating func cut(to limit: Int) {
    droppedBytes += max(0, stdout.count - limit) + max(0, stderr.count - limit)
    stdout.removeLast(max(0, stdout.count - limit))
    stderr.removeLast(max(0, stderr.count - limit))
  }
}
