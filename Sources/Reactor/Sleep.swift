import Glibc

extension LoopTaskExecutor {
  /// Suspends the calling task for `duration` on a timer of the loop; a negative one means until the next turn.
  ///
  /// Unlike `Task.sleep` it wakes on the loop, by the loop's clock and with no other thread involved. Callable from any
  /// task. Throws `CancellationError` when the task is cancelled, and `SystemError` (`ECANCELED`) when the loop ends.
  public nonisolated(nonsending) func sleep(for duration: Duration) async throws {
    guard isOnLoop else {
      return try await withTaskExecutorPreference(self) { try await sleepOnLoop(duration) }
    }
    try await sleepOnLoop(duration)
  }

  private nonisolated(nonsending) func sleepOnLoop(_ duration: Duration) async throws {
    try Task.checkCancellation()
    let loop = try ownLoop()
    let sleeper = Sleeper()
    try await withTaskCancellationHandler {
      // SAFETY: the sleeper resumes it once: by its timer, the cancellation or the loop's end, whichever is first.
      try await unsafe withUnsafeThrowingContinuation { unsafe sleeper.start($0, duration, on: loop) }
    } onCancel: {
      mailbox.post { sleeper.finish(.failure(CancellationError())) }
    }
  }
}

extension EventLoop {
  /// Suspends the calling task for `duration` on a timer of this loop; see `LoopTaskExecutor.sleep(for:)`.
  public nonisolated(nonsending) func sleep(for duration: Duration) async throws {
    try await taskExecutor.sleep(for: duration)
  }
}

/// One sleeping task. Touched on its loop's thread only; other threads merely hold it, and it holds nothing by then.
@safe
private final class Sleeper: LoopResource, @unchecked Sendable {
  private var continuation: UnsafeContinuation<Void, any Error>?
  private var timer: Timer?
  private var loop: EventLoop?
  private var slot: Int?

  func start(_ continuation: UnsafeContinuation<Void, any Error>, _ duration: Duration, on loop: EventLoop) {
    unsafe self.continuation = unsafe continuation
    self.loop = loop
    slot = loop.resources.insert(self)
    timer = loop.schedule(after: duration) { [unowned self] in finish(.success(())) }
  }

  func finish(_ result: Result<Void, any Error>) {
    guard let continuation = unsafe continuation.take() else { return }
    timer?.cancel()
    timer = nil
    if let slot = slot.take() { loop?.letGo(resource: slot) }
    loop = nil
    unsafe continuation.resume(with: result)
  }

  func loopDidEnd() {
    finish(.failure(SystemError(call: "sleep", code: ECANCELED, detail: "the loop ended meanwhile")))
  }
}

/// Calls a body if its loop ends before it is cancelled: for waits that nothing else on the loop would end.
package final class EndWatch: LoopResource {
  private let loop: EventLoop
  private var body: (() -> Void)?
  private var slot: Int?

  /// Call on the loop.
  package init(on loop: EventLoop, _ body: @escaping () -> Void) {
    self.loop = loop
    self.body = body
    slot = loop.resources.insert(self)
  }

  package func cancel() {
    body = nil
    if let slot = slot.take() { loop.letGo(resource: slot) }
  }

  func loopDidEnd() {
    let body = body.take()
    cancel()
    body?()
  }
}
