import Primitives

/// What a worker has done since it started.
public struct WorkStatistics: Equatable, Sendable {
  /// Attempts begun.
  public internal(set) var started = 0
  public internal(set) var completed = 0
  public internal(set) var failed = 0
  /// Those stopped for any reason included.
  public internal(set) var cancelled = 0
  public internal(set) var checkpoints = 0
  /// Of the checkpoints, as JSON text.
  public internal(set) var checkpointBytes = 0
  public internal(set) var bytesSent = 0
  public internal(set) var bytesReceived = 0
  /// Messages that could not be read, or whose fields were at fault.
  public internal(set) var refusedMessages = 0
  /// Telemetry messages handed to the connection.
  public internal(set) var telemetryReports = 0
}

/// A worker at one moment: for its log, and for what it tells the coordinator.
public struct WorkerReport: Equatable, Sendable {
  public var state: WorkerConnectionState
  /// Of the connection to the coordinator; `nil` without one.
  public var mode: ConnectionMode?
  public var connection: WorkerStatistics
  public var work: WorkStatistics
  /// Since the worker started.
  public var uptime: Duration
  /// Since it registered; `nil` unless it is connected.
  public var connectedFor: Duration?
  public var slots: Int
  /// Attempts that run, or are being stopped.
  public var running: Int
  /// Results and reports that wait for a session, or for room in its outbox.
  public var waiting: Int
  /// Results and checkpoints that wait for the worker's disk.
  public var persisting: Int
  /// Messages that wait to be sent, by their priority.
  public var queue: QueueStatus
  public var outboxMessages: Int
  public var outboxBytes: Int
  /// Compressed over plain bytes, both ways together; `nil` before anything was compressed. Known to the shell.
  public var compressionRatio: Double?
  /// Known to the shell.
  public var residentBytes: Int?

  /// Connections after the first.
  public var reconnections: Int { max(0, connection.successes - 1) }

  /// The reference's `telemetry` message: `metrics`, `queue_status` and `connection_stats`. Durations are in seconds.
  public var telemetry: JSONObject {
    ["metrics": .object(metrics), "queue_status": .object(queueStatus), "connection_stats": .object(connectionStats)]
  }

  private var metrics: JSONObject {
    var object: JSONObject = [
      "uptime_s": .duration(uptime), "tasks_started": .integer(Int64(work.started)),
      "tasks_completed": .integer(Int64(work.completed)), "tasks_failed": .integer(Int64(work.failed)),
      "tasks_cancelled": .integer(Int64(work.cancelled)), "checkpoints": .integer(Int64(work.checkpoints)),
      "checkpoint_bytes": .integer(Int64(work.checkpointBytes)),
      "messages_sent": .integer(Int64(connection.messagesSent)),
      "messages_received": .integer(Int64(connection.messagesReceived)), "bytes_sent": .integer(Int64(work.bytesSent)),
      "bytes_received": .integer(Int64(work.bytesReceived)),
      "messages_refused": .integer(Int64(work.refusedMessages)),
    ]
    object["compression_ratio"] = compressionRatio.map(JSONValue.number) ?? .null
    if let residentBytes { object["resident_bytes"] = .integer(Int64(residentBytes)) }
    return object
  }

  private var queueStatus: JSONObject {
    [
      "slots": .integer(Int64(slots)), "running": .integer(Int64(running)), "waiting": .integer(Int64(waiting)),
      "persisting": .integer(Int64(persisting)), "outbox_messages": .integer(Int64(outboxMessages)),
      "outbox_bytes": .integer(Int64(outboxBytes)),
      "priorities": .object(queue.json),
    ]
  }

  private var connectionStats: JSONObject {
    [
      "state": .string(state.rawValue), "mode": JSONValue(mode?.rawValue),
      "connected_s": connectedFor.map(JSONValue.duration) ?? .null,
      "total_connected_s": .duration(connection.timeConnected + (connectedFor ?? .zero)),
      "connection_attempts": .integer(Int64(connection.attempts)),
      "successful_connections": .integer(Int64(connection.successes)),
      "failed_connections": .integer(Int64(connection.failures)),
      "disconnections": .integer(Int64(connection.disconnections)), "reconnections": .integer(Int64(reconnections)),
      "stability": .number(connection.stability),
      "rtt_s": connection.roundTrip.map(JSONValue.duration) ?? .null,
      "last_rtt_s": connection.lastRoundTrip.map(JSONValue.duration) ?? .null,
      "longest_rtt_s": .duration(connection.longestRoundTrip),
      "longest_heartbeat_delay_s": .duration(connection.longestHeartbeatDelay),
    ]
  }

  /// The block of figures that a worker logs every minute, as one entry.
  public var logEntry: LogEntry {
    LogEntry(
      .info, "metrics",
      [
        "state": state.rawValue, "uptime_s": "\(uptime.wholeSeconds)",
        "connected_s": connectedFor.map { "\($0.wholeSeconds)" } ?? "none", "sent": "\(connection.messagesSent)",
        "received": "\(connection.messagesReceived)", "reconnections": "\(reconnections)",
        "completed": "\(work.completed)", "failed": "\(work.failed)", "cancelled": "\(work.cancelled)",
        "running": "\(running)", "checkpoints": "\(work.checkpoints)",
        "compression": compressionRatio.map { "\(($0 * 1_000).rounded() / 1_000)" } ?? "none",
        "waiting": "\(waiting + persisting)", "outbox": "\(outboxMessages)", "outbox_bytes": "\(outboxBytes)",
        "rtt_ms": connection.roundTrip.map { "\(($0.inSeconds * 10_000).rounded() / 10)" } ?? "none",
      ])
  }
}

extension Duration {
  fileprivate var wholeSeconds: Int64 { wholeMilliseconds / 1_000 }
}
