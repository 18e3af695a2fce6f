import Primitives

/// One attempt, as it is handed to a worker.
public struct Assignment: Equatable, Sendable {
  public let taskID: TaskID
  /// From 1; the fencing token. A legacy coordinator gives none, and then it is 0.
  public let attempt: Int
  public let specification: TaskSpecification
  /// Where to go on from.
  public let checkpoint: Checkpoint?

  public struct Checkpoint: Equatable, Sendable {
    public let key: CheckpointKey
    public let data: JSONValue

    public init(key: CheckpointKey, data: JSONValue) {
      self.key = key
      self.data = data
    }
  }

  public init(taskID: TaskID, attempt: Int, specification: TaskSpecification, checkpoint: Checkpoint? = nil) {
    self.taskID = taskID
    self.attempt = attempt
    self.specification = specification
    self.checkpoint = checkpoint
  }

  init(_ task: LiveTask) {
    self.init(
      taskID: task.id, attempt: task.state.attempt, specification: task.specification,
      checkpoint: task.checkpoint.map { Checkpoint(key: $0.key, data: $0.data) })
  }

  /// `task_assignment` in the words of either protocol. A legacy worker finds the checkpoint inside its configuration.
  public func message(_ mode: ConnectionMode) -> Message {
    switch mode {
    case .session:
      var fields = JSONObject()
      fields.append("task_id", .string(taskID.text))
      fields.append("attempt", .integer(Int64(attempt)))
      fields.append("task", .object(specification.json))
      if let checkpoint {
        fields.append(
          "checkpoint",
          [
            "attempt": .integer(Int64(checkpoint.key.attempt)), "number": .integer(Int64(checkpoint.key.number)),
            "data": checkpoint.data,
          ])
      }
      return Message(.taskAssignment, fields)
    case .legacy:
      var config = JSONObject()
      if case .custom(let kind, let input) = specification.work {
        config = input
        if config["type"] == nil { config["type"] = .string(kind) }
      }
      if let checkpoint { config["_checkpoint_data"] = checkpoint.data }
      return Message(.taskAssignment, ["task_id": .string(taskID.text), "config": .object(config)])
    }
  }

  /// Reads `task_assignment` from either kind of coordinator.
  public init(_ message: Message, mode: ConnectionMode) throws(MessageError) {
    let reader = message.reader
    taskID = try reader.taskID()
    switch mode {
    case .session:
      attempt = try reader.integer("attempt", in: 1...Int(Int32.max))
      guard let task = try reader.optionalObject("task") else { throw .missingField("task") }
      specification = try TaskSpecification(json: task)
      if let object = try reader.optionalObject("checkpoint") {
        let fields = FieldReader(object)
        checkpoint = Checkpoint(
          key: CheckpointKey(
            attempt: try fields.integer("attempt", in: 1...Int(Int32.max)),
            number: try fields.integer("number", in: 1...Int(Int32.max))),
          data: object["data"] ?? .null)
      } else {
        checkpoint = nil
      }
    case .legacy:
      attempt = 0
      var config = try reader.optionalObject("config") ?? JSONObject()
      checkpoint = config["_checkpoint_data"].map { Checkpoint(key: CheckpointKey(attempt: 0, number: 0), data: $0) }
      config["_checkpoint_data"] = nil
      if config["command"] != nil {
        specification = try TaskSpecification(json: config)
      } else {
        let kind = try FieldReader(config).optionalString("type", maxBytes: 64) ?? "demo_task"
        specification = TaskSpecification(name: kind, work: .custom(kind: kind, input: config))
      }
    }
  }
}

/// The members of a message that say how an attempt ended, in session mode.
extension AttemptEnding {
  static let maxReasonBytes = 4_096

