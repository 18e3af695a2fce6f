import Authentication
import CoordinationCore
import History
import Primitives

/// A coordinator's machine: its process, the core in it, its commits under way and its connections.
final class SimulatedCoordinator {
  unowned let fleet: SimulatedFleet
  /// From 0, in the order of the fleet's.
  let index: Int
  private(set) var core: CoordinatorCore?
  /// Grows with each start and each end of the process.
  private(set) var run = 0
  private(set) var links: [ConnectionID: SimulatedLink] = [:]
  private(set) var load = FleetLoad()
  /// Whether new connections reach it.
  var isReachable = true
  /// How many it lets in; `nil`: everyone.
  var admission: Admission?
  /// Until then whoever connects is told to come back after it.
  private(set) var refusesUntil: Instant = .zero
  private(set) var isFrozen = false
  /// How often it was told that others had taken over from it.
  private(set) var fencings = 0

  private var effects: [CoordinatorEffect] = []
  private var tickAt: Instant = .distantFuture
  private var commits: [(id: BatchID, writes: [StoreWrite])] = []
  private var committedAt: Instant = .zero
  private var inbox: [Arrival] = []
  /// Where several coordinators share a store.
  private(set) var membership: SimulatedMembership?
  private var isAlive = false
  private var storeAwayUntil: Instant = .zero

  /// What may come to the process.
  enum Arrival {
    case event(CoordinatorEvent)
    case cluster(ClusterEvent)
    case joined(MemberID, asked: Instant)
    case fenced
  }

  init(_ index: Int, _ fleet: SimulatedFleet) {
    self.index = index
    self.fleet = fleet
  }

  /// As traces call it.
  var name: String { fleet.coordinators.count > 1 ? "coordinator \(index + 1)" : "coordinator" }
  var isRunning: Bool { core != nil }
  private var now: Instant { fleet.now }
  private var options: SimulationOptions { fleet.options }
  private var openLinks: [SimulatedLink] { links.values.sorted { $0.id.number < $1.id.number } }

  // MARK: The process

  func start() {
    guard !isAlive else { return }
    isAlive = true
    guard fleet.shared == nil else { return join() }
    run += 1
    let unfinished = fleet.store.unfinished
    fleet.record(.coordinatorStarted(unfinished.map(StoredTask.init)))
    begin(unfinished)
    handles(.tick)
  }

  private func begin(_ unfinished: [UnfinishedTask]) {
    do {
      core = try CoordinatorCore(
        configuration: options.coordinator, unfinished: unfinished, tests: fleet.store.tests,
        handlers: [ProbeHandler(log: fleet.probes, run: "\(index)/\(run)")],
        random: fleet.random.split(), at: now)
    } catch { preconditionFailure("\(error)") }
    load.coordinatorStarted(at: now)
    tickAt = .distantFuture
  }

  /// Nobody is let in before the store has let this coordinator in.
  private func join() {
    guard let shared = fleet.shared else { return }
    run += 1
    let membership = SimulatedMembership(self, shared)
    self.membership = membership
    if now < storeAwayUntil { membership.away(until: storeAwayUntil) }
    membership.join()
  }

  /// Others have taken over: everything here is forgotten, everyone sent away, and the coordinator joins anew.
  private func fenced() {
    fleet.note("\(name) is fenced")
    fencings += 1
    membership?.end(reached: 0)
    core = nil
    run += 1
    for link in openLinks { link.closeByCoordinator("restarting", retryAfter: .milliseconds(50)) }
    links = [:]
    join()
  }

  /// The store cannot be reached from here until then.
  func loseStore(until time: Instant) {
    storeAwayUntil = max(storeAwayUntil, time)
    membership?.away(until: time)
  }

  func start(after pause: Duration) {
    fleet.schedule(at: now + pause) { [unowned self] in start() }
  }

  /// `kill -9`: what was not committed is gone, unless the disk was just done with it.
  func crash() { end(inOrder: false) }

  private func end(inOrder: Bool) {
    guard isAlive else { return }
    isAlive = false
    core = nil
    run += 1
    isFrozen = false
    inbox = []
    if let membership {
      if inOrder {
        membership.leave()
      } else {
        membership.end(reached: Int.random(in: 0...membership.line.waiting, using: &fleet.random))
      }
      self.membership = nil
    }
    let reached = inOrder ? commits.count : Int.random(in: 0...commits.count, using: &fleet.random)
    for commit in commits.prefix(reached) { fleet.store.apply(commit.writes) }
    commits = []
    committedAt = now
    for link in openLinks { link.cut() }
    links = [:]
  }

