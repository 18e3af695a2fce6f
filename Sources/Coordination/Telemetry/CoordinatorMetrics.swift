import CoordinationCore
import Metrics
import Primitives
import WebSocket

/// A coordinator's metrics: what its loop counts itself, and what the core and others have counted when they are shown.
///
/// It belongs to the loop. Nothing else records here: the store's thread says when a commit is done, and the loop, which
/// hears it, records how long that took.
final class CoordinatorMetrics {
  /// What others know, as it was when somebody asked.
  struct Readings {
    var core = CoordinatorStatistics()
    var levels = CoordinatorLevels()
    var process = ProcessStatistics()
    var compression = CompressionStatistics()
    var connections: [ConnectionKind: Int] = [:]
    /// Connections that ended without a word, for there was no room for them at all.
    var cutConnections = 0
    var slowReadersDropped = 0
    /// The store's: what it left out to keep what has ended as it was.
    var refusedStoreWrites = 0
    var isReady = false
  }

  let accepted: Labelled<ConnectionKind, Counter>
  let refused: Labelled<ConnectionRefusal, Counter>
  let messagesReceived: Counter
  let messagesSent: Counter
  let bytesReceived: Counter
  let bytesSent: Counter
  let commits: Counter
  let commitErrors: Counter
  let commitLatency: Histogram
  let batchSize: Histogram
  let turns: Histogram

  private let registry = MetricsRegistry()
  private var readings = Readings()

  /// Seconds, from a memory store's commit to a disk that is in trouble.
  private static let latencyBounds = [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5]
  /// Seconds, from an instant task to one of hours.
  private static let taskBounds = [0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600, 14_400]

  init() {
    accepted = registry.counters(
      "lifeline_connections_accepted_total", "WebSocket connections opened since the start.", by: ConnectionKind.self)
    refused = registry.counters(
      "lifeline_connections_refused_total", "Connections that ended before they were open.",
      by: ConnectionRefusal.self)
    let messages = registry.counters(
      "lifeline_messages_total", "Messages from and to workers.", by: Direction.self)
    messagesReceived = messages[.received]
    messagesSent = messages[.sent]
    let bytes = registry.counters(
      "lifeline_message_bytes_total", "Bytes of those messages, before compression.", by: Direction.self)
    bytesReceived = bytes[.received]
    bytesSent = bytes[.sent]
    commits = registry.counter("lifeline_store_commits_total", "Batches of writes that are durable.")
    commitErrors = registry.counter(
      "lifeline_store_commit_errors_total", "Commits that failed, repeated ones included.")
    commitLatency = registry.histogram(
      "lifeline_store_commit_seconds", "From a commit's begin until the loop heard that it is durable.",
      in: .nanoseconds, bounds: Self.latencyBounds)
    batchSize = registry.histogram(
      "lifeline_store_batch_writes", "Writes in one commit.", in: .one,
      bounds: [1, 2, 5, 10, 50, 100, 500, 1_000, 10_000])
    turns = registry.histogram(
      "lifeline_loop_turn_seconds", "How long turns of the event loop took in which the coordinator had work.",
      in: .nanoseconds, bounds: Self.latencyBounds)
    registerConnections()
    registerMessages()
    registerTasks()
    registerStore()
    registerProcess()
  }

  /// The text of `GET /metrics`.
  func exposition(_ readings: Readings) -> [UInt8] {
    self.readings = readings
    // Holding on to them would make the core copy its histograms at the next record.
    defer { self.readings = Readings() }
    return TextExposition.text(of: registry)
  }

  // MARK: What others count

  private func registerConnections() {
    registry.gauges("lifeline_connections_open", "WebSocket connections that are open.", by: ConnectionKind.self) {
      [unowned self] in Double(readings.connections[$0] ?? 0)
    }
    registry.counter("lifeline_connections_cut_total", "Connections cut at once: even those to refuse were too many.") {
      [unowned self] in UInt64(clamping: readings.cutConnections)
    }
    registry.counter("lifeline_slow_readers_dropped_total", "Connections ended because their peers did not read.") {
      [unowned self] in UInt64(clamping: readings.slowReadersDropped)
    }
    registry.counters(
      "lifeline_registrations_total", "Registrations of workers, by what became of their session.",
      by: RegistrationLabel.self
    ) { [unowned self] in readings.core.registrations($0.outcome) }
    registry.counter("lifeline_reconnections_total", "Registrations of workers that had registered before.") {
      [unowned self] in readings.core.reconnections
    }
    registry.counter("lifeline_takeovers_total", "Connections that a newer one of the same worker ended.") {
      [unowned self] in readings.core.takeovers
    }
    registry.counter("lifeline_workers_lost_total", "Workers given up: away for too long, or out of their lease.") {
      [unowned self] in readings.core.workersLost
    }
    registry.gauges("lifeline_workers", "Workers known.", by: WorkerStateLabel.self) {
      [unowned self] in Double(readings.levels.workers[$0.state] ?? 0)
    }
    registry.gauge("lifeline_worker_slots", "Slots of connected workers.") {
      [unowned self] in Double(readings.levels.slots)
    }
    registry.gauge("lifeline_worker_slots_in_use", "Slots of connected workers that hold a task.") {
      [unowned self] in Double(readings.levels.slotsInUse)
    }
  }

