public import Authentication
public import CoordinationCore
import History
import Locking
import Metrics
import Primitives
public import Reactor
public import Storage
import WebSocket
import WebSocketCore

/// `CoordinatorCore` on a loop: its sockets, its store, its clock. Not `Sendable`; everything is called on the loop.
/// `Coordinator` is the same thing on a thread of its own, with an `async` face.
///
/// Long, and one piece, because starting, a turn's effects, losing one's place among others and stopping all decide what
/// becomes of the same connections, requests and commits; what can be told apart is in the files beside it.
public final class CoordinatorRuntime {
  /// Writes waiting for the store above which nothing more is read from anybody.
  static let maxPendingWrites = 200_000
  /// The same for the bytes that were received for them.
  static let maxPendingWriteBytes = 256 << 20
  /// The same for submitted tasks that are looked for in the store.
  static let maxWaitingSubmissions = 100_000

  /// The longest body of a request to the API: ten thousand ordinary tasks.
  static let maxBodyBytes = 8 << 20

  public let loop: EventLoop
  private let settings: CoordinatorSettings
  private(set) var core: CoordinatorCore
  private(set) var store: any TaskStore
  /// Where other coordinators use the same store.
  private(set) var cluster: ClusterShell?
  private var clusterEffects: [ClusterEffect] = []
  private var foreign: ForeignChanges?
  private(set) lazy var questions = FleetQuestions(self)
  private(set) var sharedCounts: SharedCounts?
  /// It has lost its place among the others and is taking a new one; nothing that happens is of any use until then.
  private(set) var isRejoining = false
  private var server: WebSocketServer?
  private var timer: Timer?
  private var effects: [CoordinatorEffect] = []
  private var isPerforming = false
  private var isTurnEndDue = false
  /// Nothing is read from anybody until the store has caught up.
  private(set) var isHeldBack = false
  private var stopping: (() -> Void)?
  private var hasStopped = false
  private(set) var files: FileService?
  private let gatekeeper: Gatekeeper
  private let slowReaders: SlowReaderWatch
  private var closing: SpreadClosing?
  private var pendingWriteBytes = 0
  let metrics = CoordinatorMetrics()
  /// Of the tasks that had ended when this coordinator was started, how many ended how.
  private(set) var endedBefore: [TaskStatus: Int] = [:]
  private(set) var api: HTTPAPI?
  let pages: PageRule
  /// Why the last commit failed; `nil` once one succeeds.
  private(set) var storeProblem: StoreError?
  /// When the commit under way began, its repetitions included.
  private(set) var commitBegan: Instant?

  let upgradeGuard: UpgradeGuard
  private var workers: [ConnectionID: WorkerSocket] = [:]
  private var clients: [UInt64: ClientSocket] = [:]
  private var lastConnection: UInt64 = 0
  private var requests: [RequestID: (CoordinatorAnswer) -> Void] = [:]
  private var lastRequest: UInt64 = 0
  private var observers = NoticeObservers()
  private var knowsLegacyName = false
  private var stopObservers: [() -> Void] = []
  /// The runtime lives until it has stopped, whether or not anyone holds it.
  private var keptAlive: CoordinatorRuntime?

  /// Called once if the coordinator cannot go on: its store failed for good. Nothing that was acknowledged is lost.
  public var onFailure: ((StoreError) -> Void)?

  // MARK: Starting and stopping

  /// Opens the store, reads what has not ended, and listens. `ready` is called on the loop.
  public static func start(
    _ settings: CoordinatorSettings, on loop: EventLoop,
    ready: @escaping (Result<CoordinatorRuntime, CoordinatorStartError>) -> Void
  ) {
    let opened: (any TaskStore)?
    do { opened = try settings.store.open() } catch { return ready(.failure(.store(error))) }
    guard let store = opened else { return startShared(settings, on: loop, ready: ready) }
    let ready = LoopBound(ready, to: loop)
    let mailbox = loop.mailbox
    let counted = Locked<Result<[TaskStatus: Int], StoreError>>(.success([:]))
    store.counts(run: nil) { result in counted.withLock { $0 = result } }
    // Answered behind the counts, because the store keeps the order of the questions.
    store.unfinishedTasks { result in
      mailbox.post { (loop: EventLoop) in
        switch result.flatMap({ tasks in counted.withLock { $0 }.map { (tasks, $0) } }) {
        case .failure(let error): store.close {}; ready.value(.failure(.store(error)))
        case .success((let unfinished, let counts)):
          store.tests(matching: TestFilter(hasFate: true, limit: Quarantine.maxFates)) { result in
            mailbox.post { (loop: EventLoop) in
              switch result {
              case .failure(let error): store.close {}; ready.value(.failure(.store(error)))
              case .success(let tests): begin(settings, store, unfinished, tests, counts, on: loop, ready.value)
              }
            }
          }
        }
      }
    }
  }

