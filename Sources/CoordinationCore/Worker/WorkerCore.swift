import Authentication
public import Primitives

/// A worker without its sockets, disk, processes and clock.
///
///     assignment ─▶ startAttempt … checkpoints, result ─▶ persist ─▶ numbered, sent ─▶ acknowledged ─▶ forget
///
/// A checkpoint or a result is on the worker's own disk before the coordinator hears of it, and stays there until the
/// coordinator has it on its own, so no order of crashes loses it. Attempts run under a lease, counted from the moment a
/// heartbeat was *sent*: the coordinator counts from when it arrived, so ours always ends first. When it ends, the
/// attempts are stopped; someone else may be given them.
///
/// Long, and one piece, because connection, session, lease and attempts decide about each other at every event: apart,
/// each would have to ask the others for the state that this file's `switch`es see at once.
public final class WorkerCore {
  public let configuration: WorkerCoreConfiguration
  public private(set) var statistics = WorkerStatistics()
  public private(set) var work = WorkStatistics()
  public private(set) var state = WorkerConnectionState.disconnected

  private enum Link {
    case none
    case waiting(until: Instant)
    case connecting
    /// Upgraded, and `registration` sent at `since`.
    case registering(ConnectionMode, since: Instant)
    case registered(ConnectionMode, since: Instant)
    /// No further attempt will be made.
    case ended
  }

  private enum Phase {
    case running
    /// Told to stop; its end is reported with this reason.
    case stopping(StopReason)
    /// Ended; its result is on its way.
    case finished
  }

  private struct Held {
    var phase: Phase
    var checkpoints = 0
    var newestCheckpoint: JSONValue?
  }

  private enum Ending { case none, draining, stopping }

  private var link = Link.none
  /// Of this connection, if both ends have a key.
  private var authenticator: MessageAuthenticator?
  private var session: SessionState?
  /// The numbers of the session's sync: behind the first, up to the last.
  private var syncEnds: (before: UInt64, last: UInt64) = (0, 0)
  private var held: [AttemptKey: Held] = [:]
  /// Being written to the worker's disk.
  private var persisting: [String: Parcel] = [:]
  private var sending: SendingQueue
  /// The connection takes no more for now.
  private var isHeldBack = false
  /// What may be handed to the connection before it is asked whether it takes more, in bytes.
  private var sendBudget = 0
  private var hasAskedForRoom = false
  /// From where on the outbox is being sent again over this connection; `nil` once it was.
  private var resending: UInt64?
  /// Legacy mode: sent, and sent again over each new connection, until the coordinator names it.
  private var unacknowledged: [Parcel] = []
  private var leaseEnds: Instant = .distantFuture
  private var lease: Duration = .seconds(30)
  private var ending = Ending.none
  private var handover = Handover()
  private var backoff: Backoff
  /// When the first of the failures in a row was.
  private var awaySince: Instant = .zero
  private var detector: PhiAccrualDetector
  private var roundTrips = RoundTripEstimator()
  private var random: any RandomNumberGenerator
  private var heartbeats = 0
  private var adaptation: WorkerAdaptation
  /// When heartbeats that are not answered yet were sent; bounded.
  private var heartbeatsSent: [(number: Int, at: Instant)] = []
  private var nextHeartbeat: Instant = .distantFuture
  private let startedAt: Instant
  private var nextTelemetry: Instant = .distantFuture
  private var syncBatch = 100
  private var owesAcknowledgement = false
  private var now: Instant = .zero
  private var wall = WallTime(milliseconds: 0)
  private var effects: [WorkerEffect] = []

  /// Checkpoints and results that may wait before producers are held back.
  public static let maxWaiting = 10_000
  private static let registrationTimeout: Duration = .seconds(10)

  public init(configuration: WorkerCoreConfiguration, random: any RandomNumberGenerator, at now: Instant) {
    self.configuration = configuration
    self.random = random
    self.now = now
    startedAt = now
    adaptation = WorkerAdaptation(configuration.bounds, isOn: configuration.adaptsParameters)
    sending = SendingQueue(isPrioritized: configuration.usesPriorities, aging: configuration.messageAging)
    backoff = Backoff(
      Backoff.Configuration(
        base: configuration.reconnectDelay, cap: configuration.maxReconnectDelay,
        maxAttempts: configuration.maxReconnectAttempts, usefulSession: configuration.usefulSession))
    detector = Self.detector(configuration, adaptation.parameters, at: now)
  }

  private static func detector(
    _ configuration: WorkerCoreConfiguration, _ parameters: WorkerParameters, at now: Instant
  ) -> PhiAccrualDetector {
    PhiAccrualDetector(
      PhiAccrualDetector.Configuration(
        minimum: parameters.patience, maximum: configuration.heartbeatTimeout,
        expectedGap: parameters.heartbeatInterval), at: now)
  }

  /// When `tick` is due at the latest.
  public var nextDeadline: Instant {
    var deadline = Instant.distantFuture
    switch link {
    case .none, .connecting, .ended: break
    case .waiting(let until): deadline = until
    case .registering(_, let since): deadline = since + Self.registrationTimeout
    case .registered: deadline = min(nextHeartbeat, detector.suspectAt, nextTelemetry)
    }
    // Only what is left can be handed back, or be waited for.
    if state != .shutdown, hasRunningAttempts || owes { deadline = min(deadline, handover.deadline) }
    // Attempts that are being stopped already have nothing more to fear from the lease.
    return hasUnstoppedAttempts ? min(deadline, leaseEnds) : deadline
  }