  /// Everyone is cut off and refused for a while.
  func refuseEveryone(for time: Duration) {
    refusesUntil = max(refusesUntil, now + time)
    for link in openLinks { link.cut() }
  }

  /// SIGTERM: connections are closed one after the other with a hint, and then the process ends.
  func drain(within window: Duration, ended: @escaping (SimulatedCoordinator) -> Void) {
    guard core != nil, !isFrozen else { return }
    handles(.drain)
    refusesUntil = max(refusesUntil, now + window)
    let run = self.run
    let open = openLinks
    for (index, link) in open.enumerated() {
      fleet.schedule(at: now + window * index / max(1, open.count)) { [unowned self] in
        guard run == self.run, links.removeValue(forKey: link.id) != nil else { return }
        link.closeByCoordinator("restarting", retryAfter: window)
        handles(.disconnected(link.id))
      }
    }
    fleet.schedule(at: now + window) { [unowned self] in
      guard run == self.run else { return }
      end(inOrder: true)
      ended(self)
    }
  }

  /// The process stands still; what is sent to it waits.
  func freeze() { if isAlive { isFrozen = true } }

  func thaw() {
    guard isFrozen else { return }
    isFrozen = false
    let waiting = inbox
    inbox = []
    for arrival in waiting { arrives(arrival) }
    handles(.tick)
  }

  // MARK: What happens to its core

  func handles(_ event: CoordinatorEvent) {
    guard let core else { return }
    guard !isFrozen else { return event == .tick ? () : inbox.append(.event(event)) }
    feed(event)
    feed(.turnEnded)
    wakeUp(at: max(membership?.cluster?.nextDeadline ?? core.nextDeadline, now))
  }

  /// Something comes from the store, or from others by way of it.
  func arrives(_ arrival: Arrival) {
    guard isAlive else { return }
    guard !isFrozen else { return inbox.append(arrival) }
    switch arrival {
    case .event(let event): handles(event)
    case .cluster(let event):
      guard let cluster = membership?.cluster else { return }
      fleet.mark(event.number)
      if options.traces { fleet.note("\(name) ◁ \(event.summary)") }
      membership?.feed(event, perform)
      feed(.turnEnded)
      wakeUp(at: max(cluster.nextDeadline, now))
    case .joined(let id, let asked):
      fleet.note("\(name) is member \(id)")
      begin([])
      if let core { membership?.begin(id, core, asked: asked) }
      handles(.tick)
    case .fenced: fenced()
    }
  }

  private func wakeUp(at deadline: Instant) {
    guard deadline < tickAt || tickAt <= now else { return }
    tickAt = deadline
    let run = self.run
    fleet.schedule(at: deadline) { [unowned self] in
      guard run == self.run, tickAt == deadline else { return }
      tickAt = .distantFuture
      measure()
      handles(.tick)
    }
  }

  private func measure() {
    guard options.checks, let core else { return }
    // Answers may go beyond an outbox's limit up to four times: what a peer asked for cannot be held back.
    let limit = options.coordinator.outbox.maxMessages * 4
    fleet.record(.measured("the largest outbox", owner: "the \(name)", value: core.largestOutbox, limit: limit))
  }

  private func feed(_ event: CoordinatorEvent) {
    if case .received(_, let bytes) = event {
      load.received(at: now)
      fleet.mark(bytes)
    } else if event != .turnEnded {
      fleet.mark(event.number)
    }
    if options.traces, event != .turnEnded, event != .tick { fleet.note("\(name) ◀ \(event.summary)") }
    if let membership { return membership.feed(.coordinator(event), perform) }
    core?.handle(event, at: now, wall: fleet.wall, into: &effects)
    var todo: [CoordinatorEffect] = []
    swap(&todo, &effects)
    for effect in todo { perform(effect) }
    todo.removeAll(keepingCapacity: true)
    if effects.isEmpty { swap(&todo, &effects) }
  }

