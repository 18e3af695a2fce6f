/// What the labels of a worker must be like for a task to be given to it. All conditions must hold.
///
///     {"gpu": "1", "zone": ["eu", "us"], "memory_mb": {">=": 2048}, "fast": true, "arm": false}
public struct Requirements: Hashable, Sendable {
  public static let maxConditions = 32
  public static let maxAlternatives = 64

  public enum Comparison: String, CaseIterable, Sendable {
    case greaterOrEqual = ">="
    case lessOrEqual = "<="
    case greater = ">"
    case less = "<"

    func holds(_ value: Double, _ bound: Double) -> Bool {
      switch self {
      case .greaterOrEqual: value >= bound
      case .lessOrEqual: value <= bound
      case .greater: value > bound
      case .less: value < bound
      }
    }
  }

  public struct Bound: Hashable, Sendable {
    public let comparison: Comparison
    public let value: Double
  }

  public enum Condition: Hashable, Sendable {
    /// The label has one of these values.
    case oneOf([String])
    /// The label is a number within all of these bounds.
    case within([Bound])
    /// The label is there, whatever its value.
    case present
    case absent
  }

  public struct Named: Hashable, Sendable {
    public let label: String
    public let condition: Condition
  }

  /// In order of the labels' names, each once, so that equal requirements are equal values.
  public private(set) var conditions: [Named] = []

  public init() {}

  public var isEmpty: Bool { conditions.isEmpty }

  public func isMet(by labels: WorkerLabels) -> Bool { conditions.allSatisfy { $0.isMet(by: labels) } }

  /// Adds a condition; bounds of one label add up, everything else may be said of a label only once.
  mutating func add(_ label: String, _ condition: Condition) throws(MessageError) {
    do throws(LabelError) { try WorkerLabels.check(label) } catch {
      throw .badValue("requires", problem: "\(error)")
    }
    let field = "requires.\(label)"
    let place = conditions.firstIndex { $0.label >= label } ?? conditions.endIndex
    guard place < conditions.endIndex, conditions[place].label == label else {
      guard conditions.count < Self.maxConditions else {
        throw .badValue("requires", problem: "more than \(Self.maxConditions) labels are named")
      }
      return conditions.insert(Named(label: label, condition: condition), at: place)
    }
    guard case .within(let old) = conditions[place].condition, case .within(let new) = condition else {
      throw .badValue(field, problem: "the label is named twice")
    }
    for bound in new where old.contains(where: { $0.comparison == bound.comparison }) {
      throw .badValue(field, problem: "\(bound.comparison.rawValue) is said twice")
    }
    conditions[place] = Named(label: label, condition: .within((old + new).sorted(by: Self.isBefore)))
  }

  private static func isBefore(_ left: Bound, _ right: Bound) -> Bool {
    left.comparison.rawValue < right.comparison.rawValue
  }

  // MARK: As JSON

  public var json: JSONObject { JSONObject(members: conditions.map { ($0.label, $0.condition.json) }) }

  /// Reads the member `requires` of a specification, from a peer.
  public init(json object: JSONObject) throws(MessageError) {
    for (label, value) in object.members {
      try add(label, try Self.condition(value, field: "requires.\(label.prefix(maxBytes: WorkerLabels.maxNameBytes))"))
    }
  }

  private static func condition(_ value: JSONValue, field: String) throws(MessageError) -> Condition {
    switch value {
    case .bool(let isThere): return isThere ? .present : .absent
    case .string(let text): return .oneOf([try alternative(text, field)])
    case .array(let elements):
      guard !elements.isEmpty, elements.count <= maxAlternatives else {
        throw .badValue(field, problem: "\(elements.count) values; 1 to \(maxAlternatives) are allowed")
      }
      var texts: Set<String> = []
      for (index, element) in elements.enumerated() {
        guard let text = element.string else {
          throw .wrongType("\(field)[\(index)]", expected: "a string", found: element.typeName)
        }
        texts.insert(try alternative(text, "\(field)[\(index)]"))
      }
      return .oneOf(texts.sorted())
    case .object(let object): return .within(try bounds(object, field))
    case .null, .integer, .number:
      throw .wrongType(
        field, expected: "text, a list of texts, bounds like {\">=\": 2048}, true or false", found: value.typeName)
    }
  }

  private static func alternative(_ text: String, _ field: String) throws(MessageError) -> String {
    guard text.utf8.count <= WorkerLabels.maxValueBytes else {
      throw .badValue(field, problem: "\(text.utf8.count) bytes; no label has more than \(WorkerLabels.maxValueBytes)")
    }
    return text
  }

