public import CoordinationCore
import Reactor
public import Storage

/// A coordinator on a thread of its own, for a Swift program that embeds one: `CoordinatorRuntime` with an `async` face.
///
///     let coordinator = try await Coordinator.start(CoordinatorSettings())
///     let id = try await coordinator.submit(TaskSpecification(name: "hello", work: .command(Command(["echo", "hello"]))))
///     print(try await coordinator.result(of: id).task.state.status)
///     await coordinator.stop()
public final class Coordinator: Sendable {
  private let thread: EventLoopThread
  private let runtime: LoopBound<CoordinatorRuntime>
  /// `ws://HOST:PORT`, for workers and clients.
  public let url: String

  /// What was asked cannot be done.
  public enum RequestError: Error, Equatable, CustomStringConvertible {
    case noSuchTask(TaskID)
    case taskHasEnded(TaskID)
    case refused(String)
    case store(StoreError)
    case stopped

    public var description: String {
      switch self {
      case .noSuchTask(let id): "there is no task \(id)"
      case .taskHasEnded(let id): "task \(id) has already ended"
      case .refused(let reason): reason
      case .store(let error): "\(error)"
      case .stopped: "the coordinator has stopped"
      }
    }
  }

  private init(_ thread: EventLoopThread, _ runtime: LoopBound<CoordinatorRuntime>, url: String) {
    self.thread = thread
    self.runtime = runtime
    self.url = url
  }

  /// Opens the store and listens.
  /// - Throws: `CoordinatorStartError`; nothing has been changed then.
  public static func start(_ settings: CoordinatorSettings) async throws -> Coordinator {
    let (started, report) = AsyncStream.makeStream(of: Result<(LoopBound<CoordinatorRuntime>, String), any Error>.self)
    let thread = try EventLoopThread(name: "coordinator") { loop in
      CoordinatorRuntime.start(settings, on: loop) { result in
        switch result {
        case .success(let runtime): report.yield(.success((LoopBound(runtime, to: loop), runtime.url)))
        case .failure(let error):
          loop.stop()
          report.yield(.failure(error))
        }
        report.finish()
      }
    }
    for await result in started {
      let (runtime, url) = try result.get()
      return Coordinator(thread, runtime, url: url)
    }
    throw CancellationError()
  }

  /// Sends everyone away with a hint when to come back, spread over `window` if they are many, and stops.
  public func drain(within window: Duration = .seconds(5)) async {
    await withCheckedContinuation { continuation in
      let runtime = self.runtime
      let posted = thread.mailbox.post { runtime.value.drain(within: window) { continuation.resume() } }
      if !posted { continuation.resume() }
    }
    await stop()
  }

  /// Runs `body` on the coordinator's loop, and returns what it hands to its second argument.
  private func ask<Value: Sendable>(
    _ body: @escaping @Sendable (CoordinatorRuntime, @escaping (Result<Value, RequestError>) -> Void) -> Void
  ) async throws -> Value {
    let runtime = self.runtime
    return try await withCheckedThrowingContinuation { continuation in
      let posted = thread.mailbox.post { body(runtime.value) { continuation.resume(with: $0) } }
      if !posted { continuation.resume(throwing: RequestError.stopped) }
    }
  }

  /// Submits a task; durable when this returns.
  /// - Parameter id: submitting one id twice is harmless; `nil` lets the coordinator choose.
  @discardableResult
  public func submit(_ specification: TaskSpecification, id: TaskID? = nil) async throws -> TaskID {
    try await submit([TaskSubmission(id: id, specification)])[0]
  }

  /// Submits several tasks together, in their order; durable when this returns.
  public func submit(_ submissions: [TaskSubmission]) async throws -> [TaskID] {
    var ids: [TaskID] = []
    var rest = submissions[...]
    while !rest.isEmpty {
      let part = Array(rest.prefix(TaskFilter.maxLimit))
      rest = rest.dropFirst(part.count)
      ids += try await ask { runtime, done in
        runtime.request(.submit(part)) { answer in
          switch answer {
          case .submitted(let ids): done(.success(ids))
          case .refused(let reason): done(.failure(.refused(reason)))
          case .done, .notLive: done(.failure(.refused("unexpected answer")))
          }
        }
      }
    }
    return ids
  }

  public func cancel(_ id: TaskID) async throws { try await control(.cancel(id)) }
  public func pause(_ id: TaskID) async throws { try await control(.pause(id)) }
  public func resume(_ id: TaskID) async throws { try await control(.resume(id)) }
  /// Asks the worker that holds the task for a checkpoint now.
  public func requestCheckpoint(_ id: TaskID) async throws { try await control(.checkpoint(id)) }

  private func control(_ request: CoordinatorRequest) async throws {
    try await ask { runtime, done in
      runtime.request(request) { answer in
        switch answer {
        case .done, .submitted: done(.success(()))
        case .notLive(let id): done(.failure(.taskHasEnded(id)))
        case .refused(let reason): done(.failure(.refused(reason)))
        }
      }
    }
  }

  /// Everything about one task.
  public func task(_ id: TaskID) async throws -> TaskDetail {
    try await ask { runtime, done in
      runtime.task(id) { result in
        switch result {
        case .success(let detail?): done(.success(detail))
        case .success(nil): done(.failure(.noSuchTask(id)))
        case .failure(let error): done(.failure(.store(error)))
        }
      }
    }
  }

  /// A page of tasks, in the order of their submission.
  public func tasks(matching filter: TaskFilter = TaskFilter()) async throws -> [TaskRecord] {
    try await ask { runtime, done in
      runtime.tasks(matching: filter) { result in done(result.mapError(RequestError.store)) }
    }
  }

  /// Waits until a task has ended.
  public func result(of id: TaskID) async throws -> TaskDetail {
    // Watching begins before looking, so an end in between is not missed.
    let ended = events {
      if case .taskChanged(let task) = $0 { task.id == id && task.state.status.isTerminal } else { false }
    }
    var detail = try await task(id)
    if !detail.task.state.status.isTerminal {
      for await _ in ended { break }
      detail = try await task(id)
    }
    return detail
  }

  /// Every worker known, in order of their ids.
  public func workers() async throws -> [WorkerSummary] {
    try await ask { runtime, done in done(.success(runtime.workerSummaries)) }
  }

  /// What happens from now on: each notice is durable when it comes. A reader that falls 10,000 notices behind loses the
  /// oldest; tasks can always be asked for again. Ends when the coordinator stops.
  public func events(where isWanted: @escaping @Sendable (CoordinatorNotice) -> Bool = { _ in true }) -> AsyncStream<
    CoordinatorNotice
  > {
    let (stream, continuation) = AsyncStream.makeStream(
      of: CoordinatorNotice.self, bufferingPolicy: .bufferingNewest(10_000))
    let (runtime, mailbox) = (runtime, thread.mailbox)
    let posted = mailbox.post {
      let number = runtime.value.observe { notice in if isWanted(notice) { continuation.yield(notice) } }
      runtime.value.onStop { continuation.finish() }
      continuation.onTermination = { _ in mailbox.post { runtime.value.stopObserving(number) } }
    }
    if !posted { continuation.finish() }
    return stream
  }

  /// Closes every connection, lets the store finish, and ends the thread. Running tasks are not disturbed: their workers
  /// come back to whoever is started next on the same store.
  public func stop() async {
    let runtime = self.runtime
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let posted = thread.mailbox.post {
        runtime.value.stop {
          runtime.value.loop.stop()
          continuation.resume()
        }
      }
      if !posted { continuation.resume() }
    }
    thread.join()
  }
}
