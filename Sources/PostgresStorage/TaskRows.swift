import CoordinationCore
import PostgreSQL
import Primitives
import Storage

/// Reads rows as `ReadStatements.columns` order them.
struct TaskRows {
  /// What errors call the store.
  let store: String

  /// Behind a record's columns: those of the newest checkpoint, then those of the newest attempt.
  static let newestColumn = 16
  /// Behind all of them.
  static let ownerColumn = 29

  func record(_ row: PostgresResult.Row) throws(StoreError) -> TaskRecord {
    guard let id = row.string(1), let status = TaskStatus(code: row.int64(4)) else {
      throw .corrupt(path: store, reason: "task number \(row.int64(0)) has no id or no status")
    }
    var state = TaskState(status: status)
    state.attempt = row.int(5)
    state.failedAttempts = row.int(6)
    state.lostAttempts = row.int(7)
    state.workerID = row.string(8).map(WorkerID.init(known:))
    state.startedAt = row.optionalInt64(9).map(WallTime.init(milliseconds:))
    state.finishedAt = row.optionalInt64(10).map(WallTime.init(milliseconds:))
    state.exitCode = row.optionalInt(11)
    state.reason = row.string(12)
    if !row.isNull(13) { state.result = try json(row.bytes(13), "the result of task \(id)") }
    state.progress = row.optionalDouble(14)
    let flags = row.int64(15)
    state.isCancelRequested = flags & 1 != 0
    state.isPauseRequested = flags & 2 != 0
    return TaskRecord(
      id: TaskID(known: id), specification: try specification(row.bytes(3), of: id),
      submittedAt: WallTime(milliseconds: row.int64(2)), state: state)
  }

  func records(_ result: PostgresResult) throws(StoreError) -> [TaskRecord] {
    var records: [TaskRecord] = []
    for number in 0..<result.count { try records.append(record(result.row(number))) }
    return records
  }

  func unfinished(_ row: PostgresResult.Row) throws(StoreError) -> UnfinishedTask {
    let task = try record(row)
    let first = Self.newestColumn
    return UnfinishedTask(
      task: task, checkpoint: row.isNull(first) ? nil : try checkpoint(task.id, row, from: first),
      attempt: row.isNull(first + 4) ? nil : try attempt(task.id, row, from: first + 4))
  }

  func unfinished(_ result: PostgresResult) throws(StoreError) -> [UnfinishedTask] {
    var tasks: [UnfinishedTask] = []
    for number in 0..<result.count { try tasks.append(unfinished(result.row(number))) }
    return tasks
  }

  func detail(_ results: [PostgresResult]) throws(StoreError) -> TaskDetail? {
    guard results.count == 4 else { throw .corrupt(path: store, reason: "a task's answer has \(results.count) parts") }
    guard results[0].count > 0 else { return nil }
    let task = try record(results[0].row(0))
    var attempts: [AttemptRecord] = []
    for number in 0..<results[1].count { try attempts.append(attempt(task.id, results[1].row(number), from: 0)) }
    var checkpoints: [CheckpointRecord] = []
    for number in 0..<results[2].count { try checkpoints.append(checkpoint(task.id, results[2].row(number), from: 0)) }
    var output: [Int: AttemptOutput] = [:]
    for number in 0..<results[3].count {
      let row = results[3].row(number)
      switch row.int64(1) {
      case OutputStream.stdout.code: output[row.int(0), default: AttemptOutput()].stdout += row.bytes(3)
      case OutputStream.stderr.code: output[row.int(0), default: AttemptOutput()].stderr += row.bytes(3)
      default: output[row.int(0), default: AttemptOutput()].droppedBytes = row.int(2)
      }
    }
    return TaskDetail(task: task, attempts: attempts, checkpoints: checkpoints, output: output)
  }

  private func checkpoint(
    _ id: TaskID, _ row: PostgresResult.Row, from first: Int
  ) throws(StoreError) -> CheckpointRecord {
    let key = CheckpointKey(attempt: row.int(first), number: row.int(first + 1))
    return CheckpointRecord(
      taskID: id, key: key, createdAt: WallTime(milliseconds: row.int64(first + 2)),
      data: try json(row.bytes(first + 3), "checkpoint \(key) of task \(id)"))
  }

