package import CoordinationCore
import Primitives

/// The table `attempts`: one row per execution of a task.
final class AttemptRows {
  private let connection: SQLiteConnection
  private let write: SQLiteStatement
  private let readAll: SQLiteStatement
  private let readNewest: SQLiteStatement

  init(_ connection: SQLiteConnection) throws(StoreError) {
    self.connection = connection
    write = try connection.prepare(
      """
      INSERT INTO attempts (task, attempt, worker, started_at, ended_at, outcome, reason, exit_code, resumed_attempt,
        resumed_number)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
      ON CONFLICT (task, attempt) DO UPDATE SET worker = ?3, started_at = ?4, ended_at = ?5, outcome = ?6, reason = ?7,
        exit_code = ?8, resumed_attempt = ?9, resumed_number = ?10
      """)
    let columns = "attempt, worker, started_at, ended_at, outcome, reason, exit_code, resumed_attempt, resumed_number"
    readAll = try connection.prepare("SELECT \(columns) FROM attempts WHERE task = ?1 ORDER BY attempt")
    readNewest = try connection.prepare(
      "SELECT \(columns) FROM attempts WHERE task = ?1 ORDER BY attempt DESC LIMIT 1")
  }

  func put(_ attempt: AttemptRecord, _ place: Int64) throws(StoreError) {
    try write.bind(1, place)
    try write.bind(2, attempt.attempt)
    try write.bind(3, attempt.workerID.text)
    try write.bind(4, attempt.startedAt.milliseconds)
    try write.bind(5, attempt.endedAt?.milliseconds)
    try write.bind(6, attempt.outcome.code)
    try write.bind(7, attempt.reason)
    try write.bind(8, attempt.exitCode)
    try write.bind(9, attempt.resumedFrom?.attempt)
    try write.bind(10, attempt.resumedFrom?.number)
    try write.run()
  }

  /// All attempts of a task, in order.
  func all(_ id: TaskID, _ place: Int64) throws(StoreError) -> [AttemptRecord] {
    defer { readAll.reset() }
    try readAll.bind(1, place)
    var attempts: [AttemptRecord] = []
    while try readAll.step() { try attempts.append(record(id, readAll)) }
    return attempts
  }

  func newest(_ id: TaskID, _ place: Int64) throws(StoreError) -> AttemptRecord? {
    defer { readNewest.reset() }
    try readNewest.bind(1, place)
    return try readNewest.step() ? try record(id, readNewest) : nil
  }

  private func record(_ id: TaskID, _ row: SQLiteStatement) throws(StoreError) -> AttemptRecord {
    guard let worker = row.string(1), let outcome = AttemptRecord.Outcome(code: row.int64(4)) else {
      throw .corrupt(path: connection.path, reason: "attempt \(row.int64(0)) of task \(id) has no worker or no outcome")
    }
    var resumedFrom: CheckpointKey?
    if let attempt = row.optionalInt(7), let number = row.optionalInt(8) {
      resumedFrom = CheckpointKey(attempt: attempt, number: number)
    }
    var record = AttemptRecord(
      taskID: id, attempt: row.int(0), workerID: WorkerID(known: worker),
      startedAt: WallTime(milliseconds: row.int64(2)), resumedFrom: resumedFrom)
    record.endedAt = row.optionalInt64(3).map(WallTime.init(milliseconds:))
    record.outcome = outcome
    record.reason = row.string(5) ?? ""
    record.exitCode = row.optionalInt(6)
    return record
  }
}

extension AttemptRecord.Outcome {
  // Part of the file format.
  package var code: Int64 {
    switch self {
    case .running: 0
    case .completed: 1
    case .failed: 2
    case .cancelled: 3
    case .lost: 4
    }
  }

  package init?(code: Int64) {
    guard let match = Self.allCases.first(where: { $0.code == code }) else { return nil }
    self = match
  }
}
