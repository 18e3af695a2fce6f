public import CoordinationCore
import Synchronization

/// The embedded store: one SQLite file with a write-ahead log, on a thread of its own.
///
/// Commits that wait while the disk is busy share one transaction, and so one sync. Completions are called on the
/// store's thread. The file belongs to one process at a time.
public final class SQLiteStore: TaskStore {
  typealias Completion<T> = @Sendable (Result<T, StoreError>) -> Void

  enum Operation: Sendable {
    case commit([StoreWrite], Completion<Void>)
    case unfinishedTasks(Completion<[UnfinishedTask]>)
    case tasks(TaskFilter, Completion<[TaskRecord]>)
    case task(TaskID, Completion<TaskDetail?>)
    case counts(run: String?, Completion<[TaskStatus: Int]>)
    case tests(TestFilter, Completion<[TestRecord]>)
    case runPart(String, Int, Completion<RunPart?>)
    /// For tests that need to reach the database.
    case perform(@Sendable (SQLiteConnection) -> Void)
    case close(@Sendable () -> Void)
  }

  /// Writes that may wait for the disk; beyond them a commit fails with `.overloaded`.
  public static let maxPendingWrites = 1_000_000
  /// Writes after which a group of commits is closed, so that the first of them need not wait for all.
  static let maxGroupedWrites = 8_192

  public let path: String
  private let queue: BlockingQueue<Operation>
  private let statistics: SQLiteStoreStatistics

  /// Opens the store, creating the file or bringing an older one to the newest layout.
  ///
  /// The file is left untouched when this throws `.notADatabase`, `.otherProgram`, `.newerSchema` or `.locked`.
  /// - Parameter path: the database's path; `PATH-wal`, `PATH-shm` and `PATH.lock` are used as well.
  public static func open(path: String) throws(StoreError) -> SQLiteStore {
    let lock = try FileLock.acquire(for: path, held: .locked(path: path))
    try DatabaseHeader.check(path)
    let session = SQLiteSession(try SQLiteEngine(path: path, lock: lock))
    let store = SQLiteStore(path, session.queue, session.statistics)
    try FileError.telling(path) { () throws(FileError) in try File.synchronizeDirectory(of: path) }
    try BackgroundThread.start { session.run() }
    return store
  }

  private init(_ path: String, _ queue: BlockingQueue<Operation>, _ statistics: SQLiteStoreStatistics) {
    self.path = path
    self.queue = queue
    self.statistics = statistics
  }

  deinit {
    _ = queue.close(after: .close({}))
  }

  public var refusedWrites: Int { statistics.refusedWrites.load(ordering: .relaxed) }

  /// How many transactions have been committed; fewer than commits when groups form.
  public var transactions: Int { statistics.transactions.load(ordering: .relaxed) }

  public func commit(_ writes: [StoreWrite], _ completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
    enqueue(.commit(writes, completion), weight: writes.count, completion)
  }

  public func unfinishedTasks(_ completion: @escaping @Sendable (Result<[UnfinishedTask], StoreError>) -> Void) {
    enqueue(.unfinishedTasks(completion), completion)
  }

  public func tasks(
    matching filter: TaskFilter, _ completion: @escaping @Sendable (Result<[TaskRecord], StoreError>) -> Void
  ) {
    enqueue(.tasks(filter, completion), completion)
  }

  public func task(_ id: TaskID, _ completion: @escaping @Sendable (Result<TaskDetail?, StoreError>) -> Void) {
    enqueue(.task(id, completion), completion)
  }

  public func counts(
    run: String?, _ completion: @escaping @Sendable (Result<[TaskStatus: Int], StoreError>) -> Void
  ) {
    enqueue(.counts(run: run, completion), completion)
  }

  public func tests(
    matching filter: TestFilter, _ completion: @escaping @Sendable (Result<[TestRecord], StoreError>) -> Void
  ) {
    enqueue(.tests(filter, completion), completion)
  }

  public func runPart(
    _ run: String, _ number: Int, _ completion: @escaping @Sendable (Result<RunPart?, StoreError>) -> Void
  ) {
    enqueue(.runPart(run, number, completion), completion)
  }

  public func close(_ completion: @escaping @Sendable () -> Void) {
    if !queue.close(after: .close(completion)) { completion() }
  }

  /// Runs `body` on the store's thread, between operations.
  func perform(_ body: @escaping @Sendable (SQLiteConnection) -> Void) {
    _ = queue.append(.perform(body))
  }

  private func enqueue<T>(_ operation: Operation, weight: Int = 0, _ completion: Completion<T>) {
    switch queue.append(operation, weight: weight) {
    case .accepted: break
    case .closed: completion(.failure(.closed))
    case .full(let pending):
      completion(.failure(.overloaded(pendingWrites: pending, limit: Self.maxPendingWrites)))
    }
  }
}

/// What the store's thread counts for others to read.
final class SQLiteStoreStatistics: Sendable {
  let refusedWrites = Atomic(0)
  let transactions = Atomic(0)
}
