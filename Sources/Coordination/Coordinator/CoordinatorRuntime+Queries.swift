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
    if let place, !place.isLost { return place.questions.workers(RollCall(withTelemetry: withTelemetry), answer) }
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

  /// One worker as people see it, wherever it is connected; `nil` when no coordinator knows it.
  func worker(_ id: WorkerID, withTelemetry: Bool, _ answer: @escaping (JSONObject?) -> Void) {
    let own = core.workerSummary(id)
    let isHere = own?.state == .connected || own?.state == .draining
    guard let place, !place.isLost, !isHere else {
      return answer(own?.presentation(withTelemetry: withTelemetry))
    }
    place.questions.workers(RollCall(worker: id, withTelemetry: withTelemetry)) { answer($0.first) }
  }

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

  /// Tasks as clients see them. One that no connected worker can do says what it waits for.
  func presentations(of tasks: [TaskRecord], _ answer: @escaping ([JSONObject]) -> Void) {
    obstacles(to: tasks) { obstacles in
      answer(
        tasks.map { task in
          var object = task.presentation
          if let obstacle = obstacles[task.id] { object["waiting_for"] = .string(obstacle) }
          return object
        })
    }
  }

  /// Everything about a task, as `presentations` shows it.
  func presentation(of detail: TaskDetail, _ answer: @escaping (JSONObject) -> Void) {
    obstacles(to: [detail.task]) { obstacles in
      var object = detail.presentation
      if let obstacle = obstacles[detail.task.id] { object["waiting_for"] = .string(obstacle) }
      answer(object)
    }
  }

  /// What queued tasks wait for that no connected worker has, at whichever coordinator. Those that one can do, or of which
  /// nothing is known just now, are missing.
  private func obstacles(to tasks: [TaskRecord], _ answer: @escaping ([TaskID: String]) -> Void) {
    let queued = tasks.filter { $0.state.status == .queued }
    var obstacles: [TaskID: String] = [:]
    guard isShared else {
      for task in queued { obstacles[task.id] = obstacle(to: task.id) }
      return answer(obstacles)
    }
    let needs = queued.map { TaskNeeds($0.specification) }
    self.obstacles(to: needs) { found in
      for (task, needs) in zip(queued, needs) { obstacles[task.id] = found[needs] }
      answer(obstacles)
    }
  }

  /// What tasks with these needs wait for that no connected worker has, where several coordinators share a store.
  func obstacles(to needs: [TaskNeeds], _ answer: @escaping ([TaskNeeds: String]) -> Void) {
    guard !needs.isEmpty, let place, !place.isLost else { return answer([:]) }
    var (different, seen): ([TaskNeeds], Set<TaskNeeds>) = ([], [])
    for one in needs where seen.insert(one).inserted { different.append(one) }
    place.questions.abilities(different) { abilities in
      var obstacles: [TaskNeeds: String] = [:]
      for (needs, ability) in abilities { obstacles[needs] = ability.obstacle(to: needs) }
      answer(obstacles)
    }
  }

  /// What a queued task waits for that no connected worker has, where there is one coordinator; `nil` when one can do it.
  func obstacle(to id: TaskID) -> String? {
    core.liveTask(id)?.state.status == .queued ? core.obstacle(for: id) : nil
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
