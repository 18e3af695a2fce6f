import CoordinationCore
import Primitives

/// The store's contract without a disk: what was committed, and nothing else. `HistoryChecker` judges what is written.
final class SimulatedStore {
  struct Entry {
    var record: TaskRecord
    var attempts: [Int: AttemptRecord] = [:]
    var checkpoints: [CheckpointRecord] = []
    var output: [Int: AttemptOutput] = [:]
  }

  private(set) var order: [TaskID] = []
  private(set) var entries: [TaskID: Entry] = [:]
  /// How many tasks have not ended.
  private(set) var unfinishedCount = 0
  private(set) var fates: [TestName: TestFate] = [:]

  subscript(id: TaskID) -> Entry? { entries[id] }

  func status(_ id: TaskID) -> TaskStatus? { entries[id]?.record.state.status }

  var unfinished: [UnfinishedTask] {
    order.compactMap { id in
      guard let entry = entries[id], !entry.record.state.status.isTerminal else { return nil }
      return UnfinishedTask(
        task: entry.record, checkpoint: entry.checkpoints.last, attempt: entry.attempts[entry.record.state.attempt])
    }
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
      entries[record.id] = Entry(record: record)
      order.append(record.id)
      unfinishedCount += 1
    case .update(let id, let state):
      guard let old = entries[id]?.record.state.status else { return }
      if state.status.isTerminal, !old.isTerminal { unfinishedCount -= 1 }
      entries[id]?.record.state = state
    case .attempt(let attempt): entries[attempt.taskID]?.attempts[attempt.attempt] = attempt
    case .checkpoint(let checkpoint, let keep):
      entries[checkpoint.taskID]?.checkpoints.append(checkpoint)
      let excess = (entries[checkpoint.taskID]?.checkpoints.count ?? 0) - keep
      if excess > 0 { entries[checkpoint.taskID]?.checkpoints.removeFirst(excess) }
    case .appendOutput: break
    case .output(let id, let attempt, let output): entries[id]?.output[attempt] = output
    case .testFate(let name, let fate): fates[name] = fate.isClear ? nil : fate
    case .testRan, .run, .release, .transfer: break
    }
  }
}