  private static func begin(
    _ settings: CoordinatorSettings, _ store: any TaskStore, _ unfinished: [UnfinishedTask], _ tests: [TestRecord],
    _ counts: [TaskStatus: Int], on loop: EventLoop,
    _ ready: @escaping (Result<CoordinatorRuntime, CoordinatorStartError>) -> Void
  ) {
    do {
      var configuration = settings.core
      configuration.isTraced = settings.record != nil
      settings.record?(.coordinatorStarted(unfinished.map(StoredTask.init)))
      let core = try CoordinatorCore(
        configuration: configuration, unfinished: unfinished, tests: tests, handlers: settings.handlers(),
        random: SystemRandomNumberGenerator(), at: loop.now)
      let runtime = CoordinatorRuntime(settings, core: core, store: store, on: loop)
      runtime.endedBefore = counts.filter { $0.key.isTerminal }
      do throws(StoreError) {
        runtime.files = try FileService(settings.files, beside: settings.store, core, on: loop, log: settings.log)
      } catch {
        store.close {}
        return ready(.failure(.store(error)))
      }
      runtime.listen(ready)
    } catch {
      store.close {}
      ready(.failure(.handlers("\(error)")))
    }
  }

  private static func startShared(
    _ settings: CoordinatorSettings, on loop: EventLoop,
    ready: @escaping (Result<CoordinatorRuntime, CoordinatorStartError>) -> Void
  ) {
    guard case .shared(let cluster, let open) = settings.store else { return }
    Membership.join(settings, cluster, opening: open, on: loop) { result in
      switch result {
      case .failure(let error): ready(.failure(error))
      case .success(let membership):
        let runtime = CoordinatorRuntime(
          settings, core: membership.core.core, store: membership.store, on: loop)
        runtime.take(membership)
        runtime.listen(ready)
      }
    }
  }

  private func take(_ membership: Membership) {
    let shell = ClusterShell(membership, on: loop, log: settings.log)
    settings.record?(.joined(membership.core.me))
    shell.feed = { [weak self] event in
      guard let self else { return }
      if let taken = HistoryEvent(event) { settings.record?(taken) }
      feed(cluster: event)
    }
    shell.onFenced = { [weak self] in self?.fenced() }
    shell.onFailure = { [weak self] in self?.storeFailed($0) }
    (core, store, cluster) = (membership.core.core, membership.store, shell)
    files = FileService(
      settings.files, in: membership.store.openFiles(settings.files.limits), lease: membership.core.configuration.lease,
      core, on: loop, log: settings.log)
    foreign = ForeignChanges(self)
    if let sharedCounts {
      sharedCounts.refresh(membership.store, at: SystemWallClock.now())
    } else {
      sharedCounts = SharedCounts(membership.counts, on: loop)
    }
    settings.log(LogEntry(.info, "one of several coordinators", ["member": "\(membership.core.me)"]))
  }

