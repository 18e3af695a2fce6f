public import Primitives

/// A coordinator among others that share a store: `CoordinatorCore`, and around it everything that several need to be one.
///
///     events ─▶ ClusterCore ─▶ CoordinatorCore ─▶ effects ─┬─▶ sockets and commits, as ever
///                  ▲                                        └─▶ questions to the store, messages to members
///                  └───────── answers, messages ◀───────────────────┘
///
/// It stays a member by renewing its lease, claims what its workers have room for, fetches the tasks of workers that come
/// from elsewhere and hands over those of workers that went, and passes on what is asked of tasks that others hold. The
/// store answers in the order of the questions, commits among them. Nothing here decides about a task: whoever holds one
/// does, and who that is, is the store's to say.
public final class ClusterCore {
  public let core: CoordinatorCore
  public let me: MemberID
  public let configuration: ClusterConfiguration
  /// Those that are, as of the last renewal; this one among them.
  public private(set) var members: [MemberID: Member] = [:]
  private var renewsAt: Instant
  private var isRenewing = false
  private var mustRenewAgain = false
  /// When the last renewal that succeeded was asked for: the lease counts from no earlier.
  private var confirmedAt: Instant
  private var renewalAskedAt: Instant = .zero
  private var gatherings = Gatherings()
  private var claims: Claims
  private var orders = Orders()
  private var changes = ChangeFeed()
  private var fates: Fates
  private var abilities = Abilities()
  private var rolls = RollCalls()
  /// Tasks that were put into the pool by the commits under way.
  private var submitted: [BatchID: [TaskID]] = [:]
  /// Needs of what was claimed and may come back to the pool in the same turn.
  private var justClaimed: [TaskID: TaskNeeds] = [:]
  private var now: Instant
  private var wall = WallTime(milliseconds: 0)
  private var inner: [CoordinatorEffect] = []
  private var effects: [ClusterEffect] = []

  /// - Parameters:
  ///   - core: one whose configuration says that it shares its store, and that knows no tasks yet: they come with the
  ///     first renewal.
  ///   - joinedAt: when membership was asked for.
  public init(
    _ core: CoordinatorCore, member: MemberID, configuration: ClusterConfiguration = ClusterConfiguration(),
    joinedAt: Instant, at now: Instant
  ) {
    self.core = core
    me = member
    self.configuration = configuration
    confirmedAt = joinedAt
    renewsAt = now
    fates = Fates(interval: configuration.fatesInterval, at: now)
    claims = Claims(pollInterval: configuration.pollInterval, at: now)
    self.now = now
  }

  /// When a `.coordinator(.tick)` is due at the latest.
  public var nextDeadline: Instant {
    let renewal = isRenewing ? Instant.distantFuture : renewsAt
    return min(
      min(min(core.nextDeadline, fates.nextDeadline), renewal), min(gatherings.nextDeadline, orders.nextDeadline),
      min(claims.nextDeadline, changes.nextDeadline), min(abilities.nextDeadline, rolls.nextDeadline))
  }

  private var others: Set<MemberID> { Set(members.keys).subtracting([me]) }

  /// Whether it is a member for certain, by its own clock.
  public var isMember: Bool { now < confirmedAt + configuration.lease }

