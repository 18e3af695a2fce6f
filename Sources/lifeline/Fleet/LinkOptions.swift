import ArgumentParsing
import Coordination

/// When a worker speaks, when it takes its coordinator for lost, and when it comes back; of one worker as of thousands.
enum LinkOptions {
  private static let heartbeatInterval = Option(
    "heartbeat-interval", .duration(.milliseconds(10) ... .seconds(3_600)), default: .seconds(5),
    "How often to send a heartbeat, unless the coordinator says otherwise.")
  private static let heartbeatTimeout = Option(
    "heartbeat-timeout", .duration(.milliseconds(20) ... .seconds(86_400)), default: .seconds(15),
    "A coordinator not heard of for this long is taken for lost.")
  private static let reconnectDelay = Option(
    "reconnect-delay", .duration(), default: .seconds(1),
    "The longest wait before the second attempt to connect; it doubles from there on.")
  private static let maxReconnectDelay = Option(
    "max-reconnect-delay", .duration(), default: .seconds(60), "The longest wait between attempts to connect.")

  static let all: [any DeclaredOption] = [heartbeatInterval, heartbeatTimeout, reconnectDelay, maxReconnectDelay]

  static func apply(_ invocation: Invocation, to settings: inout WorkerSettings) throws(UsageError) {
    settings.heartbeatInterval = invocation[heartbeatInterval]
    settings.heartbeatTimeout = invocation[heartbeatTimeout]
    settings.reconnectDelay = invocation[reconnectDelay]
    settings.maxReconnectDelay = invocation[maxReconnectDelay]
    guard settings.heartbeatInterval < settings.heartbeatTimeout else {
      throw invocation.error("--heartbeat-timeout must be longer than --heartbeat-interval")
    }
  }
}
