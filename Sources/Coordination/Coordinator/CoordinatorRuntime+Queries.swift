public import CoordinationCore
import Primitives
import Reactor
public import Storage

/// What is asked without a change: of memory, or of the store, which says what is durable, with what memory knows better.
extension CoordinatorRuntime {
  /// Tasks that wait for a worker, by their priority.
  public var taskQueueStatus: QueueStatus { place?.currentCounts().queue ?? core.taskQueueStatus }
  /// Messages that wait to be sent to workers, by their priority.
  public var messageQueueStatus: QueueStatus { core.messageQueueStatus }

  /// Every worker known, in order of their ids.
  public var workerSummaries: [WorkerSummary] { core.workerSummaries }

  /// Every worker that this coordinator knows, and where others share its store, that any of them knows; as people see
  /// them.
  func listWorkers(withTelemetry: Bool, _ answer: @escaping ([JSONObject]) -> Void) {
    if let place, !place.isLost { return place.listWorkers(withTelemetry: withTelemetry, answer) }
    answer(core.workerSummaries.map { $0.presentation(withTelemetry: withTelemetry) })
  }

  /// A page of tasks, as durable; progress is as fresh as memory has it.
  public func tasks(matching filter: TaskFilter, _ answer: @escaping (Result<[TaskRecord], StoreError>) -> Void) {
    let (mailbox, runtime) = (loop.mailbox, LoopBound((self, answer), to: loop))
    store.tasks(matching: filter) { result in
      mailbox.post {
        let (self_, answer) = runtime.value
        answer(result.map { $0.map(self_.withProgress) })
      }
    }
  }

  /// Those of `ids` that exist, however many are asked for.
  func tasks(named ids: [TaskID], _ answer: @escaping (Result<[TaskRecord], StoreError>) -> Void) {
    tasks(named: ids[...], [], answer)
  }

  private func tasks(
    named ids: ArraySlice<TaskID>, _ found: [TaskRecord], _ answer: @escaping (Result<[TaskRecord], StoreError>) -> Void
  ) {
    guard !ids.isEmpty else { return answer(.success(found)) }
    tasks(matching: TaskFilter(ids: Array(ids.prefix(TaskFilter.maxLimit)))) { [self] result in
      switch result {
      case .failure: answer(result)
      case .success(let tasks): self.tasks(named: ids.dropFirst(TaskFilter.maxLimit), found + tasks, answer)
      }
    }
  }

  /// One worker; `nil` when it is not known.
  public func workerSummary(_ id: WorkerID) -> WorkerSummary? { core.workerSummary(id) }

  /// - Parameter start: when the coordinator began to serve.
  func overview(since start: Instant) -> Overview {
    let statistics = core.statistics
    var tasks = endedBefore
    if let place {
      tasks = place.currentCounts().counts
    } else {
      for status in TaskStatus.allCases { tasks[status, default: 0] += statistics.tasks[status] }
    }
    return Overview(
      wall: SystemWallClock.now(), uptime: loop.now - start, version: ProductVersion.text,
      connectedWorkers: core.connectedWorkers, knownWorkers: core.knownWorkers, tasks: tasks,
      queue: taskQueueStatus, statistics: statistics.tasks, reconnections: statistics.reconnections)
  }

  /// Everything about one task; `nil` when it was never submitted.
  public func task(_ id: TaskID, _ answer: @escaping (Result<TaskDetail?, StoreError>) -> Void) {
    let (mailbox, bound) = (loop.mailbox, LoopBound((self, answer), to: loop))
    store.task(id) { result in
      mailbox.post {
        let (runtime, answer) = bound.value
        answer(result.map { $0.map(runtime.withProgress) })
      }
    }
  }

  /// A task as clients see it. One that no connected worker can do says what it waits for.
  func presentation(of task: TaskRecord) -> JSONObject {
    var object = task.presentation
    if task.state.status == .queued, let obstacle = obstacle(for: task.id) {
      object["waiting_for"] = .string(obstacle)
    }
    return object
  }

  /// What a queued task waits for that no connected worker has; `nil` when one can do it, or nothing is known.
  func obstacle(for id: TaskID) -> String? {
    core.liveTask(id)?.state.status == .queued ? core.obstacle(for: id) : nil
  }

  func presentation(of detail: TaskDetail) -> JSONObject {
    var object = detail.presentation
    object["waiting_for"] = presentation(of: detail.task)["waiting_for"]
    return object
  }

  /// How many tasks have each status.
  public func counts(run: String?, _ answer: @escaping (Result<[TaskStatus: Int], StoreError>) -> Void) {
    let (mailbox, bound) = (loop.mailbox, LoopBound(answer, to: loop))
    store.counts(run: run) { result in mailbox.post { bound.value(result) } }
  }

  /// What is remembered of tests.
  public func tests(matching filter: TestFilter, _ answer: @escaping (Result<[TestRecord], StoreError>) -> Void) {
    let (mailbox, bound) = (loop.mailbox, LoopBound(answer, to: loop))
    store.tests(matching: filter) { result in mailbox.post { bound.value(result) } }
  }

  /// A part of a run's plan; `nil` when there is none.
  public func runPart(
    _ run: String, _ number: Int, _ answer: @escaping (Result<RunPart?, StoreError>) -> Void
  ) {
    let (mailbox, bound) = (loop.mailbox, LoopBound(answer, to: loop))
    store.runPart(run, number) { result in mailbox.post { bound.value(result) } }
  }

  private func withProgress(_ detail: TaskDetail) -> TaskDetail {
    TaskDetail(
      task: withProgress(detail.task), attempts: detail.attempts, checkpoints: detail.checkpoints,
      output: detail.output)
  }

  private func withProgress(_ task: TaskRecord) -> TaskRecord {
    guard let live = core.liveTask(task.id), live.state.attempt == task.state.attempt else { return task }
    var task = task
    task.state.progress = live.state.progress
    return task
  }
}
