/// What a coordinator can be told. Names and defaults are the reference's where it has them.
public struct CoordinatorConfiguration: Sendable {
  /// How often a worker is to send a heartbeat.
  public var heartbeatInterval: Duration = .seconds(5)
  /// A worker not heard of for this long is taken for disconnected, and its connection is closed.
  public var heartbeatTimeout: Duration = .seconds(15)
  /// How long a worker may hold its tasks after it last asked. It is the grace period of a worker that lost its
  /// network: back within it, it keeps everything; after it, its tasks go to others and its session is over.
  public var lease: Duration = .seconds(30)
  /// How many tasks a state-sync message carries at most.
  public var stateSyncBatch = 100
  /// Of each task, how many checkpoints are kept.
  public var checkpointsKept = 10
  /// The longest checkpoint accepted, in bytes of JSON text.
  public var maxCheckpointBytes = 256 << 10
  /// The longest output kept of each stream of an attempt, in bytes.
  public var maxOutputBytes = 192 << 10
  /// What may wait for a worker's acknowledgement.
  public var outbox = Outbox.Limits()
  /// The most slots a worker may claim.
  public var maxSlots = 4_096
  /// The most workers known at once, connected or not.
  public var maxWorkers = 100_000
  /// The most tasks that may be queued or running at once; more are refused until some have ended.
  public var maxUnfinishedTasks = 1_000_000
  /// Whether every numbered message is told as `CoordinatorEffect.trace`, for a history that is checked afterwards.
  public var isTraced = false

  public init() {}
}
