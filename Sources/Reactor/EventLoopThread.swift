import Locking
import Glibc

/// A loop on a thread of its own, running until `stop`.
public final class EventLoopThread: Sendable {
  /// Reaches the loop from any thread.
  public let mailbox: Mailbox
  /// Runs tasks on the loop: `Task(executorPreference: thread.taskExecutor)`.
  public let taskExecutor: LoopTaskExecutor
  private let ending: Ending
  private let thread: Locked<Thread?>

  private enum Outcome: Sendable {
    case running(LoopTaskExecutor)
    case failed(SystemError)
  }

  /// Starts the thread, makes its loop, calls `start` there and runs the loop; returns once the loop exists.
  ///
  /// The name is shown by system tools, up to 15 bytes. Fails when the thread or the loop's descriptors cannot be had.
  public init(name: String, _ start: @escaping @Sendable (EventLoop) -> Void) throws(SystemError) {
    let outcome = OneShot<Outcome>()
    let ending = Ending()
    let thread = try Thread.start(name: name) {
      do throws(SystemError) {
        let loop = try EventLoop()
        outcome.fulfil(.running(loop.taskExecutor))
        start(loop)
        loop.run()
        ending.announce()
      } catch {
        outcome.fulfil(.failed(error))
      }
    }
    switch outcome.wait() {
    case .running(let executor):
      mailbox = executor.mailbox
      taskExecutor = executor
      self.ending = ending
      self.thread = Locked(thread)
    case .failed(let error):
      thread.join()
      throw error
    }
  }

  deinit {
    thread.withLock { $0?.detach() }
  }

  /// Asks the loop to end after its current turn; returns at once. Callable from any thread.
  public func stop() {
    mailbox.post { loop in loop.stop() }
  }

  /// Waits until the thread has ended; call `stop` first, and never from the loop itself. Harmless when repeated.
  public func join() {
    let thread = thread.withLock { $0.take() }
    thread?.join()
  }

  /// Ends the loop after its current turn, and returns once its thread has ended; not for a task that runs on it.
  ///
  /// What still lives on the loop is closed, see `EventLoop.run()`. Harmless when repeated. Callable from any task.
  public nonisolated(nonsending) func shutDown() async {
    precondition(!taskExecutor.isOnLoop, "a loop's thread cannot wait for its own end")
    stop()
    await ending.reached()
    join()
  }
}

/// Tells waiting tasks that a thread has left its loop.
private final class Ending: Sendable {
  @safe private struct State {
    var isReached = false
    var waiting: [UnsafeContinuation<Void, Never>] = unsafe []
  }

  private let state = Locked(State())

  func announce() {
    let waiting = unsafe state.withLock { state in
      state.isReached = true
      defer { unsafe state.waiting = unsafe [] }
      return unsafe state.waiting
    }
    unsafe waiting.forEach { unsafe $0.resume() }
  }

  nonisolated(nonsending) func reached() async {
    // SAFETY: resumed here or by announce(), which empties the list under the lock.
    await unsafe withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
      let isReached = state.withLock { state in
        if !state.isReached { unsafe state.waiting.append(continuation) }
        return state.isReached
      }
      if isReached { unsafe continuation.resume() }
    }
  }
}