  /// Whether producers may hand over more; otherwise they are held back until acknowledgements arrive.
  public var hasRoom: Bool { waitingCount < Self.maxWaiting }
  /// Messages that wait for the coordinator's acknowledgement.
  public var outboxCount: Int { session?.outbox.count ?? 0 }
  /// Checkpoints, results and reports that wait for a session, for room in its outbox, or for this worker's disk.
  public var waitingCount: Int { sending.parcelCount + persisting.count }
  /// Messages that wait to be sent, by their priority.
  public var queueStatus: QueueStatus { sending.status(at: now) }
  public var activeAttempts: [AttemptKey] { held.keys.sorted { $0.description < $1.description } }
  public var sessionID: SessionID? { session?.id }

  /// How the worker stands now, as far as the core knows.
  public var report: WorkerReport {
    var mode: ConnectionMode?
    if case .registered(let current, _) = link { mode = current }
    return WorkerReport(
      state: state, mode: mode, connection: statistics, work: work, uptime: now - startedAt,
      connectedFor: statistics.connectedSince.map { now - $0 }, slots: configuration.capabilities.slots,
      running: held.values.count { if case .finished = $0.phase { false } else { true } }, waiting: sending.parcelCount,
      persisting: persisting.count, queue: queueStatus, outboxMessages: outboxCount,
      outboxBytes: session?.outbox.bytes ?? 0)
  }
  private var hasUnstoppedAttempts: Bool {
    held.values.contains { if case .running = $0.phase { true } else { false } }
  }
  private var hasRunningAttempts: Bool {
    held.values.contains { if case .finished = $0.phase { false } else { true } }
  }
  /// Whether there is anything that the coordinator has not acknowledged.
  private var owes: Bool { waitingCount > 0 || outboxCount > 0 || !unacknowledged.isEmpty }

  public func handle(_ event: WorkerEvent, at now: Instant, wall: WallTime, into effects: inout [WorkerEffect]) {
    self.now = max(now, self.now)
    self.wall = wall
    sendBudget = configuration.sendBudgetBytes
    swap(&self.effects, &effects)
    // Before anything else: a process that was stopped for longer than its lease must not act as if it still had it.
    checkLease()
    switch event {
    case .start: connect()
    case .connected(let mode, let channel):
      guard case .connecting = link else { break }
      authenticator = channel.map { MessageAuthenticator($0, .worker) }
      register(mode)
    case .connectFailed(let reason, let delay): if case .connecting = link { connectFailed(reason, delay) }
    case .received(let bytes): received(bytes)
    case .disconnected(let reason, let delay): disconnected(reason, delay)
    case .restored(let key, let body): restored(key, body)
    case .persisted(let key): persisted(key)
    case .attemptStarted(let key): started(key)
    case .attemptPaused(let key): report(.taskPaused, key)
    case .attemptResumed(let key): report(.taskResumed, key)
    case .attemptProgressed(let key, let progress): progressed(key, progress)
    case .attemptCheckpointed(let key, let data): checkpointed(key, data)
    case .attemptWrote(let key, let stream, let offset, let bytes): wrote(key, stream, offset, bytes)
    case .attemptEnded(let key, let ending): ended(key, ending)
    case .send(let message, let reliably):
      let task = message.fields["task_id"]?.string.flatMap { try? TaskID($0) }
      if reliably { submit(Parcel(message, about: task)) } else { sendPlain(message, about: task) }
    case .sendingHeldBack(let isHeldBack):
      switch link {
      case .registering, .registered: self.isHeldBack = isHeldBack
      case .none, .waiting, .connecting, .ended: break
      }
      hasAskedForRoom = false
      fillOutbox()
    case .telemetryRead(let report): sendTelemetry(report)
    case .reconnect: reconnect()
    case .drain: drain()
    case .stop: stop()
    case .tick: tick()
    case .turnEnded: endTurn()
    }
    swap(&self.effects, &effects)
  }

  // MARK: Connecting

  private func connect() {
    statistics.attempts += 1
    link = .connecting
    change(to: .connecting)
    effects.append(.connect)
  }

  private func register(_ mode: ConnectionMode) {
    link = .registering(mode, since: now)
    var fields = JSONObject()
    fields.append("worker_id", .string(configuration.workerID.text))
    fields.append("capabilities", .object(configuration.capabilities.json))
    if mode == .session {
      fields.append("boot_id", .string(configuration.bootID))
      if let session {
        fields.append("session_id", .string(session.id.text))
        fields.append("handled", .integer(Int64(clamping: session.handled)))
      }
      if ending != .none { fields.append("draining", true) }
    } else {
      sending.putBack(undelivered)
      session = nil
      leaseEnds = .distantFuture
    }
    detector.resumed(at: now)
    send(Message(.registration, fields), mode)
  }

  private func connectFailed(_ reason: String, _ delay: Duration?) {
    statistics.failures += 1
    log(.warning, "connection failed", ["reason": reason])
    if let delay { backoff.serverAsked(toWait: delay) }
    retryLater()
  }

  private func disconnected(_ reason: String, _ delay: Duration? = nil) {
    switch link {
    case .registered(_, let since):
      statistics.disconnections += 1
      statistics.timeConnected += now - since
      statistics.connectedSince = nil
      backoff.sessionLasted(now - since)
      adaptation.connectionLost(at: now)
    // A connection may end in the very moment of its upgrade, before anybody said that it was there.
    case .connecting, .registering: statistics.failures += 1
    case .none, .waiting, .ended: return
    }
    log(.warning, "disconnected", ["reason": reason])
    adapt()
    if let delay { backoff.serverAsked(toWait: delay) }
    heartbeatsSent = []
    sending.dropPlain()
    (isHeldBack, hasAskedForRoom, resending) = (false, false, nil)
    retryLater()
  }

