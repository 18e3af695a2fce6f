import Primitives

/// Tests that kill their workers, and what becomes of their tasks.
extension TaskBook {
  /// Whether its test has killed a worker.
  func isSuspect(_ task: LiveTask) -> Bool { quarantine.isSuspect(task.specification) }

  /// A worker's process died with these tasks, which it held, and which are about to be lost.
  /// - Returns: the tests that are held to have killed it.
  mutating func died(_ worker: WorkerID, with ids: [TaskID], wall: WallTime) -> [TestName] {
    let names = ids.compactMap { id -> TestName? in
      // What was never on its way to the worker did it no harm.
      guard let task = tasks[id], task.state.workerID == worker, task.state.status.isHeld,
        task.state.status != .assigned || task.assignmentSent == task.state.attempt
      else { return nil }
      return task.specification.testName
    }
    let guilty = quarantine.died(with: Set(names).sorted(), worker: worker, wall: wall)
    for (name, fate) in guilty {
      writes.append(.testFate(name, .killed(worker), at: wall))
      if fate.isQuarantined { endQueued(name, wall: wall) }
    }
    return guilty.map(\.name)
  }

  /// The worker that these were held to have killed is alive.
  mutating func forgive(_ names: [TestName], wall: WallTime) {
    for name in names {
      quarantine.forgive(name, wall: wall)
      writes.append(.testFate(name, .forgiven, at: wall))
    }
  }

  mutating func putInQuarantine(_ name: TestName, reason: String, wall: WallTime) {
    quarantine.put(name, reason: reason, wall: wall)
    writes.append(.testFate(name, .quarantined(reason: reason), at: wall))
    endQueued(name, wall: wall)
  }

  /// - Returns: whether anything was held against it.
  mutating func release(_ name: TestName, wall: WallTime) -> Bool {
    guard quarantine.release(name) else { return false }
    writes.append(.testFate(name, .released, at: wall))
    return true
  }

  /// What waits of a test that is not run any more. What runs may end by itself.
  private mutating func endQueued(_ name: TestName, wall: WallTime) {
    let queued = tasks.values.filter { $0.state.status == .queued && $0.specification.testName == name }
    for task in queued.sorted(by: { $0.id < $1.id }) {
      guard let reason = quarantine.reason(task.specification) else { return }
      finish(task, .failed, reason: reason, wall: wall)
    }
  }
}
