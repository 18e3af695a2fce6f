public import Authentication
public import CoordinationCore
public import Primitives
public import Reactor

/// How a client reaches its coordinator.
public struct ClientSettings: Sendable {
  /// `ws://HOST:PORT`, or `wss://HOST:PORT` with TLS; several with commas between them: whichever answers first is taken,
  /// and another when it is lost.
  public var coordinator = "ws://localhost:\(Protocols.defaultPort)"
  /// How long requests may wait while no coordinator answers; `nil`: for ever.
  public var patience: Duration? = .seconds(10)
  public var backoff = Backoff.Configuration(base: .milliseconds(100), cap: .seconds(2), usefulSession: .seconds(1))
  /// A WebSocket ping goes out after this much silence, and must be answered within `pingTimeout`.
  public var pingInterval: Duration = .seconds(10)
  public var pingTimeout: Duration = .seconds(10)

  /// How the coordinator of a `wss` address is verified; `nil`: by the system's authorities.
  public var tls: TLSClientContext?
  /// What to prove to the coordinator; never sent.
  public var apiKey: APIKey?

  public init() {}
}

/// What a client wants to hear about.
public struct WatchRequest: Equatable, Sendable {
  /// Tasks of this run only.
  public var run: String?
  /// These tasks only.
  public var taskIDs: [String]?
  /// Whether pieces of output are wanted as well.
  public var wantsOutput: Bool

  public init(run: String? = nil, taskIDs: [String]? = nil, wantsOutput: Bool = false) {
    self.run = run
    self.taskIDs = taskIDs
    self.wantsOutput = wantsOutput
  }

  var fields: JSONObject {
    var fields: JSONObject = ["output": .bool(wantsOutput)]
    if let run { fields["run"] = .string(run) }
    if let taskIDs { fields["task_ids"] = .array(taskIDs.map(JSONValue.string)) }
    return fields
  }
}

/// What a watch tells.
public enum WatchEvent: Sendable {
  /// The watch stands, for the first time or again; what happened before is only seen by listing now.
  case established
  /// A task as it is now.
  case taskChanged(JSONObject)
  /// A piece of output: `task_id`, `attempt`, `stream`, `offset`, and `data` or `data_base64`.
  case output(JSONObject)
  /// Nothing more will come: the coordinator refused the watch, or was not reached for too long.
  case failed(ClientError)
}
