import CoordinationCore

extension HistoryEvent {
  var json: JSONObject {
    switch self {
    case .submitAsked(let ids): ["event": "submitAsked", "tasks": Self.array(ids)]
    case .submitAcknowledged(let ids): ["event": "submitAcknowledged", "tasks": Self.array(ids)]
    case .cancelAcknowledged(let id): ["event": "cancelAcknowledged", "task": .string(id.text)]
    case .required(let id, let requirements, let slots):
      [
        "event": "required", "task": .string(id.text), "requires": .object(requirements.json),
        "slots": .integer(Int64(slots)),
      ]
    case .offered(let worker, let capabilities):
      ["event": "offered", "worker": .string(worker.text), "capabilities": .object(capabilities.json)]
    case .coordinatorStarted(let tasks):
      ["event": "coordinatorStarted", "unfinished": .array(tasks.map { .object($0.json) })]
    case .commitBegun(let batch, let changes):
      [
        "event": "commitBegun", "batch": Self.number(batch), "changes": .array(changes.map { .object($0.json) }),
      ]
    case .committed(let batch): ["event": "committed", "batch": Self.number(batch)]
    case .joined(let member): ["event": "joined", "member": .integer(member.number)]
    case .membershipEnded(let member): ["event": "membershipEnded", "of": .integer(member.number)]
    case .taken(let tasks, let how):
      ["event": "taken", "tasks": .array(tasks.map { .object($0.json) }), "how": .string(how.rawValue)]
    case .registered(let worker, let session, let resumed):
      Self.joining("registered", worker, session, resumed)
    case .coordinatorHandled(let worker, let session, let sequence, let kind):
      Self.handled("coordinatorHandled", worker, session, sequence, kind)
    case .staleAttemptRefused(let key, let worker, let kind):
      Self.attempt("staleAttemptRefused", key, worker, ["kind": .string(kind.name)])
    case .workerStarted(let worker, let boot):
      ["event": "workerStarted", "worker": .string(worker.text), "boot": .string(boot)]
    case .workerEnded(let worker): ["event": "workerEnded", "worker": .string(worker.text)]
    case .sessionJoined(let worker, let session, let resumed):
      Self.joining("sessionJoined", worker, session, resumed)
    case .workerHandled(let worker, let session, let sequence, let kind):
      Self.handled("workerHandled", worker, session, sequence, kind)
    case .attemptStarted(let key, let worker, let checkpoint):
      Self.attempt("attemptStarted", key, worker, ["from": checkpoint?.json ?? .null])
    case .attemptStopped(let key, let worker, let reason):
      Self.attempt("attemptStopped", key, worker, ["reason": .string(reason.rawValue)])
    case .attemptEnded(let key, let worker): Self.attempt("attemptEnded", key, worker)
    case .persisted(let key, let checkpoint, let worker):
      Self.attempt("persisted", key, worker, ["checkpoint": JSONValue(checkpoint)])
    case .forgotten(let key, let checkpoint, let worker):
      Self.attempt("forgotten", key, worker, ["checkpoint": JSONValue(checkpoint)])
    case .verdict(let key, let worker, let verdict):
      Self.attempt("verdict", key, worker, ["verdict": .string(verdict.rawValue)])
    case .fault(let text): ["event": "fault", "text": .string(text)]
    case .measured(let name, let owner, let value, let limit):
      [
        "event": "measured", "name": .string(name), "owner": .string(owner), "value": .integer(Int64(value)),
        "limit": .integer(Int64(limit)),
      ]
    case .faultsEnded: ["event": "faultsEnded"]
    }
  }

  init(_ reader: HistoryReader) throws(MessageError) {
    switch try reader.text("event") {
    case "submitAsked": self = .submitAsked(try reader.tasks())
    case "submitAcknowledged": self = .submitAcknowledged(try reader.tasks())
    case "cancelAcknowledged": self = .cancelAcknowledged(try reader.task())
    case "required":
      self = .required(
        try reader.task(), try Requirements(json: try reader.object("requires")), slots: try reader.integer("slots"))
    case "offered":
      self = .offered(
        try reader.worker(), try WorkerCapabilities(json: try reader.object("capabilities"), maxSlots: .max))
    case "coordinatorStarted":
      var tasks: [StoredTask] = []
      for task in try reader.objects("unfinished") { tasks.append(try StoredTask(task)) }
      self = .coordinatorStarted(tasks)
    case "commitBegun":
      var changes: [StoredChange] = []
      for change in try reader.objects("changes") { changes.append(try StoredChange(change)) }
      self = .commitBegun(batch: try reader.unsigned("batch"), changes)
    case "committed": self = .committed(batch: try reader.unsigned("batch"))
    case "joined": self = .joined(MemberID(try reader.integer64("member")))
    case "membershipEnded": self = .membershipEnded(MemberID(try reader.integer64("of")))
    case "taken":
      var tasks: [StoredTask] = []
      for task in try reader.objects("tasks") { tasks.append(try StoredTask(task)) }
      self = .taken(tasks, try reader.word("how"))
    case "registered":
      self = .registered(try reader.worker(), try reader.session(), resumed: try reader.flag("resumed"))
    case "coordinatorHandled":
      self = .coordinatorHandled(
        try reader.worker(), try reader.session(), sequence: try reader.unsigned("sequence"), try reader.kind())
    case "staleAttemptRefused":
      self = .staleAttemptRefused(try reader.attempt(), try reader.worker(), try reader.kind())
    case "workerStarted": self = .workerStarted(try reader.worker(), boot: try reader.text("boot"))
    case "workerEnded": self = .workerEnded(try reader.worker())
    case "sessionJoined":
      self = .sessionJoined(try reader.worker(), try reader.session(), resumed: try reader.flag("resumed"))
    case "workerHandled":
      self = .workerHandled(
        try reader.worker(), try reader.session(), sequence: try reader.unsigned("sequence"), try reader.kind())
    case "attemptStarted":
      self = .attemptStarted(try reader.attempt(), try reader.worker(), from: try reader.checkpoint("from"))
    case "attemptStopped":
      self = .attemptStopped(try reader.attempt(), try reader.worker(), try reader.word("reason"))
    case "attemptEnded": self = .attemptEnded(try reader.attempt(), try reader.worker())
    case "persisted":
      self = .persisted(
        try reader.attempt(), checkpoint: try reader.number("checkpoint"), try reader.worker())
    case "forgotten":
      self = .forgotten(
        try reader.attempt(), checkpoint: try reader.number("checkpoint"), try reader.worker())
    case "verdict": self = .verdict(try reader.attempt(), try reader.worker(), try reader.word("verdict"))
    case "fault": self = .fault(try reader.text("text"))
    case "measured":
      self = .measured(
        try reader.text("name"), owner: try reader.text("owner"), value: try reader.integer("value"),
        limit: try reader.integer("limit"))
    case "faultsEnded": self = .faultsEnded
    case let name: throw .badValue("event", problem: "\(name) is not known")
    }
  }

