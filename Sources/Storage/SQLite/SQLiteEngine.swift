import CoordinationCore

/// The database and the rules of each write applied to it; lives on the store's thread.
final class SQLiteEngine {
  let connection: SQLiteConnection
  private let tasks: TaskRows
  private let attempts: AttemptRows
  private let checkpoints: CheckpointRows
  private let output: OutputRows
  private let tests: TestRows
  private let runs: RunRows
  private let begin: SQLiteStatement
  private let commit: SQLiteStatement
  private let rollback: SQLiteStatement

  init(path: String, lock: consuming FileLock) throws(StoreError) {
    connection = try SQLiteConnection(path: path, lock: lock)
    try Schema.migrate(connection)
    connection.checkpointsOnClose(true)
    tasks = try TaskRows(connection)
    attempts = try AttemptRows(connection)
    checkpoints = try CheckpointRows(connection)
    output = try OutputRows(connection)
    tests = try TestRows(connection)
    runs = try RunRows(connection)
    begin = try connection.prepare("BEGIN IMMEDIATE")
    commit = try connection.prepare("COMMIT")
    rollback = try connection.prepare("ROLLBACK")
  }

  /// Applies several commits in one transaction and returns how many writes were left out.
  ///
  /// After an error none of them is applied.
  func apply(_ commits: some Sequence<[StoreWrite]>) throws(StoreError) -> Int {
    try begin.run()
    do throws(StoreError) {
      var refused = 0
      for writes in commits {
        for write in writes where !(try apply(write)) { refused += 1 }
      }
      try commit.run()
      return refused
    } catch {
      tasks.forget()
      // Some errors, such as a full disk, have undone the transaction already.
      if connection.isInTransaction { try? rollback.run() }
      throw error
    }
  }

  /// Returns false for a write that is left out.
  private func apply(_ write: StoreWrite) throws(StoreError) -> Bool {
    try write.checkStorable()
    switch write {
    case .submit(let task):
      try tasks.submit(task)
    case .update(let id, let state):
      guard let place = try tasks.place(of: id) else { return false }
      return try tasks.update(place, state)
    case .attempt(let attempt):
      guard let place = try tasks.place(of: attempt.taskID) else { return false }
      try attempts.put(attempt, place)
    case .checkpoint(let checkpoint, let keep):
      guard let place = try tasks.place(of: checkpoint.taskID) else { return false }
      try checkpoints.put(checkpoint, keep: keep, place)
    case .appendOutput(let id, let attempt, let stream, let offset, let bytes, let limit):
      guard let place = try tasks.place(of: id) else { return false }
      try output.append(bytes, at: offset, of: stream, attempt: attempt, limit: limit, place)
    case .output(let id, let attempt, let new):
      guard let place = try tasks.place(of: id) else { return false }
      try output.replace(attempt, with: new, place)
    case .testRan(let name, let duration): try tests.ran(name, duration)
    case .testFate(let name, let change, let wall): try tests.change(name, change, at: wall)
    case .run(let part): try runs.put(part)
    case .release, .transfer: break
    }
    return true
  }

  func unfinishedTasks() throws(StoreError) -> [UnfinishedTask] {
    var unfinished: [UnfinishedTask] = []
    for place in try tasks.unfinished() {
      let task = try tasks.record(at: place)
      try unfinished.append(
        UnfinishedTask(
          task: task, checkpoint: checkpoints.newest(task.id, place), attempt: attempts.newest(task.id, place)))
    }
    return unfinished
  }

  func page(_ filter: TaskFilter) throws(StoreError) -> [TaskRecord] { try tasks.page(filter) }

  func detail(_ id: TaskID) throws(StoreError) -> TaskDetail? {
    guard let place = try tasks.place(of: id) else { return nil }
    return TaskDetail(
      task: try tasks.record(at: place), attempts: try attempts.all(id, place),
      checkpoints: try checkpoints.all(id, place), output: try output.all(place))
  }

  func tests(_ filter: TestFilter) throws(StoreError) -> [TestRecord] { try tests.page(filter) }

  func runPart(_ run: String, _ number: Int) throws(StoreError) -> RunPart? { try runs.part(run, number) }

  func counts(run: String?) throws(StoreError) -> [TaskStatus: Int] { try tasks.counts(run: run) }
}
