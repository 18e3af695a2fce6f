/// What a task needs of the worker that does it. Tasks with the same needs can be done by the same workers.
public struct TaskNeeds: Hashable, Sendable {
  public let kind: String
  public let requirements: Requirements
  public let slots: Int

  public init(_ specification: TaskSpecification) {
    kind = specification.workerKind
    requirements = specification.requirements
    slots = specification.slots
  }

  /// The same for equal needs: by it a store tells tasks apart without reading them.
  public var text: String { JSONValue.object(json).text }

  var json: JSONObject {
    ["kind": .string(kind), "requires": .object(requirements.json), "slots": .integer(Int64(slots))]
  }

  /// Reads what `text` wrote.
  public init(text: String) throws(MessageError) {
    let value: JSONValue
    do { value = try JSONParser.parse(text) } catch { throw .badValue("needs", problem: "\(error)") }
    guard let object = value.object else {
      throw .wrongType("needs", expected: "an object", found: value.typeName)
    }
    try self.init(json: object)
  }

  init(json object: JSONObject) throws(MessageError) {
    let reader = FieldReader(object)
    kind = try reader.string("kind", maxBytes: 256)
    requirements = try Requirements(json: try reader.optionalObject("requires") ?? JSONObject())
    slots = try reader.integer("slots", in: 1...Int(Int32.max))
  }
}