  private func retryLater() {
    if ending != .none, !hasRunningAttempts, !(handover.mayDeliver && owes) { return finish() }
    if backoff.failures == 0 { awaySince = now }
    // Small draws use up the doublings: without this, a few of thousands would wait many times as long as the
    // coordinator was away. Half of it still makes the waits grow exponentially.
    let limit = max((now - awaySince) / 2, adaptation.parameters.reconnectDelay)
    guard var delay = backoff.nextDelay(using: &random, atMost: limit) else {
      link = .ended
      log(.error, "giving up: no attempt to connect is left", ["attempts": "\(statistics.attempts)"])
      change(to: .failed)
      return
    }
    // What runs is lost with the lease: several tries must still fit into what is left of it.
    if hasUnstoppedAttempts { delay = min(delay, max((leaseEnds - now) / 4, configuration.reconnectDelay)) }
    link = .waiting(until: now + delay)
    change(to: .disconnected)
    log(.info, "reconnecting", ["in": "\(delay.wholeMilliseconds) ms", "failures": "\(backoff.failures)"])
  }

  private func reconnect() {
    switch link {
    case .registering, .registered:
      drop("a reconnection was asked for")
      backoff.reset()
      connect()
    case .waiting, .none, .ended:
      backoff.reset()
      connect()
    case .connecting: break
    }
  }

  /// Ends the connection from our side; the shell reports nothing more of it.
  private func drop(_ reason: String, code: UInt16 = SessionCloseCode.brokenSession) {
    effects.append(.close(code: code, reason: reason))
    disconnected(reason)
  }

  private func change(to state: WorkerConnectionState) {
    guard self.state != state else { return }
    self.state = state
    effects.append(.stateChanged(state))
  }

  // MARK: Receiving

  private func received(_ bytes: [UInt8]) {
    let mode: ConnectionMode
    switch link {
    case .registering(let current, _), .registered(let current, _): mode = current
    case .none, .waiting, .connecting, .ended: return
    }
    statistics.messagesReceived += 1
    work.bytesReceived += bytes.count
    let message: Message
    do {
      message = try Envelope.open(bytes, mode: mode, authenticator)
    } catch {
      work.refusedMessages += 1
      log(.warning, "message refused", ["problem": "\(error)"])
      if mode == .session { drop("message refused: \(error)") }
      return
    }
    detector.heartbeat(at: now)
    if mode == .session, message.kind != .registrationAck, !accept(message) { return }
    do { try handle(message, mode) } catch {
      log(.warning, "message refused", ["type": message.kind.name, "problem": "\(error)"])
      sendPlain(Message(.error, ["message": .string("\(message.kind): \(error)")]))
    }
  }

  private func accept(_ message: Message) -> Bool {
    if let acknowledgement = message.acknowledgement, session != nil {
      guard acknowledge(acknowledgement) else {
        drop("the coordinator acknowledges \(acknowledgement), which was never sent")
        return false
      }
      fillOutbox()
    }
    guard let sequence = message.sequence else { return true }
    guard case .registered = link else {
      drop("a numbered message before the registration's answer")
      return false
    }
    switch session?.arrive(sequence) {
    case .new:
      if let session { trace(.handled(session.id, sequence: sequence, message.kind)) }
      // An assignment needs no disk on this side: if this process dies, its new boot id gives everything back.
      session?.markDurable(upTo: sequence)
      owesAcknowledgement = true
      return true
    case .duplicate:
      owesAcknowledgement = true
      return false
    case .gap(let expected):
      drop("message \(sequence) where \(expected) was due")
      return false
    case nil:
      drop("a numbered message without a session")
      return false
    }
  }

  /// - Returns: `false` when what is acknowledged was never sent.
  private func acknowledge(_ sequence: UInt64) -> Bool {
    var done: [String] = []
    let isSound = session?.outbox.acknowledge(upTo: sequence) { if let key = $0.key { done.append(key) } } ?? false
    for key in done { settle(key) }
    return isSound
  }

  /// The coordinator has it: neither memory nor disk need keep it.
  private func settle(_ key: String) {
    effects.append(.forget(key: key))
    if let parcel = ParcelKey(key), parcel.isResult { held[parcel.attempt] = nil }
  }

  private func handle(_ message: Message, _ mode: ConnectionMode) throws(MessageError) {
    switch message.kind {
    case .welcome, .ack: break
    case .registrationAck: try registered(message, mode)
    case .heartbeat: try heartbeatAnswered(message, mode)
    case .stateSyncAck: try synchronised(message)
    case .taskAssignment: try assigned(message, mode)
    case .cancelTask: try stopAttempt(message, mode, .cancelled)
    case .pauseTask: if let key = try runningAttempt(message, mode) { effects.append(.pauseAttempt(key)) }
    case .resumeTask: if let key = try runningAttempt(message, mode) { effects.append(.resumeAttempt(key)) }
    case .checkpointRequest: try checkpointRequested(message, mode)
    case .taskResultAck: try resultAnswered(message, mode)
    case .stateRequest: try stateRequested(message)
    case .telemetryRequest: effects.append(.readTelemetry)
    case .drain:
      log(.info, "asked by the coordinator to leave")
      drain()
    case .taskStateAck, .checkpointAck, .checkpointDataAck, "task_cancelled_ack", "task_paused_ack", "task_resumed_ack":
      break
    case .error:
      log(.warning, "the coordinator reports an error", ["message": message.fields["message"]?.string ?? "?"])
    default: effects.append(.message(message))
    }
  }

