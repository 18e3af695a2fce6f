import CoordinationCore
import Metrics
import WebSocket

// The labels of the coordinator's metrics. None has a value for a task, a worker, an address or a key.

enum Direction: String, MetricLabel {
  static let name = "direction"
  case received, sent
}

enum ConnectionKind: String, MetricLabel {
  static let name = "mode"
  case session, legacy, client
}

/// Why a connection was never open.
enum ConnectionRefusal: String, MetricLabel {
  static let name = "reason"
  /// Without a right to be there: 401 or 403.
  case unauthorized
  /// No such path: 404.
  case unknownPath = "unknown_path"
  /// Asked to come back later: 429 or 503.
  case overloaded
  /// Any other refusal of the coordinator's own, such as a worker id that is none.
  case rejected
  /// No valid request of an upgrade.
  case malformed
  /// No whole request within the handshake's deadline.
  case timeout
  /// The peer left first, or the system failed.
  case aborted

  init(_ reason: CloseReason) {
    switch reason.error {
    case .connection(.handshake(.rejected(let status))):
      switch status {
      case 401, 403: self = .unauthorized
      case 404: self = .unknownPath
      case 429, 503: self = .overloaded
      default: self = .rejected
      }
    case .connection(.handshake(.timedOut)): self = .timeout
    case .connection(.handshake): self = .malformed
    default: self = .aborted
    }
  }
}

struct RegistrationLabel: MetricLabel {
  static let name = "outcome"
  static let allCases = RegistrationOutcome.allCases.map(RegistrationLabel.init)
  let outcome: RegistrationOutcome
  var text: String { outcome.rawValue }
}

struct RefusalLabel: MetricLabel {
  static let name = "reason"
  static let allCases = MessageRefusal.allCases.map(RefusalLabel.init)
  let reason: MessageRefusal
  var text: String { reason.rawValue }
}

/// Where a task stands that has not ended.
struct StatusLabel: MetricLabel {
  static let name = "status"
  static let allCases = TaskStatus.allCases.filter { !$0.isTerminal }.map(StatusLabel.init)
  let status: TaskStatus
  var text: String { status.rawValue }
}

/// How a task ended.
struct OutcomeLabel: MetricLabel {
  static let name = "outcome"
  static let allCases = TaskStatus.allCases.filter(\.isTerminal).map(OutcomeLabel.init)
  let status: TaskStatus
  var text: String { status.rawValue }
}

struct PriorityLabel: MetricLabel {
  static let name = "priority"
  static let allCases = TaskPriority.allCases.map(PriorityLabel.init)
  let priority: TaskPriority
  var text: String { priority.name.lowercased() }
}

struct WorkerStateLabel: MetricLabel {
  static let name = "state"
  static let allCases = WorkerSummary.State.allCases.map(WorkerStateLabel.init)
  let state: WorkerSummary.State
  var text: String { state.rawValue }
}
