public import Primitives

/// The coordinator without its sockets, disk and clock.
///
/// The shell feeds it events with the time, performs the effects in order, and says when the loop's turn is over. Then
/// tasks are given out and the turn's writes are cut into one batch. What a batch promises to anybody (an assignment, an
/// answer, an acknowledgement) is held back until the shell reports it committed:
///
///     events ─▶ handlers ─▶ writes ───────────── commit ──▶ store
///                   └─────▶ held promises ◀── committed ──────┘ ──▶ messages, answers, acknowledgements
///
/// One batch is in flight at a time; what happens meanwhile gathers in the next, so commits are as large as the disk is
/// slow. Whoever restarts it hands it what the store had; workers that come back within a lease find their tasks kept.
///
/// Long, and one piece, because a batch's promises, the sessions' acknowledgements and the workers' absences decide about
/// each other within one turn; what can be judged apart (tasks, outboxes, absences, the rotation) is in values beside it.
public final class CoordinatorCore {
  public let configuration: CoordinatorConfiguration
  private var registry: HandlerRegistry
  var book: TaskBook
  var workers: [WorkerID: WorkerEntry] = [:]
  /// The files that tasks and results may name; the shell keeps it in step with the disk.
  public var files = FileCatalog()
  /// How many tasks that have not ended need each file.
  public var neededFiles: [FileDigest: Int] { book.neededFiles }
  /// What is counted, but for the tasks.
  var counted = CoordinatorStatistics()
  private(set) var links: [ConnectionID: WorkerLink] = [:]
  /// Workers that have connected and wait for what other coordinators have of them, with the newest connection of each.
  var coming: [WorkerID: ConnectionID] = [:]
  /// Workers that are registered over a connection.
  public private(set) var connectedWorkers = 0
  private var random: any RandomNumberGenerator
  private var nextSweep: Instant = .zero
  /// No task is given out or taken back any more.
  public private(set) var isDraining = false
  /// Whether workers may count on this coordinator for another lease. With exclusive leases a member that does not know
  /// whether it still is one must not say so.
  public var mayRenewLeases = true
  /// Tasks that wait in the pool of a shared store, as far as is known.
  public var poolSize = 0
  private(set) var pace: HeartbeatPace
  /// The configuration, with the heartbeat interval that workers are told now.
  private(set) var inForce: CoordinatorConfiguration

  private(set) var now: Instant = .zero
  private(set) var wall = WallTime(milliseconds: 0)
  private var effects: [CoordinatorEffect] = []
  private var gathering = Batch()
  private var inFlight: Batch?
  private var batches: UInt64 = 0
  private var lookups: [RequestID: Lookup] = [:]
  /// Submitted tasks that wait until the store has said which of them it knows. The shell stops reading while these are
  /// many.
  public private(set) var waitingSubmissions = 0
  private var lookupCount: UInt64 = 0
  /// Tasks that ended, and that a lookup asked for before they were durable may still miss.
  private var lingering: [(tasks: Set<TaskID>, newestLookup: UInt64)] = []
  private var owing: [WorkerEntry] = []

  /// What is let go once the writes gathered with it are durable.
  private enum Promise {
    case assignment(TaskID, attempt: Int, WorkerID)
    case reliable(WorkerID, Message)
    case plain(ConnectionID, Message)
    case answer(RequestID, CoordinatorAnswer)
    case notice(CoordinatorNotice)
    case handedOver(WorkerID, MemberID)
    case gather(ConnectionID, WorkerID, bootID: String?)
  }

  /// Submissions that wait until the store has said which of their tasks it knows.
  private struct Lookup {
    let number: UInt64
    let submissions: [TaskSubmission]
  }

  private struct Batch {
    var id = BatchID(number: 0)
    var promises: [Promise] = []
    /// Numbered messages whose effects are in this batch.
    var handled: [(worker: WorkerEntry, session: SessionID, sequence: UInt64)] = []
    /// Tasks that end with it.
    var ended: Set<TaskID> = []
    var isEmpty: Bool { promises.isEmpty && handled.isEmpty }
  }

  /// - Parameters:
  ///   - unfinished: every task of the store that has not ended, in submission order.
  ///   - tests: those of the store that something is held against.
  ///   - handlers: a service author's own, beside the standard ones.
  ///   - random: draws session and task identifiers; must not be guessable in production.
  public init(
    configuration: CoordinatorConfiguration = CoordinatorConfiguration(), unfinished: [UnfinishedTask] = [],
    tests: [TestRecord] = [], handlers: [any MessageHandler] = [], random: any RandomNumberGenerator, at now: Instant
  ) throws(HandlerClash) {
    self.configuration = configuration
    pace = configuration.pace
    inForce = configuration
    self.random = random
    self.now = now
    registry = try HandlerRegistry(Self.standardHandlers + handlers)
    book = TaskBook(
      checkpointsKept: configuration.checkpointsKept, aging: configuration.priorityAging,
      isPrioritized: configuration.usesPriorities, quarantine: Quarantine(tests),
      isShared: configuration.isShared)
    for unfinished in unfinished {
      book.restore(unfinished)
      let state = unfinished.task.state
      guard state.status.isHeld, let id = state.workerID else { continue }
      // The store does not say when a lease was last renewed, so its holder gets a whole one from now: it may be running
      // undisturbed and come back any moment.
      let worker = entry(for: id)
      if let task = book[unfinished.task.id] { worker.hold(task) }
      worker.lastHeard = now
      worker.absence = Absence(kind: .restored, since: now)
      renewLease(of: worker)
    }
    nextSweep = now
  }

