import Glibc

extension EventLoop {
  /// Makes a loop on the calling thread, runs `body` there as a task, and returns what it returns: the `main` of an
  /// asynchronous program.
  ///
  ///     @main struct Program {
  ///       static func main() throws {
  ///         try EventLoop.run(cancelledBy: [SIGTERM, SIGINT]) { loop in
  ///           try await loop.sleep(for: .seconds(1))
  ///         }
  ///       }
  ///     }
  ///
  /// The first of `signals` cancels the task; a second one has its default action, which ends the process. The calling
  /// thread serves the loop meanwhile: on the main thread nothing runs on the main actor. Rethrows the body's error;
  /// throws `SystemError` when the loop cannot be made or a signal is taken.
  public static func run<Value: Sendable>(
    cancelledBy signals: [Int32] = [], _ body: @escaping @Sendable (EventLoop) async throws -> Value
  ) throws -> Value {
    let loop = try EventLoop()
    let executor = loop.taskExecutor
    let outcome = OneShot<Result<Value, any Error>>()
    let watchers = SignalWatchers()
    for number in signals { try watchers.add(number, on: loop) }
    let task = Task(executorPreference: executor) {
      let result: Result<Value, any Error>
      do {
        result = .success(try await body(try executor.ownLoop()))
      } catch {
        result = .failure(error)
      }
      outcome.fulfil(result)
      executor.mailbox.post { loop in loop.stop() }
    }
    watchers.onSignal = { task.cancel() }
    withExtendedLifetime(watchers) { loop.run() }
    // Somebody else stopped the loop: the body hears of it, and ends on the pool.
    task.cancel()
    return try outcome.wait().get()
  }

  /// The loop that the calling thread is running; nil on any other thread.
  ///
  /// In a task that prefers a loop's executor it is that loop, at every point: so a child task, which cannot be handed
  /// the loop, finds it here.
  public static var current: EventLoop? {
    guard let pointer = unsafe pthread_getspecific(currentLoopKey) else { return nil }
    // SAFETY: set by run() to a loop that lives at least until run() takes it back.
    return unsafe Unmanaged<EventLoop>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// Calls `body` with this loop as the thread's current one.
  func asCurrent(_ body: () -> Void) {
    let previous = unsafe pthread_getspecific(currentLoopKey)
    unsafe pthread_setspecific(currentLoopKey, Unmanaged.passUnretained(self).toOpaque())
    body()
    unsafe pthread_setspecific(currentLoopKey, previous)
  }
}

private let currentLoopKey: pthread_key_t = {
  var key = pthread_key_t()
  // SAFETY: the key is made once and never deleted.
  let result = unsafe pthread_key_create(&key, nil)
  precondition(result == 0, "pthread_key_create")
  return key
}()

private final class SignalWatchers {
  private var watchers: [SignalWatcher] = []
  var onSignal: () -> Void = {}

  func add(_ number: Int32, on loop: EventLoop) throws(SystemError) {
    watchers.append(
      try loop.onSignal(number) { [unowned self] in
        for watcher in watchers { watcher.cancel() }
        watchers = []
        onSignal()
      })
  }
}

/// Runs `body` on a new loop with a thread of its own, and returns once the body has returned and the thread is gone.
///
/// The body and its child tasks run on the loop's thread. Cancelling the caller cancels the body. Rethrows the body's
/// error; throws `SystemError` when the thread or the loop cannot be had. The name is shown by system tools, up to 15
/// bytes.
public nonisolated(nonsending) func withEventLoop<Value: Sendable>(
  name: String = "loop", _ body: @Sendable (EventLoop) async throws -> Value
) async throws -> Value {
  let thread = try EventLoopThread(name: name) { _ in }
  let result: Result<Value, any Error>
  do {
    result = .success(try await withLoop(of: thread.taskExecutor, body))
  } catch {
    result = .failure(error)
  }
  await thread.shutDown()
  return try result.get()
}

/// Runs `body` on the loop that the calling task is on, or else on a new one as `withEventLoop` does.
package nonisolated(nonsending) func withCurrentEventLoop<Value: Sendable>(
  orNew name: String, _ body: @Sendable (EventLoop) async throws -> Value
) async throws -> Value {
  guard let executor = EventLoop.current?.taskExecutor else { return try await withEventLoop(name: name, body) }
  return try await withLoop(of: executor, body)
}

private nonisolated(nonsending) func withLoop<Value: Sendable>(
  of executor: LoopTaskExecutor, _ body: @Sendable (EventLoop) async throws -> Value
) async throws -> Value {
  try await withTaskExecutorPreference(executor) { try await body(try executor.ownLoop()) }
}