  private func attempt(_ id: TaskID, _ row: PostgresResult.Row, from first: Int) throws(StoreError) -> AttemptRecord {
    guard let worker = row.string(first + 1), let outcome = AttemptRecord.Outcome(code: row.int64(first + 4)) else {
      throw .corrupt(path: store, reason: "attempt \(row.int64(first)) of task \(id) has no worker or no outcome")
    }
    var resumedFrom: CheckpointKey?
    if let attempt = row.optionalInt(first + 7), let number = row.optionalInt(first + 8) {
      resumedFrom = CheckpointKey(attempt: attempt, number: number)
    }
    var record = AttemptRecord(
      taskID: id, attempt: row.int(first), workerID: WorkerID(known: worker),
      startedAt: WallTime(milliseconds: row.int64(first + 2)), resumedFrom: resumedFrom)
    record.endedAt = row.optionalInt64(first + 3).map(WallTime.init(milliseconds:))
    record.outcome = outcome
    record.reason = row.string(first + 5) ?? ""
    record.exitCode = row.optionalInt(first + 6)
    return record
  }

  func counts(_ result: PostgresResult) -> [TaskStatus: Int] {
    var counts: [TaskStatus: Int] = [:]
    for number in 0..<result.count {
      let row = result.row(number)
      if let status = TaskStatus(code: row.int64(0)) { counts[status, default: 0] += row.int(1) }
    }
    return counts
  }

  func tests(_ result: PostgresResult) -> [TestRecord] {
    (0..<result.count).map { number in
      let row = result.row(number)
      var test = TestRecord(
        TestName(suite: row.string(0) ?? "", test: row.string(1) ?? ""),
        duration: row.optionalInt64(2).map { .microseconds($0) }, runs: row.int(3))
      let fate = TestFate(
        kills: row.int(4), isQuarantined: row.bool(5), reason: row.string(6) ?? "",
        changedAt: WallTime(milliseconds: row.int64(7)))
      test.fate = fate.isClear ? nil : fate
      return test
    }
  }

  func runPart(_ run: String, _ number: Int, _ result: PostgresResult) throws(StoreError) -> RunPart? {
    guard result.count > 0 else { return nil }
    let what = "part \(number) of run \(run)"
    guard let plan = try json(result.row(0).bytes(0), what).object else {
      throw .corrupt(path: store, reason: "\(what) is no object")
    }
    return RunPart(run: run, number: number, plan: plan)
  }

  func needs(_ result: PostgresResult) throws(StoreError) -> [TaskNeeds] {
    var all: [TaskNeeds] = []
    for number in 0..<result.count {
      do { all.append(try TaskNeeds(text: result.row(number).string(0) ?? "")) } catch {
        throw .corrupt(path: store, reason: "the needs of tasks in the pool: \(error)")
      }
    }
    return all
  }

  func pool(_ result: PostgresResult) -> [Priority: PoolLine] {
    var lines: [Priority: PoolLine] = [:]
    for number in 0..<result.count {
      let row = result.row(number)
      guard let priority = Priority(rawValue: row.int(0)) else { continue }
      lines[priority] = PoolLine(waiting: row.int(1), oldest: WallTime(milliseconds: row.int64(2)))
    }
    return lines
  }

  private func specification(_ text: [UInt8], of id: String) throws(StoreError) -> TaskSpecification {
    let what = "the specification of task \(id)"
    guard let object = try json(text, what).object else {
      throw .corrupt(path: store, reason: "\(what) is not an object")
    }
    do { return try TaskSpecification(json: object) } catch {
      throw .corrupt(path: store, reason: "\(what): \(error)")
    }
  }

  private func json(_ text: [UInt8], _ what: @autoclosure () -> String) throws(StoreError) -> JSONValue {
    do { return try JSONParser.parse(text) } catch { throw .corrupt(path: store, reason: "\(what()): \(error)") }
  }
}
