/// What a coordinator can be told. Names and defaults are the reference's where it has them.
public struct CoordinatorConfiguration: Sendable {
  /// How often a worker is to send a heartbeat.
  public var heartbeatInterval: Duration = .seconds(5)
  /// A worker not heard of for this long is taken for disconnected, and its connection is closed. One that beat
  /// regularly until then is found earlier, from two thirds of this on.
  public var heartbeatTimeout: Duration = .seconds(15)
  /// How long the tasks of a worker whose connection ended wait for it: its process has most likely died, but it may
  /// as well be back in a moment.
  public var closedGrace: Duration = .seconds(5)
  /// How long a worker goes on with its attempts after it last reached the coordinator, and how long its session is
  /// kept. It comes back within it and keeps everything that was not given to others meanwhile.
  public var lease: Duration = .seconds(120)
  /// Whether an absent worker's tasks wait for the end of its lease, so that two attempts at one task never run at the
  /// same time. Otherwise they go to others as soon as it is most likely gone: if it was not, both run until it is
  /// told, and only the newer one is recorded.
  public var exclusiveLeases = false
  /// Whether the heartbeat interval grows with the number of workers, as far as silence is still found in time.
  public var adaptsParameters = true
  /// Heartbeats a second that are wanted at most, over all workers.
  ///
  /// 2,000 unless set: what 10,000 workers send at the usual interval, a few per cent of one core's time.
  public var maxHeartbeatsPerSecond = 2_000
  /// Whether tasks are given out by their priority; otherwise in the order of their submission.
  public var usesPriorities = true
  /// A task queued for this long is overdue and gets every fourth turn, whatever is more urgent; `nil`: strict order.
  ///
  /// A minute unless set: longer than most commands run, so that what is urgent still goes first in the ordinary case,
  /// and short beside what a person waits for a batch.
  public var priorityAging: Duration? = .seconds(60)
  /// How many tasks a state-sync message carries at most.
  public var stateSyncBatch = 100
  /// Of each task, how many checkpoints are kept.
  public var checkpointsKept = 10
  /// The longest checkpoint accepted, in bytes of JSON text.
  public var maxCheckpointBytes = 256 << 10
  /// The longest output kept of each stream of an attempt, in bytes.
  public var maxOutputBytes = 192 << 10
  /// What may wait for a worker's acknowledgement. Less than a worker's own, because there are many workers.
  public var outbox = Outbox.Limits(maxBytes: 4 << 20)
  /// A worker that speaks and acknowledges nothing for this long does not read: its connection is closed.
  public var slowReaderTimeout: Duration = .seconds(30)
  /// The most slots a worker may claim.
  public var maxSlots = 4_096
  /// The most workers known at once, connected or not.
  public var maxWorkers = 100_000
  /// The most tasks that may be queued or running at once; more are refused until some have ended.
  public var maxUnfinishedTasks = 1_000_000
  /// The most different needs (kind, requirements and slots) that queued tasks may have; tasks with others are refused.
  public var maxTaskClasses = 10_000
  /// Whether other coordinators use the same store, as `ClusterCore` arranges.
  public var isShared = false
  /// Whether every numbered message is told as `CoordinatorEffect.trace`, for a history that is checked afterwards.
  public var isTraced = false

  public init() {}
}
