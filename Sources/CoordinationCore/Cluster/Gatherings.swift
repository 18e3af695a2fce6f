import Primitives

/// Workers that have come here, and whose tasks are being fetched from wherever they are.
///
///     registration ─▶ gather ─▶ nobody else holds any ─▶ the worker may register
///                        ▲            │ others do
///                        └── handed over, or a moment later ◀── asked to hand over
///
/// What a dead member held becomes somebody's when its lease has run out, and is handed over then. Every answer of the
/// store is followed by another question or by the last word, so nothing that became ours on the way is forgotten, even
/// if the worker has left again.
struct Gatherings {
  /// A message may have been lost, or its receiver dead.
  static let patience: Duration = .milliseconds(300)

  private struct Pending {
    var connections: [ConnectionID] = []
    var bootID: String?
    /// Members that were asked and have not answered. What the store says of them may be over in a moment: they may have
    /// given the worker something else that it does not know of yet.
    var awaited: Set<MemberID> = []
    var isAsking = true
    var askAgainAt: Instant = .distantFuture
    var refusal: String?
  }

  private var pending: [WorkerID: Pending] = [:]

  /// No later than the first of them: a herd comes back at once, and is not searched at each of its messages.
  private(set) var nextDeadline: Instant = .distantFuture

  mutating func begin(_ worker: WorkerID, _ connection: ConnectionID, bootID: String?, _ effects: inout [ClusterEffect])
  {
    if pending[worker] == nil { effects.append(.gather(worker)) }
    pending[worker, default: Pending()].connections.append(connection)
    pending[worker]?.bootID = bootID
  }

  /// - Parameter isMember: whether somebody who was asked may still answer.
  /// - Returns: what the coordinator is to be told; empty while others have something of the worker.
  mutating func gathered(
    _ worker: WorkerID, _ gathering: Gathering, isMember: (MemberID) -> Bool, at now: Instant,
    _ effects: inout [ClusterEffect]
  ) -> [CoordinatorEvent] {
    guard var state = pending[worker] else { return [.adopted(gathering.tasks)] }
    state.awaited = state.awaited.filter(isMember).union(gathering.heldBy)
    guard state.refusal != nil || state.awaited.isEmpty else {
      state.isAsking = false
      state.askAgainAt = now + Self.patience
      nextDeadline = min(nextDeadline, state.askAgainAt)
      pending[worker] = state
      for member in state.awaited.sorted() {
        effects.append(.send(.handOver(worker, bootID: state.bootID), to: member))
      }
      return []
    }
    pending[worker] = nil
    var tasks = gathering.tasks
    var events: [CoordinatorEvent] = []
    for connection in state.connections {
      events.append(.gathered(connection, tasks, refusal: state.refusal))
      tasks = []
    }
    return events
  }

  mutating func handedOver(_ worker: WorkerID, by member: MemberID, _ effects: inout [ClusterEffect]) {
    guard pending[worker] != nil else {
      // Nobody waits for it any more, and yet it is ours.
      return effects.append(.gather(worker))
    }
    guard pending[worker]?.awaited.remove(member) != nil, pending[worker]?.awaited.isEmpty == true else { return }
    ask(worker, &effects)
  }

  mutating func refused(_ worker: WorkerID, reason: String, _ effects: inout [ClusterEffect]) {
    guard let state = pending[worker], !state.isAsking else { return }
    pending[worker]?.refusal = reason
    ask(worker, &effects)
  }

  mutating func tick(at now: Instant, _ effects: inout [ClusterEffect]) {
    guard now >= nextDeadline else { return }
    defer { nextDeadline = pending.values.lazy.map(\.askAgainAt).min() ?? .distantFuture }
    for worker in pending.filter({ $0.value.askAgainAt <= now }).keys.sorted() { ask(worker, &effects) }
  }

  private mutating func ask(_ worker: WorkerID, _ effects: inout [ClusterEffect]) {
    guard pending[worker]?.isAsking == false else { return }
    pending[worker]?.isAsking = true
    pending[worker]?.askAgainAt = .distantFuture
    effects.append(.gather(worker))
  }
}