  private func registerMessages() {
    registry.counters(
      "lifeline_messages_refused_total", "Messages of workers that were refused.", by: RefusalLabel.self
    ) {
      [unowned self] in readings.core.refusals($0.reason)
    }
    registry.counter("lifeline_messages_unknown_total", "Messages of a type that nobody handles.") {
      [unowned self] in readings.core.unknownMessages
    }
    registry.counter("lifeline_messages_repeated_total", "Numbered messages that came again and were dropped.") {
      [unowned self] in readings.core.duplicates
    }
    registry.gauge("lifeline_outbox_messages", "Messages that wait for workers' acknowledgements.") {
      [unowned self] in Double(readings.levels.outboxMessages)
    }
    registry.gauge("lifeline_outbox_bytes", "Bytes of those messages.") {
      [unowned self] in Double(readings.levels.outboxBytes)
    }
    registry.counters(
      "lifeline_compression_plain_bytes_total", "Bytes of messages that were compressed, before.", by: Direction.self
    ) { [unowned self] in readings.compression.volume($0).plainBytes }
    registry.counters(
      "lifeline_compression_compressed_bytes_total", "Bytes of messages that were compressed, after.",
      by: Direction.self
    ) { [unowned self] in readings.compression.volume($0).compressedBytes }
    registry.counter("lifeline_heartbeats_total", "Heartbeats of workers.") {
      [unowned self] in readings.core.heartbeats
    }
    registry.counter("lifeline_telemetry_reports_total", "Telemetry messages of workers.") {
      [unowned self] in readings.core.telemetryReports
    }
    registry.histogram(
      "lifeline_heartbeat_gap_seconds", "Between one heartbeat and the next over the same connection.",
      in: .nanoseconds, bounds: [0.1, 0.5, 1, 2, 4, 5, 6, 8, 10, 15, 30, 60]
    ) { [unowned self] in readings.core.heartbeatGaps }
    registry.histogram(
      "lifeline_heartbeat_round_trip_seconds", "Smoothed round-trip times, as workers report them.",
      in: .nanoseconds, bounds: Self.latencyBounds
    ) { [unowned self] in readings.core.roundTrips }
  }

  private func registerTasks() {
    registry.gauges("lifeline_tasks", "Tasks that have not ended.", by: StatusLabel.self) {
      [unowned self] in Double(readings.core.tasks[$0.status])
    }
    registry.gauges("lifeline_tasks_queued", "Queued tasks.", by: PriorityLabel.self) {
      [unowned self] in Double(readings.core.tasks.queued($0.priority))
    }
    registry.counter("lifeline_tasks_submitted_total", "New tasks.") {
      [unowned self] in readings.core.tasks.submitted
    }
    registry.counters("lifeline_tasks_ended_total", "Tasks that ended.", by: OutcomeLabel.self) {
      [unowned self] in UInt64(clamping: readings.core.tasks[$0.status])
    }
    registry.counter("lifeline_attempts_total", "Attempts given to workers.") {
      [unowned self] in readings.core.tasks.attempts
    }
    registry.counter("lifeline_attempts_retried_total", "Attempts that failed and are followed by another.") {
      [unowned self] in readings.core.tasks.retries
    }
    registry.counter("lifeline_attempts_lost_total", "Attempts lost with their worker.") {
      [unowned self] in readings.core.tasks.lostAttempts
    }
    registry.counter("lifeline_attempts_readopted_total", "Lost attempts that their worker came back with.") {
      [unowned self] in readings.core.tasks.readoptedAttempts
    }
    registry.counter("lifeline_stale_writes_refused_total", "Words about attempts that may no longer write.") {
      [unowned self] in readings.core.refusedWrites
    }
    registry.histogram(
      "lifeline_task_queue_wait_seconds", "How long tasks waited before each attempt.", in: .milliseconds,
      bounds: Self.taskBounds
    ) { [unowned self] in readings.core.tasks.queueWait }
    registry.histogram(
      "lifeline_task_run_seconds", "From an attempt's assignment to its end; lost ones are left out.",
      in: .milliseconds, bounds: Self.taskBounds
    ) { [unowned self] in readings.core.tasks.runTime }
    registry.counter("lifeline_checkpoints_total", "Checkpoints kept.") {
      [unowned self] in readings.core.tasks.checkpoints
    }
    registry.counter("lifeline_checkpoint_bytes_total", "Bytes of their data, as JSON text.") {
      [unowned self] in readings.core.tasks.checkpointBytes
    }
  }

  private func registerStore() {
    registry.gauge("lifeline_store_pending_writes", "Writes that wait for the commit under way.") {
      [unowned self] in Double(readings.levels.pendingWrites)
    }
    registry.gauge("lifeline_ready", "1 while /readyz says so, else 0.") {
      [unowned self] in readings.isReady ? 1 : 0
    }
    registry.counter("lifeline_store_writes_refused_total", "Writes that the store left out to protect what has ended.")
    {
      [unowned self] in UInt64(clamping: readings.refusedStoreWrites)
    }
  }

  /// The names that Prometheus' own client libraries give them.
  private func registerProcess() {
    registry.counter(
      "process_cpu_seconds_total", "Processor time, in seconds.",
      readingNumber: { [unowned self] in
        readings.process.processorSeconds
      })
    registry.gauge("process_resident_memory_bytes", "Resident memory.") {
      [unowned self] in Double(readings.process.residentBytes)
    }
    registry.gauge("process_virtual_memory_bytes", "Virtual memory.") {
      [unowned self] in Double(readings.process.virtualBytes)
    }
    registry.gauge("process_open_fds", "Open file descriptors.") {
      [unowned self] in Double(readings.process.openDescriptors)
    }
    registry.gauge("process_max_fds", "The most file descriptors that may be open.") {
      [unowned self] in Double(readings.process.maxDescriptors)
    }
    registry.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.") {
      Double(ProcessStatistics.startedAt.milliseconds) / 1_000
    }
  }
}

extension CompressionStatistics {
  fileprivate func volume(_ direction: Direction) -> Volume { direction == .sent ? sent : received }
}