  /// Others have taken over all that was held here. Everybody is sent away with a hint to come back, and whatever they
  /// were promised stands: nothing is acknowledged that is not in the store.
  private func fenced() {
    guard !isRejoining, !hasStopped, case .shared(let cluster, let open) = settings.store else { return }
    isRejoining = true
    if let me = self.cluster?.core.me { settings.record?(.membershipEnded(me)) }
    settings.log(
      LogEntry(.error, "this coordinator was away from its store for too long; it takes its place anew"))
    self.cluster?.abandon()
    files?.close {}
    files = nil
    store.close {}
    effects = []
    clusterEffects = []
    commitBegan = nil
    let reason = RetryHint.reason(.milliseconds(100), "this coordinator lost its place among the others")
    for (_, socket) in workers.sorted(by: { $0.key.number < $1.key.number }) {
      socket.close(RetryHint.restart, reason)
    }
    for (_, client) in clients.sorted(by: { $0.key < $1.key }) { client.close(RetryHint.restart, reason) }
    api?.endStreams { _ in true }
    workers = [:]
    questions.abandon()
    let waiting = requests.values
    requests = [:]
    for answer in waiting { answer(.refused("this coordinator lost its place among the others; ask again")) }
    rejoin(cluster, open)
  }

  private func rejoin(
    _ cluster: ClusterSettings, _ open: @escaping @Sendable (EventLoop) throws(StoreError) -> any SharedTaskStore
  ) {
    Membership.join(settings, cluster, opening: open, on: loop) { [weak self] result in
      guard let self, !hasStopped else {
        if case .success(let membership) = result { membership.store.close {} }
        return
      }
      switch result {
      case .success(let membership):
        isRejoining = false
        storeProblem = nil
        take(membership)
        endTurnSoon()
      case .failure(let error):
        settings.log(LogEntry(.error, "cannot take a new place yet; trying again", ["error": "\(error)"]))
        _ = loop.schedule(after: .seconds(1)) { [weak self] in self?.rejoin(cluster, open) }
      }
    }
  }

  private init(_ settings: CoordinatorSettings, core: CoordinatorCore, store: any TaskStore, on loop: EventLoop) {
    self.settings = settings
    upgradeGuard = UpgradeGuard(settings.security, at: loop.now, log: settings.log)
    self.core = core
    self.store = store
    self.loop = loop
    pages = PageRule(listeningHost: settings.host)
    gatekeeper = Gatekeeper(settings.admission, at: loop.now, log: settings.log)
    slowReaders = SlowReaderWatch(settings.admission.slowReaders, on: loop, log: settings.log)
  }

  private func listen(_ ready: @escaping (Result<CoordinatorRuntime, CoordinatorStartError>) -> Void) {
    let (host, port) = (settings.host, settings.port)
    Resolver.resolve(host: host, port: port, on: loop) { [self] result in
      do {
        let addresses = try result.get()
        guard let address = addresses.first else {
          throw SystemError(call: "getaddrinfo", subject: host, code: 0, detail: "no address")
        }
        if let problem = ListeningRule.problem(
          host: host, isLoopback: address.isLoopback, hasTLS: settings.tls != nil,
          hasKeys: settings.security.keys != nil, isInsecure: settings.security.isInsecure)
        {
          store.close {}
          return ready(.failure(.address(problem)))
        }
        var configuration = WebSocketConfiguration()
        configuration.maxMessageBytes = Protocols.maxMessageBytes
        configuration.maxFrameBytes = Protocols.maxMessageBytes
        configuration.pingInterval = settings.pingInterval
        configuration.pingTimeout = settings.pingTimeout
        configuration.subprotocols = [Protocols.session, Protocols.client]
        configuration.maxPendingBytes = AdmissionSettings.maxUnreadBytes
        configuration.maxRequestBodyBytes = Self.maxBodyBytes
        configuration.compression = settings.compression.configuration
        configuration.limitQueuedBytes()
        var options = ListenerOptions()
        // A herd or a crowd of drip feeders must not make the kernel drop an honest client's first packet.
        options.backlog = 4_096
        server = try WebSocketServer.listen(
          at: address, on: loop, configuration: configuration, options: options, tls: settings.tls,
          limits: gatekeeper.limits, resources: { [weak self] in self?.serve($0) }
        ) { [weak self] request in
          self?.decide(request) ?? .reject(status: 503, message: "the coordinator is shutting down")
        }
        server?.onHandshakeFailure = { [metrics] _, reason in metrics.refused[ConnectionRefusal(reason)].add() }
        timer = loop.makeTimer { [weak self] in self?.feed(.tick) }
        keptAlive = self
        let api = HTTPAPI(self, slowTimeout: settings.admission.slowReaders.timeout)
        self.api = api
        _ = observe(isWatching: false, wantsOutput: { api.followers[$0] != nil }) { api.note($0) }
        endTurnSoon()
        ready(.success(self))
      } catch {
        store.close {}
        ready(.failure(.address("cannot listen at \(host):\(port): \(error)")))
      }
    }
  }

