/// What a worker says about itself for tasks to choose by: names with text values.
public struct WorkerLabels: Equatable, Sendable {
  /// What a user may give a worker.
  public static let maxCount = 64
  /// What the worker adds of its own accord.
  public static let maxBuiltIn = 8
  public static let maxNameBytes = 63
  public static let maxValueBytes = 255

  public private(set) var values: [String: String] = [:]

  public init() {}

  public subscript(name: String) -> String? { values[name] }
  public var names: [String] { values.keys.sorted() }

  /// Sets a label, or gives the one that is there another value.
  public mutating func set(_ name: String, _ value: String) throws(LabelError) {
    try Self.check(name)
    guard value.utf8.count <= Self.maxValueBytes else {
      throw .value(name, problem: "\(value.utf8.count) bytes; at most \(Self.maxValueBytes) are allowed")
    }
    guard !value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
      throw .value(name, problem: "it contains a control character")
    }
    guard values[name] != nil || values.count < Self.maxCount + Self.maxBuiltIn else { throw .tooMany }
    values[name] = value
  }

  /// 1 to 63 of the characters `A–Z a–z 0–9 . _ - /`.
  static func check(_ name: String) throws(LabelError) {
    guard !name.isEmpty, name.utf8.count <= maxNameBytes, name.utf8.allSatisfy(isAllowed) else { throw .name(name) }
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"),
      UInt8(ascii: "/"):
      true
    default: false
    }
  }

  /// Sorted, so that the same labels have the same text.
  public var json: JSONObject { JSONObject(members: names.map { ($0, JSONValue(values[$0])) }) }

  /// Reads what `json` writes, from a peer.
  public init(json object: JSONObject, field: String) throws(MessageError) {
    for (name, value) in object.members {
      guard let text = value.string else {
        throw .wrongType("\(field).\(name.prefix(maxBytes: 64))", expected: "a string", found: value.typeName)
      }
      do throws(LabelError) { try set(name, text) } catch { throw .badValue(field, problem: "\(error)") }
    }
  }
}

/// Why a text cannot be a label.
public enum LabelError: Error, Equatable, CustomStringConvertible {
  case name(String)
  case value(String, problem: String)
  case tooMany

  public var description: String {
    switch self {
    case .name(let name):
      "\(JSONValue.string(name.prefix(maxBytes: 100)).text) cannot be a label's name; it has 1 to "
        + "\(WorkerLabels.maxNameBytes) of the characters A-Z a-z 0-9 . _ - /"
    case .value(let name, let problem): "the value of label \(name) is wrong: \(problem)"
    case .tooMany: "too many labels; at most \(WorkerLabels.maxCount) can be given"
    }
  }
}
