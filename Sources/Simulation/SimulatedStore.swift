import CoordinationCore
import Primitives

/// The store's contract without a disk: what was committed, and nothing else. `HistoryChecker` judges what is written.
final class SimulatedStore {
  struct Entry {
    var record: TaskRecord
    var attempts: [Int: AttemptRecord] = [:]
    var checkpoints: [CheckpointRecord] = []
    var output: [Int: AttemptOutput] = [:]
    /// In order of submission.
    let number: Int

    var unfinished: UnfinishedTask {
      UnfinishedTask(task: record, checkpoint: checkpoints.last, attempt: attempts[record.state.attempt])
    }
  }

  private(set) var order: [TaskID] = []
  private(set) var entries: [TaskID: Entry] = [:]
  /// How many tasks have not ended.
  private(set) var unfinishedCount = 0
  /// What each worker held last, of the tasks that have not ended.
  private var lastHeld: [WorkerID: Set<TaskID>] = [:]
  private(set) var fates: [TestName: TestFate] = [:]

  subscript(id: TaskID) -> Entry? { entries[id] }

  func status(_ id: TaskID) -> TaskStatus? { entries[id]?.record.state.status }

  var unfinished: [UnfinishedTask] {
    order.compactMap { id in
      guard let entry = entries[id], !entry.record.state.status.isTerminal else { return nil }
      return entry.unfinished
    }
  }

  /// Those that have not ended, in order of submission.
  func lastHeld(by worker: WorkerID) -> [TaskID] {
    (lastHeld[worker] ?? []).sorted { (entries[$0]?.number ?? 0) < (entries[$1]?.number ?? 0) }
  }

  /// Those that something is held against.
  var tests: [TestRecord] { fates.map { TestRecord($0.key, fate: $0.value) }.sorted { $0.name < $1.name } }

  func existing(_ ids: [TaskID]) -> [TaskID] { ids.filter { entries[$0] != nil } }

  func apply(_ writes: [StoreWrite]) {
    for write in writes { apply(write) }
  }

  private func apply(_ write: StoreWrite) {
    switch write {
    case .submit(let record):
      guard entries[record.id] == nil else { return }
      entries[record.id] = Entry(record: record, number: order.count)
      order.append(record.id)
      if !record.state.status.isTerminal { unfinishedCount += 1 }
    case .update(let id, let state):
      guard let old = entries[id]?.record.state else { return }
      if state.status.isTerminal, !old.status.isTerminal { unfinishedCount -= 1 }
      if let worker = old.workerID, worker != state.workerID || state.status.isTerminal {
        lastHeld[worker]?.remove(id)
        if lastHeld[worker]?.isEmpty == true { lastHeld[worker] = nil }
      }
      if let worker = state.workerID, !state.status.isTerminal { lastHeld[worker, default: []].insert(id) }
      entries[id]?.record.state = state
    case .attempt(let attempt): entries[attempt.taskID]?.attempts[attempt.attempt] = attempt
    case .checkpoint(let checkpoint, let keep):
      entries[checkpoint.taskID]?.checkpoints.append(checkpoint)
      let excess = (entries[checkpoint.taskID]?.checkpoints.count ?? 0) - keep
      if excess > 0 { entries[checkpoint.taskID]?.checkpoints.removeFirst(excess) }
    case .appendOutput: break
    case .output(let id, let attempt, let output): entries[id]?.output[attempt] = output
    case .testFate(let name, let change, let wall): fates[name] = TestFate.after(change, fates[name], at: wall)
    case .testRan, .run, .release, .transfer: break
    }
  }
}