  /// Where it listens.
  public var address: SocketAddress { server?.localAddress ?? .loopback() }

  /// `ws://HOST:PORT`, or `wss://HOST:PORT`, as workers and clients are told it.
  public var url: String {
    let host = address.host
    return "\(settings.tls == nil ? "ws" : "wss")://\(host.contains(":") ? "[\(host)]" : host):\(address.port ?? 0)"
  }

  /// Whether it is about to end: nobody is let in any more, and nothing is given out. Ready for no work, and yet alive.
  public var isDraining: Bool { closing != nil || hasStopped }

  /// Closes every connection with a hint when to come back, no faster than those that come back can be taken, and then
  /// stops. Whoever asks to come in meanwhile is told when.
  /// - Parameter window: within which all connections are closed; a few are closed at once.
  public func drain(within window: Duration, _ completion: @escaping () -> Void) {
    drain(within: window, atLeast: DrainPace.minPerStep, completion)
  }

  func drain(within window: Duration, atLeast perStep: Int, _ completion: @escaping () -> Void) {
    guard !isDraining else { return stop(completion) }
    let sockets: [(UInt16, String) -> Void] =
      workers.sorted { $0.key.number < $1.key.number }.map { $0.value.close }
      + clients.sorted { $0.key < $1.key }.map { $0.value.close }
    let pace = DrainPace(connections: sockets.count, within: window, atLeast: perStep)
    settings.log(
      LogEntry(
        .info, "draining", ["connections": "\(sockets.count)", "within": "\(pace.duration.wholeMilliseconds) ms"]))
    gatekeeper.drains(until: loop.now + pace.duration)
    api?.stop()
    feed(.drain)
    let closes = sockets.map { close in { (reason: String) in close(RetryHint.restart, reason) } }
    let closing = SpreadClosing(closes, pace, on: loop) { [self] in stop(completion) }
    self.closing = closing
    closing.proceed()
  }

  /// Closes every connection with a reason, waits for the store, and calls `completion`. Workers keep what they run:
  /// they come back to whoever is started next on the same store.
  public func stop(_ completion: @escaping () -> Void) {
    guard !hasStopped else { return completion() }
    hasStopped = true
    closing?.abandon()
    slowReaders.stop()
    api?.stop()
    stopping = completion
    server?.stopAccepting()
    for (_, socket) in workers.sorted(by: { $0.key.number < $1.key.number }) {
      socket.close(1001, "the coordinator is shutting down")
    }
    for (_, client) in clients.sorted(by: { $0.key < $1.key }) {
      client.close(1001, "the coordinator is shutting down")
    }
    feed(.turnEnded)
    let mailbox = loop.mailbox
    let done = LoopBound(self, to: loop)
    let store = store
    let shared = isRejoining ? nil : cluster?.store
    cluster?.abandon()
    let close: @Sendable () -> Void = {
      let close: @Sendable () -> Void = { store.close { mailbox.post { done.value.closed() } } }
      // Behind the last commit, so that others take over all of it at once.
      if let shared { shared.leave(close) } else { close() }
    }
    if let files { files.close(close) } else { close() }
  }

  /// Calls `body` on the loop when the coordinator stops.
  public func onStop(_ body: @escaping () -> Void) {
    if hasStopped { body() } else { stopObservers.append(body) }
  }

  private func closed() {
    timer?.cancel()
    server?.close()
    server = nil
    for body in stopObservers { body() }
    stopObservers = []
    observers.removeAll()
    api = nil
    let completion = stopping
    stopping = nil
    keptAlive = nil
    completion?()
  }

  // MARK: The turn

  private func feed(_ event: CoordinatorEvent) {
    guard cluster == nil else { return feed(cluster: .coordinator(event)) }
    core.handle(event, at: loop.now, wall: SystemWallClock.now(), into: &effects)
    endTurnSoon()
    perform()
  }

