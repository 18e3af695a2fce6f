internal import Primitives
internal import Terminal

/// The text of one log line: `2026-11-23T12:34:56.789Z INFO  coordinator: worker registered worker=w1 slots=4`.
///
/// Values come from peers, so whatever they contain stays inside its quotes on this one line.
enum LogLine {
  /// A longer value is cut: logs are for finding one's way, not for keeping payloads.
  static let valueCharactersMax = 512

  static func text(
    time: WallTime, level: LogLevel, component: String, message: String, fields: String, style: TextStyle
  ) -> String {
    let levelText = level.rawValue + String(repeating: " ", count: max(0, 5 - level.rawValue.count))
    return "\(time.iso8601) \(style.apply(emphasis(level), to: levelText)) \(component): \(message)\(fields)"
  }

  /// ` key=value`, or ` key="…"` where the value could be misread.
  static func field(_ key: String, _ value: String) -> String {
    " \(key)=\(quotedIfNeeded(value))"
  }

  private static func quotedIfNeeded(_ value: String) -> String {
    // Cut by scalars: one character may be made of any number of them.
    let scalars = value.unicodeScalars
    let isCut =
      scalars.index(scalars.startIndex, offsetBy: valueCharactersMax, limitedBy: scalars.endIndex)
      .map { $0 != scalars.endIndex } ?? false
    let text = isCut ? String(String.UnicodeScalarView(scalars.prefix(valueCharactersMax))) + "…" : value
    let isBare = !text.isEmpty && text.unicodeScalars.allSatisfy { !needsQuotes($0) }
    let escaped = text.escapedForDisplay
    if isBare && escaped == text { return text }
    var result = "\""
    for scalar in escaped.unicodeScalars {
      if scalar == "\"" { result += "\\" }
      result.unicodeScalars.append(scalar)
    }
    return result + "\""
  }

  private static func needsQuotes(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "\"" || scalar == "=" || scalar.properties.isWhitespace
  }

  private static func emphasis(_ level: LogLevel) -> TextStyle.Emphasis {
    switch level {
    case .debug: .dim
    case .info: .none
    case .warning: .yellow
    case .error, .critical: .red
    }
  }
}