  public static var standardHandlers: [any MessageHandler] {
    [RegistrationHandler(), HeartbeatHandler(), StateSyncHandler(), TaskResumptionHandler()]
  }

  /// When `tick` is due at the latest.
  public var nextDeadline: Instant { nextSweep }

  /// Writes that wait for the batch in flight. The shell stops reading from peers while this is large.
  public var pendingWrites: Int { book.writes.count }
  public var unfinishedTasks: Int { book.tasks.count }
  /// The most messages that wait for one worker's acknowledgement.
  public var largestOutbox: Int { workers.values.lazy.map { $0.session?.outbox.count ?? 0 }.max() ?? 0 }

  /// About how many bytes of memory workers, sessions and tasks take here, without sockets and store: the sizes of the
  /// structures, what an allocator adds to each, and the messages that wait.
  public var estimatedBytes: Int {
    // An entry, its slot in the dictionary, its names and session, and the detector's window; then a task with its
    // attempt, its specification's objects and its slots. Each rounded up to what an allocator gives.
    let (perWorker, perTask) = (1_024, 1_024)
    let waiting = workers.values.lazy.map { $0.session?.outbox.bytes ?? 0 }.reduce(0, +)
    return workers.count * perWorker + book.tasks.count * perTask + waiting
  }

  /// Every worker known, in order of their ids.
  public var workerSummaries: [WorkerSummary] {
    workers.values.filter { !$0.hasMoved }.map { $0.summary(at: now) }.sorted { $0.id < $1.id }
  }

  /// One worker; `nil` when it is not known.
  public func workerSummary(_ id: WorkerID) -> WorkerSummary? {
    workers[id].flatMap { $0.hasMoved ? nil : $0.summary(at: now) }
  }
  /// How many workers are known, connected or not.
  public var knownWorkers: Int { workers.count }

  /// A task that has not ended, with progress newer than the store's.
  public func liveTask(_ id: TaskID) -> TaskRecord? { book[id]?.record }

  /// Why no worker that is connected can do a queued task, such as `no connected worker has gpu=1`; `nil` when it waits for
  /// nothing but its turn.
  public func obstacle(for id: TaskID) -> String? {
    guard let task = book[id], task.isReady else { return nil }
    return book.dispatcher.obstacle(for: task)
  }

  /// What is held against a test, as far as is known here; `nil`: nothing.
  package func fate(of test: TestName) -> TestFate? { book.quarantine.fates[test] }

  public func handle(
    _ event: CoordinatorEvent, at now: Instant, wall: WallTime, into effects: inout [CoordinatorEffect]
  ) {
    self.now = max(now, self.now)
    self.wall = wall
    swap(&self.effects, &effects)
    switch event {
    case .connected(let id, let worker, let mode, let address, let security):
      connected(id, worker, mode, address, security)
    case .received(let id, let bytes): received(id, bytes)
    case .disconnected(let id): disconnected(id)
    case .sendingHeldBack(let id, let isHeldBack): sendingHeldBack(id, isHeldBack)
    case .committed(let batch): committed(batch)
    case .request(let id, let request): perform(request, id)
    case .found(let id, let existing): found(id, existing)
    case .lookupFailed(let id): forgetLookup(id)
    case .filesFound(.request(let id)): filesFound(id)
    case .filesFound(.worker(let id)): filesFound(id)
    case .adopted(let tasks): adopt(tasks)
    case .gathered(let id, let tasks, let refusal): gathered(id, tasks, refusal)
    case .testFates(let tests): book.quarantine.replace(with: tests)
    case .handOver(let worker, let bootID, let member): handOver(worker, bootID, to: member)
    case .drain: isDraining = true
    case .tick: sweep()
    case .turnEnded: endTurn()
    }
    swap(&self.effects, &effects)
  }

  // MARK: Connections

  private func connected(
    _ id: ConnectionID, _ workerID: WorkerID, _ mode: ConnectionMode, _ address: String, _ security: LinkSecurity
  ) {
    let link = WorkerLink(
      id, workerID: workerID, mode: mode, openedAt: now, since: wall, remoteAddress: address, security: security)
    links[id] = link
    sendPlain(Message(.welcome, ["worker_id": .string(workerID.text)]), over: link)
  }

  private func received(_ id: ConnectionID, _ bytes: [UInt8]) {
    // A connection that was told to close may still have bytes on the way.
    guard let link = links[id] else { return }
    let message: Message
    do {
      message = try open(bytes, of: link)
    } catch {
      counted.count(MessageRefusal(error))
      log(.warning, "message refused", ["connection": "\(id)", "worker": link.workerID.text, "problem": "\(error)"])
      sendPlain(Message(.error, ["message": .string("message refused: \(error)")]), over: link)
      // In a session the bytes were sealed by our own kind: they changed on the way, and what they said is replayed.
      if link.mode == .session { close(link, SessionCloseCode.brokenSession, "message refused: \(error)") }
      return
    }
    if configuration.isShared, !link.isGathered { return hold(message, of: link) }
    takeInOrder(message, link)
  }

  /// Handles a message that its connection's state allows.
  func take(_ message: Message, _ link: WorkerLink) {
    let worker = link.isRegistered ? workers[link.workerID] : nil
    let gap = worker.map { now - $0.lastHeard } ?? .zero
    worker?.lastHeard = now
    if link.mode == .session {
      guard message.kind == .registration || worker != nil else {
        counted.count(.unregistered)
        return close(link, SessionCloseCode.brokenSession, "\(message.kind) before registration")
      }
      if let worker, !accept(message, from: worker, over: link) || !reads(worker, gap, link) { return }
    }
    dispatch(message, from: link)
  }

