/// Workers with room, in turn, for each kind of work they can do. Entries are hints, checked when they come up.
struct WorkerRotation {
  private struct Ring {
    var workers: [WorkerEntry] = []
    var head = 0

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
    for kind in worker.kinds where worker.rotations.insert(kind).inserted {
      rings[kind, default: Ring()].workers.append(worker)
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
