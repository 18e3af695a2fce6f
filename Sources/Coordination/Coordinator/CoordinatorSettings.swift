public import CoordinationCore
public import History
public import Reactor

/// What a coordinator is started with.
public struct CoordinatorSettings: Sendable {
  public var host = "localhost"
  /// 0 takes a free port.
  public var port: UInt16 = Protocols.defaultPort
  public var store = StoreKind.memory
  public var core = CoordinatorConfiguration()
  /// A service author's own handlers; made on the coordinator's loop, where they live.
  public var handlers: @Sendable () -> [any MessageHandler] = { [] }
  public var log: @Sendable (LogEntry) -> Void = { _ in }
  /// Called on the coordinator's loop with everything that a history must know, before it is promised to anybody.
  public var record: (@Sendable (HistoryEvent) -> Void)?
  /// A WebSocket ping goes out after this much silence, and must be answered within `pingTimeout`.
  public var pingInterval: Duration = .seconds(30)
  public var pingTimeout: Duration = .seconds(10)
  /// TLS on every connection; `nil`: none. Its certificate may be reloaded at any time.
  public var tls: TLSServerContext?
  public var admission = AdmissionSettings()
  public var security = SecuritySettings()
  public var compression = CompressionSettings()
  public var files = FileSettings()

  public init() {}
}
