/// What members tell each other. Each may be lost: whoever needs an answer asks again.
public enum ClusterMessage: Equatable, Sendable {
  /// The worker is with the sender, which wants everything that is kept for it.
  case handOver(WorkerID, bootID: String?)
  /// Everything of the worker is the receiver's, durably.
  case handedOver(WorkerID)
  case handOverRefused(WorkerID, reason: String)
  /// Something is asked of a task or a worker that the receiver may hold; the number is the sender's.
  case order(UInt64, ClusterOrder)
  case answer(UInt64, CoordinatorAnswer)
  /// Whether the sender wants to hear of tasks that change.
  case watching(Bool)
  /// So many tasks have changed; look at the store.
  case changed([TaskID])
  /// More tasks than are named have changed.
  case changedMany
  /// What is held against tests has changed; look at the store.
  case testsChanged
  /// Which workers do you know?
  case roll(UInt64, RollCall)
  /// Some of them, as they are shown to people; with the last of them, how many they are.
  case rolled(UInt64, [JSONObject], isLast: Bool, total: Int?)
  /// What of each of these needs do your workers meet?
  case whoCan(UInt64, [TaskNeeds])
  /// That, in the same order.
  case able(UInt64, [Ability])
}

/// What can be asked of whoever holds a task, or whom a worker is connected to.
public enum ClusterOrder: Equatable, Sendable {
  case cancel(TaskID), pause(TaskID), resume(TaskID), checkpoint(TaskID)
  case drainWorker(WorkerID)
  /// `nil`: of all workers.
  case telemetry(WorkerID?)

  init?(_ request: CoordinatorRequest) {
    switch request {
    case .cancel(let id): self = .cancel(id)
    case .pause(let id): self = .pause(id)
    case .resume(let id): self = .resume(id)
    case .checkpoint(let id): self = .checkpoint(id)
    case .drainWorker(let id): self = .drainWorker(id)
    case .telemetry(let id): self = .telemetry(id)
    case .submit, .recordDurations, .quarantine, .release, .recordRun: return nil
    }
  }

  var request: CoordinatorRequest {
    switch self {
    case .cancel(let id): .cancel(id)
    case .pause(let id): .pause(id)
    case .resume(let id): .resume(id)
    case .checkpoint(let id): .checkpoint(id)
    case .drainWorker(let id): .drainWorker(id)
    case .telemetry(let id): .telemetry(id)
    }
  }

  /// The task that it is about.
  var task: TaskID? {
    switch self {
    case .cancel(let id), .pause(let id), .resume(let id), .checkpoint(let id): id
    case .drainWorker, .telemetry: nil
    }
  }

  /// The one worker that it is about.
  var worker: WorkerID? {
    switch self {
    case .drainWorker(let id): id
    case .telemetry(let id): id
    case .cancel, .pause, .resume, .checkpoint: nil
    }
  }

  private var words: (verb: String, name: String?) {
    switch self {
    case .cancel(let id): ("cancel", id.text)
    case .pause(let id): ("pause", id.text)
    case .resume(let id): ("resume", id.text)
    case .checkpoint(let id): ("checkpoint", id.text)
    case .drainWorker(let id): ("drain", id.text)
    case .telemetry(let id): ("telemetry", id?.text)
    }
  }

  fileprivate var fields: JSONObject { ["do": .string(words.verb), "to": JSONValue(words.name)] }

  fileprivate init(_ reader: FieldReader) throws(MessageError) {
    let verb = try reader.string("do", maxBytes: 32)
    switch verb {
    case "cancel": self = .cancel(try reader.taskID("to"))
    case "pause": self = .pause(try reader.taskID("to"))
    case "resume": self = .resume(try reader.taskID("to"))
    case "checkpoint": self = .checkpoint(try reader.taskID("to"))
    case "drain": self = .drainWorker(try reader.workerID("to"))
    case "telemetry":
      let isNamed = reader.object["to"] != nil && reader.object["to"] != .null
      self = .telemetry(isNamed ? try reader.workerID("to") : nil)
    default: throw .badValue("do", problem: "\(verb) is not known here")
    }
  }
}

extension ClusterMessage {
  /// One that is longer is not sent whole.
  static let maxReasonBytes = 1_000

