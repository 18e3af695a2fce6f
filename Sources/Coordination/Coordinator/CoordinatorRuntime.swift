public import Authentication
public import CoordinationCore
import History
import Metrics
import Primitives
public import Reactor
public import Storage

/// `CoordinatorCore` on a loop: its store, its clock, and what is done in each turn. Not `Sendable`; everything is called
/// on the loop. `Coordinator` is the same thing on a thread of its own, with an `async` face.
///
/// Its parts do the rest, and know of each other only through it: `Entrance` lets people in, `Connections` are those who
/// are in, `CommitLine` brings writes into the store, and a `ClusterPlace` is there only where others use the same store.
public final class CoordinatorRuntime {
  public let loop: EventLoop
  private let settings: CoordinatorSettings
  private(set) var core: CoordinatorCore
  private(set) var store: any TaskStore
  private(set) var commits: CommitLine
  /// Where other coordinators use the same store.
  private(set) var place: ClusterPlace?
  private(set) lazy var entrance = Entrance(self, settings)
  let connections: Connections
  private var timer: Timer?
  private let effects = EffectQueue<CoordinatorEffect>()
  private var isTurnEndDue = false
  private var backlog = Backlog()
  private var stopping: (() -> Void)?
  private(set) var hasStopped = false
  private(set) var files: FileService?
  private var closing: SpreadClosing?
  let metrics = CoordinatorMetrics()
  /// Of the tasks that had ended when this coordinator was started, how many ended how.
  private(set) var endedBefore: [TaskStatus: Int] = [:]
  private(set) var api: HTTPAPI?
  private var requests: [RequestID: (CoordinatorAnswer) -> Void] = [:]
  private var lastRequest: UInt64 = 0
  private var observers = NoticeObservers()
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
    let listen: (Result<CoordinatorRuntime, CoordinatorStartError>) -> Void = { result in
      switch result {
      case .success(let runtime): runtime.listen(ready)
      case .failure: ready(result)
      }
    }
    if case .shared(let cluster, let open) = settings.store {
      return Membership.join(settings, cluster, opening: open, on: loop) { result in
        listen(result.map { CoordinatorRuntime(settings, cluster, opening: open, $0, on: loop) })
      }
    }
    do {
      guard let store = try settings.store.open() else { return }
      OwnStore.read(store, settings, on: loop) { result in
        listen(result.flatMap { make($0, settings, on: loop) })
      }
    } catch { ready(.failure(.store(error))) }
  }

  private static func make(
    _ own: OwnStore, _ settings: CoordinatorSettings, on loop: EventLoop
  ) -> Result<CoordinatorRuntime, CoordinatorStartError> {
    let runtime = CoordinatorRuntime(settings, core: own.core, store: own.store, on: loop)
    runtime.endedBefore = own.ended
    do throws(StoreError) {
      runtime.files = try FileService(settings.files, beside: settings.store, own.core, on: loop, log: settings.log)
    } catch {
      own.store.close {}
      return .failure(.store(error))
    }
    return .success(runtime)
  }

  private convenience init(
    _ settings: CoordinatorSettings, _ cluster: ClusterSettings, opening open: @escaping ClusterPlace.Opening,
    _ membership: Membership, on loop: EventLoop
  ) {
    self.init(settings, core: membership.core.core, store: membership.store, on: loop)
    place = ClusterPlace(self, settings, cluster, opening: open, membership)
    files = place?.openFiles()
  }

  private init(_ settings: CoordinatorSettings, core: CoordinatorCore, store: any TaskStore, on loop: EventLoop) {
    self.settings = settings
    self.core = core
    self.store = store
    self.loop = loop
    connections = Connections(settings.admission.slowReaders, on: loop, log: settings.log)
    commits = CommitLine(store, metrics, on: loop, log: settings.log)
    commits.onEnd = { [weak self] in self?.committed($0, $1) }
  }

  private func listen(_ ready: @escaping (Result<CoordinatorRuntime, CoordinatorStartError>) -> Void) {
    entrance.open { [self] result in
      if case .failure(let error) = result {
        store.close {}
        return ready(.failure(error))
      }
      timer = loop.makeTimer { [weak self] in self?.feed(.tick) }
      keptAlive = self
      let api = HTTPAPI(self, slowTimeout: settings.admission.slowReaders.timeout)
      self.api = api
      _ = observe(isWatching: false, wantsOutput: { api.followers[$0] != nil }) { api.note($0) }
      endTurnSoon()
      ready(.success(self))
    }
  }

  /// Where it listens.
  public var address: SocketAddress { entrance.address }

  /// `ws://HOST:PORT`, or `wss://HOST:PORT`, as workers and clients are told it.
  public var url: String { entrance.url }

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
    let sockets = connections.inOrder
    let pace = DrainPace(connections: sockets.count, within: window, atLeast: perStep)
    settings.log(
      LogEntry(
        .info, "draining", ["connections": "\(sockets.count)", "within": "\(pace.duration.wholeMilliseconds) ms"]))
    entrance.drains(until: loop.now + pace.duration)
    api?.stop()
    feed(.drain)
    let closes = sockets.map { socket in { (reason: String) in socket.close(RetryHint.restart, reason) } }
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
    connections.stopWatchingReaders()
    api?.stop()
    stopping = completion
    entrance.stopAccepting()
    connections.close(1001, "the coordinator is shutting down")
    feed(.turnEnded)
    let mailbox = loop.mailbox
    let done = LoopBound(self, to: loop)
    let store = store
    let shared = place?.end()
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
    entrance.close()
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
    if let place { return place.handle(.coordinator(event)) }
    effects.add { core.handle(event, at: loop.now, wall: SystemWallClock.now(), into: &$0) }
    endTurnSoon()
    effects.perform { perform($0) }
  }

  func endTurnSoon() {
    guard !isTurnEndDue else { return }
    isTurnEndDue = true
    loop.afterTurn { [weak self] in self?.endTurn() }
  }

  private func endTurn() {
    guard !isRejoining else {
      isTurnEndDue = false
      return
    }
    if let place {
      place.endTurn()
    } else {
      effects.add { core.handle(.turnEnded, at: loop.now, wall: SystemWallClock.now(), into: &$0) }
      effects.perform { perform($0) }
    }
    isTurnEndDue = false
    if let isHeldBack = backlog.change(core) { connections.holdBack(isHeldBack) }
    metrics.turns.record(MonotonicClock.now() - loop.now)
    guard !hasStopped else { return }
    let deadline = place?.nextDeadline ?? core.nextDeadline
    timer?.start(after: max(deadline - loop.now, .milliseconds(1)))
  }

  /// The same whether the core alone wants it, or a `ClusterCore` around it.
  func perform(_ effect: CoordinatorEffect) {
    switch effect {
    case .send(let id, let bytes):
      metrics.messagesSent.add()
      metrics.bytesSent.add(bytes.count)
      connections[id]?.send(bytes)
    case .close(let id, let code, let reason): connections[id]?.close(code, reason)
    case .commit(let batch, let writes):
      backlog.handedOver()
      settings.record?(.commitBegun(batch: batch.number, writes.map(StoredChange.init)))
      commits.begin(batch, writes)
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

  private func committed(_ batch: BatchID, _ result: Result<Void, StoreError>) {
    switch result {
    case .success:
      settings.record?(.committed(batch: batch.number))
      feed(.committed(batch))
    case .failure(.fenced) where isShared: place?.lose()
    case .failure(let error):
      metrics.commitErrors.add()
      storeFailed(error)
    }
  }

  func storeFailed(_ error: StoreError) {
    commits.problem = error
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

  // MARK: Among others

  /// Whether other coordinators use the same store.
  var isShared: Bool { place != nil }

  /// Nothing that happens is of any use until it has a place among the others again.
  var isRejoining: Bool { place?.isLost ?? false }

  /// Sends everybody away with a hint to come back; whoever waits for an answer is told to ask again.
  func forgetEverything(because reason: String) {
    commits.abandon()
    files?.close {}
    files = nil
    connections.close(RetryHint.restart, RetryHint.reason(.milliseconds(100), reason))
    api?.endStreams { _ in true }
    connections.forgetWorkers()
    let waiting = requests.values
    requests = [:]
    for answer in waiting { answer(.refused("\(reason); ask again")) }
  }

  /// Begins again, with nothing that was before.
  func goOn(with core: CoordinatorCore, _ store: any TaskStore) {
    (self.core, self.store) = (core, store)
    files = place?.openFiles()
    commits = CommitLine(store, metrics, on: loop, log: settings.log)
    commits.onEnd = { [weak self] in self?.committed($0, $1) }
    endTurnSoon()
  }

  /// Whoever watches starts over with a list.
  func missedSome() {
    api?.cache.forgetAll()
    api?.endStreams { _ in true }
    connections.closeWatchers(
      RetryHint.tryAgainLater,
      RetryHint.reason(.zero, "events were missed; list the tasks and watch again"))
  }

  // MARK: Connections

  /// Lets in by other keys from now on. Whoever came with one that is not there any more is sent away; nobody else notices.
  public func replace(keys: KeyRing) {
    let upgradeGuard = entrance.upgradeGuard
    upgradeGuard.replace(keys: keys)
    connections.close(1008, "the key was withdrawn") { !upgradeGuard.stillKnows($0) }
    api?.endStreams { !upgradeGuard.stillKnows($0) }
  }

  /// Nothing is read from anybody until the store has caught up.
  var isHeldBack: Bool { backlog.isTooLong }

  func opened(_ socket: WorkerSocket, from address: String) {
    metrics.accepted[socket.mode == .session ? .session : .legacy].add()
    connections.add(socket)
    if isHeldBack { socket.holdBack(true) }
    feed(.connected(socket.id, socket.workerID, socket.mode, remoteAddress: address, security: socket.security))
  }

  /// Somebody sent so much, which may have to wait for the store.
  func took(_ bytes: Int) { backlog.took(bytes) }

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
    connections.congested(socket, isCongested)
    feed(.sendingHeldBack(socket.id, isCongested))
  }

  func congested(_ client: ClientSocket, _ isCongested: Bool) { connections.congested(client, isCongested) }

  func ended(_ socket: WorkerSocket) {
    if connections.remove(socket) { feed(.disconnected(socket.id)) }
  }

  func ended(_ client: ClientSocket) { connections.remove(client) }

  func log(_ entry: LogEntry) { settings.log(entry) }

  // MARK: Asking

  /// Performs a request; the answer comes on the loop once everything it promises is durable.
  public func request(_ request: CoordinatorRequest, _ answer: @escaping (CoordinatorAnswer) -> Void) {
    lastRequest += 1
    let id = RequestID(lastRequest)
    guard !isRejoining else { return answer(.refused("the coordinator takes its place anew; ask again in a moment")) }
    requests[id] = answer
    feed(.request(id, request))
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
