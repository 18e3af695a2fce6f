/// What is wrong with a message from a peer. Each case names the field; the one who answers adds the message's type.
public enum MessageError: Error, Equatable, CustomStringConvertible {
  case notJSON(JSONError)
  case notAnObject(found: String)
  case missingField(String)
  case wrongType(String, expected: String, found: String)
  case badValue(String, problem: String)
  case unknownField(String, allowed: [String])
  case badChecksum
  /// The message was altered, left out one before it, or comes from somebody without the key.
  case badCode

  public var description: String {
    switch self {
    case .notJSON(let error): "not JSON: \(error)"
    case .notAnObject(let found): "a message is a JSON object, this is \(found)"
    case .missingField(let name): "the field \(name) is missing"
    case .wrongType(let name, let expected, let found): "the field \(name) must be \(expected), this is \(found)"
    case .badValue(let name, let problem): "the field \(name) is wrong: \(problem)"
    case .unknownField(let name, let allowed): "unknown field \(name); known are \(allowed.joined(separator: ", "))"
    case .badChecksum: "the checksum does not match the bytes"
    case .badCode: "the message's code (mac) is wrong: it was altered, repeated or forged"
    }
  }
}

/// Reads a peer's fields with their types and bounds checked.
public struct FieldReader: Sendable {
  public let object: JSONObject

  public init(_ object: JSONObject) {
    self.object = object
  }

  /// A missing member and an explicit `null` mean the same.
  private func present(_ name: String) -> JSONValue? {
    guard let value = object[name], value != .null else { return nil }
    return value
  }

  public func optionalString(_ name: String, maxBytes: Int) throws(MessageError) -> String? {
    guard let value = present(name) else { return nil }
    guard let text = value.string else { throw .wrongType(name, expected: "a string", found: value.typeName) }
    guard text.utf8.count <= maxBytes else {
      throw .badValue(name, problem: "\(text.utf8.count) bytes; at most \(maxBytes) are allowed")
    }
    return text
  }

  public func string(_ name: String, maxBytes: Int) throws(MessageError) -> String {
    guard let text = try optionalString(name, maxBytes: maxBytes) else { throw .missingField(name) }
    return text
  }

  public func optionalNumber(_ name: String) throws(MessageError) -> Double? {
    guard let value = present(name) else { return nil }
    guard let number = value.number else { throw .wrongType(name, expected: "a number", found: value.typeName) }
    return number
  }

  public func optionalInteger(_ name: String, in range: ClosedRange<Int>) throws(MessageError) -> Int? {
    guard let value = present(name) else { return nil }
    guard let integer = value.integer else { throw .wrongType(name, expected: "an integer", found: value.typeName) }
    guard let fitting = Int(exactly: integer), range.contains(fitting) else {
      throw .badValue(name, problem: "\(integer) is not between \(range.lowerBound) and \(range.upperBound)")
    }
    return fitting
  }

  public func integer(_ name: String, in range: ClosedRange<Int>) throws(MessageError) -> Int {
    guard let value = try optionalInteger(name, in: range) else { throw .missingField(name) }
    return value
  }

  public func optionalBool(_ name: String) throws(MessageError) -> Bool? {
    guard let value = present(name) else { return nil }
    guard let bool = value.bool else { throw .wrongType(name, expected: "a Boolean", found: value.typeName) }
    return bool
  }

  public func optionalObject(_ name: String) throws(MessageError) -> JSONObject? {
    guard let value = present(name) else { return nil }
    guard let object = value.object else { throw .wrongType(name, expected: "an object", found: value.typeName) }
    return object
  }

  public func optionalArray(_ name: String, maxCount: Int) throws(MessageError) -> [JSONValue]? {
    guard let value = present(name) else { return nil }
    guard let array = value.array else { throw .wrongType(name, expected: "an array", found: value.typeName) }
    guard array.count <= maxCount else {
      throw .badValue(name, problem: "\(array.count) elements; at most \(maxCount) are allowed")
    }
    return array
  }

  public func taskID(_ name: String = "task_id") throws(MessageError) -> TaskID {
    let text = try string(name, maxBytes: 4_096)
    do { return try TaskID(text) } catch { throw .badValue(name, problem: "\(error)") }
  }

  func workerID(_ name: String) throws(MessageError) -> WorkerID {
    let text = try string(name, maxBytes: 4_096)
    do { return try WorkerID(text) } catch { throw .badValue(name, problem: "\(error)") }
  }
}
