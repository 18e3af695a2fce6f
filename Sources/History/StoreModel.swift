import CoordinationCore

/// What a store must hold after the changes that it was told of, and whether those changes were allowed.
struct StoreModel {
  struct Entry: Equatable {
    var status = TaskStatus.queued
    var attempt = 0
    var worker: WorkerID?
    var checkpoint: CheckpointKey?
    /// Of the newest attempt that there is a record of.
    var recordedAttempt = 0
    var outcome = AttemptRecord.Outcome.running
    var resumedFrom: CheckpointKey?
    /// Where several coordinators share the store: whose it is; `nil`: the pool's.
    var owner: MemberID?
    /// What it was when its owner took it over; `nil` once the owner has written.
    var takenAs: StoredTask?

    func isAs(_ stored: StoredTask) -> Bool {
      status == stored.status && attempt == stored.attempt && checkpoint == stored.checkpoint
        && (!status.isHeld || worker == stored.worker)
    }
  }

  private(set) var entries: [TaskID: Entry] = [:]
  private(set) var unfinished: Set<TaskID> = []

  subscript(id: TaskID) -> Entry? { entries[id] }

  /// Applies one batch.
  /// - Parameter member: whose it is, where several coordinators share the store.
  mutating func apply(
    _ changes: [StoredChange], by member: MemberID? = nil, _ report: (Violation.Rule, String) -> Void
  ) {
    for change in changes where member.map({ isFor($0, change, report) }) ?? true { apply(change, report) }
    // Within a batch the order of an attempt and its task's state is free; after it they agree.
    for case .state(let id, _, let attempt, _) in changes where attempt > 0 {
      if let entry = entries[id], entry.recordedAttempt != entry.attempt {
        report(.newestAttemptWrites, "task \(id) is at attempt \(entry.attempt), of which there is no record")
      }
    }
  }

  /// Whether a member of a shared store may have made the change, and whether there is anything to it.
  private mutating func isFor(
    _ member: MemberID, _ change: StoredChange, _ report: (Violation.Rule, String) -> Void
  ) -> Bool {
    guard let id = change.task, let entry = entries[id] else { return true }
    // Whoever submits again, at whichever coordinator, changes nothing.
    if case .submitted = change { return false }
    guard entry.owner == member else {
      report(.oneMember, "member \(member) wrote about task \(id), which is \(Self.text(entry.owner))")
      return false
    }
    entries[id]?.takenAs = nil
    return true
  }

  private mutating func apply(_ change: StoredChange, _ report: (Violation.Rule, String) -> Void) {
    switch change {
    case .submitted(let id):
      guard entries[id] == nil else { return report(.endsOnce, "task \(id) was submitted twice") }
      entries[id] = Entry()
      unfinished.insert(id)
    case .state(let id, let status, let attempt, let worker): update(id, status, attempt, worker, report)
    case .attempt(let key, let outcome, _, let from): record(key, outcome, from, report)
    case .checkpoint(let id, let key):
      guard mayWrite(id, key.attempt, "checkpoint \(key)", report) else { return }
      if let newest = entries[id]?.checkpoint, newest >= key {
        report(.newestAttemptWrites, "checkpoint \(key) of task \(id) was stored after \(newest)")
      }
      entries[id]?.checkpoint = key
    case .released(let id):
      if let status = entries[id]?.status, status != .queued {
        report(.oneMember, "task \(id) was given back to the pool while it was \(status.rawValue)")
      }
      entries[id]?.owner = nil
    case .transferred(let id, let member): entries[id]?.owner = member
    case .other: break
    case .output(let key): _ = mayWrite(key.taskID, key.attempt, "output", report)
    }
  }

  private mutating func update(
    _ id: TaskID, _ status: TaskStatus, _ attempt: Int, _ worker: WorkerID?, _ report: (Violation.Rule, String) -> Void
  ) {
    guard var entry = entries[id] else { return report(.isKept, "task \(id) changed and was never stored") }
    guard !entry.status.isTerminal else {
      return report(.endsOnce, "task \(id) had ended as \(entry.status.rawValue) and became \(status.rawValue)")
    }
    if attempt < entry.attempt || attempt > entry.attempt + 1 {
      report(.newestAttemptWrites, "task \(id) went from attempt \(entry.attempt) to \(attempt)")
    }
    entry.status = status
    entry.attempt = attempt
    entry.worker = worker
    entries[id] = entry
    if status.isTerminal { unfinished.remove(id) }
  }

  private mutating func record(
    _ key: AttemptKey, _ outcome: AttemptRecord.Outcome, _ from: CheckpointKey?,
    _ report: (Violation.Rule, String) -> Void
  ) {
    guard var entry = entries[key.taskID] else { return report(.isKept, "attempt \(key) of a task never stored") }
    if entry.status.isTerminal {
      return report(.endsOnce, "a record of attempt \(key) was written after its task had ended")
    }
    guard key.attempt == entry.attempt || key.attempt == entry.attempt + 1 else {
      return report(.newestAttemptWrites, "a record of attempt \(key) where the task is at \(entry.attempt)")
    }
    if key.attempt > entry.recordedAttempt {
      if from != entry.checkpoint {
        let (said, newest) = (Self.text(from), Self.text(entry.checkpoint))
        report(.resumesFromNewest, "attempt \(key) is to start from \(said), and the newest is \(newest)")
      }
      entry.resumedFrom = from
    }
    entry.recordedAttempt = key.attempt
    entry.outcome = outcome
    entries[key.taskID] = entry
  }

