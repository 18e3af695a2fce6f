import Primitives

/// Keeps leases alive and takes what workers say about themselves.
public struct HeartbeatHandler: MessageHandler {
  public static let kinds: [MessageKind] = [.heartbeat, .telemetry, .ack]

  public init() {}

  public func handle(_ message: Message, in context: HandlerContext) throws(MessageError) {
    switch message.kind {
    case .telemetry: try telemetry(message, in: context)
    case .ack: break  // Its envelope said everything.
    default: try heartbeat(message, in: context)
    }
  }

  private func telemetry(_ message: Message, in context: HandlerContext) throws(MessageError) {
    var fields = JSONObject()
    for name in ["metrics", "queue_status", "connection_stats"] {
      if let object = try message.reader.optionalObject(name) { fields.append(name, .object(object)) }
    }
    let bytes = JSONValue.object(fields).text.utf8.count
    guard bytes <= WorkerTelemetry.maxBytes else {
      throw .badValue(
        "metrics", problem: "telemetry of \(bytes) bytes; at most \(WorkerTelemetry.maxBytes) are allowed")
    }
    context.core.counted.telemetryReports += 1
    context.entry?.telemetry = WorkerTelemetry(receivedAt: context.wall, fields: fields)
  }

  private func heartbeat(_ message: Message, in context: HandlerContext) throws(MessageError) {
    var answer = JSONObject()
    answer.append("response_to", message.fields["sequence"] ?? .null)
    guard let worker = context.entry, worker.link === context.link else {
      // A legacy worker may beat before it registers.
      return context.replyNow(.heartbeat, answer)
    }
    context.core.renewLease(of: worker)
    worker.detector?.heartbeat(at: context.now)
    context.core.counted.heartbeats += 1
    if let last = worker.lastHeartbeat { context.core.counted.heartbeatGaps.record(context.now - last) }
    worker.lastHeartbeat = context.now
    if let seconds = try message.reader.optionalNumber("rtt_s"), seconds >= 0, seconds < 3_600 {
      worker.roundTrip = .seconds(seconds)
      context.core.counted.roundTrips.record(.seconds(seconds))
    }
    let isDraining = try message.reader.optionalBool("draining") ?? false
    if isDraining, !worker.takesNothingNew { context.notify(.workerDraining(worker.id)) }
    worker.isDraining = isDraining
    switch context.mode {
    case .session:
      answer.append("lease_s", .duration(context.configuration.lease))
      if !context.core.mayRenewLeases { answer.append("lease", false) }
      for (key, value) in context.core.newPacing(for: worker).members { answer.append(key, value) }
    case .legacy:
      let actions = try compare(worker, with: message.reader, in: context)
      if !actions.isEmpty { answer.append("actions", .array(actions)) }
    }
    context.replyNow(.heartbeat, answer)
  }

  /// How many heartbeats in a row may leave out a task before it is taken back: its assignment or its result was lost
  /// with a connection, and the legacy protocol has no other way to find out.
  static let heartbeatsUntilTakenBack = 3

  private func compare(
    _ worker: WorkerEntry, with reader: FieldReader, in context: HandlerContext
  ) throws(MessageError) -> [JSONValue] {
    guard let active = try reader.optionalArray("active_tasks", maxCount: 10_000) else { return [] }
    var names: Set<String> = []
    for value in active { if let name = value.string { names.insert(name) } }
    var missing: [JSONValue] = []
    for id in worker.held.sorted() {
      guard !names.contains(id.text) else {
        worker.missingFromHeartbeat[id] = nil
        continue
      }
      let count = (worker.missingFromHeartbeat[id] ?? 0) + 1
      worker.missingFromHeartbeat[id] = count
      if count > Self.heartbeatsUntilTakenBack {
        context.takeBack(id, reason: "worker \(worker.id) no longer has it")
      } else {
        missing.append(.string(id.text))
      }
    }
    let foreign = names.subtracting(worker.held.map(\.text)).sorted()
    var actions: [JSONValue] = []
    if !missing.isEmpty { actions.append(["type": "resend_task_results", "task_ids": .array(missing)]) }
    if !foreign.isEmpty {
      actions.append(["type": "cancel_tasks", "task_ids": .array(foreign.map(JSONValue.string))])
    }
    return actions
  }
}
