import Authentication
import Coordination
import CoordinationCore
import Primitives
import Reactor

/// The coordinator on one thread and all workers on another, with real sockets between them.
let dispatchBenchmarks: [Benchmark] = [
  Benchmark("submit, memory store", operations: 50_000, tiny: 100, scope: .process, showsRate: true) {
    operations, meter in
    try DispatchRun.run(operations, .memory, measuring: .submission, meter)
  },
  Benchmark("submit, SQLite", operations: 20_000, tiny: 100, scope: .process, showsRate: true) { operations, meter in
    let directory = try ScratchDirectory()
    return try DispatchRun.run(
      operations, .sqlite(path: directory.file("tasks.db")), measuring: .submission, meter)
  },
  Benchmark("dispatch end to end, memory store", operations: 50_000, tiny: 100, scope: .process, showsRate: true) {
    operations, meter in
    try DispatchRun.run(operations, .memory, measuring: .dispatch, meter)
  },
  Benchmark(
    "dispatch end to end, memory store, signed", operations: 50_000, tiny: 100, scope: .process, showsRate: true
  ) { operations, meter in
    try DispatchRun.run(operations, .memory, measuring: .dispatch, key: APIKey.generate(name: "bench"), meter)
  },
  Benchmark("dispatch end to end, SQLite", operations: 20_000, tiny: 100, scope: .process, showsRate: true) {
    operations, meter in
    let directory = try ScratchDirectory()
    return try DispatchRun.run(
      operations, .sqlite(path: directory.file("tasks.db")), measuring: .dispatch, meter)
  },
]

/// Tasks from their submission to their end. They are all submitted, and durable, before the first worker connects, so
/// either half can be measured alone.
private final class DispatchRun {
  enum Measured { case submission, dispatch }

  private static let workers = 8
  private static let slots = 64
  private static let tasksPerRequest = 1_000

  private let tasks: Int
  private let measured: Measured
  /// Every worker has it, and so each message a code.
  private let key: APIKey?
  private let loop: EventLoop
  private let meter: Meter
  private var runtime: CoordinatorRuntime?
  private var fleet: EventLoopThread?
  private var submitted = 0
  private var completed = 0
  private var failure: (any Error)?

  private init(_ tasks: Int, _ measured: Measured, _ key: APIKey?, _ loop: EventLoop, _ meter: Meter) {
    self.tasks = tasks
    self.measured = measured
    self.key = key
    self.loop = loop
    self.meter = meter
  }

  static func run(
    _ tasks: Int, _ store: StoreKind, measuring measured: Measured, key: APIKey? = nil, _ meter: Meter
  ) throws -> UInt64 {
    let loop = try EventLoop()
    let run = DispatchRun(tasks, measured, key, loop, meter)
    var settings = CoordinatorSettings()
    settings.host = "127.0.0.1"
    settings.port = 0
    settings.store = store
    settings.security.keys = key.map { KeyRing([KeyRecord($0, roles: [.worker])]) }
    CoordinatorRuntime.start(settings, on: loop) { result in
      switch result {
      case .success(let runtime): run.begin(runtime)
      case .failure(let error): run.fail(error)
      }
    }
    let limit = loop.schedule(after: .seconds(120)) {
      run.fail(BenchmarkError(description: "only \(run.completed) of \(tasks) tasks ended in two minutes"))
    }
    loop.run()
    limit.cancel()
    run.fleet?.stop()
    run.fleet?.join()
    if let failure = run.failure { throw failure }
    return UInt64(run.submitted + run.completed)
  }

  private func begin(_ runtime: CoordinatorRuntime) {
    self.runtime = runtime
    if measured == .submission { meter.start() }
    submitMore()
  }

  private func submitMore() {
    guard submitted < tasks else {
      if measured == .submission {
        meter.stop()
        finish()
      } else {
        startWorkers()
      }
      return
    }
    let part = (submitted..<min(submitted + Self.tasksPerRequest, tasks)).map { number in
      TaskSubmission(TaskSpecification(name: "t\(number)", work: .custom(kind: "instant", input: [:])))
    }
    runtime?.request(.submit(part)) { [self] answer in
      guard case .submitted(let ids) = answer else { return fail(BenchmarkError(description: "\(answer)")) }
      submitted += ids.count
      submitMore()
    }
  }

  private func startWorkers() {
    guard let runtime else { return }
    _ = runtime.observe { [self] notice in
      guard case .taskChanged(let task) = notice, task.state.status.isTerminal else { return }
      if task.state.status != .completed || task.state.attempt != 1 {
        return fail(BenchmarkError(description: "task \(task.id) ended as \(task.state)"))
      }
      completed += 1
      if completed == tasks {
        meter.stop()
        finish()
      }
    }
    let (url, key) = (runtime.url, key)
    // Connecting and registering are part of what is measured: a few milliseconds of a second.
    meter.start()
    do {
      fleet = try EventLoopThread(name: "workers") { loop in
        for number in 1...Self.workers {
          var settings = WorkerSettings()
          settings.workerID = "w\(number)"
          settings.coordinator = url
          settings.slots = Self.slots
          settings.apiKey = key
          // Nothing comes of a worker that cannot start, and the run's limit says so.
          _ = try? WorkerRuntime.start(settings, executors: [InstantExecutor()], on: loop)
        }
      }
    } catch { fail(error) }
  }

  private func fail(_ error: any Error) {
    if failure == nil { failure = error }
    loop.stop()
  }

  private func finish() {
    runtime?.stop { [loop] in loop.stop() }
  }
}

/// Completes every attempt at once: what is left is the cost of coordination.
private final class InstantExecutor: TaskExecutor {
  let kinds: Set<String> = ["instant"]

  func start(_ assignment: Assignment, reporter: AttemptReporter, on loop: EventLoop) {
    reporter.started()
    reporter.ended(AttemptEnding(.completed, result: .integer(Int64(assignment.attempt))))
  }

  func pause(_ key: AttemptKey) {}
  func resume(_ key: AttemptKey) {}
  func stop(_ key: AttemptKey, _ reason: StopReason) {}
}