  public func handle(
    _ event: ClusterEvent, at now: Instant, wall: WallTime, into effects: inout [ClusterEffect]
  ) {
    self.now = max(now, self.now)
    self.wall = wall
    swap(&self.effects, &effects)
    core.mayRenewLeases = !core.configuration.exclusiveLeases || isMember
    switch event {
    case .coordinator(let event): pass(event)
    case .renewed(let renewal): renewed(renewal)
    case .claimed(let tasks): claimed(tasks)
    case .gathered(let worker, let gathering):
      let isMember = { [members] (member: MemberID) in members[member] != nil }
      for event in gatherings.gathered(worker, gathering, isMember: isMember, at: self.now, &self.effects) {
        feed(event)
      }
    case .located(let id, let place): located(id, place)
    case .poolNeeds(let needs): claims.found(needs)
    case .testFates(let tests):
      let waited = fates.found(isKnown: tests != nil, at: self.now, &self.effects)
      if let tests { feed(.testFates(tests)) }
      adopt(waited)
    case .message(let message, let member): received(message, from: member)
    case .poolChanged: claims.poolChanged()
    case .memberLeft: renewSoon()
    case .mayHaveMissed:
      claims.poolChanged()
      changes.mayHaveMissed(members.keys.filter { $0 != me }, at: self.now, &self.effects)
      // What was told meanwhile may not have been heard either.
      self.effects.append(.send(.changedMany, to: nil))
      self.effects.append(.changedManyElsewhere)
    case .watching(let watching): changes.setWatching(watching, at: self.now, &self.effects)
    case .wanted(let id, let needs):
      abilities.want(
        needs, for: id, others: members.isEmpty ? nil : others, at: self.now, own: core.ability, &self.effects)
    case .calledRoll(let id, let call, let own):
      rolls.call(call, for: id, own: own, others: others, at: self.now, &self.effects)
    }
    swap(&self.effects, &effects)
  }

  // MARK: The coordinator

  private func pass(_ event: CoordinatorEvent) {
    switch event {
    case .request(let id, let request): orders.asked(id, request)
    case .tick: tick()
    case .turnEnded:
      feed(event)
      claims.cameBack(Set(justClaimed.filter { core.liveTask($0.key) == nil }.values), at: now)
      justClaimed = [:]
      return claims.step(core, at: now, wall: wall, &effects)
    default: break
    }
    feed(event)
    guard case .committed(let batch) = event else { return }
    fates.committed(batch, &effects)
    guard let tasks = submitted.removeValue(forKey: batch) else { return }
    changes.submitted(tasks, &effects)
    changes.note(tasks, at: now)
  }

  private func feed(_ event: CoordinatorEvent) {
    core.handle(event, at: now, wall: wall, into: &inner)
    var todo: [CoordinatorEffect] = []
    swap(&todo, &inner)
    for effect in todo { perform(effect) }
    todo.removeAll(keepingCapacity: true)
    swap(&todo, &inner)
  }

  private func perform(_ effect: CoordinatorEffect) {
    switch effect {
    case .gather(let connection, let worker, let bootID):
      gatherings.begin(worker, connection, bootID: bootID, &effects)
    case .handedOver(let worker, let member): effects.append(.send(.handedOver(worker), to: member))
    case .handOverRefused(let worker, let member, let reason):
      effects.append(.send(.handOverRefused(worker, reason: reason), to: member))
    case .answer(let id, let answer):
      orders.answered(
        id, answer, others: others, knows: { core.workerSummary($0) != nil }, at: now, &effects)
    case .commit(let batch, let writes):
      note(batch, writes)
      effects.append(.coordinator(effect))
    case .notice(let notice):
      if changes.hasWatchers { note(notice) }
      effects.append(.coordinator(effect))
    case .send, .close, .findTasks, .findFiles, .log, .trace: effects.append(.coordinator(effect))
    }
  }

  private func note(_ batch: BatchID, _ writes: [StoreWrite]) {
    fates.committing(batch, writes)
    var tasks: [TaskID] = []
    var needs: [TaskNeeds] = []
    for case .submit(let task) in writes {
      tasks.append(task.id)
      let need = TaskNeeds(task.specification)
      if needs.last != need { needs.append(need) }
    }
    guard !tasks.isEmpty else { return }
    submitted[batch] = tasks
    // Asked for behind the commit, they are there.
    claims.learn(needs)
  }

  private func note(_ notice: CoordinatorNotice) {
    switch notice {
    case .taskChanged(let task): changes.note(CollectionOfOne(task.id), at: now)
    case .outputAppended(let id, _, _, _, _), .checkpointStored(let id, _): changes.note(CollectionOfOne(id), at: now)
    case .workerRegistered, .workerDisconnected, .workerDraining, .workerLost, .staleAttemptRefused: break
    }
  }

  // MARK: Membership

  private func renewSoon() {
    if isRenewing { mustRenewAgain = true } else { renewsAt = now }
    renewIfDue()
  }

