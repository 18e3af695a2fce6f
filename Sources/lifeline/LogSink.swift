import ArgumentParsing
import CoordinationCore
import Glibc
import Reactor
import StructuredLog
import Terminal

/// Takes the cores' log entries to standard error.
enum LogSink {
  static let level = Option(
    "log-level", ArgumentType<StructuredLog.LogLevel>.choice, default: .info, as: "LEVEL", "The least that is logged.")

  static func make(_ component: StaticString, _ level: StructuredLog.LogLevel) -> @Sendable (LogEntry) -> Void {
    let style = TextStyle(
      isTerminal: TerminalDevice.isTerminal(STDERR_FILENO), environment: Surroundings.variables)
    let logger = Logger(
      component: component, level: level, to: .standardError, style: style, time: { SystemWallClock.now() })
    return { entry in logger.log(Self.level(of: entry), words: entry.message, facts: entry.facts) }
  }

  private static func level(of entry: LogEntry) -> StructuredLog.LogLevel {
    switch entry.level {
    case .debug: .debug
    case .info: .info
    case .warning: .warning
    case .error: .error
    case .critical: .critical
    }
  }
}
