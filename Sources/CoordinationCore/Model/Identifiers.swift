/// Why a text may not be an identifier.
public struct IdentifierError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    case empty
    case tooLong(length: Int, limit: Int)
    case badCharacter(Character)
  }

  public let what: String
  public let problem: Problem

  public var description: String {
    switch problem {
    case .empty: "the \(what) is empty"
    case .tooLong(let length, let limit): "the \(what) has \(length) characters; at most \(limit) are allowed"
    case .badCharacter(let character):
      "the \(what) contains \(JSONValue.string(String(character)).text); letters, digits and . _ : @ { } - are allowed"
    }
  }

  static let maxLength = 128

  /// Identifiers travel in URLs, log lines and file names, so they are kept to characters that need no quoting there.
  /// Braces are allowed for one reason: the reference's stock clients all call themselves `{worker_id}`.
  static func check(_ text: String, _ what: String) throws(IdentifierError) -> String {
    guard !text.isEmpty else { throw IdentifierError(what: what, problem: .empty) }
    guard text.utf8.count <= maxLength else {
      throw IdentifierError(what: what, problem: .tooLong(length: text.count, limit: maxLength))
    }
    // Every message names a task, so bytes are judged; what is wrong with a text is looked for only once something is.
    if !text.utf8.allSatisfy(isAllowed) {
      for character in text where !character.utf8.allSatisfy(isAllowed) {
        throw IdentifierError(what: what, problem: .badCharacter(character))
      }
    }
    guard text != ".", text != ".." else { throw IdentifierError(what: what, problem: .badCharacter(".")) }
    return text
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"),
      UInt8(ascii: "@"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}

/// Names a task for ever. Chosen by whoever submits it, so that submitting again is harmless.
public struct TaskID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let text: String

  /// - Parameter text: 1 to 128 of the characters `A–Z a–z 0–9 . _ : @ { } -`.
  public init(_ text: String) throws(IdentifierError) { self.text = try IdentifierError.check(text, "task id") }

  /// For identifiers this program has checked before, as when they come back from its own store.
  package init(known text: String) { self.text = text }

  public var description: String { text }
  public static func < (left: TaskID, right: TaskID) -> Bool { left.text < right.text }
}

/// Names a worker across its connections and restarts.
public struct WorkerID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let text: String

  /// - Parameter text: 1 to 128 of the characters `A–Z a–z 0–9 . _ : @ { } -`.
  public init(_ text: String) throws(IdentifierError) { self.text = try IdentifierError.check(text, "worker id") }

  package init(known text: String) { self.text = text }

  public var description: String { text }
  public static func < (left: WorkerID, right: WorkerID) -> Bool { left.text < right.text }
}

/// Names a session: the identity that survives connections.
public struct SessionID: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  public init(_ text: String) throws(IdentifierError) { self.text = try IdentifierError.check(text, "session id") }

  package init(known text: String) { self.text = text }

  public var description: String { text }
}