  func feed(cluster event: ClusterEvent) {
    guard !isRejoining else { return }
    cluster?.core.handle(event, at: loop.now, wall: SystemWallClock.now(), into: &clusterEffects)
    endTurnSoon()
    perform()
  }

  private func endTurnSoon() {
    guard !isTurnEndDue else { return }
    isTurnEndDue = true
    loop.afterTurn { [weak self] in self?.endTurn() }
  }

  private func endTurn() {
    if let cluster {
      guard !isRejoining else {
        isTurnEndDue = false
        return
      }
      let (now, wall) = (loop.now, SystemWallClock.now())
      cluster.core.handle(.watching(isWatched), at: now, wall: wall, into: &clusterEffects)
      cluster.core.handle(.coordinator(.turnEnded), at: now, wall: wall, into: &clusterEffects)
      core.poolSize = sharedCounts?.poolSize ?? 0
    } else {
      core.handle(.turnEnded, at: loop.now, wall: SystemWallClock.now(), into: &effects)
    }
    perform()
    isTurnEndDue = false
    holdBackIfNeeded()
    metrics.turns.record(MonotonicClock.now() - loop.now)
    guard !hasStopped else { return }
    let deadline = cluster?.core.nextDeadline ?? core.nextDeadline
    timer?.start(after: max(deadline - loop.now, .milliseconds(1)))
  }

  /// Performing an effect may feed the core again, which appends to `effects`: hence by index, and only the outermost call.
  private func perform() {
    guard !isPerforming else { return }
    isPerforming = true
    var index = 0
    while index < effects.count {
      perform(effects[index])
      index += 1
    }
    effects.removeAll(keepingCapacity: true)
    index = 0
    while index < clusterEffects.count {
      perform(clusterEffects[index])
      index += 1
    }
    clusterEffects.removeAll(keepingCapacity: true)
    isPerforming = false
  }

  private func perform(_ effect: ClusterEffect) {
    switch effect {
    case .coordinator(let effect): perform(effect)
    case .changedElsewhere(let tasks):
      for task in tasks { api?.cache.forget(task) }
      foreign?.changed(tasks)
    case .changedManyElsewhere: missedSome()
    case .callRoll(let number, let call, let member):
      if let cluster { questions.answer(number, call, for: member, cluster) }
    case .rolled(let id, let workers): questions.rolled(id, workers)
    case .abilities(let id, let abilities): questions.able(id, abilities)
    case .renew, .claim, .gather, .locate, .poolNeeds, .testFates, .send: cluster?.perform(effect)
    }
  }

  /// Whoever watches starts over with a list.
  func missedSome() {
    api?.cache.forgetAll()
    api?.endStreams { _ in true }
    let reason = RetryHint.reason(.zero, "events were missed; list the tasks and watch again")
    for (_, client) in clients.sorted(by: { $0.key < $1.key }) where client.isWatching {
      client.close(RetryHint.tryAgainLater, reason)
    }
  }

  private func perform(_ effect: CoordinatorEffect) {
    switch effect {
    case .send(let id, let bytes):
      metrics.messagesSent.add()
      metrics.bytesSent.add(bytes.count)
      workers[id]?.send(bytes)
    case .close(let id, let code, let reason): workers[id]?.close(code, reason)
    case .commit(let batch, let writes):
      pendingWriteBytes = 0
      metrics.batchSize.record(UInt64(clamping: writes.count))
      commitBegan = MonotonicClock.now()
      settings.record?(.commitBegun(batch: batch.number, writes.map(StoredChange.init)))
      commit(batch, writes)
    case .findTasks(let id, let ids): find(ids, for: id)
    case .findFiles(let seeker, let digests):
      files?.find(digests) { [weak self, core] in
        // A core that was left meanwhile waits for nothing any more.
        if let self, self.core === core { feed(.filesFound(seeker)) }
      }
    case .answer(let id, let answer): requests.removeValue(forKey: id)?(answer)
    case .notice(let notice):
      if case .staleAttemptRefused(let id, let attempt, let worker, let kind) = notice {
        settings.record?(.staleAttemptRefused(AttemptKey(id, attempt), worker, kind))
      }
      tell(notice)
    case .log(let entry): settings.log(entry)
    case .trace(let trace): settings.record?(HistoryEvent(trace))
    case .gather, .handedOver, .handOverRefused: break
    }
  }

