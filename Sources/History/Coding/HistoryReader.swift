import CoordinationCore

/// Reads a record's members with their types checked.
struct HistoryReader {
  let fields: FieldReader

  init(_ object: JSONObject) { fields = FieldReader(object) }

  var object: JSONObject { fields.object }

  func text(_ name: String) throws(MessageError) -> String { try fields.string(name, maxBytes: 1 << 16) }
  func task() throws(MessageError) -> TaskID { try fields.taskID("task") }
  func integer(_ name: String) throws(MessageError) -> Int { try fields.integer(name, in: Int.min...Int.max) }

  func integer64(_ name: String) throws(MessageError) -> Int64 { Int64(try integer(name)) }

  /// Numbers above what a JSON integer holds are written as text.
  func unsigned(_ name: String) throws(MessageError) -> UInt64 {
    guard let value = object[name] else { throw .missingField(name) }
    if let integer = value.integer, integer >= 0 { return UInt64(integer) }
    guard let number = value.string.flatMap({ UInt64($0) }) else {
      throw .wrongType(name, expected: "a whole number", found: value.typeName)
    }
    return number
  }

  func flag(_ name: String) throws(MessageError) -> Bool {
    guard let value = try fields.optionalBool(name) else { throw .missingField(name) }
    return value
  }

  func object(_ name: String) throws(MessageError) -> JSONObject {
    guard let object = try fields.optionalObject(name) else { throw .missingField(name) }
    return object
  }

  func worker() throws(MessageError) -> WorkerID {
    guard let id = try optionalWorker() else { throw .missingField("worker") }
    return id
  }

  func optionalWorker() throws(MessageError) -> WorkerID? {
    guard let text = try fields.optionalString("worker", maxBytes: 4_096) else { return nil }
    do { return try WorkerID(text) } catch { throw .badValue("worker", problem: "\(error)") }
  }

  func session() throws(MessageError) -> SessionID {
    do { return try SessionID(try text("session")) } catch let error as IdentifierError {
      throw .badValue("session", problem: "\(error)")
    } catch { throw .missingField("session") }
  }

  func kind() throws(MessageError) -> MessageKind { MessageKind(try text("kind")) }
  func attempt() throws(MessageError) -> AttemptKey { AttemptKey(try task(), try integer("attempt")) }

  func checkpoint(_ name: String) throws(MessageError) -> CheckpointKey? {
    guard let object = try fields.optionalObject(name) else { return nil }
    let reader = HistoryReader(object)
    return CheckpointKey(attempt: try reader.integer("attempt"), number: try reader.integer("number"))
  }

  func number(_ name: String) throws(MessageError) -> Int? {
    try fields.optionalInteger(name, in: Int.min...Int.max)
  }

  func status() throws(MessageError) -> TaskStatus { try word("status") }

  func word<Word: RawRepresentable>(_ name: String) throws(MessageError) -> Word where Word.RawValue == String {
    let text = try text(name)
    guard let word = Word(rawValue: text) else { throw .badValue(name, problem: "\(text) is no \(Word.self)") }
    return word
  }

  func objects(_ name: String) throws(MessageError) -> [HistoryReader] {
    var readers: [HistoryReader] = []
    for value in try fields.optionalArray(name, maxCount: .max) ?? [] {
      guard let object = value.object else { throw .wrongType(name, expected: "objects", found: value.typeName) }
      readers.append(HistoryReader(object))
    }
    return readers
  }

  func tasks() throws(MessageError) -> [TaskID] {
    var ids: [TaskID] = []
    for value in try fields.optionalArray("tasks", maxCount: .max) ?? [] {
      ids.append(try FieldReader(["tasks": value]).taskID("tasks"))
    }
    return ids
  }
}
