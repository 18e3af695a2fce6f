import CoordinationCore
import Primitives

/// A PostgreSQL database as its user names it. Its password is for environments, and in no command line, log or report.
public struct TrialDatabaseURL: Equatable, Sendable {
  /// As it was given.
  package let text: String
  public let withoutPassword: String
  package let password: String?

  /// - Returns: `nil` for what is no `postgres://` or `postgresql://` address.
  public init?(_ text: String) {
    guard let scheme = ["postgres://", "postgresql://"].first(where: text.hasPrefix) else { return nil }
    let rest = text.dropFirst(scheme.count)
    let authorityEnd = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
    var authority = rest[..<authorityEnd]
    var tail = String(rest[authorityEnd...])
    var password: String?
    if let at = authority.lastIndex(of: "@"), let colon = authority[..<at].firstIndex(of: ":") {
      password = Self.decoded(authority[authority.index(after: colon)..<at])
      authority = authority[..<colon] + authority[at...]
    }
    if let question = tail.firstIndex(of: "?") {
      let parameters = tail[tail.index(after: question)...].split(separator: "&")
      for parameter in parameters where parameter.hasPrefix("password=") {
        password = Self.decoded(parameter.dropFirst("password=".count))
      }
      let kept = parameters.filter { !$0.hasPrefix("password=") }.joined(separator: "&")
      tail = tail[..<question] + (kept.isEmpty ? "" : "?" + kept)
    }
    self.init(text: text, withoutPassword: scheme + authority + tail, password: password)
  }

  /// The same database, and within it this schema before any other.
  func searching(_ schema: String) -> TrialDatabaseURL {
    func adding(_ text: String) -> String {
      text + (text.contains("?") ? "&" : "?") + "options=-c%20search_path%3D\(schema)"
    }
    return TrialDatabaseURL(text: adding(text), withoutPassword: adding(withoutPassword), password: password)
  }

  private init(text: String, withoutPassword: String, password: String?) {
    self.text = text
    self.withoutPassword = withoutPassword
    self.password = password
  }

  /// Percent-encoded octets as they were meant.
  private static func decoded(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
        rest.count >= 2
      {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