  public var text: String {
    let fields: JSONObject =
      switch self {
      case .handOver(let worker, let bootID):
        ["type": "hand_over", "worker": .string(worker.text), "boot_id": JSONValue(bootID)]
      case .handedOver(let worker): ["type": "handed_over", "worker": .string(worker.text)]
      case .handOverRefused(let worker, let reason):
        [
          "type": "hand_over_refused", "worker": .string(worker.text),
          "reason": .string(String(reason.prefix(maxBytes: Self.maxReasonBytes))),
        ]
      case .order(let number, let order):
        ["type": "order", "number": .integer(Int64(clamping: number)), "order": .object(order.fields)]
      case .answer(let number, let answer): Self.fields(number, answer)
      case .watching(let isWatching): ["type": "watching", "on": .bool(isWatching)]
      case .changed(let tasks): ["type": "changed", "tasks": .array(tasks.map { .string($0.text) })]
      case .changedMany: ["type": "changed_many"]
      case .testsChanged: ["type": "tests_changed"]
      case .roll(let number, let call):
        [
          "type": "roll", "number": .integer(Int64(clamping: number)), "worker": JSONValue(call.worker?.text),
          "telemetry": .bool(call.withTelemetry),
        ]
      case .rolled(let number, let workers, let isLast, let total):
        [
          "type": "rolled", "number": .integer(Int64(clamping: number)),
          "workers": .array(workers.map(JSONValue.object)), "last": .bool(isLast),
          "total": total.map { .integer(Int64($0)) } ?? .null,
        ]
      case .whoCan(let number, let needs):
        [
          "type": "who_can", "number": .integer(Int64(clamping: number)),
          "needs": .array(needs.map { .object($0.json) }),
        ]
      case .able(let number, let abilities):
        [
          "type": "able", "number": .integer(Int64(clamping: number)),
          "abilities": .array(abilities.map { .integer($0.rawValue) }),
        ]
      }
    return JSONValue.object(fields).text
  }

  private static func fields(_ number: UInt64, _ answer: CoordinatorAnswer) -> JSONObject {
    var fields: JSONObject = ["type": "answer", "number": .integer(Int64(clamping: number))]
    switch answer {
    case .done, .submitted: fields.append("is", "done")
    case .notLive(let id):
      fields.append("is", "not_live")
      fields.append("task", .string(id.text))
    case .refused(let reason):
      fields.append("is", "refused")
      fields.append("reason", .string(String(reason.prefix(maxBytes: maxReasonBytes))))
    }
    return fields
  }

  /// Reads what `text` wrote; a newer program may have written what this one does not know.
  public init(text: String) throws(MessageError) {
    let value: JSONValue
    do { value = try JSONParser.parse(text) } catch { throw .badValue("message", problem: "\(error)") }
    guard let object = value.object else { throw .wrongType("message", expected: "an object", found: value.typeName) }
    let reader = FieldReader(object)
    let type = try reader.string("type", maxBytes: 64)
    switch type {
    case "hand_over":
      self = .handOver(
        try reader.workerID("worker"), bootID: try reader.optionalString("boot_id", maxBytes: 128))
    case "handed_over": self = .handedOver(try reader.workerID("worker"))
    case "hand_over_refused":
      self = .handOverRefused(
        try reader.workerID("worker"), reason: try reader.string("reason", maxBytes: Self.maxReasonBytes))
    case "order":
      let order = FieldReader(try reader.optionalObject("order") ?? JSONObject())
      self = .order(try Self.number(reader), try ClusterOrder(order))
    case "answer": self = .answer(try Self.number(reader), try Self.answer(reader))
    case "watching": self = .watching(try reader.optionalBool("on") ?? false)
    case "changed":
      var tasks: [TaskID] = []
      for value in try reader.optionalArray("tasks", maxCount: 10_000) ?? [] {
        guard let text = value.string, let id = try? TaskID(text) else {
          throw .badValue("tasks", problem: "not a task's id")
        }
        tasks.append(id)
      }
      self = .changed(tasks)
    case "changed_many": self = .changedMany
    case "tests_changed": self = .testsChanged
    case "roll":
      let isNamed = object["worker"] != nil && object["worker"] != .null
      let call = RollCall(
        worker: isNamed ? try reader.workerID("worker") : nil,
        withTelemetry: try reader.optionalBool("telemetry") ?? false)
      self = .roll(try Self.number(reader), call)
    case "rolled":
      let workers = (try reader.optionalArray("workers", maxCount: 10_000) ?? []).compactMap(\.object)
      self = .rolled(
        try Self.number(reader), workers, isLast: try reader.optionalBool("last") ?? true,
        total: try reader.optionalInteger("total", in: 0...Int.max))
    case "who_can":
      var needs: [TaskNeeds] = []
      for value in try reader.optionalArray("needs", maxCount: 1_000) ?? [] {
        guard let one = value.object else { throw .wrongType("needs", expected: "objects", found: value.typeName) }
        needs.append(try TaskNeeds(json: one))
      }
      self = .whoCan(try Self.number(reader), needs)
    case "able":
      var abilities: [Ability] = []
      for value in try reader.optionalArray("abilities", maxCount: 1_000) ?? [] {
        guard case .integer(let bits) = value else {
          throw .wrongType("abilities", expected: "whole numbers", found: value.typeName)
        }
        abilities.append(Ability(rawValue: bits))
      }
      self = .able(try Self.number(reader), abilities)
    default: throw .badValue("type", problem: "\(type) is not known here")
    }
  }

  private static func number(_ reader: FieldReader) throws(MessageError) -> UInt64 {
    UInt64(try reader.integer("number", in: 0...Int.max))
  }

  private static func answer(_ reader: FieldReader) throws(MessageError) -> CoordinatorAnswer {
    switch try reader.string("is", maxBytes: 32) {
    case "done": .done
    case "not_live": .notLive(try reader.taskID("task"))
    default: .refused(try reader.optionalString("reason", maxBytes: maxReasonBytes) ?? "refused")
    }
  }
}