  private static func array(_ ids: [TaskID]) -> JSONValue { .array(ids.map { .string($0.text) }) }

  fileprivate static func number(_ number: UInt64) -> JSONValue {
    Int64(exactly: number).map(JSONValue.integer) ?? .string("\(number)")
  }

  private static func joining(_ name: String, _ worker: WorkerID, _ session: SessionID, _ resumed: Bool) -> JSONObject {
    [
      "event": .string(name), "worker": .string(worker.text), "session": .string(session.text),
      "resumed": .bool(resumed),
    ]
  }

  private static func handled(
    _ name: String, _ worker: WorkerID, _ session: SessionID, _ sequence: UInt64, _ kind: MessageKind
  ) -> JSONObject {
    [
      "event": .string(name), "worker": .string(worker.text), "session": .string(session.text),
      "sequence": number(sequence), "kind": .string(kind.name),
    ]
  }

  private static func attempt(
    _ name: String, _ key: AttemptKey, _ worker: WorkerID, _ more: JSONObject = [:]
  ) -> JSONObject {
    var object: JSONObject = [
      "event": .string(name), "task": .string(key.taskID.text), "attempt": .integer(Int64(key.attempt)),
      "worker": .string(worker.text),
    ]
    for member in more.members { object[member.key] = member.value }
    return object
  }
}

extension CheckpointKey {
  fileprivate var json: JSONValue {
    ["attempt": .integer(Int64(attempt)), "number": .integer(Int64(number))]
  }
}

extension StoredTask {
  fileprivate var json: JSONObject {
    [
      "task": .string(id.text), "status": .string(status.rawValue), "attempt": .integer(Int64(attempt)),
      "worker": JSONValue(worker?.text), "checkpoint": checkpoint?.json ?? .null,
    ]
  }

  fileprivate init(_ reader: HistoryReader) throws(MessageError) {
    self.init(
      id: try reader.task(), status: try reader.status(), attempt: try reader.integer("attempt"),
      worker: try reader.optionalWorker(), checkpoint: try reader.checkpoint("checkpoint"))
  }
}

extension StoredChange {
  fileprivate var json: JSONObject {
    switch self {
    case .submitted(let id): ["change": "submitted", "task": .string(id.text)]
    case .state(let id, let status, let attempt, let worker):
      [
        "change": "state", "task": .string(id.text), "status": .string(status.rawValue),
        "attempt": .integer(Int64(attempt)), "worker": JSONValue(worker?.text),
      ]
    case .attempt(let key, let outcome, let worker, let checkpoint):
      [
        "change": "attempt", "task": .string(key.taskID.text), "attempt": .integer(Int64(key.attempt)),
        "outcome": .string(outcome.rawValue), "worker": .string(worker.text), "from": checkpoint?.json ?? .null,
      ]
    case .checkpoint(let id, let key):
      ["change": "checkpoint", "task": .string(id.text), "key": key.json]
    case .output(let key):
      ["change": "output", "task": .string(key.taskID.text), "attempt": .integer(Int64(key.attempt))]
    case .released(let id): ["change": "released", "task": .string(id.text)]
    case .transferred(let id, let member):
      ["change": "transferred", "task": .string(id.text), "to": .integer(member.number)]
    case .other(let what): ["change": "other", "what": .string(what)]
    }
  }

  fileprivate init(_ reader: HistoryReader) throws(MessageError) {
    switch try reader.text("change") {
    case "submitted": self = .submitted(try reader.task())
    case "state":
      self = .state(
        try reader.task(), try reader.status(), attempt: try reader.integer("attempt"),
        worker: try reader.optionalWorker())
    case "attempt":
      self = .attempt(
        try reader.attempt(), try reader.word("outcome"), try reader.worker(),
        resumedFrom: try reader.checkpoint("from"))
    case "checkpoint":
      guard let key = try reader.checkpoint("key") else { throw .missingField("key") }
      self = .checkpoint(try reader.task(), key)
    case "output": self = .output(try reader.attempt())
    case "released": self = .released(try reader.task())
    case "transferred": self = .transferred(try reader.task(), to: MemberID(try reader.integer64("to")))
    case "other": self = .other(try reader.text("what"))
    case let name: throw .badValue("change", problem: "\(name) is not known")
    }
  }
}