  private func renewIfDue() {
    guard !isRenewing, now >= renewsAt else { return }
    isRenewing = true
    renewalAskedAt = now
    effects.append(.renew)
  }

  private func renewed(_ renewal: MembershipRenewal) {
    isRenewing = false
    confirmedAt = max(confirmedAt, renewalAskedAt)
    renewsAt = mustRenewAgain ? now : renewalAskedAt + configuration.renewInterval
    mustRenewAgain = false
    let old = members
    members = Dictionary(renewal.members.map { ($0.id, $0) }) { _, newest in newest }
    // Whoever has died may have committed something that it told nobody any more.
    if old.keys.contains(where: { members[$0] == nil }) { effects.append(.changedManyElsewhere) }
    let new = members.keys.filter { old[$0] == nil && $0 != me }
    if !new.isEmpty || old.isEmpty { changes.mayHaveMissed(new, at: now, &effects) }
    if old.keys != members.keys {
      abilities.membersChanged(others, at: now, &effects)
      rolls.membersChanged(others, &effects)
    }
    guard !renewal.takenOver.isEmpty else { return }
    feed(.adopted(renewal.takenOver))
    effects.append(
      .coordinator(
        .log(
          LogEntry(
            .warning, "took over from a coordinator that is gone", ["tasks": "\(renewal.takenOver.count)"]))))
  }

  private func tick() {
    renewIfDue()
    fates.tick(at: now, &effects)
    gatherings.tick(at: now, &effects)
    orders.tick(at: now, &effects)
    changes.tick(at: now, &effects)
    abilities.tick(at: now, &effects)
    rolls.tick(at: now, &effects)
  }

  // MARK: Answers and messages

  private func claimed(_ tasks: [UnfinishedTask]) {
    claims.claimed(tasks)
    adopt(fates.claimed(tasks, &effects))
  }

  private func adopt(_ tasks: [UnfinishedTask]) {
    guard !tasks.isEmpty else { return }
    for task in tasks { justClaimed[task.task.id] = TaskNeeds(task.task.specification) }
    feed(.adopted(tasks))
  }

  private func located(_ id: RequestID, _ place: TaskPlace) {
    switch place {
    case .nowhere: orders.nowhere(id, &effects)
    case .here(let task):
      feed(.adopted([task]))
      if core.liveTask(task.task.id) == nil {
        // It ended here a moment ago, or goes back to the pool.
        orders.located(id, heldBy: me, isMember: false, at: now, &effects)
      } else if let request = orders.request(id) {
        feed(.request(id, request))
      }
    case .held(let member):
      orders.located(id, heldBy: member, isMember: member != me && members[member] != nil, at: now, &effects)
    }
  }

  private func received(_ message: ClusterMessage, from member: MemberID) {
    switch message {
    case .handOver(let worker, let bootID): feed(.handOver(worker, bootID: bootID, to: member))
    case .handedOver(let worker): gatherings.handedOver(worker, by: member, &effects)
    case .handOverRefused(let worker, let reason): gatherings.refused(worker, reason: reason, &effects)
    case .order(let number, let order):
      // Everybody is asked of a worker; only who knows it need answer.
      if let worker = order.worker, core.workerSummary(worker) == nil { return }
      feed(.request(orders.ordered(number, by: member), order.request))
    case .answer(let number, let answer): orders.answered(number, answer, by: member, &effects)
    case .watching(let watching): changes.heard(watching, from: member, at: now)
    case .changed(let tasks): effects.append(.changedElsewhere(tasks))
    case .changedMany: effects.append(.changedManyElsewhere)
    case .testsChanged: fates.read(&effects)
    case .roll(let number, let call): effects.append(.callRoll(number, call, for: member))
    case .rolled(let number, let workers, let isLast, let total):
      rolls.heard(number, workers, isLast: isLast, total: total, by: member, at: now, &effects)
    case .whoCan(let number, let needs):
      effects.append(.send(.able(number, needs.map(core.ability)), to: member))
    case .able(let number, let able): abilities.heard(number, able, by: member, at: now, &effects)
    }
  }
}