  private func commit(_ batch: BatchID, _ writes: [StoreWrite]) {
    let mailbox = loop.mailbox
    let runtime = LoopBound(self, to: loop)
    store.commit(writes) { [store] result in
      mailbox.post { runtime.value.committed(batch, writes, by: store, result) }
    }
  }

  private func committed(
    _ batch: BatchID, _ writes: [StoreWrite], by store: any TaskStore, _ result: Result<Void, StoreError>
  ) {
    guard store === self.store, !isRejoining else { return }
    switch result {
    case .success:
      metrics.commits.add()
      if let commitBegan { metrics.commitLatency.record(MonotonicClock.now() - commitBegan) }
      commitBegan = nil
      storeProblem = nil
      settings.record?(.committed(batch: batch.number))
      feed(.committed(batch))
    case .failure(let error) where error.isTransient:
      metrics.commitErrors.add()
      storeProblem = error
      // Nothing was promised yet, so nothing is lost by trying again; meanwhile everyone waits.
      settings.log(
        LogEntry(.error, "the store cannot commit; trying again", ["error": "\(error)", "writes": "\(writes.count)"]))
      let store = self.store
      _ = loop.schedule(after: .seconds(1)) { [weak self] in
        // A store that was left meanwhile has nothing to do with what is promised now.
        if let self, self.store === store { commit(batch, writes) }
      }
    case .failure(.fenced) where cluster != nil: fenced()
    case .failure(let error):
      metrics.commitErrors.add()
      storeFailed(error)
    }
  }

  private func storeFailed(_ error: StoreError) {
    storeProblem = error
    guard !hasStopped else { return }
    settings.log(LogEntry(.critical, "the store failed", ["error": "\(error)"]))
    onFailure?(error)
  }

  private func find(_ ids: [TaskID], for request: RequestID) {
    tasks(named: ids) { [self] result in
      switch result {
      case .success(let tasks): feed(.found(request, tasks.map(\.id)))
      case .failure(let error):
        // Without knowing what exists nothing may be submitted; the submitter is told and asks again.
        feed(.lookupFailed(request))
        requests.removeValue(forKey: request)?(.refused("the store cannot be read: \(error)"))
      }
    }
  }

  private func holdBackIfNeeded() {
    if core.pendingWrites == 0 { pendingWriteBytes = 0 }
    let shouldHold =
      core.pendingWrites > Self.maxPendingWrites || pendingWriteBytes > Self.maxPendingWriteBytes
      || core.waitingSubmissions > Self.maxWaitingSubmissions
    guard shouldHold != isHeldBack else { return }
    isHeldBack = shouldHold
    for socket in workers.values { socket.holdBack(shouldHold) }
    for client in clients.values { client.holdBack(shouldHold) }
  }

  // MARK: Upgrades

  private func decide(_ request: UpgradeRequest) -> UpgradeDecision {
    guard !hasStopped else { return .reject(status: 503, message: "the coordinator is shutting down") }
    guard !isRejoining else {
      return .reject(status: 503, message: "the coordinator takes its place anew", headers: ["Retry-After": "1"])
    }
    if let problem = problem(of: request) { return .reject(status: 403, message: PageRule.words(problem)) }
    if let refusal = gatekeeper.refusal(of: request, server: server, at: loop.now) { return refusal }
    let endpoint = Endpoint(target: request.target)
    switch upgradeGuard.judge(request.handshake, from: request.remoteAddress, for: endpoint.access, at: loop.now) {
    case .admitted(let pass): return admit(request, to: endpoint, pass)
    case .refused(let rejection): return .reject(rejection)
    }
  }

  /// Only a browser says where it comes from, and always does: whoever does not is no page.
  private func problem(of request: UpgradeRequest) -> PageRule.Problem? {
    guard let origin = request.headers["origin"] else { return nil }
    let host = request.headers["host"] ?? ""
    return pages.problem(origin: origin, host: host, needsOwnName: !upgradeGuard.needsKeys)
  }

