/// How urgent something that waits is: a task waiting for a worker, or a message waiting to be sent.
public enum Priority: Int, CaseIterable, Comparable, Sendable {
  case critical, high, normal, low, background

  /// The name on the wire, `CRITICAL` and so on.
  public var name: String {
    switch self {
    case .critical: "CRITICAL"
    case .high: "HIGH"
    case .normal: "NORMAL"
    case .low: "LOW"
    case .background: "BACKGROUND"
    }
  }

  public init?(name: String) {
    guard let match = Self.allCases.first(where: { $0.name == name.uppercased() }) else { return nil }
    self = match
  }

  public static func < (left: Priority, right: Priority) -> Bool { left.rawValue < right.rawValue }
}

/// The order in which queued tasks are handed out.
public typealias TaskPriority = Priority

extension MessageKind {
  /// How urgent a message of this kind is while it waits to be sent.
  ///
  /// | | from the worker | from the coordinator |
  /// | --- | --- | --- |
  /// | `CRITICAL` | `registration` `state_sync` `task_cancelled` `goodbye` | `welcome` `registration_ack` `state_sync_ack` `cancel_task` |
  /// | `HIGH` | `heartbeat` `ack` `error` `task_result` | `heartbeat` `ack` `error` `pause_task` `resume_task` `task_result_ack` |
  /// | `NORMAL` | `task_state` `checkpoint` and whatever else | `task_assignment` and whatever else |
  /// | `LOW` | `telemetry` | |
  /// | `BACKGROUND` | `task_output` | |
  ///
  /// A service author's kinds are `NORMAL`.
  public var priority: Priority {
    switch self {
    case .registration, .stateSync, .taskCancelled, .goodbye, .welcome, .registrationAck, .stateSyncAck, .cancelTask:
      .critical
    case .heartbeat, .ack, .error, .taskResult, .pauseTask, .resumeTask, .taskResultAck: .high
    case .telemetry: .low
    case .taskOutput: .background
    default: .normal
    }
  }
}
