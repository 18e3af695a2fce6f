public import CoordinationCore
import Reactor
public import Storage

/// What is read from the store without a change: durable, with what memory knows better.
extension CoordinatorRuntime {
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
    if task.state.status == .queued, let obstacle = core.obstacle(for: task.id) {
      object["waiting_for"] = .string(obstacle)
    }
    return object
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