  private static func bounds(_ object: JSONObject, _ field: String) throws(MessageError) -> [Bound] {
    guard !object.members.isEmpty else { throw .badValue(field, problem: "it has no bound; say {\">=\": 2048}") }
    var bounds: [Bound] = []
    for (name, value) in object.members {
      guard let comparison = Comparison(rawValue: name) else {
        throw .unknownField(
          "\(field).\(name.prefix(maxBytes: 64))", allowed: Comparison.allCases.map(\.rawValue))
      }
      guard let number = value.number, number.isFinite else {
        throw .wrongType("\(field).\(name)", expected: "a number", found: value.typeName)
      }
      guard !bounds.contains(where: { $0.comparison == comparison }) else {
        throw .badValue("\(field).\(name)", problem: "it is said twice")
      }
      // One zero: minus zero is written as another text and would make another class of tasks.
      bounds.append(Bound(comparison: comparison, value: number == 0 ? 0 : number))
    }
    return bounds.sorted(by: isBefore)
  }
}

extension Requirements.Condition {
  var json: JSONValue {
    switch self {
    case .present: true
    case .absent: false
    case .oneOf(let texts): texts.count == 1 ? JSONValue(texts.first) : .array(texts.map(JSONValue.string))
    case .within(let bounds):
      .object(JSONObject(members: bounds.map { ($0.comparison.rawValue, $0.json) }))
    }
  }
}

extension Requirements.Bound {
  fileprivate var json: JSONValue { Int64(exactly: value).map(JSONValue.integer) ?? .number(value) }
}

extension Requirements.Named: CustomStringConvertible {
  func isMet(by labels: WorkerLabels) -> Bool {
    let value = labels[label]
    switch condition {
    case .present: return value != nil
    case .absent: return value == nil
    case .oneOf(let texts): return value.map(texts.contains) ?? false
    case .within(let bounds):
      guard let number = value.flatMap(Self.number) else { return false }
      return bounds.allSatisfy { $0.comparison.holds(number, $0.value) }
    }
  }

  /// A plain decimal; `Double` itself also takes `nan`, `inf` and hexadecimal digits.
  private static func number(_ text: String) -> Double? {
    let isPlain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "+"),
        UInt8(ascii: "e"), UInt8(ascii: "E"):
        true
      default: false
      }
    }
    return isPlain ? Double(text) : nil
  }

  /// As on the command line: `gpu=1`, `zone=eu,us`, `memory_mb>=2048`, `fast`, `!arm`.
  public var description: String {
    switch condition {
    case .present: label
    case .absent: "!\(label)"
    case .oneOf(let texts): "\(label)=\(texts.joined(separator: ","))"
    case .within(let bounds):
      bounds.map { "\(label)\($0.comparison.rawValue)\($0.json.text)" }.joined(separator: " ")
    }
  }
}

extension Requirements: CustomStringConvertible {
  public var description: String { conditions.map(\.description).joined(separator: " ") }

  /// Adds what was said on a command line: `gpu=1`, `zone=eu,us`, `memory_mb>=2048`, `fast` (the label is there), `!arm`
  /// (it is not).
  public mutating func add(argument text: String) throws(MessageError) {
    let signs: Set<Character> = ["=", "<", ">"]
    guard let sign = text.firstIndex(where: signs.contains) else {
      return text.hasPrefix("!") ? try add(String(text.dropFirst()), .absent) : try add(text, .present)
    }
    let label = String(text[..<sign])
    let rest = text[sign...]
    guard text[sign] != "=" else {
      let values = rest.dropFirst().split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard values.count <= Self.maxAlternatives else {
        throw .badValue(
          "requires.\(label)", problem: "\(values.count) values; at most \(Self.maxAlternatives) are allowed")
      }
      for value in values { _ = try Self.alternative(value, "requires.\(label)") }
      return try add(label, .oneOf(Set(values).sorted()))
    }
    // The longer ones first: `>=` begins with `>`.
    for comparison in Comparison.allCases where rest.hasPrefix(comparison.rawValue) {
      let digits = rest.dropFirst(comparison.rawValue.count)
      guard let number = Double(String(digits)), number.isFinite else {
        throw .badValue("requires.\(label)", problem: "\(JSONValue.string(String(digits)).text) is not a number")
      }
      return try add(label, .within([Bound(comparison: comparison, value: number == 0 ? 0 : number)]))
    }
  }
}
