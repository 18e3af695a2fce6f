import CoordinationCore

/// Commits of one coordinator of which the history has not told yet what became of them, in their order.
struct PendingCommits: Sendable {
  struct Batch: Sendable {
    let number: UInt64
    let changes: [StoredChange]
    /// Something has shown that the store has it; nobody has said so yet.
    var isApplied = false
    /// Others had taken over from its coordinator when it was begun: the store will not have it.
    let isVoid: Bool
  }

  private(set) var batches: [Batch] = []

  mutating func append(_ number: UInt64, _ changes: [StoredChange], isVoid: Bool) {
    batches.append(Batch(number: number, changes: changes, isVoid: isVoid))
  }

  mutating func takeFirst(_ number: UInt64) -> Batch? {
    guard let first = batches.first, first.number == number else { return nil }
    return batches.removeFirst()
  }

  /// The first that are not known to be in the store, up to and with the last of `count`.
  mutating func apply(_ count: Int) -> [[StoredChange]] {
    var changes: [[StoredChange]] = []
    for index in batches.indices.prefix(count) where !batches[index].isApplied && !batches[index].isVoid {
      batches[index].isApplied = true
      changes.append(batches[index].changes)
    }
    return changes
  }
}

/// Several coordinators that share a store: who has which task, and what is to be believed of their commits.
extension HistoryChecker {
  mutating func taken(_ tasks: [StoredTask], _ how: Taking, by member: MemberID?) {
    guard let member else { return breaks(.oneMember, "tasks were taken by nobody: the history names no member") }
    statistics.taken[how, default: 0] += tasks.count
    if options.commitsAreExact, ended.contains(member), !tasks.isEmpty {
      breaks(.oneMember, "member \(member) was given tasks after it had ended")
    }
    for task in tasks { taken(task, how, by: member) }
  }

  private mutating func taken(_ task: StoredTask, _ how: Taking, by member: MemberID) {
    let isAsShown = { (entry: StoreModel.Entry?) in
      entry.map { $0.isAs(task) && ($0.owner == nil || $0.owner == member) } ?? false
    }
    if store[task.id] == nil || !isAsShown(store[task.id]) { settle(task.id, isAsShown) }
    guard let entry = store[task.id] else {
      if options.commitsAreExact { breaks(.isKept, "task \(task.id) was taken, and never stored") }
      // It is older than the history.
      return store.take(task, by: member)
    }
    // It may have a commit under way itself.
    if entry.owner == member, !options.commitsAreExact { return }
    if let owner = entry.owner, owner != member { takeOver(task, from: owner, how, by: member) }
    if let entry = store[task.id], !entry.isAs(task) {
      breaks(
        .isKept,
        "task \(task.id) was \(StoreModel.text(entry)), and is \(StoreModel.text(task)) for member \(member)")
    }
    store.take(task, by: member)
  }

  private mutating func takeOver(_ task: StoredTask, from owner: MemberID, _ how: Taking, by member: MemberID) {
    if !ended.contains(owner), options.commitsAreExact {
      breaks(.oneMember, "task \(task.id) was \(how.rawValue) by member \(member) while it was member \(owner)'s")
      return
    }
    // Nobody but the store need have told of the end; from here on no commit that the owner begins may happen. Those that
    // it had begun may have, whoever heard of it.
    settle(task.id) { $0.map { $0.isAs(task) } ?? false }
    ended.insert(owner)
  }

  /// Believes of commits under way what it takes for `isTrue` to hold of a task, if that can be.
  mutating func settle(_ id: TaskID, _ isTrue: (StoreModel.Entry?) -> Bool) {
    guard !options.commitsAreExact, !isTrue(store[id]) else { return }
    for (member, commits) in pending {
      guard let member else { continue }
      var changes: [StoredChange] = []
      for (index, batch) in commits.batches.enumerated() where !batch.isApplied && !batch.isVoid {
        guard batch.changes.contains(where: { $0.task == id }) else { continue }
        changes += batch.changes
        guard isTrue(store.previewed(id, changes, by: member)) else { continue }
        for batch in pending[member]?.apply(index + 1) ?? [] { apply(leaving(batch, of: member), by: member) }
        return
      }
    }
  }

  /// Those of a member's changes that it could still make. What others took from it had them already, or never will.
  mutating func leaving(_ changes: [StoredChange], of member: MemberID) -> [StoredChange] {
    var last: [TaskID: (TaskStatus, Int)] = [:]
    var left: [StoredChange] = []
    for change in changes {
      guard let id = change.task, let entry = store[id], entry.owner != member else {
        left.append(change)
        continue
      }
      if case .state(_, let status, let attempt, _) = change { last[id] = (status, attempt) }
      if case .submitted = change { left.append(change) }
    }
    for (id, state) in last.sorted(by: { $0.key < $1.key }) {
      guard let taken = store[id]?.takenAs, state != (taken.status, taken.attempt) else { continue }
      breaks(.oneMember, "member \(member) changed task \(id) to \(state.0.rawValue) after another had taken it")
    }
    return left
  }
}
