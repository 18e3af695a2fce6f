public import Authentication
public import CoordinationCore
public import History
public import Reactor

/// What a worker is started with. Names and defaults are the reference's where it has them.
public struct WorkerSettings: Sendable {
  /// 1 to 128 of the characters `A–Z a–z 0–9 . _ : @ { } -`; `nil` makes one up for this run.
  public var workerID: String?
  /// `ws://HOST:PORT`, or `wss://HOST:PORT` with TLS; several with commas between them: whichever answers first is taken,
  /// and another when it is lost.
  public var coordinator = "ws://localhost:\(Protocols.defaultPort)"
  /// How many tasks run at once.
  public var slots = 1
  /// What tasks can choose it by. `BuiltInLabels.read()` is what the machine says of itself.
  public var labels = WorkerLabels()
  /// The file that keeps results and checkpoints until the coordinator has them; `nil` keeps them in memory only, and
  /// then a killed worker loses what it had not delivered.
  public var outboxPath: String?
  public var heartbeatInterval: Duration = .seconds(5)
  public var heartbeatTimeout: Duration = .seconds(15)
  public var reconnectDelay: Duration = .seconds(1)
  public var maxReconnectDelay: Duration = .seconds(60)
  /// Attempts to connect in a row before giving up; 0: without end.
  public var maxReconnectAttempts = 0
  /// A WebSocket ping goes out after this much silence, and must be answered within `pingTimeout`.
  public var pingInterval: Duration = .seconds(30)
  public var pingTimeout: Duration = .seconds(10)
  /// How long a drained worker lets what runs go on before it is asked for a checkpoint, ended and handed back to others;
  /// `nil`: to its end. Ending and delivering may take four seconds more.
  public var drainTimeout: Duration?
  /// Cuts the connection once, this long after the start, to see it come back.
  public var simulateDisconnect: Duration?
  /// Offers `lifeline.v1`; without it the worker speaks the reference's protocol.
  public var offersSession = true
  /// How the coordinator of a `wss` address is verified; `nil`: by the system's authorities. Workers of one process share
  /// one, and with it the sessions that make reconnecting cheap.
  public var tls: TLSClientContext?
  /// What to prove to the coordinator, which must prove to know it too; `nil`: nothing. Never sent, except to a coordinator
  /// that speaks the reference's protocol, where `offersSession` is false.
  public var apiKey: APIKey?
  public var telemetry = TelemetrySettings()
  /// Whether what waits to be sent leaves by its priority; otherwise in the order that it came.
  public var usesPriorities = true
  /// Whether heartbeats, patience and the reconnect delay follow what the connection is like, within the bounds above.
  public var adaptsParameters = true
  public var compression = CompressionSettings()
  public var files = FileCacheSettings()
  public var log: @Sendable (LogEntry) -> Void = { _ in }
  /// Called on the worker's loop with everything that a history must know, before the coordinator can hear of it.
  public var record: (@Sendable (HistoryEvent) -> Void)?
  /// Called on the worker's loop with messages of kinds that the worker itself does not know.
  public var onMessage: @Sendable (Message) -> Void = { _ in }

  public init() {}
}

/// Why a worker could not be started; it has changed nothing then.
public enum WorkerStartError: Error, CustomStringConvertible {
  case workerID(IdentifierError)
  case coordinator(String)
  case outbox(String)
  case executors(String)

  public var description: String {
    switch self {
    case .workerID(let error): "\(error)"
    case .coordinator(let text), .outbox(let text), .executors(let text): text
    }
  }
}
