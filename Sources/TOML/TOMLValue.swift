/// Where something stands in a text; lines and columns are counted from 1, columns in characters.
public struct TOMLPosition: Sendable, Equatable, CustomStringConvertible {
  public let line: Int
  public let column: Int

  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  /// `LINE:COLUMN`, as compilers write it behind a file's name.
  public var description: String { "\(line):\(column)" }
}

/// What can stand behind an equals sign. Dates and times cannot: nothing here would use them.
public enum TOMLValue: Sendable, Equatable {
  case string(String)
  case integer(Int64)
  case float(Double)
  case boolean(Bool)
  case array([TOMLItem])
  case table(TOMLTable)

  /// What it is, for messages: `a text`, `a number`.
  public var kind: String {
    switch self {
    case .string: "a text"
    case .integer: "a whole number"
    case .float: "a number"
    case .boolean: "true or false"
    case .array: "a list"
    case .table: "a table"
    }
  }
}

/// A value and where it begins.
public struct TOMLItem: Sendable, Equatable {
  public let value: TOMLValue
  public let position: TOMLPosition

  public init(_ value: TOMLValue, at position: TOMLPosition) {
    self.value = value
    self.position = position
  }
}

/// Keys and their values, in the order of the text.
public struct TOMLTable: Sendable, Equatable {
  public struct Entry: Sendable, Equatable {
    public let key: String
    /// Where the key stands that made the entry.
    public let position: TOMLPosition
    public let item: TOMLItem
  }

  public let entries: [Entry]
  private let places: [String: Int]

  /// - Parameter entries: each key once.
  init(_ entries: [Entry]) {
    self.entries = entries
    var places: [String: Int] = [:]
    for (index, entry) in entries.enumerated() { places[entry.key] = index }
    self.places = places
  }

  public static let empty = TOMLTable([])

  /// The entry of this key; `nil` if there is none.
  public subscript(key: String) -> Entry? { places[key].map { entries[$0] } }
}

/// What is wrong in a text, where, and what to write instead.
public struct TOMLError: Error, Sendable, Equatable, CustomStringConvertible {
  public let position: TOMLPosition
  public let explanation: String

  public init(_ explanation: String, at position: TOMLPosition) {
    self.explanation = explanation
    self.position = position
  }

  public var description: String { "\(position): \(explanation)" }
}
