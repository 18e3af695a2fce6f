import CoordinationCore
import Primitives

/// A model of the store that also judges: every rule about what may be written is checked as it is applied.
final class FleetStore {
  struct Entry {
    var record: TaskRecord
    var attempts: [Int: AttemptRecord] = [:]
    var checkpoints: [CheckpointRecord] = []
    var output: [Int: AttemptOutput] = [:]
    var terminalRecords = 0
  }

  private(set) var order: [TaskID] = []
  private(set) var entries: [TaskID: Entry] = [:]
  private(set) var violations: [String] = []

  subscript(id: TaskID) -> Entry? { entries[id] }

  func status(_ id: TaskID) -> TaskStatus? { entries[id]?.record.state.status }

  var unfinished: [UnfinishedTask] {
    order.compactMap { id in
      guard let entry = entries[id], !entry.record.state.status.isTerminal else { return nil }
      return UnfinishedTask(
        task: entry.record, checkpoint: entry.checkpoints.last, attempt: entry.attempts[entry.record.state.attempt])
    }
  }

  func existing(_ ids: [TaskID]) -> [TaskID] { ids.filter { entries[$0] != nil } }

  func apply(_ writes: [StoreWrite]) {
    for write in writes { apply(write) }
    // Within a batch the order of an attempt and its task's state is free; after it they agree.
    for case .update(let id, let state) in writes where state.attempt > 0 {
      if entries[id]?.attempts[state.attempt] == nil {
        violations.append("task \(id) is at attempt \(state.attempt), of which there is no record")
      }
    }
  }

  private func apply(_ write: StoreWrite) {
    switch write {
    case .submit(let record):
      guard entries[record.id] == nil else { return violations.append("task \(record.id) submitted twice") }
      entries[record.id] = Entry(record: record)
      order.append(record.id)
    case .update(let id, let state): update(id, state)
    case .attempt(let attempt):
      check(attempt.taskID, attempt.attempt, "an attempt record", mayBeNew: true)
      entries[attempt.taskID]?.attempts[attempt.attempt] = attempt
    case .checkpoint(let checkpoint, let keep):
      check(checkpoint.taskID, checkpoint.key.attempt, "a checkpoint", mayBeNew: false)
      if let newest = entries[checkpoint.taskID]?.checkpoints.last?.key, newest >= checkpoint.key {
        violations.append("checkpoint \(checkpoint.key) of \(checkpoint.taskID) after \(newest)")
      }
      entries[checkpoint.taskID]?.checkpoints.append(checkpoint)
      let excess = (entries[checkpoint.taskID]?.checkpoints.count ?? 0) - keep
      if excess > 0 { entries[checkpoint.taskID]?.checkpoints.removeFirst(excess) }
    case .appendOutput(let id, let attempt, _, _, _, _): check(id, attempt, "a piece of output", mayBeNew: false)
    case .output(let id, let attempt, let output):
      check(id, attempt, "an output", mayBeNew: false)
      entries[id]?.output[attempt] = output
    }
  }

  private func check(_ id: TaskID, _ attempt: Int, _ what: String, mayBeNew: Bool) {
    guard let state = entries[id]?.record.state else { return violations.append("\(what) of the unknown task \(id)") }
    if state.status.isTerminal { violations.append("\(what) of attempt \(attempt) after task \(id) had ended") }
    guard attempt == state.attempt || (mayBeNew && attempt == state.attempt + 1) else {
      return violations.append("\(what) of attempt \(attempt) of task \(id), which is at \(state.attempt)")
    }
  }

  private func update(_ id: TaskID, _ state: TaskState) {
    guard let old = entries[id]?.record.state else { return violations.append("an update of the unknown task \(id)") }
    if old.status.isTerminal {
      return violations.append("task \(id) was \(old.status.rawValue) and is to become \(state.status.rawValue)")
    }
    if state.attempt < old.attempt || state.attempt > old.attempt + 1 {
      violations.append("task \(id) goes from attempt \(old.attempt) to \(state.attempt)")
    }
    entries[id]?.record.state = state
    if state.status.isTerminal { entries[id]?.terminalRecords += 1 }
  }
}