  private func admit(_ request: UpgradeRequest, to endpoint: Endpoint, _ pass: UpgradeGuard.Pass) -> UpgradeDecision {
    let offersSession = request.offeredSubprotocols.contains(Protocols.session)
    switch endpoint {
    case .worker(let id): return accept(id, offersSession ? .session : .legacy, pass)
    case .anonymousWorker:
      let suffix = String(UInt32.random(in: .min ... .max), radix: 16)
      let name = "worker-" + String(repeating: "0", count: 8 - suffix.count) + suffix
      guard let id = try? WorkerID(name) else { return .reject(status: 500, message: "no name could be made up") }
      return accept(id, .legacy, pass)
    case .client:
      gatekeeper.admit(.client, at: loop.now)
      lastConnection += 1
      let client = ClientSocket(number: lastConnection, identity: pass.identity, runtime: self)
      clients[client.number] = client
      metrics.accepted[.client].add()
      let chosen = request.offeredSubprotocols.contains(Protocols.client) ? Protocols.client : nil
      return .accept(subprotocol: chosen, headers: pass.headers, delegate: client)
    case .badWorkerID(let problem): return .reject(status: 400, message: problem)
    case .unknown:
      let text =
        "no such path; workers connect to \(Protocols.workerPathPrefix){worker_id}\(Protocols.workerPathSuffix), "
        + "clients to \(Protocols.clientPath)"
      return .reject(status: 404, message: text)
    }
  }

  private func accept(_ id: WorkerID, _ mode: ConnectionMode, _ pass: UpgradeGuard.Pass) -> UpgradeDecision {
    if mode == .legacy, id.text.contains("{"), !knowsLegacyName {
      knowsLegacyName = true
      settings.log(
        LogEntry(.warning, "a worker's name was never filled in; all that share it count as one", ["worker": id.text]))
    }
    gatekeeper.admit(.worker, at: loop.now)
    lastConnection += 1
    let socket = WorkerSocket(ConnectionID(lastConnection), workerID: id, mode: mode, pass, runtime: self)
    return .accept(
      subprotocol: mode == .session ? Protocols.session : nil, headers: pass.headers, delegate: socket)
  }

  /// Lets in by other keys from now on. Whoever came with one that is not there any more is sent away; nobody else notices.
  public func replace(keys: KeyRing) {
    upgradeGuard.replace(keys: keys)
    let text = "the key was withdrawn"
    for (_, socket) in workers.sorted(by: { $0.key.number < $1.key.number })
    where !upgradeGuard.stillKnows(socket.identity) {
      socket.close(1008, text)
    }
    for (_, client) in clients.sorted(by: { $0.key < $1.key }) where !upgradeGuard.stillKnows(client.identity) {
      client.close(1008, text)
    }
    api?.endStreams { !upgradeGuard.stillKnows($0) }
  }

  func opened(_ socket: WorkerSocket, from address: String) {
    metrics.accepted[socket.mode == .session ? .session : .legacy].add()
    workers[socket.id] = socket
    if isHeldBack { socket.holdBack(true) }
    feed(.connected(socket.id, socket.workerID, socket.mode, remoteAddress: address, security: socket.security))
  }

  /// Somebody sent so much, which may have to wait for the store.
  func took(_ bytes: Int) { pendingWriteBytes += bytes }

  func received(_ bytes: [UInt8], from socket: WorkerSocket) {
    took(bytes.count)
    metrics.messagesReceived.add()
    metrics.bytesReceived.add(bytes.count)
    feed(.received(socket.id, bytes))
  }

  /// A worker's question about a file.
  func received(_ frame: FileFrames.Frame, from socket: WorkerSocket, _ reply: @escaping FileService.Reply) {
    metrics.messagesReceived.add()
    metrics.bytesReceived.add(frame.piece.count)
    answer(frame, reply)
  }

  /// A question about a file.
  func answer(_ frame: FileFrames.Frame, _ reply: @escaping FileService.Reply) {
    guard let files else { return reply(FileService.unavailable) }
    files.answer(frame, reply)
  }