  private func open(_ bytes: [UInt8], of link: WorkerLink) throws(MessageError) -> Message {
    guard link.mode == .legacy else { return try Envelope.open(bytes, mode: .session, link.authenticator) }
    let text = try LegacyText.unwrapped(bytes, limit: Protocols.maxMessageBytes)
    if let digest = link.legacyDigest { try LegacyText.verify(text, digest: digest) }
    return try Envelope.open(text, mode: .legacy)
  }

  /// The session's bookkeeping.
  /// - Returns: whether the message is to be handled.
  private func accept(_ message: Message, from worker: WorkerEntry, over link: WorkerLink) -> Bool {
    if let acknowledgement = message.acknowledgement {
      guard worker.session?.outbox.acknowledge(upTo: acknowledgement) == true else {
        counted.count(.sequence)
        close(link, SessionCloseCode.brokenSession, "acknowledges \(acknowledgement), which was never sent")
        return false
      }
      sendWaitingAssignments(to: worker)
      offer(worker)
    }
    guard let sequence = message.sequence else { return true }
    switch worker.session?.arrive(sequence) {
    case .new:
      if let session = worker.session {
        gathering.handled.append((worker: worker, session: session.id, sequence: sequence))
        trace(.handled(worker.id, session.id, sequence: sequence, message.kind))
      }
      return true
    case .duplicate:
      counted.duplicates += 1
      owe(worker)
      return false
    case .gap(let expected):
      counted.count(.sequence)
      close(link, SessionCloseCode.brokenSession, "message \(sequence) where \(expected) was due")
      return false
    case nil:
      counted.count(.sequence)
      close(link, SessionCloseCode.brokenSession, "a numbered message without a session")
      return false
    }
  }

  /// Whether a worker takes what it is sent. One that only speaks would hold its tasks for ever.
  private func reads(_ worker: WorkerEntry, _ gap: Duration, _ link: WorkerLink) -> Bool {
    worker.unread.heard(
      after: gap, atMost: configuration.heartbeatInterval * 2,
      oldestUnacknowledged: worker.session?.outbox.entries.first?.sequence)
    guard worker.unread.total >= configuration.slowReaderTimeout else { return true }
    let silence = worker.unread.total.wholeMilliseconds
    worker.unread.reset()
    log(
      .warning, "a worker does not read what it is sent",
      ["worker": worker.id.text, "unacknowledged": "\(worker.session?.outbox.count ?? 0)", "for": "\(silence) ms"])
    let reason = RetryHint.reason(.seconds(1), "nothing was acknowledged for \(silence) ms")
    close(link, RetryHint.tryAgainLater, reason, as: .silent)
    return false
  }

  private func dispatch(_ message: Message, from link: WorkerLink) {
    let context = HandlerContext(core: self, link: link)
    do {
      if try registry.handle(message, in: context) { return }
      counted.unknownMessages += 1
      workers[link.workerID]?.unknownMessages += 1
      context.log(.warning, "unknown message type", ["type": message.kind.name])
      context.reply(.error, ["message": .string("unknown message type \(message.kind)")])
    } catch {
      counted.count(.rejected)
      context.log(.warning, "message refused", ["type": message.kind.name, "problem": "\(error)"])
      context.reply(.error, ["message": .string("\(message.kind): \(error)")])
    }
  }

  func link(_ id: ConnectionID) -> WorkerLink? { links[id] }

  private func disconnected(_ id: ConnectionID) {
    guard let link = links.removeValue(forKey: id) else { return }
    noteGone(link)
    detach(link, .closed)
  }

  /// The worker stands without a connection; its session and its tasks stay until its absence or its lease ends. An
  /// older connection's end must not touch what a newer one registered.
  private func detach(_ link: WorkerLink, _ kind: Absence.Kind) {
    guard let worker = workers[link.workerID], worker.link === link else { return }
    worker.link = nil
    connectedWorkers -= 1
    book.dispatcher.fleetChanged()
    worker.absence = Absence(kind: link.mode == .legacy ? .legacy : kind, since: now)
    log(.info, "worker disconnected", ["worker": worker.id.text, "tasks": "\(worker.held.count)"])
    promise(.notice(.workerDisconnected(worker.id)))
  }

  func close(_ link: WorkerLink, _ code: UInt16, _ reason: String, as kind: Absence.Kind = .closed) {
    links[link.connection] = nil
    noteGone(link)
    effects.append(.close(link.connection, code: code, reason: reason))
    log(
      .info, "connection closed", ["connection": "\(link.connection)", "worker": link.workerID.text, "reason": reason])
    detach(link, kind)
  }

  // MARK: Sending

  func sendPlain(_ message: Message, over link: WorkerLink) {
    guard links[link.connection] === link else { return }
    switch link.mode {
    case .legacy:
      var message = message
      // The reference knows no attempts.
      message.fields["attempt"] = nil
      message.fields["timestamp"] = .string(wall.iso8601WithoutZone())
      effects.append(.send(link.connection, message.body))
    case .session:
      let worker = workers[link.workerID]
      if link.isRegistered, let bytes = worker?.session?.seal(message.body, sequence: nil, link.authenticator) {
        effects.append(.send(link.connection, bytes))
      } else {
        effects.append(
          .send(
            link.connection,
            Envelope.seal(message.body, sequence: nil, acknowledgement: 0, link.authenticator)))
      }
    }
  }