  /// This ending cut to what one message can carry: one that is too long would be sent and refused for ever.
  func bounded(maxOutputBytes: Int, maxResultBytes: Int) -> AttemptEnding {
    var ending = self
    ending.exitCode = exitCode.map { Int(Int32(clamping: $0)) }
    ending.output?.cut(to: maxOutputBytes)
    if let result {
      let bytes = result.text.utf8.count
      let isFlat = result.nests(atMost: JSONValue.maxCarriedDepth)
      if bytes > maxResultBytes || !isFlat {
        ending.result = nil
        ending.outcome = outcome == .completed ? .failed : outcome
        ending.reason =
          isFlat
          ? "its result has \(bytes) bytes; at most \(maxResultBytes) are allowed"
          : "its result is nested more than \(JSONValue.maxCarriedDepth) levels deep"
      }
    }
    ending.reason = ending.reason?.prefix(maxBytes: Self.maxReasonBytes)
    return ending
  }

  public func fields(taskID: TaskID, attempt: Int) -> JSONObject {
    var fields = JSONObject()
    fields.append("task_id", .string(taskID.text))
    fields.append("attempt", .integer(Int64(attempt)))
    fields.append("status", .string(outcome.rawValue))
    if let exitCode { fields.append("exit_code", .integer(Int64(exitCode))) }
    if let reason { fields.append("reason", .string(reason)) }
    if let result { fields.append("result", result) }
    if let output {
      Self.append(output.stdout, "stdout", to: &fields)
      Self.append(output.stderr, "stderr", to: &fields)
      if output.droppedBytes > 0 { fields.append("dropped_bytes", .integer(Int64(output.droppedBytes))) }
    }
    return fields
  }

  /// - Parameter maxOutputBytes: of each stream; the rest is dropped and counted.
  public init(_ reader: FieldReader, outcome: Outcome, maxOutputBytes: Int) throws(MessageError) {
    self.init(outcome)
    exitCode = try reader.optionalInteger("exit_code", in: Int(Int32.min)...Int(Int32.max))
    reason = try reader.optionalString("reason", maxBytes: Self.maxReasonBytes)
    result = reader.object["result"]
    let stdout = try Self.bytes("stdout", reader, Protocols.maxMessageBytes)
    let stderr = try Self.bytes("stderr", reader, Protocols.maxMessageBytes)
    if stdout != nil || stderr != nil {
      output = AttemptOutput(
        stdout: stdout ?? [], stderr: stderr ?? [],
        droppedBytes: try reader.optionalInteger("dropped_bytes", in: 0...Int.max / 2) ?? 0)
      output?.cut(to: maxOutputBytes)
    }
  }

  static func append(_ bytes: [UInt8], _ name: String, to fields: inout JSONObject) {
    // Control characters take six bytes each as JSON text; base64 never takes more than four thirds.
    let escaped = bytes.count + 5 * bytes.count { $0 < 0x20 && $0 != 0x0A && $0 != 0x0D && $0 != 0x09 }
    if escaped <= bytes.count + bytes.count / 3, let text = String(validating: bytes, as: UTF8.self) {
      fields.append(name, .string(text))
    } else {
      fields.append("\(name)_base64", .string(Base64.encode(bytes)))
    }
  }

  static func bytes(_ name: String, _ reader: FieldReader, _ limit: Int) throws(MessageError) -> [UInt8]? {
    if let text = try reader.optionalString(name, maxBytes: limit) { return Array(text.utf8) }
    let encoded = "\(name)_base64"
    guard let text = try reader.optionalString(encoded, maxBytes: limit / 3 * 4 + 8) else { return nil }
    guard let bytes = Base64.decode(text) else { throw .badValue(encoded, problem: "it is not base64") }
    return bytes
  }
}

/// Bytes that may or may not be text, as members of a message.
public enum OutputText {
  /// `{name: text}` when the bytes are UTF-8, `{name_base64: …}` when they are not.
  public static func members(_ bytes: [UInt8], _ name: String) -> JSONObject {
    var fields = JSONObject()
    AttemptEnding.append(bytes, name, to: &fields)
    return fields
  }

  /// The bytes of such members; `nil` when neither is there.
  ///
  /// - Parameter limit: in bytes.
  public static func bytes(_ name: String, in object: JSONObject, limit: Int) throws(MessageError) -> [UInt8]? {
    try AttemptEnding.bytes(name, FieldReader(object), limit)
  }
}