  private func mayWrite(
    _ id: TaskID, _ attempt: Int, _ what: String, _ report: (Violation.Rule, String) -> Void
  ) -> Bool {
    guard let entry = entries[id] else {
      report(.isKept, "\(what) of task \(id), which was never stored")
      return false
    }
    guard !entry.status.isTerminal else {
      report(.endsOnce, "\(what) of attempt \(id)/\(attempt) was stored after its task had ended")
      return false
    }
    guard attempt == entry.attempt else {
      report(.newestAttemptWrites, "\(what) of attempt \(id)/\(attempt) was stored while \(entry.attempt) is newest")
      return false
    }
    return true
  }

  static func text(_ owner: MemberID?) -> String { owner.map { "member \($0)'s" } ?? "the pool's" }
  static func text(_ key: CheckpointKey?) -> String { key.map { "checkpoint \($0)" } ?? "no checkpoint" }

  // MARK: A store that was opened again

  /// How many of `batches`, which were under way when the process ended, the store took: the most with which it is as it
  /// shows itself. `nil` if with none of them.
  func taken(_ batches: [[StoredChange]], shown: [TaskID: StoredTask]) -> Int? {
    let touched = Set(batches.joined().compactMap(\.task))
    var model = StoreModel()
    for id in touched { model.entries[id] = entries[id] }
    var best = model.matches(touched, shown) ? 0 : nil
    for (index, batch) in batches.enumerated() {
      model.apply(batch) { _, _ in }
      if model.matches(touched, shown) { best = index + 1 }
    }
    return best
  }

  private func matches(_ tasks: Set<TaskID>, _ shown: [TaskID: StoredTask]) -> Bool {
    tasks.allSatisfy { id in
      guard let entry = entries[id], !entry.status.isTerminal else { return shown[id] == nil }
      return shown[id].map(entry.isAs) ?? false
    }
  }

  /// Compares everything that has not ended with what the store shows, and goes on from there.
  mutating func reopen(_ shown: [TaskID: StoredTask], _ report: (Violation.Rule, String) -> Void) {
    for id in unfinished.sorted() {
      guard let entry = entries[id] else { continue }
      guard let stored = shown[id] else {
        report(.isKept, "task \(id) was \(entry.status.rawValue), and the store that was opened again has it not")
        continue
      }
      guard !entry.isAs(stored) else { continue }
      report(.isKept, "task \(id) was stored as \(Self.text(entry)), and is \(Self.text(stored)) after a restart")
      entries[id]?.status = stored.status
      entries[id]?.attempt = stored.attempt
      entries[id]?.worker = stored.worker
      entries[id]?.checkpoint = stored.checkpoint
    }
    for (id, _) in shown where !unfinished.contains(id) {
      let end = entries[id].map { "had ended as \($0.status.rawValue)" } ?? "was never stored"
      report(.endsOnce, "task \(id) \(end), and has not after a restart")
    }
  }

  /// A member of a shared store has the task from here on, as the store has it.
  mutating func take(_ stored: StoredTask, by member: MemberID) {
    if entries[stored.id] == nil { adopt([stored]) }
    entries[stored.id]?.owner = member
    entries[stored.id]?.takenAs = stored
  }

  /// What would become of one task with `changes`.
  func previewed(_ id: TaskID, _ changes: [StoredChange], by member: MemberID) -> Entry? {
    var model = StoreModel()
    model.entries[id] = entries[id]
    model.apply(changes.filter { $0.task == id }, by: member) { _, _ in }
    return model.entries[id]
  }

  /// Takes over what a store held before the history began.
  mutating func adopt(_ shown: [StoredTask]) {
    for stored in shown {
      entries[stored.id] = Entry(
        status: stored.status, attempt: stored.attempt, worker: stored.worker, checkpoint: stored.checkpoint,
        recordedAttempt: stored.attempt)
      if !stored.status.isTerminal { unfinished.insert(stored.id) }
    }
  }

  static func text(_ entry: Entry) -> String {
    "\(entry.status.rawValue), attempt \(entry.attempt), \(text(entry.checkpoint))"
  }

  static func text(_ stored: StoredTask) -> String {
    "\(stored.status.rawValue), attempt \(stored.attempt), \(text(stored.checkpoint))"
  }
}

extension StoredChange {
  /// The task that changes; `nil` for what is about none.
  var task: TaskID? {
    switch self {
    case .submitted(let id), .state(let id, _, _, _), .checkpoint(let id, _), .released(let id),
      .transferred(let id, _):
      id
    case .attempt(let key, _, _, _), .output(let key): key.taskID
    case .other: nil
    }
  }
}
