public import CoordinationCore
import Reactor

/// A worker on a thread of its own, for a Swift program that embeds one: `WorkerRuntime` with an `async` face.
///
///     let worker = try await Worker(settings) { task, context in
///       for step in (context.latestCheckpoint?.integer ?? 0)..<100 {
///         try await context.checkpoint(.integer(step))
///       }
///       return "done"
///     }
///     await worker.finished()
public final class Worker: Sendable {
  private let thread: EventLoopThread
  private let runtime: LoopBound<WorkerRuntime>
  private let stateStream: AsyncStream<WorkerConnectionState>
  private let stopStream: AsyncStream<Void>
  public let id: WorkerID

  /// Starts a worker that executes `body` for each attempt of work of `kinds`.
  ///
  /// `body` runs on Swift's own threads; what it returns is the task's result and what it throws its failure. It is
  /// cancelled when the task is, or when its lease ends.
  /// - Throws: `WorkerStartError`; nothing has been changed then.
  public convenience init(
    _ settings: WorkerSettings, kinds: Set<String> = ["task"],
    _ body: @escaping @Sendable (TaskSpecification, TaskContext) async throws -> JSONValue?
  ) async throws {
    try await self.init(
      settings, executors: { [ClosureExecutor(kinds: kinds) { try await body($0.specification, $0) }] })
  }

  /// Starts a worker with executors of its own choosing, made on its loop.
  /// - Throws: `WorkerStartError`; nothing has been changed then.
  public init(_ settings: WorkerSettings, executors: @escaping @Sendable () -> [any TaskExecutor]) async throws {
    let (started, report) = AsyncStream.makeStream(of: Result<(LoopBound<WorkerRuntime>, WorkerID), any Error>.self)
    let (states, state) = AsyncStream.makeStream(of: WorkerConnectionState.self, bufferingPolicy: .bufferingNewest(64))
    let (stopped, stop) = AsyncStream.makeStream(of: Void.self)
    thread = try EventLoopThread(name: "worker") { loop in
      do {
        let runtime = try WorkerRuntime.start(settings, executors: executors(), on: loop)
        runtime.onStateChange = { state.yield($0) }
        runtime.onStopped = {
          state.finish()
          stop.finish()
          loop.stop()
        }
        report.yield(.success((LoopBound(runtime, to: loop), runtime.workerID)))
      } catch {
        loop.stop()
        report.yield(.failure(error))
      }
      report.finish()
    }
    stateStream = states
    stopStream = stopped
    guard let result = await started.first(where: { _ in true }) else { throw CancellationError() }
    (runtime, id) = try result.get()
  }

  /// The connection's states from the start on; for one reader. Ends when the worker stops.
  public var states: AsyncStream<WorkerConnectionState> { stateStream }

  /// How the connection has fared so far; `nil` once the worker has stopped.
  public func statistics() async -> WorkerStatistics? { await ask { $0.statistics } }
  public func state() async -> WorkerConnectionState { await ask { $0.state } ?? .shutdown }
  public func sessionID() async -> SessionID? { await ask { $0.sessionID } ?? nil }

  /// Drops the connection, if there is one, and connects again at once.
  public func reconnect() { post { $0.reconnect() } }

  /// Sends a message of a service author's own.
  /// - Parameter reliably: numbered, and replayed until it is acknowledged.
  public func send(_ message: Message, reliably: Bool = true) { post { $0.send(message, reliably: reliably) } }

  /// Takes no more tasks, waits until those that run have ended, or were handed back at the end of
  /// `WorkerSettings.drainTimeout`, and stops once everything was acknowledged.
  public func drain() async {
    post { $0.drain() }
    await finished()
  }

  /// Ends what runs, and then the worker.
  public func stop() async {
    post { $0.stop() }
    await finished()
  }

  /// Returns once the worker has stopped; for one caller.
  public func finished() async {
    for await _ in stopStream {}
    thread.join()
  }

  private func post(_ body: @escaping @Sendable (WorkerRuntime) -> Void) {
    let runtime = self.runtime
    thread.mailbox.post { body(runtime.value) }
  }

  private func ask<Value: Sendable>(_ body: @escaping @Sendable (WorkerRuntime) -> Value) async -> Value? {
    let runtime = self.runtime
    return await withCheckedContinuation { continuation in
      let posted = thread.mailbox.post { continuation.resume(returning: body(runtime.value)) }
      if !posted { continuation.resume(returning: nil) }
    }
  }
}
