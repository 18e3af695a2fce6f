/// Emphasis for a terminal, or none for everything else: the same calls give plain text when it is off.
public struct TextStyle: Sendable, Equatable {
  public enum Emphasis: String, Sendable {
    case none = ""
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"
  }

  public let isEnabled: Bool

  public init(isEnabled: Bool) {
    self.isEnabled = isEnabled
  }

  public static let plain = TextStyle(isEnabled: false)

  /// Colours only on a terminal that can, and not where `NO_COLOR` is set to anything (https://no-color.org).
  public init(isTerminal: Bool, environment: [String: String]) {
    let isForbidden = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
    self.init(isEnabled: isTerminal && !isForbidden)
  }

  public func apply(_ emphasis: Emphasis, to text: String) -> String {
    guard isEnabled, emphasis != .none, !text.isEmpty else { return text }
    return "\u{1B}[\(emphasis.rawValue)m\(text)\u{1B}[0m"
  }
}