  /// Sends what must arrive. Without a connection it waits in the session's outbox; without a session there is nobody
  /// it could concern, because a session's end takes back everything the worker held.
  private func sendReliable(_ message: Message, to worker: WorkerEntry) {
    guard worker.session != nil else {
      if let link = worker.link, link.mode == .legacy { sendPlain(message, over: link) }
      return
    }
    guard worker.session?.outbox.hasRoomForAnswer == true else {
      log(.warning, "outbox full: session ended", ["worker": worker.id.text])
      // What it holds stays its own: it still runs, comes back, and then says so.
      forgetSession(of: worker, reason: "its outbox was full")
      return
    }
    guard let entry = worker.session?.outbox.append(message.body), let link = worker.link, link.isRegistered,
      let bytes = worker.session?.seal(entry.body, sequence: entry.sequence, link.authenticator)
    else { return }
    effects.append(.send(link.connection, bytes))
  }

  func promiseReliable(_ message: Message, to id: WorkerID) { promise(.reliable(id, message)) }
  func promisePlain(_ message: Message, over link: WorkerLink) { promise(.plain(link.connection, message)) }
  func promise(_ notice: CoordinatorNotice) { promise(.notice(notice)) }
  func promiseGather(_ link: WorkerLink, bootID: String?) {
    promise(.gather(link.connection, link.workerID, bootID: bootID))
  }
  func promiseHandedOver(_ worker: WorkerID, to member: MemberID) { promise(.handedOver(worker, member)) }
  func emit(_ effect: CoordinatorEffect) { effects.append(effect) }
  private func promise(_ promise: Promise) { gathering.promises.append(promise) }

  private func owe(_ worker: WorkerEntry) {
    guard !worker.owesAcknowledgement else { return }
    worker.owesAcknowledgement = true
    owing.append(worker)
  }

  func log(_ level: LogLevel, _ message: String, _ facts: KeyValuePairs<String, String> = [:]) {
    log(LogEntry(level, message, facts))
  }

  func log(_ entry: LogEntry) { effects.append(.log(entry)) }

  func trace(_ trace: @autoclosure () -> CoordinatorTrace) {
    if configuration.isTraced { effects.append(.trace(trace())) }
  }

  // MARK: Batches

  private func endTurn() {
    giveOutTasks()
    if configuration.isShared { book.releaseQueued(unless: mayHaveWords) }
    for task in book.changes { gathering.promises.append(.notice(.taskChanged(task))) }
    book.changes.removeAll(keepingCapacity: true)
    if inFlight == nil {
      if book.writes.isEmpty {
        let batch = gathering
        gathering = Batch()
        keep(batch)
      } else {
        cut()
      }
    } else if book.writes.isEmpty, !gathering.isEmpty {
      // Nothing of its own to write, but it came after writes that are not durable yet.
      inFlight?.promises.append(contentsOf: gathering.promises)
      inFlight?.handled.append(contentsOf: gathering.handled)
      gathering = Batch()
    }
    for worker in owing {
      worker.owesAcknowledgement = false
      guard let link = worker.link, link.isRegistered, link.mode == .session else { continue }
      sendPlain(Message(.ack, ["durable": true]), over: link)
    }
    owing.removeAll(keepingCapacity: true)
  }

  private func cut() {
    batches += 1
    gathering.id = BatchID(number: batches)
    effects.append(.commit(gathering.id, book.writes))
    gathering.ended = book.ended
    book.writes = []
    book.ended = []
    inFlight = gathering
    gathering = Batch()
  }

  private func committed(_ id: BatchID) {
    guard let batch = inFlight, batch.id == id else { return }
    inFlight = nil
    if !lookups.isEmpty, !batch.ended.isEmpty { lingering.append((tasks: batch.ended, newestLookup: lookupCount)) }
    keep(batch)
  }

  /// Lets go what waited for a batch.
  private func keep(_ batch: Batch) {
    for (worker, session, sequence) in batch.handled where worker.session?.id == session {
      worker.session?.markDurable(upTo: sequence)
      owe(worker)
    }
    for promise in batch.promises {
      switch promise {
      case .assignment(let id, let attempt, let worker): sendAssignment(id, attempt: attempt, to: worker)
      case .reliable(let id, let message): if let worker = workers[id] { sendReliable(message, to: worker) }
      case .plain(let id, let message): if let link = links[id] { sendPlain(message, over: link) }
      case .answer(let id, let answer): effects.append(.answer(id, answer))
      case .notice(let notice): effects.append(.notice(notice))
      case .handedOver(let worker, let member): effects.append(.handedOver(worker, to: member))
      case .gather(let id, let worker, let bootID):
        if links[id] != nil { effects.append(.gather(id, worker, bootID: bootID)) }
      }
    }
  }

  // MARK: Giving out tasks

  /// The worker may have room now.
  func offer(_ worker: WorkerEntry) {
    book.dispatcher.offer(worker)
  }

  private func giveOutTasks() {
    guard !isDraining else { return }
    var waiting: [LiveTask] = []
    while let (task, worker) = book.dispatcher.next(at: wall) {
      if book.isSuspect(task), holdsSuspect(worker) {
        waiting.append(task)
      } else {
        give(task, to: worker)
      }
      book.dispatcher.offer(worker)
      guard waiting.count < Self.maxSuspectsWaiting else { break }
    }
    var unplaced: [LiveTask] = []
    for task in waiting {
      // Out of turn, but the dispatcher may never offer the one worker that could take it.
      let key = TaskNeeds(task.specification)
      let free = workers.values.filter {
        $0.canTakeTasks && $0.freeSlots >= key.slots && key.suits($0) && !holdsSuspect($0)
      }
      guard let worker = free.min(by: { $0.id < $1.id }) else {
        unplaced.append(task)
        continue
      }
      give(task, to: worker)
      book.dispatcher.offer(worker)
    }
    for task in unplaced.reversed() { book.putBack(task) }
  }

