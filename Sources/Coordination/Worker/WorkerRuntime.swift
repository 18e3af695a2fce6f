import Authentication
public import CoordinationCore
import History
import Primitives
public import Reactor
import Storage
import WebSocket
import WebSocketCore

/// `WorkerCore` on a loop: its connection, its outbox file, its executors, its clock. Not `Sendable`; everything is called
/// on the loop. `Worker` is the same thing on a thread of its own, with an `async` face.
public final class WorkerRuntime {
  public let loop: EventLoop
  public let workerID: WorkerID
  private let settings: WorkerSettings
  private let core: WorkerCore
  private var bootID: String { core.configuration.bootID }
  private let dialer: CoordinatorDialer<WorkerLinkSocket>
  private let executors: [any TaskExecutor]
  private let executorOfKind: [String: any TaskExecutor]
  private let outbox: OutboxWriter?
  private var executorOf: [AttemptKey: any TaskExecutor] = [:]
  private var socket: WorkerLinkSocket?
  private let files: WorkerFiles?
  private let fileAttempts: FileAttempts?
  /// Of the connection, for messages about files.
  private var frames: FileFrames?
  private var timer: Timer?
  private var disconnectTimer: Timer?
  private var metricsTimer: Timer?
  private let effects = EffectQueue<WorkerEffect>()
  private var isTurnEndDue = false
  private var hadRoom = true
  /// More waits to be written than the coordinator reads.
  private var isCongested = false
  /// The runtime lives until it has stopped, whether or not anyone holds it.
  private var keptAlive: WorkerRuntime?

  /// Called on the loop.
  public var onStateChange: ((WorkerConnectionState) -> Void)?
  /// Called on the loop once everything has ended and the outbox file is closed.
  public var onStopped: (() -> Void)?

  /// Checks the settings, opens the outbox file, and begins to connect.
  public static func start(
    _ settings: WorkerSettings, executors: [any TaskExecutor], on loop: EventLoop
  ) throws(WorkerStartError) -> WorkerRuntime {
    let id: WorkerID
    do { id = try WorkerID(settings.workerID ?? "worker-\(randomText(4))") } catch { throw .workerID(error) }
    let path = "\(Protocols.workerPathPrefix)\(encoded(id.text))\(Protocols.workerPathSuffix)"
    let urls: [WebSocketURL]
    do { urls = try CoordinatorAddresses(settings.coordinator).targeting(path) } catch {
      throw .coordinator("\(error)")
    }
    let isPrivate = urls.allSatisfy { $0.isSecure || isLoopback($0.host) }
    guard settings.apiKey == nil || settings.offersSession || isPrivate else {
      throw .coordinator(
        "without session mode the API key itself is sent, and \(settings.coordinator) would show it to the network; use wss://"
      )
    }
    var kinds: [String: any TaskExecutor] = [:]
    for executor in executors {
      for kind in executor.kinds {
        if let other = kinds[kind] {
          throw .executors("both \(type(of: other)) and \(type(of: executor)) execute work of kind \(kind)")
        }
        kinds[kind] = executor
      }
    }
    let outbox: OutboxWriter?
    do { outbox = try settings.outboxPath.map { path throws(StoreError) in try OutboxWriter.open(path: path) } } catch {
      throw .outbox("\(error)")
    }
    let runtime = WorkerRuntime(id, settings, urls, executors, kinds, outbox, loop)
    runtime.keptAlive = runtime
    settings.record?(.workerStarted(id, boot: runtime.bootID))
    for entry in outbox?.recovered ?? [] {
      // Its writer may have died before it could say so.
      runtime.record(entry.key) { .persisted($0, checkpoint: $1, id) }
      runtime.feed(.restored(key: entry.key, body: entry.content))
    }
    runtime.feed(.start)
    runtime.logMetricsRegularly()
    if let delay = settings.simulateDisconnect {
      runtime.disconnectTimer = loop.schedule(after: delay) { [weak runtime] in
        runtime?.settings.log(LogEntry(.warning, "simulated disconnection"))
        runtime?.reconnect()
      }
    }
    return runtime
  }