  private func registered(_ message: Message, _ mode: ConnectionMode) throws(MessageError) {
    guard case .registering(_, let since) = link else { return }
    let reader = message.reader
    var resumed = false
    if mode == .session {
      let id = try reader.string("session_id", maxBytes: 128)
      resumed = try reader.optionalBool("resumed") ?? false
      lease = .seconds(min(max(try reader.optionalNumber("lease_s") ?? 30, 0.1), 86_400))
      syncBatch = try reader.optionalInteger("state_sync_batch", in: 1...10_000) ?? 100
      let handled = UInt64(try reader.optionalInteger("handled", in: 0...Int.max) ?? 0)
      let pacing = try HeardPacing(reader)
      adaptation.registered(
        lease: lease, askedInterval: pacing.interval, isPaced: pacing.isPaced, fleet: pacing.fleet ?? 0)
      link = .registered(mode, since: now)
      trace(.joined(SessionID(known: id), resumed: resumed && session?.id.text == id))
      if resumed, session?.id.text == id {
        guard acknowledge(handled) else { return drop("the coordinator handled more than was sent") }
        resending = session?.outbox.entries.first?.sequence
      } else {
        openSession(SessionID(known: id))
      }
      renewLease(sentAt: since)
    } else {
      link = .registered(mode, since: now)
      adaptation.registered(lease: .seconds(86_400), askedInterval: nil, isPaced: false, fleet: 0)
      for parcel in unacknowledged { transmit(parcel.body) }
    }
    adapt()
    statistics.successes += 1
    statistics.connectedSince = now
    if nextTelemetry == .distantFuture, configuration.telemetryInterval > .zero {
      nextTelemetry = now + configuration.telemetryInterval
    }
    change(to: .connected)
    log(.info, "registered", ["mode": mode.rawValue, "session": session?.id.text ?? "none", "resumed": "\(resumed)"])
    fillOutbox()
    beat()
  }

  /// A new session starts with everything the worker holds, and then whatever the old one had not delivered.
  private func openSession(_ id: SessionID) {
    sending.putBack(undelivered)
    session = SessionState(id: id, limits: configuration.outbox)
    sendOrphanCheckpoints()
    // Attempt 0 is a legacy coordinator's: this one cannot know it.
    for key in activeAttempts where key.attempt < 1 { stopRunning(key, .superseded) }
    let tasks = activeAttempts.filter { $0.attempt > 0 }.map { key -> JSONValue in
      let status = if case .finished? = held[key]?.phase { "finished" } else { "running" }
      return [
        "task_id": .string(key.taskID.text), "attempt": .integer(Int64(key.attempt)), "status": .string(status),
      ]
    }
    let before = session?.outbox.lastSequence ?? 0
    var start = 0
    repeat {
      let end = min(start + syncBatch, tasks.count)
      let message = Message(
        .stateSync, ["tasks": .array(Array(tasks[start..<end])), "final": .bool(end == tasks.count)])
      number(Parcel(message))
      start = end
    } while start < tasks.count
    syncEnds = (before, session?.outbox.lastSequence ?? before)
  }

  /// Without the session's sync: the next session has its own, behind which this one would say that what was given out
  /// meanwhile is not held.
  private var undelivered: [Parcel] {
    let entries = session?.outbox.entries.filter { $0.sequence <= syncEnds.before || $0.sequence > syncEnds.last }
    return entries?.map(Parcel.init) ?? []
  }

  /// A checkpoint of an attempt that ended with an earlier run of this process counts only until the coordinator takes
  /// that attempt back, which the sync makes it do: so it goes first.
  private func sendOrphanCheckpoints() {
    let orphans = sending.removeParcels { parcel in
      parcel.key.flatMap(ParcelKey.init).map { !$0.isResult && held[$0.attempt] == nil } ?? false
    }
    var rest = orphans[...]
    while session?.outbox.hasRoom == true, let parcel = rest.popFirst() { number(parcel) }
    sending.putBack(Array(rest))
  }

  private func synchronised(_ message: Message) throws(MessageError) {
    for value in try message.reader.optionalArray("verdicts", maxCount: 10_000) ?? [] {
      guard let object = value.object else { throw .wrongType("verdicts", expected: "objects", found: value.typeName) }
      let reader = FieldReader(object)
      let key = AttemptKey(try reader.taskID(), try reader.integer("attempt", in: 1...Int(Int32.max)))
      let name = try reader.string("verdict", maxBytes: 32)
      guard let verdict = SyncVerdict(rawValue: name) else { continue }
      trace(.verdict(key, verdict))
      guard verdict != .keep else { continue }
      log(.info, "attempt not ours any more", ["attempt": "\(key)", "verdict": name])
      stopRunning(key, .superseded)
    }
  }

  // MARK: Heartbeats and the lease

  private func beat() {
    guard case .registered(let mode, _) = link else { return }
    heartbeats += 1
    nextHeartbeat = now + adaptation.parameters.heartbeatInterval
    if heartbeatsSent.count == 16 { heartbeatsSent.removeFirst() }
    heartbeatsSent.append((number: heartbeats, at: now))
    var fields = JSONObject()
    fields.append("sequence", .integer(Int64(heartbeats)))
    if mode == .legacy {
      fields.append("worker_id", .string(configuration.workerID.text))
      fields.append("active_tasks", .array(activeAttempts.map { .string($0.taskID.text) }))
    } else {
      if let roundTrip = roundTrips.smoothed { fields.append("rtt_s", .duration(roundTrip)) }
      if ending != .none { fields.append("draining", true) }
    }
    sendPlain(Message(.heartbeat, fields))
  }

