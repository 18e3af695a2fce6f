import Primitives

/// A parameter that follows the conditions has another value now.
struct ParameterChange: Equatable {
  enum Parameter: String {
    case heartbeatInterval = "heartbeat interval"
    /// Silence shorter than this never makes the other side suspect.
    case patience
    case reconnectDelay = "reconnect delay"
  }

  let parameter: Parameter
  let old: Duration
  let new: Duration
  let reason: String

  var logEntry: LogEntry {
    LogEntry(
      .info, "parameter adapted",
      [
        "parameter": parameter.rawValue, "old": "\(old.wholeMilliseconds) ms", "new": "\(new.wholeMilliseconds) ms",
        "reason": reason,
      ])
  }
}