  private init(
    _ id: WorkerID, _ settings: WorkerSettings, _ urls: [WebSocketURL], _ executors: [any TaskExecutor],
    _ kinds: [String: any TaskExecutor], _ outbox: OutboxWriter?, _ loop: EventLoop
  ) {
    workerID = id
    self.settings = settings
    dialer = CoordinatorDialer(urls, tls: settings.tls, on: loop)
    self.executors = executors
    executorOfKind = kinds
    self.outbox = outbox
    self.loop = loop
    // Files go over the session's connection, and the reference's protocol has no place for them.
    let takesFiles = settings.files.path != nil && settings.offersSession
    let files = takesFiles ? WorkerFiles(settings.files, on: loop, log: settings.log) : nil
    self.files = files
    fileAttempts = if let files, let commands = kinds["command"] { FileAttempts(commands, files) } else { nil }
    var configuration = WorkerCoreConfiguration(
      workerID: id, bootID: Self.randomText(16),
      capabilities: WorkerCapabilities(
        slots: max(1, settings.slots), kinds: Set(kinds.keys).union(fileAttempts?.kinds ?? []),
        labels: settings.labels))
    configuration.heartbeatInterval = settings.heartbeatInterval
    configuration.heartbeatTimeout = settings.heartbeatTimeout
    configuration.reconnectDelay = settings.reconnectDelay
    configuration.maxReconnectDelay = settings.maxReconnectDelay
    configuration.maxReconnectAttempts = settings.maxReconnectAttempts
    configuration.drainTimeout = settings.drainTimeout
    configuration.telemetryInterval = settings.telemetry.interval
    configuration.usesPriorities = settings.usesPriorities
    configuration.adaptsParameters = settings.adaptsParameters
    configuration.isTraced = settings.record != nil
    core = WorkerCore(configuration: configuration, random: SystemRandomNumberGenerator(), at: loop.now)
    timer = loop.makeTimer { [weak self] in self?.feed(.tick) }
  }

  private static func isLoopback(_ host: String) -> Bool {
    host == "localhost" || host == "::1" || host.hasPrefix("127.")
  }