  private func heartbeatAnswered(_ message: Message, _ mode: ConnectionMode) throws(MessageError) {
    if let number = try message.reader.optionalInteger("response_to", in: 0...Int.max),
      let index = heartbeatsSent.firstIndex(where: { $0.number == number })
    {
      let sent = heartbeatsSent[index].at
      heartbeatsSent.removeFirst(index + 1)
      roundTrips.measured(now - sent)
      statistics.lastRoundTrip = now - sent
      statistics.longestRoundTrip = max(statistics.longestRoundTrip, now - sent)
      statistics.roundTrip = roundTrips.smoothed
      // A coordinator that lost its store may not know whether it still speaks for the fleet.
      if mode == .session, try message.reader.optionalBool("lease") ?? true { renewLease(sentAt: sent) }
      adaptation.measured(roundTrips)
    }
    let pacing = try HeardPacing(message.reader)
    if let interval = pacing.interval {
      adaptation.told(askedInterval: interval, isPaced: pacing.isPaced, fleet: pacing.fleet)
    }
    adapt()
    for value in try message.reader.optionalArray("actions", maxCount: 1_000) ?? [] {
      guard let action = value.object else { continue }
      let ids = try FieldReader(action).optionalArray("task_ids", maxCount: 10_000)?.compactMap(\.string) ?? []
      switch action["type"]?.string {
      case "cancel_tasks":
        for key in activeAttempts where ids.contains(key.taskID.text) { stopRunning(key, .superseded) }
      case "resend_task_results":
        for parcel in unacknowledged {
          if let key = parcel.key.flatMap(ParcelKey.init), ids.contains(key.attempt.taskID.text) {
            transmit(parcel.body)
          }
        }
      case "reset_connection_stats":
        let connectedSince = statistics.connectedSince
        statistics = WorkerStatistics()
        statistics.connectedSince = connectedSince
      case "sync_state": try stateRequested(message)
      default: break
      }
    }
  }

  /// Lets the parameters follow what was learnt of the connection.
  private func adapt() {
    for change in adaptation.update(at: now) {
      effects.append(.log(change.logEntry))
      switch change.parameter {
      case .heartbeatInterval:
        nextHeartbeat = min(nextHeartbeat, now + change.new)
        // Answers come in another rhythm from now on.
        detector = Self.detector(configuration, adaptation.parameters, at: now)
      case .patience: detector.setMinimum(change.new)
      case .reconnectDelay: backoff.setBase(change.new)
      }
    }
  }

  private func renewLease(sentAt: Instant) {
    leaseEnds = sentAt + lease
    if hasRunningAttempts { effects.append(.leaseRenewed(until: leaseEnds)) }
  }

  /// Unnumbered: the next one says more than a late one.
  private func sendTelemetry(_ report: WorkerReport) {
    guard case .registered = link else { return }
    work.telemetryReports += 1
    sendPlain(Message(.telemetry, report.telemetry))
  }

  private func checkLease() {
    guard now >= leaseEnds else { return }
    for key in activeAttempts { stopRunning(key, .leaseExpired) }
  }

  private func tick() {
    while let step = handover.next(at: now) { handOver(step) }
    switch link {
    case .none, .connecting, .ended: break
    case .waiting(let until): if now >= until { connect() }
    case .registering(_, let since):
      if now - since >= Self.registrationTimeout {
        drop("no answer to the registration", code: SessionCloseCode.silent)
      }
    case .registered:
      if detector.isSuspect(at: now) {
        drop("nothing heard from the coordinator", code: SessionCloseCode.silent)
      } else if now >= nextHeartbeat {
        statistics.longestHeartbeatDelay = max(statistics.longestHeartbeatDelay, now - nextHeartbeat)
        beat()
      }
      if now >= nextTelemetry {
        nextTelemetry = now + configuration.telemetryInterval
        effects.append(.readTelemetry)
      }
    }
  }

  // MARK: Attempts

  private func assigned(_ message: Message, _ mode: ConnectionMode) throws(MessageError) {
    let assignment: Assignment
    do { assignment = try Assignment(message, mode: mode) } catch {
      // The message counts as handled: unless told, the coordinator would wait for this attempt for ever.
      if mode == .session, let id = try? message.reader.taskID(),
        let attempt = try? message.reader.integer("attempt", in: 1...Int(Int32.max))
      {
        decline(AttemptKey(id, attempt), "the worker could not read the assignment: \(error)")
      }
      throw error
    }
    let key = AttemptKey(assignment.taskID, assignment.attempt)
    // A legacy coordinator may repeat itself; an attempt is started once.
    guard held[key] == nil else { return }
    guard ending == .none else { return handBack(key) }
    // It waited in a buffer while this process stood still; by now someone else may have been given it.
    guard now < leaseEnds else { return decline(key, StopReason.leaseExpired.rawValue) }
    if let misfit = misfit(assignment.specification) { return decline(key, misfit) }
    guard hasRoomForAttempt else { return decline(key, "the worker holds \(held.count) attempts and takes no more") }
    held[key] = Held(phase: .running, newestCheckpoint: assignment.checkpoint?.data)
    work.started += 1
    effects.append(.startAttempt(assignment))
    effects.append(.leaseRenewed(until: leaseEnds))
  }