  /// Suspects that are looked at in vain, in one turn.
  private static let maxSuspectsWaiting = 100

  /// Two tests that may have killed a worker are not given to one, or it could not be told which of them does it.
  private func holdsSuspect(_ worker: WorkerEntry) -> Bool {
    worker.held.contains { id in book[id].map(book.isSuspect) ?? false }
  }

  private func give(_ task: LiveTask, to worker: WorkerEntry) {
    book.assign(task, to: worker.id, wall: wall)
    worker.hold(task)
    promise(.assignment(task.id, attempt: task.state.attempt, worker.id))
  }

  private func sendAssignment(_ id: TaskID, attempt: Int, to workerID: WorkerID) {
    // Between the cut and the commit the worker may have been lost; then the task is someone else's already.
    guard let task = book[id], task.state.attempt == attempt, task.state.status.isHeld, let worker = workers[workerID]
    else { return }
    // It has a new session by now and says what it holds; what it does not name is taken back, this task as well.
    guard worker.isSynchronised else { return }
    let mode: ConnectionMode = worker.session == nil ? .legacy : .session
    let mustWait = worker.session?.outbox.hasRoom != true || worker.link?.isHeldBack == true || !worker.unsent.isEmpty
    if mode == .session, mustWait {
      return worker.unsent.append((task: id, attempt: attempt))
    }
    sendReliable(Assignment(task).message(mode), to: worker)
    task.assignmentSent = attempt
    log(.debug, "task assigned", ["task": id.text, "attempt": "\(attempt)", "worker": workerID.text])
  }

  func sendWaitingAssignments(to worker: WorkerEntry) {
    guard !worker.unsent.isEmpty else { return }
    let waiting = inOrderOfPriority(worker.unsent)
    worker.unsent = []
    for (id, attempt) in waiting {
      sendAssignment(id, attempt: attempt, to: worker.id)
      // What was asked meanwhile went ahead of the assignment and meant nothing to the worker.
      if worker.unsent.last?.task != id { remind(worker, of: id) }
    }
  }

  /// A task is no longer the worker's.
  func release(_ id: TaskID, from worker: WorkerEntry) {
    worker.drop(id)
    worker.missingFromHeartbeat[id] = nil
    offer(worker)
  }

  func takeBack(_ id: TaskID, from worker: WorkerEntry, reason: String) {
    if let task = book[id], task.state.workerID == worker.id, task.state.status.isHeld {
      log(
        .info, "attempt lost",
        ["task": id.text, "attempt": "\(task.state.attempt)", "worker": worker.id.text, "reason": reason])
      book.lose(task, reason: reason, wall: wall)
    }
    release(id, from: worker)
  }

  /// A worker that is leaving gives back what it was given: nothing was lost, and it costs the task none of its lives.
  func handBack(_ id: TaskID, from worker: WorkerEntry, reason: String) {
    if let task = book[id], task.state.workerID == worker.id, task.state.status.isHeld {
      log(
        .info, "attempt handed back", ["task": id.text, "attempt": "\(task.state.attempt)", "worker": worker.id.text])
      book.handBack(task, reason: reason, wall: wall)
    }
    release(id, from: worker)
  }

  /// A worker's process died with these tasks, which it is about to lose.
  func died(_ worker: WorkerEntry, with ids: [TaskID]) {
    let killers = book.died(worker.id, with: ids, wall: wall)
    worker.killers += killers
    for name in killers {
      let fate = book.quarantine.fates[name]
      log(
        fate?.isQuarantined == true ? .error : .warning, "a worker's process died with a test",
        [
          "worker": worker.id.text, "suite": name.suite, "test": name.test, "killed": "\(fate?.kills ?? 0)",
          "quarantined": "\(fate?.isQuarantined ?? false)",
        ])
    }
  }

  /// A worker is back: whether it was dead is known now.
  func returned(_ worker: WorkerEntry, isSameRun: Bool) {
    if isSameRun { book.forgive(worker.killers, wall: wall) }
    worker.killers = []
    worker.hasDied = !isSameRun && worker.bootID != nil && !worker.isDraining
  }

  // MARK: Workers and leases

  func entry(for id: WorkerID) -> WorkerEntry {
    if let worker = workers[id] { return worker }
    let worker = WorkerEntry(id: id)
    workers[id] = worker
    return worker
  }

  func makeIdentifier() -> String {
    let digits = Array("0123456789abcdef")
    var text = ""
    for _ in 0..<2 {
      var word: UInt64 = random.next()
      for _ in 0..<16 {
        text.append(digits[Int(word & 0xF)])
        word >>= 4
      }
    }
    return text
  }

  func renewLease(of worker: WorkerEntry) {
    worker.leaseEnds = now + configuration.lease(worker.link?.mode)
  }

  /// Tells a worker again what was asked of the tasks it holds: the first telling may have been lost with a session.
  func remind(_ worker: WorkerEntry) {
    for id in worker.held.sorted() { remind(worker, of: id) }
  }

