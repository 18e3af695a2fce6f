import Primitives

/// What is different where several coordinators share a store: a book holds what workers hold, and everything queued is in
/// the store's pool.
extension TaskBook {
  /// A new task, which whoever has room for it claims. Submitted before, it stays as it is.
  mutating func submitToPool(_ id: TaskID, _ specification: TaskSpecification, wall: WallTime) {
    var record = TaskRecord(id: id, specification: specification, submittedAt: wall)
    statistics.submitted += 1
    if let reason = quarantine.reason(specification) {
      record.state = TaskState(status: .failed)
      record.state.reason = reason
      record.state.finishedAt = wall
      statistics.entered(.failed, specification.priority)
    }
    writes.append(.submit(record))
  }

  /// A task of the store is this coordinator's from now on.
  /// - Returns: the task, unless it was known already.
  mutating func adopt(_ unfinished: UnfinishedTask, wall: WallTime) -> LiveTask? {
    guard tasks[unfinished.task.id] == nil else { return nil }
    restore(unfinished)
    guard let task = tasks[unfinished.task.id] else { return nil }
    if task.state.status == .queued, let reason = quarantine.reason(task.specification) {
      finish(task, .failed, reason: reason, wall: wall)
    }
    return task
  }

  /// Queued tasks whose newest attempt was lost with this worker.
  func lastHeld(by worker: WorkerID) -> [LiveTask] {
    guard statistics[.queued] > 0 else { return [] }
    return tasks.values.filter {
      $0.state.status == .queued && $0.state.workerID == worker && $0.attempt?.outcome == .lost
    }.sorted { $0.id < $1.id }
  }

  /// What nobody here can start now goes back to the pool, where somebody else may.
  /// - Parameter mayHaveWords: whether a worker may still say something of a task that it held last.
  mutating func releaseQueued(unless mayHaveWords: (LiveTask, WorkerID) -> Bool) {
    guard statistics[.queued] > 0 else { return }
    for task in tasks.values.filter({ $0.state.status == .queued }).sorted(by: { $0.id < $1.id }) {
      // What its last worker has of a lost attempt is worth more than another worker's haste, and is refused elsewhere.
      if task.attempt?.outcome == .lost, let worker = task.state.workerID, mayHaveWords(task, worker) { continue }
      give(task, by: .release(task.id))
    }
  }
}
