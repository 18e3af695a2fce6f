import CoordinationCore
import Storage

/// Tells whoever watches here of tasks that other coordinators hold: these say only that a task has changed, and the store
/// says how.
final class ForeignChanges {
  /// Tasks that may wait to be read; when more change so fast, whoever watches starts over with a list.
  private static let maxTasks = 200_000
  private static let maxFollowed = 10_000

  private unowned let runtime: CoordinatorRuntime
  private var waiting: Set<TaskID> = []
  private var isReading = false
  /// Of tasks whose output is wanted, what was told of each stream of the newest attempt.
  private var told: [TaskID: Told] = [:]

  private struct Told {
    var attempt = 0
    var counts: [OutputStream: Int] = [:]
  }

  init(_ runtime: CoordinatorRuntime) { self.runtime = runtime }

  func changed(_ tasks: [TaskID]) {
    waiting.formUnion(tasks)
    guard waiting.count <= Self.maxTasks else {
      waiting = []
      return runtime.missedSome()
    }
    read()
  }

  private func read() {
    guard !isReading, !waiting.isEmpty, runtime.isWatched else {
      if !isReading { waiting = [] }
      return
    }
    isReading = true
    let followed = waiting.filter(runtime.wantsOutput).sorted()
    let others = waiting.subtracting(followed).sorted()
    waiting = []
    runtime.tasks(named: others) { [weak self] result in
      guard let self else { return }
      if case .success(let tasks) = result { for task in tasks { tell(task) } }
      follow(followed[...])
    }
  }

  /// What is held here tells its changes by itself.
  private func tell(_ task: TaskRecord) {
    if runtime.core.liveTask(task.id) == nil { runtime.tell(.taskChanged(task)) }
  }

  private func follow(_ tasks: ArraySlice<TaskID>) {
    guard let id = tasks.first else {
      isReading = false
      return read()
    }
    runtime.task(id) { [weak self] result in
      guard let self else { return }
      if case .success(let detail?) = result, runtime.core.liveTask(id) == nil {
        tellOutput(of: detail)
        tell(detail.task)
      }
      follow(tasks.dropFirst())
    }
  }

  private func tellOutput(of detail: TaskDetail) {
    let (id, attempt) = (detail.task.id, detail.task.state.attempt)
    guard let output = detail.output[attempt] else { return }
    if told.count > Self.maxFollowed { told = [:] }
    var known = told[id] ?? Told()
    if known.attempt != attempt { known = Told(attempt: attempt) }
    for stream in OutputStream.allCases {
      let bytes = stream == .stdout ? output.stdout : output.stderr
      let count = known.counts[stream, default: 0]
      guard bytes.count > count else { continue }
      known.counts[stream] = bytes.count
      runtime.tell(
        .outputAppended(id, attempt: attempt, stream, offset: count, bytes: Array(bytes.dropFirst(count))))
    }
    told[id] = detail.task.state.status.isTerminal ? nil : known
  }
}

@available(*, unavailable) extension ForeignChanges: Sendable {}
