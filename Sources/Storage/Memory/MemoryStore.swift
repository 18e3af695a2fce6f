import Locking
public import CoordinationCore
import Primitives

/// A store that forgets everything with its process: for tests, benchmarks and throw-away coordinators.
///
/// Usable from any thread; completions are called within the call.
public final class MemoryStore: TaskStore, @unchecked Sendable {
  private let lock = Lock()
  // Guarded by `lock`, all of them.
  private var order: [MemoryTask] = []
  private var tasks: [TaskID: MemoryTask] = [:]
  private var tests: [TestName: TestRecord] = [:]
  private var runs: [String: [Int: RunPart]] = [:]
  private var refused = 0
  private var isClosed = false

  public init() {}

  public var refusedWrites: Int { lock.withLock { refused } }

  public func commit(_ writes: [StoreWrite], _ completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
    completion(
      locked { () throws(StoreError) in
        // Nothing below can fail, so that a commit is applied whole or not at all.
        for write in writes { try write.checkStorable() }
        for write in writes where !apply(write) { refused += 1 }
      })
  }

  public func unfinishedTasks(_ completion: @escaping @Sendable (Result<[UnfinishedTask], StoreError>) -> Void) {
    completion(locked { order.lazy.filter { !$0.record.state.status.isTerminal }.map(\.unfinished) })
  }

  public func tasks(
    matching filter: TaskFilter, _ completion: @escaping @Sendable (Result<[TaskRecord], StoreError>) -> Void
  ) {
    completion(locked { page(filter) })
  }

  public func task(_ id: TaskID, _ completion: @escaping @Sendable (Result<TaskDetail?, StoreError>) -> Void) {
    completion(locked { tasks[id]?.detail })
  }

  public func counts(
    run: String?, _ completion: @escaping @Sendable (Result<[TaskStatus: Int], StoreError>) -> Void
  ) {
    completion(
      locked {
        var counts: [TaskStatus: Int] = [:]
        for task in order where run == nil || task.record.specification.run == run {
          counts[task.record.state.status, default: 0] += 1
        }
        return counts
      })
  }

  public func tests(
    matching filter: TestFilter, _ completion: @escaping @Sendable (Result<[TestRecord], StoreError>) -> Void
  ) {
    completion(
      locked {
        let found = tests.values.filter { filter.matches($0) }.sorted { $0.name < $1.name }
        return Array(found.prefix(max(filter.limit, 1)))
      })
  }

  public func runPart(
    _ run: String, _ number: Int, _ completion: @escaping @Sendable (Result<RunPart?, StoreError>) -> Void
  ) {
    completion(locked { runs[run]?[number] })
  }

  public func close(_ completion: @escaping @Sendable () -> Void) {
    lock.withLock { isClosed = true }
    completion()
  }

  private func locked<T>(_ body: () throws(StoreError) -> T) -> Result<T, StoreError> {
    do throws(StoreError) {
      return .success(
        try lock.withLock { () throws(StoreError) in
          if isClosed { throw .closed }
          return try body()
        })
    } catch {
      return .failure(error)
    }
  }

  /// Returns false for a write that is left out.
  private func apply(_ write: StoreWrite) -> Bool {
    switch write {
    case .submit(let record):
      guard tasks[record.id] == nil else { return true }
      let task = MemoryTask(record, place: order.count)
      order.append(task)
      tasks[record.id] = task
    case .update(let id, let state):
      guard let task = tasks[id] else { return false }
      switch UpdateVerdict(current: task.record.state, new: state) {
      case .apply: task.record.state = state
      case .nothingToDo: break
      case .refuse: return false
      }
    case .attempt(let attempt):
      guard let task = tasks[attempt.taskID] else { return false }
      task.put(attempt)
    case .checkpoint(let checkpoint, let keep):
      guard let task = tasks[checkpoint.taskID] else { return false }
      task.put(checkpoint, keep: keep)
    case .appendOutput(let id, let attempt, let stream, let offset, let bytes, let limit):
      guard let task = tasks[id] else { return false }
      task.append(bytes, at: offset, of: stream, attempt: attempt, limit: limit)
    case .output(let id, let attempt, let output):
      guard let task = tasks[id] else { return false }
      task.replaceOutput(of: attempt, with: output)
    case .testRan(let name, let duration):
      var test = tests[name] ?? TestRecord(name)
      let mean = TestRecord.blend(test.duration?.inMilliseconds, with: duration.inMilliseconds)
      test.duration = .milliseconds(mean)
      test.runs += 1
      tests[name] = test
    case .testFate(let name, let change, let wall):
      var test = tests[name] ?? TestRecord(name)
      test.fate = TestFate.after(change, test.fate, at: wall)
      tests[name] = test.fate == nil && test.runs == 0 ? nil : test
    case .run(let part): runs[part.run, default: [:]][part.number] = part
    case .release, .transfer: break
    }
    return true
  }

  private func page(_ filter: TaskFilter) -> [TaskRecord] {
    var first = 0
    if let after = filter.after {
      guard let task = tasks[after] else { return [] }
      first = task.place + 1
    }
    let limit = min(max(filter.limit, 1), TaskFilter.maxLimit)
    var page: [TaskRecord] = []
    if let ids = filter.ids {
      let found = Set(ids).compactMap { tasks[$0] }.filter { $0.place >= first }.sorted { $0.place < $1.place }
      for task in found where page.count < limit && filter.matches(task.record) { page.append(task.record) }
      return page
    }
    for task in order[first...] where filter.matches(task.record) {
      page.append(task.record)
      if page.count == limit { break }
    }
    return page
  }
}

extension TestFilter {
  func matches(_ test: TestRecord) -> Bool {
    if let suite, test.name.suite != suite { return false }
    if hasFate, test.fate == nil { return false }
    return after.map { $0 < test.name } ?? true
  }
}

extension Duration {
  /// As durations are kept: whole microseconds, so that every engine gives back the same.
  package var inMilliseconds: Double { inSeconds * 1_000 }

  package static func milliseconds(_ mean: Double) -> Duration { .microseconds(Int64((mean * 1_000).rounded())) }
}

extension TaskFilter {
  /// Whether a task meets the conditions that its record decides, `ids` and `after` apart.
  func matches(_ task: TaskRecord) -> Bool {
    if let statuses, !statuses.contains(task.state.status) { return false }
    if let run, task.specification.run != run { return false }
    if let workerID, task.state.workerID != workerID { return false }
    return true
  }
}
