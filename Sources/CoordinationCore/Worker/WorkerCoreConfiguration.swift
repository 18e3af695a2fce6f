public import Primitives

/// What a worker can be told. Names and defaults are the reference's where it has them.
public struct WorkerCoreConfiguration: Sendable {
  public var workerID: WorkerID
  /// Names this run of the process; another run must have another.
  public var bootID: String
  public var capabilities: WorkerCapabilities
  public var heartbeatInterval: Duration = .seconds(5)
  /// A coordinator not heard of for this long is taken for gone, at the latest.
  public var heartbeatTimeout: Duration = .seconds(15)
  /// The upper bound of the first reconnection's random delay.
  public var reconnectDelay: Duration = .seconds(1)
  public var maxReconnectDelay: Duration = .seconds(60)
  /// Attempts to connect in a row before giving up; 0: without end.
  public var maxReconnectAttempts = 0
  /// A session that lasted this long was useful work, and the backoff starts over.
  public var usefulSession: Duration = .seconds(5)
  /// How long a draining worker lets what runs go on before it is handed back; `nil`: to its end.
  public var drainTimeout: Duration?
  /// How often to send telemetry while registered; zero: only when asked.
  public var telemetryInterval: Duration = .seconds(300)
  /// What may wait for the coordinator's acknowledgement.
  public var outbox = Outbox.Limits()
  /// The longest checkpoint sent, in bytes of JSON text.
  public var maxCheckpointBytes = 256 << 10
  /// The longest result of a custom task, in bytes of JSON text; an attempt with a longer one is reported as failed.
  public var maxResultBytes = 256 << 10
  /// The most that is sent of each of an attempt's output streams, in bytes.
  public var maxOutputBytes = 192 << 10
  /// Whether heartbeats, patience and the reconnect delay follow what the connection is like, within the bounds above.
  public var adaptsParameters = true
  /// Whether messages that wait leave by their priority; otherwise in the order that they came.
  public var usesPriorities = true
  /// A message that waited for this long is overdue and gets every fourth turn, whatever is more urgent.
  ///
  /// Two seconds unless set: less than half a heartbeat, and more than what waits on a sound connection ever waits.
  public var messageAging: Duration = .seconds(2)
  /// What is handed to the connection before it is asked whether it takes more, in bytes.
  public var sendBudgetBytes = 64 << 10
  /// Whether every numbered message is told as `WorkerEffect.trace`, for a history that is checked afterwards.
  public var isTraced = false

  public init(workerID: WorkerID, bootID: String, capabilities: WorkerCapabilities) {
    self.workerID = workerID
    self.bootID = bootID
    self.capabilities = capabilities
  }

  var bounds: WorkerBounds {
    WorkerBounds(
      heartbeatInterval: heartbeatInterval, heartbeatTimeout: heartbeatTimeout, reconnectDelay: reconnectDelay,
      maxReconnectDelay: maxReconnectDelay)
  }
}

/// Where a worker's connection stands, in the reference's words.
public enum WorkerConnectionState: String, Sendable, CaseIterable {
  case connecting
  /// Registered with the coordinator.
  case connected
  /// Waiting to try again.
  case disconnected
  /// No attempt is left.
  case failed
  case shutdown
}

/// How well the connection has fared.
public struct WorkerStatistics: Equatable, Sendable {
  /// Attempts to connect.
  public var attempts = 0
  /// Attempts that ended in a registered session.
  public var successes = 0
  public var failures = 0
  public var disconnections = 0
  /// Time spent registered, without the current session.
  public var timeConnected: Duration = .zero
  /// When the current session began, on this machine's monotonic clock.
  public var connectedSince: Instant?
  /// RFC 6298's smoothed round-trip time of heartbeats.
  public var roundTrip: Duration?
  public var lastRoundTrip: Duration?
  public var longestRoundTrip: Duration = .zero
  /// How long after it was due the latest heartbeat was sent.
  public var longestHeartbeatDelay: Duration = .zero
  public var messagesSent = 0
  public var messagesReceived = 0
  /// Unnumbered messages given up because too many waited to be sent: pieces of output, nearly always.
  public var messagesDropped = 0

  /// The share of attempts that succeeded, from 0 to 1; 1 before the first.
  public var stability: Double { attempts == 0 ? 1 : Double(successes) / Double(attempts) }
}
