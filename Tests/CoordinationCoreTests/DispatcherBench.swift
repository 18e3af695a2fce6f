@testable import CoordinationCore
import Primitives

/// A dispatcher with tasks and workers of a test's own.
struct DispatcherBench {
  var dispatcher: Dispatcher
  private(set) var workers: [WorkerEntry] = []
  private var tasks: [String: LiveTask] = [:]

  static func time(_ seconds: Int64) -> WallTime { WallTime(milliseconds: 1_700_000_000_000 + seconds * 1_000) }

  init(aging: Duration? = .seconds(60), isPrioritized: Bool = true) {
    dispatcher = Dispatcher(aging: aging, isPrioritized: isPrioritized)
  }

  /// A connected worker of so many slots.
  @discardableResult
  mutating func worker(
    _ name: String, slots: Int = 1, kinds: Set<String> = ["k"], labels: KeyValuePairs<String, String> = [:]
  ) -> WorkerEntry {
    let worker = WorkerEntry(id: WorkerID(known: name))
    worker.link = WorkerLink(
      ConnectionID(UInt64(workers.count + 1)), workerID: worker.id, mode: .legacy, openedAt: .zero,
      since: Self.time(0), remoteAddress: "peer", security: .open)
    worker.link?.isRegistered = true
    worker.isSynchronised = true
    worker.slots = slots
    worker.kinds = kinds
    for (name, value) in labels { try? worker.labels.set(name, value) }
    workers.append(worker)
    dispatcher.update(worker)
    dispatcher.offer(worker)
    return worker
  }

  static func requirements(_ texts: [String]) -> Requirements {
    var requirements = Requirements()
    for text in texts { try? requirements.add(argument: text) }
    return requirements
  }

  @discardableResult
  mutating func push(
    _ id: String, _ priority: Priority = .normal, kind: String = "k", requires: [String] = [], slots: Int = 1,
    since wall: WallTime = Self.time(0), atFront: Bool = false
  ) -> LiveTask {
    let task =
      tasks[id]
      ?? LiveTask(
        TaskRecord(
          id: TaskID(known: id),
          specification: TaskSpecification(
            name: id, work: .custom(kind: kind, input: [:]), priority: priority,
            requirements: Self.requirements(requires), slots: slots), submittedAt: wall))
    tasks[id] = task
    task.isInLine = true
    dispatcher.push(task, atFront: atFront)
    return task
  }

  /// One that is built at less cost, for tests with many.
  mutating func push(_ id: String, requirements: Requirements) {
    let specification = TaskSpecification(
      name: id, work: .custom(kind: "k", input: [:]), requirements: requirements)
    let task = LiveTask(
      TaskRecord(id: TaskID(known: id), specification: specification, submittedAt: Self.time(0)))
    task.isInLine = true
    dispatcher.push(task, atFront: false)
  }

  /// Cancels a task in line.
  mutating func cancel(_ id: String) {
    guard let task = tasks[id] else { return }
    task.state.status = .cancelled
    dispatcher.left(task)
  }

  /// The next task that somebody starts, as `task` or `task@worker`.
  mutating func next(at wall: WallTime = Self.time(0)) -> (task: LiveTask, worker: WorkerEntry)? {
    guard let (task, worker) = dispatcher.next(at: wall) else { return nil }
    task.state.status = .running
    worker.hold(task)
    dispatcher.offer(worker)
    return (task, worker)
  }

  mutating func end(_ task: LiveTask, _ worker: WorkerEntry) {
    worker.drop(task.id)
    dispatcher.offer(worker)
  }

  mutating func end(_ id: String, _ worker: WorkerEntry) {
    if let task = tasks[id] { end(task, worker) }
  }

  /// Starts, and ends at once, so many tasks; their names in order.
  mutating func drained(_ count: Int = .max, at wall: WallTime = Self.time(0)) -> [String] {
    var ids: [String] = []
    while ids.count < count, let (task, worker) = next(at: wall) {
      ids.append(task.id.text)
      end(task, worker)
    }
    return ids
  }

  /// Starts whatever can be started: `task@worker`.
  mutating func started(at wall: WallTime = Self.time(0)) -> [String] {
    var texts: [String] = []
    while let (task, worker) = next(at: wall) { texts.append("\(task.id)@\(worker.id)") }
    return texts
  }
}

extension TaskBook {
  /// The next task that a worker of a kind would be given; the caller must assign it or put it back.
  mutating func nextReady(kind: String, wall: WallTime) -> LiveTask? {
    var bench = DispatcherBench()
    let worker = bench.worker("any", slots: SpecificationLimits.maxSlots, kinds: [kind])
    worker.leaveBucket()
    worker.group = nil
    dispatcher.update(worker)
    dispatcher.offer(worker)
    let next = dispatcher.next(at: wall)
    dispatcher.forget { $0 === worker }
    return next?.task
  }
}