  /// A coordinator that knows the worker's slots never gives more than these, besides what is just being stopped. Nor may
  /// results pile up that a legacy coordinator never acknowledges.
  private var hasRoomForAttempt: Bool {
    let limit = 4 * configuration.capabilities.slots + 16
    guard unacknowledged.count < Self.maxWaiting else { return false }
    return held.count < limit || held.values.count { if case .finished = $0.phase { false } else { true } } < limit
  }

  /// Why this is not the worker for a task; the coordinator knows what it said of itself, and should not have asked.
  private func misfit(_ specification: TaskSpecification) -> String? {
    let capabilities = configuration.capabilities
    if let unmet = specification.requirements.conditions.first(where: { !$0.isMet(by: capabilities.labels) }) {
      return "the worker does not meet the requirement \(unmet)"
    }
    guard specification.slots > capabilities.slots else { return nil }
    return "the task takes \(specification.slots) slots, and the worker has \(capabilities.slots)"
  }

  /// Unstarted, because its assignment crossed with the news that this worker is leaving.
  private func handBack(_ key: AttemptKey) {
    report(.taskCancelled, key, ["reason": .string(StopReason.draining.rawValue), "draining": true])
  }

  private func decline(_ key: AttemptKey, _ reason: String) {
    report(.taskCancelled, key, ["reason": .string(reason.prefix(maxBytes: AttemptEnding.maxReasonBytes))])
  }

  /// The attempt a message is about, if it runs here. A legacy coordinator names only the task.
  private func runningAttempt(_ message: Message, _ mode: ConnectionMode) throws(MessageError) -> AttemptKey? {
    let attempt = mode == .legacy ? 0 : try message.reader.integer("attempt", in: 1...Int(Int32.max))
    let key = AttemptKey(try message.reader.taskID(), attempt)
    guard case .running? = held[key]?.phase else { return nil }
    return key
  }

  private func stopAttempt(_ message: Message, _ mode: ConnectionMode, _ reason: StopReason) throws(MessageError) {
    if let key = try runningAttempt(message, mode) { stopRunning(key, reason) }
  }

  private func stopRunning(_ key: AttemptKey, _ reason: StopReason) {
    guard case .running? = held[key]?.phase else { return }
    held[key]?.phase = .stopping(reason)
    log(.info, "stopping an attempt", ["attempt": "\(key)", "reason": reason.rawValue])
    effects.append(.stopAttempt(key, reason))
  }

  private func checkpointRequested(_ message: Message, _ mode: ConnectionMode) throws(MessageError) {
    guard let key = try runningAttempt(message, mode) else { return }
    guard mode == .legacy else { return effects.append(.requestCheckpoint(key)) }
    let name = message.fields["checkpoint_id"] ?? .null
    var fields: JSONObject = ["task_id": .string(key.taskID.text), "checkpoint_id": name]
    guard let data = held[key]?.newestCheckpoint else {
      fields.append("error", "no checkpoint was taken yet")
      return sendPlain(Message(.checkpointError, fields))
    }
    fields.append("data", data)
    sendPlain(Message(.checkpointData, fields))
  }

  private func stateRequested(_ message: Message) throws(MessageError) {
    let wanted = try message.reader.optionalString("task_id", maxBytes: 128)
    for key in activeAttempts where wanted == nil || wanted == key.taskID.text {
      guard case .running? = held[key]?.phase else { continue }
      report(.taskState, key, ["state": ["status": "running"]])
    }
  }

  private func resultAnswered(_ message: Message, _ mode: ConnectionMode) throws(MessageError) {
    let id = try message.reader.taskID()
    switch mode {
    case .legacy:
      // Sent for its placeholder as well as for the true result; only what was sent can be settled.
      let done = unacknowledged.filter { $0.key.flatMap(ParcelKey.init)?.attempt.taskID == id }
      unacknowledged.removeAll { $0.key.flatMap(ParcelKey.init)?.attempt.taskID == id }
      for parcel in done { if let key = parcel.key { settle(key) } }
    case .session:
      guard try message.reader.optionalBool("accepted") == false else { return }
      let key = AttemptKey(id, try message.reader.integer("attempt", in: 1...Int(Int32.max)))
      let reason = try message.reader.optionalString("reason", maxBytes: 1_000) ?? "no reason given"
      log(.warning, "the coordinator refused a stale attempt", ["attempt": "\(key)", "reason": reason])
      stopRunning(key, .superseded)
    }
  }

  private func started(_ key: AttemptKey) {
    report(.taskState, key, ["state": ["status": "running"]])
  }

  private func progressed(_ key: AttemptKey, _ progress: Double) {
    guard case .running? = held[key]?.phase else { return }
    sendPlain(message(.taskState, key, ["state": ["progress": .number(progress)]]), about: key.taskID)
  }

  private func wrote(_ key: AttemptKey, _ stream: OutputStream, _ offset: Int, _ bytes: [UInt8]) {
    guard case .registered(.session, _) = link else { return }
    var fields: JSONObject = ["stream": .string(stream.rawValue), "offset": .integer(Int64(offset))]
    AttemptEnding.append(bytes, "data", to: &fields)
    sendPlain(message(.taskOutput, key, fields), about: key.taskID)
  }

