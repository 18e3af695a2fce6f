public import Primitives
public import Terminal

/// Writes log lines of one component: a constant message, and what varies as key and value.
///
///     let log = Logger(component: "coordinator", level: .info, to: .standardError, time: SystemWallClock.now)
///     log.info("worker registered", ["worker": id, "session": session, "slots": 4])
///
/// A value; copies share the writer. Lines may be written from any thread.
public struct Logger: Sendable {
  /// What varies, in order; `nil` values are left out.
  public typealias Fields = KeyValuePairs<StaticString, (any CustomStringConvertible)?>

  public let level: LogLevel
  private let component: String
  private let writer: LineWriter
  private let style: TextStyle
  private let time: @Sendable () -> WallTime
  /// The fields of every line, already as text.
  private let commonFields: String

  /// `level` is the lowest that is written; `time` is asked once for every line that is.
  public init(
    component: StaticString, level: LogLevel, to writer: LineWriter, style: TextStyle = .plain,
    time: @escaping @Sendable () -> WallTime
  ) {
    self.init(
      component: "\(component)", level: level, writer: writer, style: style, time: time, commonFields: "")
  }

  private init(
    component: String, level: LogLevel, writer: LineWriter, style: TextStyle,
    time: @escaping @Sendable () -> WallTime, commonFields: String
  ) {
    self.component = component
    self.level = level
    self.writer = writer
    self.style = style
    self.time = time
    self.commonFields = commonFields
  }

  /// A logger whose every line also carries `fields`.
  public func with(_ fields: Fields) -> Logger {
    Logger(
      component: component, level: level, writer: writer, style: style, time: time,
      commonFields: commonFields + Self.text(fields))
  }

  /// A logger for another component that shares everything else.
  public func component(_ name: StaticString) -> Logger {
    Logger(
      component: "\(name)", level: level, writer: writer, style: style, time: time, commonFields: commonFields)
  }

  public func debug(_ message: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    log(.debug, message, fields())
  }

  public func info(_ message: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    log(.info, message, fields())
  }

  public func warning(_ message: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    log(.warning, message, fields())
  }

  public func error(_ message: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    log(.error, message, fields())
  }

  public func critical(_ message: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    log(.critical, message, fields())
  }

  /// Writes one line if `level` is at least the logger's; otherwise the fields are not even evaluated.
  public func log(_ level: LogLevel, _ message: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    guard level >= self.level else { return }
    writer.write(
      line: LogLine.text(
        time: time(), level: level, component: component, message: "\(message)",
        fields: commonFields + Self.text(fields()), style: style))
  }

  /// Writes one line whose words and fields were put together elsewhere, as by a core that does no I/O itself.
  public func log(_ level: LogLevel, words: String, facts: [(key: String, value: String)]) {
    guard level >= self.level else { return }
    let fields = facts.map { LogLine.field($0.key, $0.value) }.joined()
    writer.write(
      line: LogLine.text(
        time: time(), level: level, component: component, message: words.escapedForDisplay,
        fields: commonFields + fields, style: style))
  }

  private static func text(_ fields: Fields) -> String {
    var result = ""
    for (key, value) in fields {
      guard let value else { continue }
      // A Duration describes itself as "0.25 seconds", which would need quotes.
      let text = (value as? Duration).map { "\($0.inSeconds)s" } ?? value.description
      result += LogLine.field("\(key)", text)
    }
    return result
  }
}
