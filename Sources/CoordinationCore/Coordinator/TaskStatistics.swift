public import Primitives

/// What became of tasks since this coordinator started, and where those stand that have not ended.
///
/// Counted where a task changes, so before the change is durable: a change that is never committed ends the coordinator.
public struct TaskStatistics: Equatable, Sendable {
  /// Tasks that were new; submitting one again counts nothing.
  public internal(set) var submitted: UInt64 = 0
  public internal(set) var completed: UInt64 = 0
  public internal(set) var failed: UInt64 = 0
  public internal(set) var cancelled: UInt64 = 0
  /// Attempts given to a worker.
  public internal(set) var attempts: UInt64 = 0
  /// Attempts that failed and were followed, or will be, by another.
  public internal(set) var retries: UInt64 = 0
  /// Attempts lost with their worker, or given up by it.
  public internal(set) var lostAttempts: UInt64 = 0
  /// Of those, the ones that their worker came back with.
  public internal(set) var readoptedAttempts: UInt64 = 0
  public internal(set) var checkpoints: UInt64 = 0
  /// Of the checkpoints' data, as JSON text.
  public internal(set) var checkpointBytes: UInt64 = 0
  /// How long tasks waited before each attempt, in milliseconds of the wall clock.
  public internal(set) var queueWait = LatencyHistogram()
  /// From an attempt's assignment to its worker's word that it ended, in milliseconds of the wall clock; lost attempts
  /// are left out.
  public internal(set) var runTime = LatencyHistogram()

  private var queuedByPriority = [Int](repeating: 0, count: TaskPriority.allCases.count)
  private var assigned = 0
  private var running = 0
  private var paused = 0

  public init() {}

  /// How many tasks stand there now; of those that have ended, how many ended so.
  public subscript(status: TaskStatus) -> Int {
    switch status {
    case .queued: queuedByPriority.reduce(0, +)
    case .assigned: assigned
    case .running: running
    case .paused: paused
    case .completed: Int(clamping: completed)
    case .failed: Int(clamping: failed)
    case .cancelled: Int(clamping: cancelled)
    }
  }

  /// How many tasks of this priority are queued, those that are held back included.
  public func queued(_ priority: TaskPriority) -> Int { queuedByPriority[priority.rawValue] }

  mutating func entered(_ status: TaskStatus, _ priority: TaskPriority) {
    switch status {
    case .completed: completed += 1
    case .failed: failed += 1
    case .cancelled: cancelled += 1
    case .queued, .assigned, .running, .paused: change(status, priority, by: 1)
    }
  }

  mutating func left(_ status: TaskStatus, _ priority: TaskPriority) { change(status, priority, by: -1) }

  private mutating func change(_ status: TaskStatus, _ priority: TaskPriority, by amount: Int) {
    switch status {
    case .queued: queuedByPriority[priority.rawValue] += amount
    case .assigned: assigned += amount
    case .running: running += amount
    case .paused: paused += amount
    case .completed, .failed, .cancelled: break
    }
  }
}
