/// Workers with room, in turn, for each kind of work they can do. Entries are hints, checked when they come up.
struct WorkerRotation {
  private struct Ring {
    var workers: [WorkerEntry] = []
    var head = 0

    var isEmpty: Bool { head == workers.count }

    mutating func remove(_ isGone: (WorkerEntry) -> Bool) {
      workers.removeFirst(head)
      head = 0
      workers.removeAll(where: isGone)
    }

    mutating func pop() -> WorkerEntry? {
      guard head < workers.count else { return nil }
      defer {
        head += 1
        if head * 2 >= workers.count {
          workers.removeFirst(head)
          head = 0
        }
      }
      return workers[head]
    }
  }

  private var rings: [String: Ring] = [:]

  mutating func add(_ worker: WorkerEntry) {
    if worker.rotations.count > worker.kinds.count { leaveOthers(worker) }
    for kind in worker.kinds where worker.rotations.insert(kind).inserted {
      rings[kind, default: Ring()].workers.append(worker)
    }
  }

  /// A worker that came back with other kinds stands in no line for the old ones, where nothing may ever call it up.
  private mutating func leaveOthers(_ worker: WorkerEntry) {
    for kind in worker.rotations.subtracting(worker.kinds) {
      rings[kind]?.remove { $0 === worker }
      if rings[kind]?.isEmpty == true { rings[kind] = nil }
      worker.rotations.remove(kind)
    }
  }

  /// Takes out those that are not known any more.
  mutating func forget(_ isForgotten: (WorkerEntry) -> Bool) {
    for kind in rings.keys {
      rings[kind]?.remove(isForgotten)
      if rings[kind]?.isEmpty == true { rings[kind] = nil }
    }
  }

  /// The next worker with room; out of the rotation until put back.
  mutating func next(kind: String) -> WorkerEntry? {
    while let worker = rings[kind]?.pop() {
      worker.rotations.remove(kind)
      if worker.canTakeTasks, worker.kinds.contains(kind) { return worker }
    }
    return nil
  }

  mutating func putBack(_ worker: WorkerEntry, kind: String) {
    guard worker.rotations.insert(kind).inserted else { return }
    rings[kind, default: Ring()].workers.append(worker)
  }
}