  private func remind(_ worker: WorkerEntry, of id: TaskID) {
    guard let state = book[id]?.state, state.workerID == worker.id, state.status.isHeld else { return }
    let kind: MessageKind
    if state.isCancelRequested {
      kind = .cancelTask
    } else if state.isPauseRequested != (state.status == .paused) {
      kind = state.isPauseRequested ? .pauseTask : .resumeTask
    } else {
      return
    }
    promiseReliable(
      Message(kind, ["task_id": .string(id.text), "attempt": .integer(Int64(state.attempt))]), to: worker.id)
  }

  /// Ends a worker's session, its connection, and its hold on every task.
  func endSession(of worker: WorkerEntry, reason: String) {
    forgetSession(of: worker, reason: reason)
    for id in worker.held.sorted() { takeBack(id, from: worker, reason: reason) }
  }

  func forgetSession(of worker: WorkerEntry, reason: String) {
    if let link = worker.link { close(link, SessionCloseCode.silent, reason) }
    worker.session = nil
    worker.isSynchronised = false
    worker.reported = []
    worker.unsent = []
    worker.letGo = []
  }

  private func adaptPace() {
    guard let change = pace.observe(connections: links.count) else { return }
    inForce.heartbeatInterval = change.new
    log(change.logEntry)
  }

  var connectionCount: Int { links.count }

  private func sweep() {
    guard now >= nextSweep else { return }
    nextSweep = now + configuration.sweepInterval
    adaptPace()
    for link in links.values.filter({ !$0.isRegistered && now - $0.openedAt > configuration.heartbeatTimeout })
      .sorted(by: { $0.connection.number < $1.connection.number })
    {
      close(link, SessionCloseCode.silent, "no registration within \(configuration.heartbeatTimeout)")
    }
    let silent = workers.values.filter { $0.link != nil && $0.isSilent(at: now, configuration) }
    for worker in silent.sorted(by: { $0.id < $1.id }) {
      guard let link = worker.link else { continue }
      let silence = (now - worker.lastHeard).wholeMilliseconds
      close(link, SessionCloseCode.silent, "nothing heard for \(silence) ms", as: .silent)
    }
    // Workers that were sent away are not absent: the next coordinator gives each a whole lease.
    guard !isDraining else { return }
    let due = workers.values.filter { $0.isKnown && now >= keptUntil($0) }
    if !due.isEmpty { release(due.sorted { $0.id < $1.id }) }
    forgetOldWorkers(workers.count - configuration.maxWorkers)
  }

  /// Until when a worker's session and its tasks are kept for it.
  private func keptUntil(_ worker: WorkerEntry) -> Instant {
    min(worker.leaseEnds, worker.absence?.ends(inForce) ?? .distantFuture)
  }

  /// Gives up on workers that were away for too long. When a lease has run out, the session has as well.
  private func release(_ due: [WorkerEntry]) {
    let isOutage = inForce.isOutage(workers.values, at: now)
    var spared = 0
    for worker in due {
      if now >= worker.leaseEnds {
        if !isOutage { presumeDead(worker) }
        log(.warning, "lease ran out", ["worker": worker.id.text, "tasks": "\(worker.held.count)"])
        endSession(of: worker, reason: "the lease of worker \(worker.id) ran out")
      } else {
        if isOutage { worker.absence?.isOutage = true }
        guard now >= keptUntil(worker), let absence = worker.absence else {
          spared += 1
          continue
        }
        let reason = "worker \(worker.id) was \(absence.kind) for \((now - absence.since).wholeMilliseconds) ms"
        log(.warning, "worker given up", ["reason": reason, "tasks": "\(worker.held.count)"])
        presumeDead(worker)
        letGo(of: worker, reason: reason)
      }
      worker.absence = nil
      // One of the reference's that comes back after this may be another run of it; it cannot say.
      if worker.bootID == nil { worker.isDrainRequested = false }
      counted.workersLost += 1
      promise(.workerLost(worker.id))
    }
    if spared > 0 {
      log(.warning, "most of the fleet is away at once: its tasks wait for it", ["workers": "\(spared)"])
    }
  }

  /// A silent one hangs, or is cut off. A connection that ended and did not come back in time is a process that died,
  /// unless most of the fleet went with it; if it was the network after all, that is taken back when it returns.
  private func presumeDead(_ worker: WorkerEntry) {
    guard let absence = worker.absence, absence.kind == .closed, !absence.isOutage, !worker.isDraining else { return }
    died(worker, with: worker.held.sorted())
  }

  /// Lets others have a worker's tasks. Its session stays, and so do those attempts that nobody was given meanwhile.
  private func letGo(of worker: WorkerEntry, reason: String) {
    // What was given to it, and is not even on its way, it could never go on with.
    let isOnItsWay = worker.held.allSatisfy { id in
      book[id].map { $0.state.status != .assigned || $0.assignmentSent == $0.state.attempt } ?? true
    }
    guard isOnItsWay else { return endSession(of: worker, reason: reason) }
    for id in worker.held.sorted() {
      if let attempt = book[id]?.state.attempt { worker.letGo.insert(AttemptKey(id, attempt)) }
      takeBack(id, from: worker, reason: reason)
    }
  }

  /// The worker is back in its session: it goes on with what it was given, unless any of that has gone to others or has
  /// ended. Then it must say first what it holds, in a new session.
  /// - Returns: whether the session may go on.
  func readoptAll(of worker: WorkerEntry) -> Bool {
    let attempts = worker.letGo.sorted { ($0.taskID, $0.attempt) < ($1.taskID, $1.attempt) }
    let tasks = attempts.compactMap { key -> LiveTask? in
      guard let task = book[key.taskID], task.state.attempt == key.attempt, task.state.workerID == worker.id,
        task.state.status == .queued, task.attempt?.outcome == .lost
      else { return nil }
      return task
    }
    guard tasks.count == attempts.count else { return false }
    worker.letGo = []
    for task in tasks {
      book.readopt(task, wall: wall)
      worker.hold(task)
      remind(worker, of: task.id)
    }
    return true
  }