  private func checkpointed(_ key: AttemptKey, _ data: JSONValue) {
    switch held[key]?.phase {
    // One that is asked to end for a drain may well say how far it came.
    case .running, .stopping(.draining): break
    case .stopping, .finished, nil: return
    }
    let bytes = data.text.utf8.count
    guard bytes <= configuration.maxCheckpointBytes else {
      let limit = configuration.maxCheckpointBytes
      return log(
        .warning, "checkpoint refused: too long", ["attempt": "\(key)", "bytes": "\(bytes)", "limit": "\(limit)"])
    }
    guard data.nests(atMost: JSONValue.maxCarriedDepth) else {
      let limit = JSONValue.maxCarriedDepth
      return log(.warning, "checkpoint refused: nested too deeply", ["attempt": "\(key)", "limit": "\(limit)"])
    }
    work.checkpoints += 1
    work.checkpointBytes += bytes
    held[key]?.checkpoints += 1
    held[key]?.newestCheckpoint = data
    let number = held[key]?.checkpoints ?? 1
    let name = ParcelKey(attempt: key, checkpoint: number).text
    persist(name, key.taskID, message(.checkpoint, key, ["number": .integer(Int64(number)), "data": data]))
    // That was all it was still waited for.
    if handover.hasAskedForCheckpoints { stopRunning(key, .draining) }
  }

  /// A newer checkpoint makes an older one that was not sent yet pointless.
  private func forgetWaitingCheckpoints(of key: AttemptKey) {
    sending.removeParcels(about: key.taskID) { parcel in
      guard let old = parcel.key.flatMap(ParcelKey.init), old.attempt == key, !old.isResult else { return false }
      effects.append(.forget(key: old.text))
      return true
    }
  }

  private func ended(_ key: AttemptKey, _ ending: AttemptEnding) {
    guard let entry = held[key] else { return }
    let ending = ending.bounded(
      maxOutputBytes: configuration.maxOutputBytes, maxResultBytes: configuration.maxResultBytes)
    if case .finished = entry.phase { return }
    switch ending.outcome {
    case .completed: work.completed += 1
    case .failed: work.failed += 1
    case .cancelled: work.cancelled += 1
    }
    switch entry.phase {
    case .finished: break
    case .stopping(.superseded):
      // Nobody waits for it, and reporting it would only be refused.
      held[key] = nil
    case .stopping(.draining) where ending.outcome != .completed:
      // By way of the disk, so that it follows the checkpoint that the next attempt is to start from.
      held[key]?.phase = .finished
      let reason = StopReason.draining.rawValue
      persist(
        ParcelKey(attempt: key).text, key.taskID,
        message(.taskCancelled, key, ["reason": .string(reason), "draining": true]))
    case .stopping(let reason) where reason != .cancelled && ending.outcome != .completed:
      held[key] = nil
      report(.taskCancelled, key, ["reason": .string(reason.rawValue)])
    case .stopping where ending.outcome == .cancelled, .running where ending.outcome == .cancelled:
      held[key]?.phase = .finished
      persist(
        ParcelKey(attempt: key).text, key.taskID,
        Message(.taskCancelled, ending.fields(taskID: key.taskID, attempt: key.attempt)))
    case .stopping, .running:
      // It may have ended by itself before the cancellation reached it: what happened is what is reported.
      held[key]?.phase = .finished
      persist(
        ParcelKey(attempt: key).text, key.taskID,
        Message(.taskResult, ending.fields(taskID: key.taskID, attempt: key.attempt)))
    }
  }

  private func message(_ kind: MessageKind, _ key: AttemptKey, _ more: JSONObject) -> Message {
    var fields = JSONObject()
    fields.append("task_id", .string(key.taskID.text))
    fields.append("attempt", .integer(Int64(key.attempt)))
    for member in more.members { fields.append(member.key, member.value) }
    return Message(kind, fields)
  }

  // MARK: Sending

  private func report(_ kind: MessageKind, _ key: AttemptKey, _ fields: JSONObject = [:]) {
    submit(Parcel(message(kind, key, fields), about: key.taskID))
  }

  private func persist(_ key: String, _ task: TaskID, _ message: Message) {
    let parcel = Parcel(message, about: task, key: key)
    persisting[key] = parcel
    effects.append(.persist(key: key, parcel.body))
  }

  private func persisted(_ key: String) {
    guard let parcel = persisting.removeValue(forKey: key) else { return }
    // Only now: before, a crash would have lost the older checkpoint and the newer one.
    if let key = ParcelKey(key), !key.isResult { forgetWaitingCheckpoints(of: key.attempt) }
    submit(parcel)
  }

  private func restored(_ key: String, _ body: [UInt8]) {
    guard let parcel = ParcelKey(key), body.last == UInt8(ascii: "}"),
      let message = try? Envelope.open(body, mode: .legacy)
    else {
      log(.warning, "an unreadable entry of the outbox file is dropped", ["key": key])
      effects.append(.forget(key: key))
      return
    }
    if parcel.isResult {
      held[parcel.attempt] = Held(phase: .finished)
    } else {
      forgetWaitingCheckpoints(of: parcel.attempt)
    }
    sending.add(
      Parcel(body: body, key: key, priority: message.kind.priority, task: parcel.attempt.taskID), at: now)
  }

  /// Whether something new may be handed to the connection.
  private var canSend: Bool { !isHeldBack && sendBudget > 0 && resending == nil }

  private func canNumber(_ mode: ConnectionMode) -> Bool { mode == .legacy || session?.outbox.hasRoom == true }

  private func submit(_ parcel: Parcel) {
    if case .registered(let mode, _) = link, sending.isEmpty, canSend, canNumber(mode) {
      return depart(parcel, mode)
    }
    sending.add(parcel, at: now)
    fillOutbox()
  }