  private func perform(_ effect: CoordinatorEffect) {
    switch effect {
    case .send(let id, let bytes):
      load.sent(at: now)
      links[id]?.sendDown(bytes)
    case .close(let id, let code, let reason):
      fleet.closed(code, reason)
      links.removeValue(forKey: id)?.closeByCoordinator(
        reason, retryAfter: RetryHint.delay(ofClose: code, reason: reason))
    case .commit(let id, let writes): commit(id, writes)
    case .findTasks(let request, let ids):
      let run = self.run
      fleet.schedule(at: committedAt + fleet.draw(options.commitDelay)) { [unowned self] in
        if run == self.run { handles(.found(request, fleet.store.existing(ids))) }
      }
    case .answer(let request, let answer): fleet.answered(request, answer)
    case .notice(let notice): fleet.noticed(notice)
    case .log(let entry): fleet.logged(entry, by: self)
    case .trace(let trace): fleet.record(HistoryEvent(trace), by: membership?.id)
    // No task here has files, and the others are the cluster core's own.
    case .findFiles, .gather, .handedOver, .handOverRefused: break
    }
  }

  private func commit(_ id: BatchID, _ writes: [StoreWrite]) {
    if let membership { return membership.commit(id, writes) }
    let run = self.run
    fleet.record(.commitBegun(batch: id.number, writes.map(StoredChange.init)))
    commits.append((id: id, writes: writes))
    committedAt = max(committedAt, now + fleet.draw(options.commitDelay))
    fleet.schedule(at: committedAt) { [unowned self] in
      guard run == self.run, let commit = commits.first else { return }
      commits.removeFirst()
      fleet.store.apply(commit.writes)
      fleet.record(.committed(batch: commit.id.number))
      handles(.committed(commit.id))
    }
  }

  // MARK: Connections

  /// A connection whose first bytes have come; the worker is told, and then the core is.
  func accept(_ link: SimulatedLink, channel: ChannelSecret?) {
    links[link.id] = link
    link.worker.link = link
    link.down(.connected(.session, channel: channel))
  }

  func registered(_ worker: SimulatedWorker) { load.registered(at: now) }
}

extension CoordinatorEvent {
  var summary: String {
    switch self {
    case .received(let id, let bytes): "\(id) \(String(decoding: bytes, as: UTF8.self))"
    default: "\(self)"
    }
  }

  /// Tells events apart in a fingerprint.
  var number: UInt64 {
    switch self {
    case .connected(let id, _, _, _, _): id.number << 3
    case .received(let id, _): id.number << 3 | 1
    case .disconnected(let id): id.number << 3 | 2
    case .committed(let id): id.number << 3 | 3
    case .request(let id, _): id.number << 3 | 4
    case .found(let id, _): id.number << 3 | 5
    case .drain: 15
    case .lookupFailed(let id): id.number << 4 | 10
    case .tick: 6
    case .turnEnded: 7
    case .sendingHeldBack(let id, let isHeldBack): id.number << 4 | (isHeldBack ? 14 : 15)
    case .adopted(let tasks): UInt64(tasks.count) << 5 | 16
    case .gathered(let id, _, _): id.number << 5 | 17
    case .handOver: 18
    case .testFates: 19
    case .filesFound(.request(let id)): id.number << 5 | 20
    case .filesFound(.worker(let id)): id.number << 5 | 21
    }
  }
}

extension ClusterEvent {
  var summary: String {
    switch self {
    case .claimed(let tasks): "claimed \(tasks.map { $0.task.id.text })"
    case .gathered(let worker, let gathering):
      "gathered \(worker): \(gathering.tasks.map { $0.task.id.text }), held by \(gathering.heldBy.sorted())"
    case .renewed(let renewal):
      "renewed: \(renewal.members.map(\.id)), taken over \(renewal.takenOver.map { $0.task.id.text })"
    default: "\(self)"
    }
  }

  /// Tells events apart in a fingerprint.
  var number: UInt64 {
    switch self {
    case .coordinator(let event): event.number
    case .renewed(let renewal): UInt64(renewal.takenOver.count) << 4 | 1
    case .claimed(let tasks): UInt64(tasks.count) << 4 | 2
    case .gathered(_, let gathering): UInt64(gathering.tasks.count) << 4 | 3
    case .located(let request, _): request.number << 4 | 4
    case .poolNeeds(let needs): UInt64(needs.count) << 4 | 5
    case .message(_, let member): UInt64(bitPattern: member.number) << 4 | 6
    case .poolChanged: 7
    case .memberLeft: 8
    case .mayHaveMissed: 9
    case .watching: 10
    case .testFates: 11
    case .wanted: 12
    case .calledRoll: 13
    }
  }
}
