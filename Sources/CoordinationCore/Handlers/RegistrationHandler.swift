import Primitives

/// Admits workers: opens a session, resumes one, or registers a legacy worker.
///
/// A worker that names its session and still runs (same boot id) resumes it, unless some of its tasks went to others
/// meanwhile: both sides drop what was handled and replay the rest. Anyone else gets a new session and says first what it holds (`StateSyncHandler`).
public struct RegistrationHandler: MessageHandler {
  public static let kinds: [MessageKind] = [.registration, .goodbye]

  public init() {}

  public func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {
    switch message.kind {
    case .goodbye: context.worker == nil ? () : context.leave()
    default:
      guard context.core.hasRoom(for: context.workerID) else {
        let text = "\(context.configuration.maxWorkers) workers are known, and no more are taken (maxWorkers)"
        context.replyNow(.error, ["message": .string(text)])
        return context.close(RetryHint.tryAgainLater, RetryHint.reason(.seconds(30), text))
      }
      let capabilities = try WorkerCapabilities(message.reader, maxSlots: context.configuration.maxSlots)
      switch context.mode {
      case .legacy: context.registerLegacy(capabilities)
      case .session:
        let sessionID = try message.reader.optionalString("session_id", maxBytes: 128)
        let bootID = try message.reader.string("boot_id", maxBytes: 128)
        let handled = try message.reader.optionalInteger("handled", in: 0...Int.max) ?? 0
        let isDraining = try message.reader.optionalBool("draining") ?? false
        context.register(capabilities, sessionID: sessionID, bootID: bootID, handled: UInt64(handled))
        if let worker = context.entry, worker.link === context.link { worker.isDraining = isDraining }
      }
    }
  }
}

/// What a worker says it can do.
public struct WorkerCapabilities: Equatable, Sendable {
  /// How many tasks it runs at once.
  public var slots: Int
  /// The kinds of work that it can execute.
  public var kinds: Set<String>
  /// What tasks can choose it by.
  public var labels: WorkerLabels

  public init(slots: Int, kinds: Set<String>, labels: WorkerLabels = WorkerLabels()) {
    self.slots = slots
    self.kinds = kinds
    self.labels = labels
  }

  /// A legacy worker says nothing that we can rely on: it runs one task at a time, of the reference's kind. It must
  /// never be given a command: it would report it done without running it.
  init(_ reader: FieldReader, maxSlots: Int) throws(MessageError) {
    try self.init(json: try reader.optionalObject("capabilities") ?? JSONObject(), maxSlots: maxSlots)
  }

  package init(json: JSONObject, maxSlots: Int) throws(MessageError) {
    let capabilities = FieldReader(json)
    slots = min(try capabilities.optionalInteger("slots", in: 1...Int(Int32.max)) ?? 1, maxSlots)
    kinds = []
    for kind in try capabilities.optionalArray("kinds", maxCount: 64) ?? ["demo_task"] {
      guard let name = kind.string, name.utf8.count <= 64 else {
        throw .wrongType("capabilities.kinds", expected: "short strings", found: kind.typeName)
      }
      kinds.insert(name)
    }
    labels = try WorkerLabels(
      json: try capabilities.optionalObject("labels") ?? JSONObject(), field: "capabilities.labels")
  }

  public var json: JSONObject {
    var object: JSONObject =
      ["slots": .integer(Int64(slots)), "kinds": .array(kinds.sorted().map(JSONValue.string))]
    if !labels.values.isEmpty { object["labels"] = .object(labels.json) }
    return object
  }
}

extension HandlerContext {
  /// Registers a session-mode worker; answers `registration_ack` at once, because it promises nothing new.
  public func register(_ capabilities: WorkerCapabilities, sessionID: String?, bootID: String, handled: UInt64) {
    let worker = core.entry(for: workerID)
    let isSameRun = worker.bootID == bootID
    if let old = worker.link, old !== link, !isSameRun, now - worker.lastHeard < configuration.heartbeatTimeout {
      // Two processes with one name would take each other's place for ever.
      let text = "worker id \(workerID) is in use by \(old.remoteAddress); give each worker its own --worker-id"
      replyNow(.error, ["message": .string(text)])
      return close(SessionCloseCode.workerIDInUse, text)
    }
    core.returned(worker, isSameRun: isSameRun)
    let resumed =
      isSameRun && sessionID != nil && worker.session?.id.text == sessionID && core.readoptAll(of: worker)
    if resumed, worker.session?.outbox.acknowledge(upTo: handled) != true {
      replyNow(.error, ["message": .string("handled \(handled) messages of a session that sent fewer")])
      return close(SessionCloseCode.brokenSession, "handled more than was sent")
    }
    worker.slots = capabilities.slots
    worker.kinds = capabilities.kinds
    worker.labels = capabilities.labels
    worker.bootID = bootID
    worker.isDraining = false
    if !isSameRun { worker.isDrainRequested = false }
    if !resumed {
      worker.session = SessionState(id: SessionID(known: core.makeIdentifier()), limits: configuration.outbox)
      worker.isSynchronised = false
      worker.reported = []
      worker.unsent = []
      worker.letGo = []
    }
    core.counted.count(resumed ? .resumed : .opened)
    core.attach(link, to: worker)
    core.renewLease(of: worker)
    guard let session = worker.session else { return }
    core.trace(.registered(workerID, session.id, resumed: resumed))
    core.trace(.offered(workerID, capabilities))
    var fields: JSONObject =
      [
        "worker_id": .string(workerID.text), "session_id": .string(session.id.text), "resumed": .bool(resumed),
        "handled": .integer(Int64(clamping: session.durable)), "lease_s": .duration(configuration.lease),
        "heartbeat_timeout_s": .duration(configuration.heartbeatTimeout),
        "state_sync_batch": .integer(Int64(configuration.stateSyncBatch)),
      ]
    for (key, value) in core.tell(worker, core.pacing).members { fields.append(key, value) }
    replyNow(.registrationAck, fields)
    core.replay(to: worker)
    // Told before, it may have been told in a session that is gone.
    if !resumed { core.tellToDrain(worker) }
    core.sendWaitingAssignments(to: worker)
    core.offer(worker)
    log(.info, "worker registered", ["session": session.id.text, "resumed": "\(resumed)", "slots": "\(worker.slots)"])
    notify(.workerRegistered(workerID, session: session.id, resumed: resumed))
  }

  /// Registers a legacy worker: the newest connection of an id wins, and what it was given stays its own until its
  /// heartbeats leave it out.
  func registerLegacy(_ capabilities: WorkerCapabilities) {
    let worker = core.entry(for: workerID)
    if worker.session != nil { core.endSession(of: worker, reason: "its worker came back without session mode") }
    worker.slots = capabilities.slots
    worker.kinds = capabilities.kinds.subtracting(["command", TaskSpecification.commandWithFiles])
    worker.labels = capabilities.labels
    worker.bootID = nil
    worker.isDraining = false
    worker.isSynchronised = true
    worker.missingFromHeartbeat = [:]
    core.counted.count(.legacy)
    core.attach(link, to: worker)
    core.renewLease(of: worker)
    replyNow(.registrationAck, ["worker_id": .string(workerID.text)])
    core.remind(worker)
    core.offer(worker)
    log(.info, "worker registered", ["mode": "legacy"])
  }

  /// The worker stops for good: what it still holds goes to others without waiting for its lease.
  func leave() {
    guard let worker = entry, worker.link === link else { return }
    log(.info, "worker left")
    core.endSession(of: worker, reason: "worker \(workerID) stopped")
    worker.leaseEnds = now
    worker.absence = nil
  }
}