  /// More waits for a peer than its connection's high watermark, or it has caught up again.
  func congested(_ socket: WorkerSocket, _ isCongested: Bool) {
    slowReaders.set(socket.id.number, isCongested ? socket : nil)
    feed(.sendingHeldBack(socket.id, isCongested))
  }

  func congested(_ client: ClientSocket, _ isCongested: Bool) {
    slowReaders.set(client.number, isCongested ? client : nil)
  }

  func ended(_ socket: WorkerSocket) {
    slowReaders.set(socket.id.number, nil)
    guard workers.removeValue(forKey: socket.id) != nil else { return }
    feed(.disconnected(socket.id))
  }

  func ended(_ client: ClientSocket) {
    slowReaders.set(client.number, nil)
    clients[client.number] = nil
  }

  func log(_ entry: LogEntry) { settings.log(entry) }

  /// What the metrics do not count themselves, as it is now.
  var readings: CoordinatorMetrics.Readings {
    var readings = CoordinatorMetrics.Readings()
    readings.core = core.statistics
    readings.levels = core.levels
    readings.process = .read()
    readings.compression = loop.webSocketCompression
    readings.connections[.client] = clients.count
    for socket in workers.values { readings.connections[socket.mode == .session ? .session : .legacy, default: 0] += 1 }
    readings.cutConnections = server?.cutConnections ?? 0
    readings.slowReadersDropped = slowReaders.dropped
    readings.refusedStoreWrites = store.refusedWrites
    readings.isReady = readinessProblem == nil
    return readings
  }

  // MARK: Asking

  /// Performs a request; the answer comes on the loop once everything it promises is durable.
  public func request(_ request: CoordinatorRequest, _ answer: @escaping (CoordinatorAnswer) -> Void) {
    lastRequest += 1
    let id = RequestID(lastRequest)
    guard !isRejoining else { return answer(.refused("the coordinator takes its place anew; ask again in a moment")) }
    requests[id] = answer
    feed(.request(id, request))
  }

  /// Tasks that wait for a worker, by their priority.
  public var taskQueueStatus: QueueStatus {
    guard let sharedCounts, let cluster else { return core.taskQueueStatus }
    sharedCounts.refresh(cluster.store, at: SystemWallClock.now())
    return sharedCounts.queue
  }
  /// Messages that wait to be sent to workers, by their priority.
  public var messageQueueStatus: QueueStatus { core.messageQueueStatus }

  /// Every worker known, in order of their ids.
  public var workerSummaries: [WorkerSummary] { core.workerSummaries }

  /// Every worker that this coordinator knows, and where others share its store, that any of them knows; as people see
  /// them.
  func listWorkers(withTelemetry: Bool, _ answer: @escaping ([JSONObject]) -> Void) {
    if cluster != nil, !isRejoining { return questions.workers(RollCall(withTelemetry: withTelemetry), answer) }
    answer(core.workerSummaries.map { $0.presentation(withTelemetry: withTelemetry) })
  }

  /// Calls `observer` on the loop with everything that happens from now on, until told to stop.
  public func observe(_ observer: @escaping (CoordinatorNotice) -> Void) -> UInt64 {
    observe(isWatching: true, wantsOutput: { _ in false }, observer)
  }

  /// - Parameters:
  ///   - isWatching: whether it wants to hear of tasks that other coordinators hold.
  ///   - wantsOutput: of which tasks it wants to hear what they write.
  func observe(
    isWatching: Bool, wantsOutput: @escaping (TaskID) -> Bool, _ observer: @escaping (CoordinatorNotice) -> Void
  ) -> UInt64 {
    observers.add(isWatching: isWatching, wantsOutput: wantsOutput, observer)
  }

  func tell(_ notice: CoordinatorNotice) { observers.tell(notice) }

  /// Whether anybody here wants to hear of tasks that others hold.
  var isWatched: Bool {
    observers.hasWatchers || (api?.feed.listenerCount ?? 0) > 0 || (api?.followerCount ?? 0) > 0
  }

  func wantsOutput(_ task: TaskID) -> Bool { observers.wantsOutput(task) }

  public func stopObserving(_ number: UInt64) { observers.remove(number) }
}

@available(*, unavailable) extension CoordinatorRuntime: Sendable {}