  /// Lost workers are remembered for the operator's sake, as long as there is room.
  private func forgetOldWorkers(_ count: Int) {
    guard count > 0 else { return }
    let lost = workers.values.filter { $0.link == nil && $0.session == nil && $0.held.isEmpty }
    for worker in lost.sorted(by: { $0.lastHeard < $1.lastHeard }).prefix(count) { workers[worker.id] = nil }
    book.dispatcher.forget { [workers] in workers[$0.id] !== $0 }
  }

  /// Whether one more worker may become known; those that are known already may always come back.
  func hasRoom(for id: WorkerID) -> Bool {
    guard workers[id] == nil, workers.count >= configuration.maxWorkers else { return true }
    // Several at once, so that a full house need not be searched for every guest.
    forgetOldWorkers(1 + configuration.maxWorkers / 100)
    return workers.count < configuration.maxWorkers
  }

  /// The connection becomes the worker's own; an older one is told why it ends.
  func attach(_ link: WorkerLink, to worker: WorkerEntry) {
    if let old = worker.link, old !== link {
      counted.takeovers += 1
      worker.link = nil
      connectedWorkers -= 1
      close(old, SessionCloseCode.takenOver, "a newer connection of worker \(worker.id) took over")
    }
    if worker.link == nil { connectedWorkers += 1 }
    worker.link = link
    worker.hasMoved = false
    link.isRegistered = true
    book.dispatcher.update(worker)
    worker.lastHeard = now
    worker.absence = nil
    worker.unread.reset()
    if link.mode == .session {
      if worker.detector == nil { worker.detector = inForce.detector(at: now) }
      worker.detector?.resumed(at: now)
    } else {
      worker.detector = nil
    }
    worker.lastHeartbeat = nil
    worker.registrations += 1
    if worker.registrations > 1 { counted.reconnections += 1 }
  }

  /// Sends again what the worker has not acknowledged.
  func replay(to worker: WorkerEntry) {
    guard let link = worker.link else { return }
    for bytes in worker.session?.replay(link.authenticator) ?? [] { effects.append(.send(link.connection, bytes)) }
  }

  // MARK: Requests

  private func perform(_ request: CoordinatorRequest, _ id: RequestID) {
    switch request {
    case .submit(let submissions):
      let unfinished = book.tasks.count + poolSize
      guard unfinished + submissions.count <= configuration.maxUnfinishedTasks else {
        let limit = configuration.maxUnfinishedTasks
        return promise(
          .answer(id, .refused("\(unfinished) tasks have not ended; at most \(limit) may; try again later")))
      }
      guard hasRoom(forClassesOf: submissions) else {
        let limit = configuration.maxTaskClasses
        return promise(
          .answer(id, .refused("tasks with \(limit) different requirements wait; no more may; try again later")))
      }
      guard !configuration.isShared else { return submitToPool(submissions, id) }
      // A task that the submitter named may have been submitted, and even ended, before: only the store knows.
      let named = submissions.compactMap(\.id).filter { book[$0] == nil && !hasJustEnded($0) }
      if named.isEmpty {
        submit(submissions, except: [], id)
      } else {
        keepForLookup(submissions, id)
        effects.append(.findTasks(id, named))
      }
    case .cancel(let task): control(id, task, .cancelTask, book.requestCancel(task, wall: wall))
    case .telemetry(let worker): askForTelemetry(worker, id)
    case .drainWorker(let worker): drain(worker, id)
    case .pause(let task): control(id, task, .pauseTask, book.requestPause(true, task))
    case .resume(let task): control(id, task, .resumeTask, book.requestPause(false, task))
    case .recordDurations(let durations):
      for each in durations { book.writes.append(.testRan(each.name, each.duration)) }
      promise(.answer(id, .done))
    case .quarantine(let name, let reason):
      book.putInQuarantine(name, reason: reason, wall: wall)
      promise(.answer(id, .done))
    case .release(let name):
      promise(.answer(id, book.release(name, wall: wall) ? .done : .refused("nothing is held against \(name)")))
    case .recordRun(let part):
      book.writes.append(.run(part))
      promise(.answer(id, .done))
    case .checkpoint(let task):
      guard let live = book[task] else { return promise(.answer(id, .notLive(task))) }
      guard live.state.status.isHeld, let worker = live.state.workerID else {
        return promise(.answer(id, .refused("task \(task) is \(live.state.status.rawValue); no worker holds it")))
      }
      control(id, task, .checkpointRequest, .tell(worker, attempt: live.state.attempt))
    }
  }

  private func hasRoom(forClassesOf submissions: [TaskSubmission]) -> Bool {
    // The ordinary ones are as many as there are kinds of work.
    let special = submissions.lazy.map(\.specification).filter { !$0.requirements.isEmpty || $0.slots != 1 }
    guard special.first != nil else { return true }
    return book.dispatcher.hasRoom(for: Set(special.map(TaskNeeds.init)), limit: configuration.maxTaskClasses)
  }

  /// Workers of the reference are not asked: they know no such message.
  private func askForTelemetry(_ id: WorkerID?, _ request: RequestID) {
    let asked = id.map { id in workers[id].map { [$0] } ?? [] } ?? workers.values.sorted { $0.id < $1.id }
    let links = asked.compactMap(\.link).filter { $0.isRegistered && $0.mode == .session }
    if let id, links.isEmpty {
      return promise(.answer(request, .refused("worker \(id) is not connected, or cannot be asked for telemetry")))
    }
    for link in links { sendPlain(Message(.telemetryRequest, ["now": true]), over: link) }
    promise(.answer(request, .done))
  }