  private static func randomText(_ bytes: Int) -> String {
    (0..<bytes).map { _ in
      let digits = String(UInt8.random(in: .min ... .max), radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  /// Percent-encodes what a request target may not hold (RFC 3986 §3.3); worker ids need it for braces only.
  private static func encoded(_ text: String) -> String {
    text.map { $0 == "{" ? "%7B" : $0 == "}" ? "%7D" : String($0) }.joined()
  }

  // MARK: What people ask

  public var state: WorkerConnectionState { core.state }
  public var statistics: WorkerStatistics { core.statistics }
  public var sessionID: SessionID? { core.sessionID }
  public var activeAttempts: [AttemptKey] { core.activeAttempts }
  /// Messages that wait to be sent, by their priority.
  public var queueStatus: QueueStatus { core.queueStatus }

  /// Everything that the worker knows about itself, now.
  public var report: WorkerReport {
    var report = core.report
    let (sent, received) = (loop.webSocketCompression.sent, loop.webSocketCompression.received)
    let plain = sent.plainBytes + received.plainBytes
    if plain > 0 {
      report.compressionRatio = Double(sent.compressedBytes + received.compressedBytes) / Double(plain)
    }
    report.residentBytes = ProcessStatistics.read().residentBytes
    return report
  }

  private func logMetricsRegularly() {
    let interval = settings.telemetry.logInterval
    guard interval > .zero else { return }
    let timer = loop.makeTimer { [weak self] in
      guard let self else { return }
      settings.log(report.logEntry)
      metricsTimer?.start(after: interval)
    }
    timer.start(after: interval)
    metricsTimer = timer
  }

  /// Drops the connection, if there is one, and connects again at once.
  public func reconnect() { feed(.reconnect) }

  /// Takes no more tasks, and stops once those that run have ended, or were handed back at the end of
  /// `WorkerSettings.drainTimeout`, and everything was acknowledged.
  public func drain() { feed(.drain) }

  /// Ends what runs, and then the worker. Results that were not delivered stay in the outbox file for the next start.
  public func stop() { feed(.stop) }

  /// Sends a message of a service author's own.
  /// - Parameter reliably: numbered, and replayed until it is acknowledged.
  public func send(_ message: Message, reliably: Bool) { feed(.send(message, reliably: reliably)) }

  // MARK: The turn

  private func feed(_ event: WorkerEvent) {
    effects.add { core.handle(event, at: loop.now, wall: SystemWallClock.now(), into: &$0) }
    endTurnSoon()
    effects.perform { perform($0) }
  }

  private func endTurnSoon() {
    guard !isTurnEndDue else { return }
    isTurnEndDue = true
    loop.afterTurn { [weak self] in self?.endTurn() }
  }

  /// Whether executors may hand over more.
  private var hasRoom: Bool { core.hasRoom && !isCongested }

  private func endTurn() {
    effects.add { core.handle(.turnEnded, at: loop.now, wall: SystemWallClock.now(), into: &$0) }
    effects.perform { perform($0) }
    isTurnEndDue = false
    let hasRoom = hasRoom
    if hasRoom, !hadRoom { for executor in executors { executor.roomAvailable() } }
    hadRoom = hasRoom
    let deadline = core.nextDeadline
    if deadline == .distantFuture {
      timer?.cancel()
    } else {
      timer?.start(after: max(deadline - loop.now, .milliseconds(1)))
    }
  }

  private func perform(_ effect: WorkerEffect) {
    switch effect {
    case .connect: connect()
    case .send(let bytes): socket?.send(bytes)
    case .reportBackpressure: feed(.sendingHeldBack(socket?.isHeldBack ?? false))
    case .close(let code, let reason):
      let old = socket
      socket = nil
      isCongested = false
      dialer.cancel()
      files?.lineDown()
      old?.leave(code, reason)
    case .persist(let key, let bytes): persist(key, bytes)
    case .forget(let key):
      record(key) { .forgotten($0, checkpoint: $1, workerID) }
      outbox?.remove(key: key)
    case .startAttempt(let assignment): start(assignment)
    case .pauseAttempt(let key): executorOf[key]?.pause(key)
    case .resumeAttempt(let key): executorOf[key]?.resume(key)
    case .stopAttempt(let key, let reason):
      settings.record?(.attemptStopped(key, workerID, reason))
      executorOf[key]?.stop(key, reason)
    case .requestCheckpoint(let key): executorOf[key]?.requestCheckpoint(key)
    case .leaseRenewed(let deadline): for executor in executors { executor.leaseRenewed(until: deadline) }
    case .readTelemetry: feed(.telemetryRead(report))
    case .stateChanged(let state):
      if state == .connected { dialer.served() }
      if state == .connected, let socket, let frames { files?.lineUp(socket, frames) }
      onStateChange?(state)
    case .message(let message): settings.onMessage(message)
    case .log(let entry): settings.log(entry)
    case .trace(let trace): settings.record?(HistoryEvent(trace, workerID))
    case .stopped: finish()
    }
  }

  private func record(_ key: String, _ event: (AttemptKey, Int?) -> HistoryEvent) {
    guard let record = settings.record, let parcel = ParcelKey(key) else { return }
    record(event(parcel.attempt, parcel.checkpoint))
  }

  // MARK: Connecting

  private func connect() {
    isCongested = false
    dialer.start(
      CoordinatorDialer.Round(
        call: { [unowned self] in call($0) }, refusal: { [unowned self] in refusal($0) },
        failed: { [weak self] in
          self?.feed(.connectFailed(CoordinatorDialer<WorkerLinkSocket>.Refusal.text($0), retryAfter: $1))
        }))
  }

  private func call(_ url: WebSocketURL) -> CoordinatorDialer<WorkerLinkSocket>.Call {
    var configuration = WebSocketConfiguration()
    configuration.maxMessageBytes = 4 * Protocols.maxMessageBytes
    configuration.maxFrameBytes = 4 * Protocols.maxMessageBytes
    // A resumed session sends its whole outbox again, whether or not the coordinator reads it at once.
    configuration.maxPendingBytes = core.configuration.outbox.maxBytes * 2 + configuration.maxMessageBytes
    configuration.pingInterval = settings.pingInterval
    configuration.pingTimeout = settings.pingTimeout
    // Whoever is silent for the heartbeat timeout is taken for gone; that holds for a handshake as well.
    configuration.handshakeTimeout = min(configuration.handshakeTimeout, settings.heartbeatTimeout)
    configuration.subprotocols = settings.offersSession ? [Protocols.session] : []
    configuration.compression = settings.compression.configuration
    configuration.limitQueuedBytes()
    let signer = settings.apiKey.map(UpgradeSigner.init)
    let link = WorkerLinkSocket(
      url, signer,
      opened: { [weak self] in self?.opened($0, $1, $2) },
      received: { [weak self] in self?.received($0, $1) },
      receivedFile: { [weak self] in self?.receivedFile($0, $1) },
      heldBack: { [weak self] in self?.heldBack($0, $1) },
      closed: { [weak self] in self?.closed($0, "\($1)", retryAfter: $1.retryAfter) })
    let credentials =
      settings.offersSession
      ? signer?.headers(target: url.target, subprotocols: [Protocols.session]) : signer?.legacyHeaders()
    return CoordinatorDialer.Call(link: link, configuration: configuration, headers: credentials ?? [:])
  }

  private func refusal(_ error: WebSocketError) -> CoordinatorDialer<WorkerLinkSocket>.Refusal {
    let problem = error.admissionProblem(hasKey: settings.apiKey != nil)
    // A key may be about to be added, and a certificate to be renewed; until then this only costs both sides.
    let patience = problem.map { _ in min(settings.maxReconnectDelay, Self.admissionRetry) }
    return CoordinatorDialer.Refusal(text: problem ?? "\(error)", retryAfter: error.retryAfter ?? patience)
  }

  private static let admissionRetry: Duration = .seconds(10)

  private func opened(_ link: WorkerLinkSocket, _ mode: ConnectionMode, _ answer: HTTPHeaders) {
    guard dialer.isCalling(link) else { return link.leave(1000, "no longer wanted") }
    var channel: ChannelSecret?
    if let signer = link.signer, settings.offersSession {
      // Whoever cannot sign may be anybody: nothing of what runs here is told, and nothing run for it.
      guard mode == .session, let secret = signer.secret(answered: answer) else {
        link.leave(1008, "this worker has an API key, and the coordinator did not prove to know it")
        let text =
          "whoever answers at \(link.url.address) asks for no API key, so it is not the coordinator that this worker's "
          + "key is for; give the coordinator its keys, or the worker none"
        return dialer.refuse(link, CoordinatorDialer.Refusal(text: text))
      }
      channel = secret
    }
    dialer.settle(on: link)
    socket = link
    frames = mode == .session ? FileFrames(channel, .worker) : nil
    feed(.connected(mode, channel: channel))
  }

  private func received(_ link: WorkerLinkSocket, _ bytes: [UInt8]) {
    if socket === link { feed(.received(bytes)) }
  }

  private func heldBack(_ link: WorkerLinkSocket, _ isHeldBack: Bool) {
    guard socket === link else { return }
    isCongested = isHeldBack
    feed(.sendingHeldBack(isHeldBack))
    // After everything else: nothing is less urgent.
    if !isHeldBack { files?.pump() }
  }

  private func receivedFile(_ link: WorkerLinkSocket, _ bytes: [UInt8]) {
    guard socket === link, let problem = files?.received(bytes) else { return }
    // Bytes changed on the way: over a new connection everything is asked again, from where it stands.
    settings.log(LogEntry(.warning, "file message refused", ["problem": "\(problem)"]))
    feed(.reconnect)
  }

  private func closed(_ link: WorkerLinkSocket, _ reason: String, retryAfter: Duration?) {
    guard socket === link else { return }
    socket = nil
    isCongested = false
    files?.lineDown()
    feed(.disconnected(reason, retryAfter: dialer.ended(retryAfter: retryAfter)))
  }

  // MARK: The outbox file

  private func persist(_ key: String, _ bytes: [UInt8]) {
    guard let outbox else { return persisted(key) }
    let (mailbox, runtime) = (loop.mailbox, LoopBound(self, to: loop))
    outbox.append(key: key, bytes) { result in
      mailbox.post {
        switch result {
        case .success: runtime.value.persisted(key)
        case .failure(let error): runtime.value.persistAgain(key, bytes, error)
        }
      }
    }
  }

  private func persisted(_ key: String) {
    record(key) { .persisted($0, checkpoint: $1, workerID) }
    feed(.persisted(key: key))
  }

  /// Until it is on the disk it is not reported: a result that only the coordinator half heard of would be lost.
  private func persistAgain(_ key: String, _ bytes: [UInt8], _ error: StoreError) {
    settings.log(LogEntry(.error, "the outbox file cannot be written; trying again", ["error": "\(error)"]))
    _ = loop.schedule(after: .seconds(1)) { [weak self] in self?.persist(key, bytes) }
  }

  // MARK: Attempts

  private func start(_ assignment: Assignment) {
    let key = AttemptKey(assignment.taskID, assignment.attempt)
    settings.record?(.attemptStarted(key, workerID, from: assignment.checkpoint?.key))
    let reporter = AttemptReporter(key, room: { [weak self] in self?.hasRoom ?? false }) { [weak self] event in
      guard let self else { return }
      if case .attemptEnded = event {
        executorOf[key] = nil
        settings.record?(.attemptEnded(key, workerID))
      }
      feed(event)
    }
    let kind = assignment.specification.workerKind
    guard let executor = assignment.specification.hasFiles ? fileAttempts : executorOfKind[kind] else {
      let reason = "this worker cannot execute work of kind \(kind)"
      return reporter.ended(AttemptEnding(.failed, reason: reason))
    }
    executorOf[key] = executor
    executor.start(assignment, reporter: reporter, on: loop)
  }

  private func finish() {
    timer?.cancel()
    disconnectTimer?.cancel()
    metricsTimer?.cancel()
    dialer.cancel()
    socket?.leave(1000, "the worker has stopped")
    socket = nil
    let (mailbox, runtime) = (loop.mailbox, LoopBound(self, to: loop))
    let outbox = outbox
    let close: @Sendable () -> Void = {
      guard let outbox else { return _ = mailbox.post { runtime.value.stopped() } }
      outbox.close { mailbox.post { runtime.value.stopped() } }
    }
    if let files { files.close(close) } else { close() }
  }

  private func stopped() {
    let body = onStopped
    onStopped = nil
    keptAlive = nil
    body?()
  }
}

@available(*, unavailable) extension WorkerRuntime: Sendable {}
