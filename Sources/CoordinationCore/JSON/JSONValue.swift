import Primitives

/// A JSON value (RFC 8259). Integers that fit 64 bits stay exact; every other number is a `Double`.
public enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// The field's word for this value's type, for error messages.
  public var typeName: String {
    switch self {
    case .null: "null"
    case .bool: "a Boolean"
    case .integer: "an integer"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }

  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

  /// The value as an integer; a `Double` counts when it is whole and fits.
  public var integer: Int64? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int64(exactly: value)
    default: nil
    }
  }

  /// The value as a `Double`; integers are converted.
  public var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  /// How deep a value that a message carries for others (a checkpoint, a result, a task's input) may nest. What is put
  /// around it on its way must still fit under the parser's own limit, or the receiver could never take it.
  public static let maxCarriedDepth = JSONParser.maxDepth - 16

  /// Whether arrays and objects nest at most `levels` deep; anything else is no level.
  public func nests(atMost levels: Int) -> Bool {
    switch self {
    case .null, .bool, .integer, .number, .string: true
    case .array(let elements): levels > 0 && elements.allSatisfy { $0.nests(atMost: levels - 1) }
    case .object(let object): levels > 0 && object.members.allSatisfy { $0.value.nests(atMost: levels - 1) }
    }
  }

  public static func duration(_ duration: Duration) -> JSONValue { .number(duration.inSeconds) }

  /// `nil` becomes `null`.
  public init(_ string: String?) { self = string.map(JSONValue.string) ?? .null }
  public init(_ integer: Int?) { self = integer.map { .integer(Int64($0)) } ?? .null }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(members: elements)) }
  public init(nilLiteral: ()) { self = .null }
}

/// A JSON object that keeps its members in order. Looking a member up walks them: wire messages have a dozen.
public struct JSONObject: Sendable, ExpressibleByDictionaryLiteral {
  public private(set) var members: [(key: String, value: JSONValue)]

  public init() { members = [] }

  public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(members: elements) }

  init(members: [(String, JSONValue)]) {
    self.members = members.map { (key: $0.0, value: $0.1) }
  }

  public var isEmpty: Bool { members.isEmpty }
  public var count: Int { members.count }

  /// The member named `key`; setting `nil` removes it.
  public subscript(key: String) -> JSONValue? {
    get {
      index(of: key).map { members[$0].value }
    }
    set {
      if let index = index(of: key) {
        if let newValue { members[index].value = newValue } else { members.remove(at: index) }
      } else if let newValue {
        members.append((key: key, value: newValue))
      }
    }
  }

  /// By index, because iterating would retain and release every name and value on the way.
  private func index(of key: String) -> Int? {
    for index in members.indices where Self.isSame(members[index].key, key) { return index }
    return nil
  }

  /// Names are the same byte for byte: `String` also calls two spellings of an accented letter equal, and one member of
  /// an object that has both would vanish.
  private static func isSame(_ left: String, _ right: String) -> Bool {
    left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
  }

  /// Appends without looking for an earlier member of that name; the parser and builders that know better use it.
  mutating func append(_ key: String, _ value: JSONValue) {
    members.append((key: key, value: value))
  }

  mutating func reserveCapacity(_ count: Int) { members.reserveCapacity(count) }
}

extension JSONObject: Equatable {
  /// Objects are equal when they have the same members in any order.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    guard left.count == right.count else { return false }
    // The same order is the usual case; looking every member up takes quadratic time.
    if left.members.elementsEqual(right.members, by: { isSame($0.key, $1.key) && $0.value == $1.value }) { return true }
    return left.members.allSatisfy { right[$0.key] == $0.value }
  }
}