  private func drain(_ id: WorkerID, _ request: RequestID) {
    guard let worker = workers[id], !worker.hasMoved else {
      return promise(.answer(request, .refused("there is no worker \(id)")))
    }
    if !worker.isDrainRequested {
      worker.isDrainRequested = true
      log(.info, "worker asked to drain", ["worker": id.text, "tasks": "\(worker.held.count)"])
      tellToDrain(worker)
      promise(.notice(.workerDraining(id)))
    }
    promise(.answer(request, .done))
  }

  /// Workers of the reference are not told: they know no such message, and are only given nothing more.
  func tellToDrain(_ worker: WorkerEntry) {
    if worker.isDrainRequested, worker.session != nil { promise(.reliable(worker.id, Message(.drain))) }
  }

  private func keepForLookup(_ submissions: [TaskSubmission], _ id: RequestID) {
    lookupCount += 1
    waitingSubmissions += submissions.count
    lookups[id] = Lookup(number: lookupCount, submissions: submissions)
  }

  private func found(_ id: RequestID, _ existing: [TaskID]) {
    // Those that ended meanwhile are remembered until the submission has been judged.
    guard let lookup = lookups[id] else { return }
    if configuration.isShared {
      putIntoPool(lookup.submissions, except: Set(existing), id)
    } else {
      submit(lookup.submissions, except: Set(existing), id)
    }
    forgetLookup(id)
  }

  private func forgetLookup(_ id: RequestID) {
    guard let lookup = lookups.removeValue(forKey: id) else { return }
    waitingSubmissions -= lookup.submissions.count
    if let oldest = lookups.values.lazy.map(\.number).min() {
      lingering.removeAll { $0.newestLookup < oldest }
    } else {
      lingering = []
    }
  }

  /// Whether a task ended so lately that the store may not have said so: it must not be taken for a new one.
  func hasJustEnded(_ id: TaskID) -> Bool {
    book.ended.contains(id) || inFlight?.ended.contains(id) == true || lingering.contains { $0.tasks.contains(id) }
  }

  private func submit(_ submissions: [TaskSubmission], except existing: Set<TaskID>, _ id: RequestID) {
    var ids: [TaskID] = []
    ids.reserveCapacity(submissions.count)
    // Of one that exists already the files are not looked at: they may be gone with its end.
    let new = submissions.lazy.filter { [self] in
      $0.id.map { !existing.contains($0) && book[$0] == nil && !hasJustEnded($0) } ?? true
    }
    guard useFiles(of: new, for: id) else { return }
    for submission in submissions {
      let task = submission.id ?? TaskID(known: makeIdentifier())
      ids.append(task)
      if !existing.contains(task), !hasJustEnded(task) { _ = book.submit(task, submission.specification, wall: wall) }
    }
    promise(.answer(id, .submitted(ids)))
  }

  /// - Returns: whether the files that new tasks need are here; otherwise the request has been answered.
  private func useFiles(of submissions: some Sequence<TaskSubmission>, for id: RequestID) -> Bool {
    for submission in submissions where submission.specification.hasFiles {
      if let problem = files.problem(of: submission.specification) {
        promise(.answer(id, .refused(problem)))
        return false
      }
      for input in submission.specification.inputs { files.add(input.file, usedAt: wall) }
    }
    return true
  }

  private func submitToPool(_ submissions: [TaskSubmission], _ id: RequestID) {
    let unknown = unknownFiles(in: submissions.lazy.flatMap { $0.specification.inputs.lazy.map(\.file) })
    guard !unknown.isEmpty else { return putIntoPool(submissions, except: [], id) }
    keepForLookup(submissions, id)
    effects.append(.findFiles(.request(id), unknown))
  }

  /// What the store has of the files of a submission is known now.
  private func filesFound(_ id: RequestID) {
    guard let lookup = lookups[id] else { return }
    // One that was submitted before may have ended, and its files be gone.
    let named = lookup.submissions.filter { files.problem(of: $0.specification) != nil }.compactMap(\.id)
    guard named.isEmpty else { return effects.append(.findTasks(id, named)) }
    putIntoPool(lookup.submissions, except: [], id)
    forgetLookup(id)
  }

  private func putIntoPool(_ submissions: [TaskSubmission], except existing: Set<TaskID>, _ id: RequestID) {
    guard useFiles(of: submissions.lazy.filter { $0.id.map { !existing.contains($0) } ?? true }, for: id) else {
      return
    }
    var ids: [TaskID] = []
    ids.reserveCapacity(submissions.count)
    for submission in submissions {
      let task = submission.id ?? TaskID(known: makeIdentifier())
      ids.append(task)
      if !existing.contains(task) { book.submitToPool(task, submission.specification, wall: wall) }
    }
    promise(.answer(id, .submitted(ids)))
  }

  private func control(_ id: RequestID, _ task: TaskID, _ kind: MessageKind, _ outcome: TaskBook.ControlOutcome) {
    switch outcome {
    case .unknown: promise(.answer(id, .notLive(task)))
    case .done: promise(.answer(id, .done))
    case .tell(let worker, let attempt):
      promise(.reliable(worker, Message(kind, ["task_id": .string(task.text), "attempt": .integer(Int64(attempt))])))
      promise(.answer(id, .done))
    }
  }
}
