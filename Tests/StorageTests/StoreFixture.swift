import CoordinationCore
import PostgresStorage
import Primitives
import Reactor
import Storage
import TestSupport
import Testing

/// The engines that must behave alike.
enum Engine: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case memory, sqlite, postgres
  var testDescription: String { rawValue }

  /// PostgreSQL where it is installed.
  static let allCases: [Engine] = PostgresServer.isUsable ? [.memory, .sqlite, .postgres] : [.memory, .sqlite]

  func open(in directory: TemporaryDirectory) throws -> any TaskStore { try opener(in: directory)() }

  /// Opens the same store each time.
  func opener(in directory: TemporaryDirectory) throws -> () throws -> any TaskStore {
    switch self {
    case .memory:
      let store = MemoryStore()
      return { store }
    case .sqlite: return { try SQLiteStore.open(path: directory.file("store.db")) }
    case .postgres:
      let url = try PostgresServer.shared().freshURL()
      return { try Postgres.open(url) }
    }
  }
}

/// Stores in the test process's own PostgreSQL server.
enum Postgres {
  /// One loop for the stores of all tests.
  static let thread: EventLoopThread = {
    do { return try EventLoopThread(name: "stores") { _ in } } catch { fatalError("\(error)") }
  }()

  static func open(_ url: String) throws -> PostgresStore {
    let opened = Exchange<Result<PostgresStore, StoreError>>()
    thread.mailbox.post { loop in
      opened.put(Result { () throws(StoreError) in try PostgresStore.connect(url, on: loop) })
    }
    return try opened.take().get()
  }
}

/// Opens a store, hands it over and closes it.
func withStore(_ engine: Engine, _ body: (any TaskStore) async throws -> Void) async throws {
  let directory = TemporaryDirectory()
  let store = try engine.open(in: directory)
  try await body(store)
  await store.close()
}

extension TaskStore {
  func commit(_ writes: [StoreWrite]) async throws {
    try await withCheckedContinuation { continuation in commit(writes) { continuation.resume(returning: $0) } }.get()
  }

  func unfinished() async throws -> [UnfinishedTask] {
    try await withCheckedContinuation { continuation in unfinishedTasks { continuation.resume(returning: $0) } }.get()
  }

  func tasks(_ filter: TaskFilter = TaskFilter()) async throws -> [TaskRecord] {
    try await withCheckedContinuation { continuation in
      tasks(matching: filter) { continuation.resume(returning: $0) }
    }.get()
  }

  func names(_ filter: TaskFilter = TaskFilter()) async throws -> [String] {
    try await tasks(filter).map(\.id.text)
  }

  func task(_ id: TaskID) async throws -> TaskDetail? {
    try await withCheckedContinuation { continuation in task(id) { continuation.resume(returning: $0) } }.get()
  }

  func counts(run: String? = nil) async throws -> [TaskStatus: Int] {
    try await withCheckedContinuation { continuation in counts(run: run) { continuation.resume(returning: $0) } }.get()
  }

  func tests(_ filter: TestFilter = TestFilter()) async throws -> [TestRecord] {
    try await withCheckedContinuation { continuation in
      tests(matching: filter) { continuation.resume(returning: $0) }
    }.get()
  }

  func runPart(_ run: String, _ number: Int) async throws -> RunPart? {
    try await withCheckedContinuation { continuation in
      runPart(run, number) { continuation.resume(returning: $0) }
    }.get()
  }

  func close() async {
    await withCheckedContinuation { continuation in close { continuation.resume() } }
  }
}

/// The error that `body` throws; `nil` when it throws none.
func storeError(_ body: () async throws -> Void) async -> StoreError? {
  do {
    try await body()
    return nil
  } catch {
    return error as? StoreError
  }
}

func id(_ text: String) -> TaskID {
  do { return try TaskID(text) } catch { fatalError("\(error)") }
}

func worker(_ text: String) -> WorkerID {
  do { return try WorkerID(text) } catch { fatalError("\(error)") }
}

func time(_ milliseconds: Int64) -> WallTime { WallTime(milliseconds: milliseconds) }

func task(_ name: String, run: String? = nil, _ status: TaskStatus = .queued) -> TaskRecord {
  TaskRecord(
    id: id(name), specification: TaskSpecification(name: name, work: .command(Command(["true"])), run: run),
    submittedAt: time(1_000), state: TaskState(status: status))
}

func state(_ status: TaskStatus, attempt: Int = 1, _ worker: WorkerID? = nil) -> TaskState {
  var state = TaskState(status: status)
  state.attempt = attempt
  state.workerID = worker
  return state
}

func checkpoint(_ task: String, _ attempt: Int, _ number: Int, _ data: JSONValue = ["n": 1]) -> CheckpointRecord {
  CheckpointRecord(
    taskID: id(task), key: CheckpointKey(attempt: attempt, number: number), createdAt: time(5), data: data)
}

/// A list in a list in a list: `depth` of them.
func nested(_ depth: Int) -> JSONValue {
  var value: JSONValue = []
  for _ in 1..<depth { value = [value] }
  return value
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