  /// Lets go what waits, as far as the connection and the outbox take it.
  private func fillOutbox() {
    guard case .registered(let mode, _) = link else { return }
    resend()
    while canSend, let item = sending.next(at: now, canNumber: canNumber(mode)) {
      switch item {
      case .parcel(let parcel): depart(parcel, mode)
      case .plain(let message, _): send(message, mode)
      }
    }
    guard !isHeldBack, sendBudget <= 0, !hasAskedForRoom, resending != nil || !sending.isEmpty else { return }
    hasAskedForRoom = true
    effects.append(.reportBackpressure)
  }

  private func resend() {
    while !isHeldBack, sendBudget > 0, let sequence = resending {
      let part = session?.replay(from: sequence, atMost: sendBudget, authenticator)
      for bytes in part?.messages ?? [] { transmit(bytes) }
      resending = part?.next
    }
  }

  private func depart(_ parcel: Parcel, _ mode: ConnectionMode) {
    switch mode {
    case .session: number(parcel)
    case .legacy: sendLegacy(parcel)
    }
  }

  private func number(_ parcel: Parcel) {
    guard let entry = session?.outbox.append(parcel.body, key: parcel.key),
      let bytes = session?.seal(entry.body, sequence: entry.sequence, authenticator)
    else { return }
    transmit(bytes)
  }

  private func sendPlain(_ message: Message, about task: TaskID? = nil) {
    switch link {
    case .registering(let mode, _): send(message, mode)
    case .registered(let mode, _):
      if sending.isUrgent(message.kind) || (sending.isEmpty && canSend) { return send(message, mode) }
      if !sending.add(message, about: task, at: now) { statistics.messagesDropped += 1 }
      fillOutbox()
    case .none, .waiting, .connecting, .ended: break
    }
  }

  private func send(_ message: Message, _ mode: ConnectionMode) {
    switch mode {
    case .legacy:
      if let translated = LegacyTranslation.fromSession(message, worker: configuration.workerID, at: wall) {
        transmit(translated.body)
      }
    case .session:
      if case .registered = link, let bytes = session?.seal(message.body, sequence: nil, authenticator) {
        transmit(bytes)
      } else {
        transmit(Envelope.seal(message.body, sequence: nil, acknowledgement: 0, authenticator))
      }
    }
  }

  private func sendLegacy(_ parcel: Parcel) {
    guard let message = try? Envelope.open(parcel.body, mode: .legacy),
      let translated = LegacyTranslation.fromSession(message, worker: configuration.workerID, at: wall)
    else { return }
    let body = translated.body
    transmit(body)
    guard let key = parcel.key else { return }
    if ParcelKey(key)?.isResult == true, message.kind == .taskResult {
      unacknowledged.append(Parcel(body: body, key: key, priority: parcel.priority, task: parcel.task))
    } else {
      settle(key)
    }
  }

  private func transmit(_ bytes: [UInt8]) {
    statistics.messagesSent += 1
    work.bytesSent += bytes.count
    sendBudget -= bytes.count
    effects.append(.send(bytes))
  }

  private func log(_ level: LogLevel, _ message: String, _ facts: KeyValuePairs<String, String> = [:]) {
    effects.append(.log(LogEntry(level, message, facts)))
  }

  private func trace(_ trace: @autoclosure () -> WorkerTrace) {
    if configuration.isTraced { effects.append(.trace(trace())) }
  }

  // MARK: Ending

  /// The coordinator hears of it at once, or it would go on handing over tasks that are handed back.
  private func drain() {
    guard ending == .none else { return }
    ending = .draining
    handover.begin(at: now, timeout: configuration.drainTimeout)
    beat()
  }

  private func handOver(_ step: Handover.Step) {
    switch step {
    case .askForCheckpoints:
      guard hasUnstoppedAttempts else { return }
      log(.info, "the time to drain is over: asking for checkpoints", ["attempts": "\(held.count)"])
      for key in activeAttempts { if case .running? = held[key]?.phase { effects.append(.requestCheckpoint(key)) } }
    case .askToEnd: for key in activeAttempts { stopRunning(key, .draining) }
    case .end: endStopping()
    case .leave:
      guard owes else { return }
      log(.warning, "leaving with messages not delivered", ["messages": "\(waitingCount + outboxCount)"])
    }
  }

  /// What was asked to end politely has to end now.
  private func endStopping() {
    for key in activeAttempts {
      if case .stopping(.draining)? = held[key]?.phase { effects.append(.stopAttempt(key, .stopping)) }
    }
  }

  private func stop() {
    ending = .stopping
    handover.abandon()
    beat()
    for key in activeAttempts { stopRunning(key, .stopping) }
    endStopping()
  }

  private func endTurn() {
    if ending != .none, state != .shutdown, !hasRunningAttempts, persisting.isEmpty || handover.isOver {
      switch link {
      case .registered(let mode, _):
        let isDelivered =
          sending.isEmpty && (mode == .legacy ? unacknowledged.isEmpty : session?.outbox.isEmpty ?? true)
        if isDelivered {
          if mode == .session { send(Message(.goodbye, ["reason": "stopping"]), mode) }
          effects.append(.close(code: 1000, reason: "the worker is stopping"))
          return finish()
        }
        if handover.isOver { return finish() }
      case .waiting where handover.mayDeliver && owes: break
      case .none, .waiting, .ended: return finish()
      // An attempt to connect, or to register, is under way: what waits may still be delivered.
      case .connecting, .registering: if handover.isOver { return finish() }
      }
    }
    guard owesAcknowledgement else { return }
    owesAcknowledgement = false
    if session?.owesAcknowledgement == true { sendPlain(Message(.ack, ["durable": true])) }
  }

  private func finish() {
    guard state != .shutdown else { return }
    link = .ended
    change(to: .shutdown)
    effects.append(.stopped)
  }
}
