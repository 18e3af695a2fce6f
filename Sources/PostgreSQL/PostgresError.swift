/// Why the server, or the way to it, did not do what was asked.
public struct PostgresError: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Kind: Equatable, Sendable {
    /// No connection could be made, or it broke: whether what was under way has happened is not known.
    case connection
    /// The server refused a statement; nothing of its transaction has happened.
    case statement
    /// The address or the permission is wrong: trying again does not help.
    case refused
  }

  public let kind: Kind
  /// The five characters of SQLSTATE; empty when the error is not the server's.
  public let code: String
  public let message: String
  /// Which call of its transaction failed, from 0.
  public let call: Int?

  public init(_ kind: Kind, code: String = "", _ message: String, call: Int? = nil) {
    self.kind = kind
    self.code = code
    self.message = message
    self.call = call
  }

  public var description: String { code.isEmpty ? message : "\(message) (SQLSTATE \(code))" }

  /// A conflict with another transaction: the same again may well succeed.
  public var isConflict: Bool { ["40001", "40P01", "55P03", "57014"].contains(code) }

  /// The server ends, starts, or has no connection left: what it says before it closes a connection.
  public var endsConnection: Bool {
    code.hasPrefix("57P") || code.hasPrefix("08") || code == "53300" || code == "25P03"
  }

  /// Reads what libpq says of a connection that could not be made, with the server's code in it (verbosity "verbose").
  static func connecting(_ text: String, needsPassword: Bool) -> PostgresError {
    let lines = text.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }
    var message = lines.joined(separator: "; ")
    var code = ""
    // "FATAL:  28P01: password authentication failed …"
    if let severity = message.range(of: ":  ") {
      let rest = message[severity.upperBound...]
      if rest.utf8.count > 6, rest.dropFirst(5).hasPrefix(": "), rest.prefix(5).allSatisfy({ $0.isASCII }) {
        code = String(rest.prefix(5))
        message = String(message[..<severity.lowerBound]) + ": " + rest.dropFirst(7)
      }
    }
    // What the server said last explains a list of hosts that were all tried; its code is the last one's then.
    let isPermanent =
      needsPassword || code.hasPrefix("28") || code == "3D000" || code == "42501"
      || message.contains("does not support SSL") || message.contains("certificate")
    return PostgresError(isPermanent ? .refused : .connection, code: code, message)
  }
}

extension String {
  /// The first place of `other`.
  func range(of other: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(other) { return start..<index(start, offsetBy: other.count) }
      start = index(after: start)
    }
    return nil
  }
}
