import CoordinationCore
import Primitives

/// The table `checkpoints`: the newest few of each task.
final class CheckpointRows {
  private let connection: SQLiteConnection
  private let insert: SQLiteStatement
  private let prune: SQLiteStatement
  private let readAll: SQLiteStatement
  private let readNewest: SQLiteStatement
  private var text: [UInt8] = []

  init(_ connection: SQLiteConnection) throws(StoreError) {
    self.connection = connection
    insert = try connection.prepare(
      """
      INSERT INTO checkpoints (task, attempt, number, created_at, data) VALUES (?1, ?2, ?3, ?4, ?5)
      ON CONFLICT (task, attempt, number) DO NOTHING
      """)
    // The newest one that is not kept, and all before it.
    prune = try connection.prepare(
      """
      DELETE FROM checkpoints WHERE task = ?1 AND (attempt, number) <= (
        SELECT attempt, number FROM checkpoints WHERE task = ?1 ORDER BY attempt DESC, number DESC LIMIT 1 OFFSET ?2)
      """)
    readAll = try connection.prepare(
      "SELECT attempt, number, created_at, data FROM checkpoints WHERE task = ?1 ORDER BY attempt, number")
    readNewest = try connection.prepare(
      """
      SELECT attempt, number, created_at, data FROM checkpoints WHERE task = ?1
      ORDER BY attempt DESC, number DESC LIMIT 1
      """)
  }

  func put(_ checkpoint: CheckpointRecord, keep: Int, _ place: Int64) throws(StoreError) {
    try insert.bind(1, place)
    try insert.bind(2, checkpoint.key.attempt)
    try insert.bind(3, checkpoint.key.number)
    try insert.bind(4, checkpoint.createdAt.milliseconds)
    text.removeAll(keepingCapacity: true)
    checkpoint.data.write(into: &text)
    try insert.bind(5, text: text)
    try insert.run()
    guard connection.changes == 1 else { return }
    try prune.bind(1, place)
    try prune.bind(2, max(keep, 1))
    try prune.run()
  }

  /// All that are kept of a task, oldest first.
  func all(_ id: TaskID, _ place: Int64) throws(StoreError) -> [CheckpointRecord] {
    defer { readAll.reset() }
    try readAll.bind(1, place)
    var checkpoints: [CheckpointRecord] = []
    while try readAll.step() { try checkpoints.append(record(id, readAll)) }
    return checkpoints
  }

  func newest(_ id: TaskID, _ place: Int64) throws(StoreError) -> CheckpointRecord? {
    defer { readNewest.reset() }
    try readNewest.bind(1, place)
    return try readNewest.step() ? try record(id, readNewest) : nil
  }

  private func record(_ id: TaskID, _ row: SQLiteStatement) throws(StoreError) -> CheckpointRecord {
    let key = CheckpointKey(attempt: row.int(0), number: row.int(1))
    return CheckpointRecord(
      taskID: id, key: key, createdAt: WallTime(milliseconds: row.int64(2)),
      data: try connection.json(row.bytes(3), "checkpoint \(key) of task \(id)"))
  }
}
