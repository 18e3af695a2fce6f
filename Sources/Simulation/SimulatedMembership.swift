import CoordinationCore
import History
import Primitives

/// One run of a coordinator as a member of a shared store, from its joining to its end or to its being fenced: the core
/// that several coordinators need, and what it asks of the store.
final class SimulatedMembership {
  unowned let coordinator: SimulatedCoordinator
  let line: SimulatedStoreLine
  private(set) var id: MemberID?
  private(set) var cluster: ClusterCore?
  private let store: SimulatedSharedStore
  private var effects: [ClusterEffect] = []
  private var fleet: SimulatedFleet { coordinator.fleet }

  init(_ coordinator: SimulatedCoordinator, _ store: SimulatedSharedStore) {
    self.coordinator = coordinator
    self.store = store
    line = SimulatedStoreLine(coordinator.fleet)
  }

  private var shortDelay: Duration { store.draw(500...8_000) }

  func join() {
    let asked = fleet.now
    line.ask(shortDelay) { [self] in
      let id = store.join(name: coordinator.name, lease: fleet.options.cluster.lease)
      if !line.isDeaf { store.listen(id) { [self] signal in hear(signal) } }
      return { [self] in coordinator.arrives(.joined(id, asked: asked)) }
    }
  }

  /// The store has let it in.
  func begin(_ id: MemberID, _ core: CoordinatorCore, asked: Instant) {
    self.id = id
    cluster = ClusterCore(
      core, member: id, configuration: fleet.options.cluster, joinedAt: asked, at: fleet.now)
  }

  private func hear(_ signal: SimulatedSharedStore.StoreSignal) {
    guard coordinator.membership === self, !line.isAway else { return }
    switch signal {
    case .message(let message, let member): coordinator.arrives(.cluster(.message(message, from: member)))
    case .poolChanged: coordinator.arrives(.cluster(.poolChanged))
    case .memberLeft: coordinator.arrives(.cluster(.memberLeft))
    case .mayHaveMissed: coordinator.arrives(.cluster(.mayHaveMissed))
    }
  }

  /// The store is away from here until then.
  func away(until time: Instant) {
    line.away(until: time)
    fleet.schedule(at: time + .milliseconds(5)) { [weak self] in
      if let self, !line.isAway { hear(.mayHaveMissed) }
    }
  }

  /// The process has ended.
  func end(reached: Int) {
    line.close(reached: reached)
    if let id { store.stopListening(id) }
    cluster = nil
  }

  /// The process ends in order: what it asked for is done, and it leaves.
  func leave() {
    let isAway = line.isAway
    line.finish()
    guard let id else { return }
    store.stopListening(id)
    if !isAway { store.leave(id) }
    cluster = nil
  }

  // MARK: What happens to it

  func feed(_ event: ClusterEvent, _ perform: (CoordinatorEffect) -> Void) {
    cluster?.handle(event, at: fleet.now, wall: fleet.wall, into: &effects)
    var todo: [ClusterEffect] = []
    swap(&todo, &effects)
    for effect in todo {
      if case .coordinator(let effect) = effect { perform(effect) } else { ask(effect) }
    }
    todo.removeAll(keepingCapacity: true)
    if effects.isEmpty { swap(&todo, &effects) }
  }

  private func ask(_ effect: ClusterEffect) {
    guard let id else { return }
    switch effect {
    case .coordinator, .changedElsewhere, .changedManyElsewhere, .callRoll, .rolled, .abilities: break
    case .testFates: question({ [store] in store.isMember(id) ? store.tasks.tests : nil }) { .testFates($0) }
    case .renew:
      question({ [self] in store.renew(id, lease: fleet.options.cluster.lease) }) { .renewed($0) }
    case .claim(let wishes, let limit, let overdueBefore):
      question({ [store] in store.claim(id, wishes, limit: limit, overdueBefore: overdueBefore) }) { .claimed($0) }
    case .gather(let worker): question({ [store] in store.gather(id, worker) }) { .gathered(worker, $0) }
    case .locate(let request, let task): question({ [store] in store.locate(id, task) }) { .located(request, $0) }
    case .poolNeeds: question({ [store] in store.poolNeeds(id) }) { .poolNeeds($0) }
    case .send(let message, let member): if !line.isAway { store.send(message, from: id, to: member) }
    }
  }

  private func question<Answer>(
    _ takeEffect: @escaping () -> Answer?, _ event: @escaping (Answer) -> ClusterEvent
  ) {
    line.ask(shortDelay) { [self] in
      guard let answer = takeEffect() else { return { [self] in coordinator.arrives(.fenced) } }
      return { [self] in coordinator.arrives(.cluster(event(answer))) }
    }
  }

  func commit(_ batch: BatchID, _ writes: [StoreWrite]) {
    guard let id else { return }
    fleet.record(.commitBegun(batch: batch.number, writes.map(StoredChange.init)), by: id)
    line.ask(fleet.draw(fleet.options.commitDelay)) { [self] in
      guard store.commit(id, writes) else { return { [self] in coordinator.arrives(.fenced) } }
      fleet.record(.committed(batch: batch.number), by: id)
      return { [self] in coordinator.arrives(.cluster(.coordinator(.committed(batch)))) }
    }
  }
}
