import Locking
import Glibc

/// A loop on a thread of its own, running until `stop`.
public final class EventLoopThread: Sendable {
  /// Reaches the loop from any thread.
  public let mailbox: Mailbox
  private let thread: Locked<Thread?>

  private enum Outcome: Sendable {
    case running(Mailbox)
    case failed(SystemError)
  }

  /// Starts the thread, makes its loop, calls `start` there and runs the loop; returns once the loop exists.
  ///
  /// The name is shown by system tools, up to 15 bytes. Fails when the thread or the loop's descriptors cannot be had.
  public init(name: String, _ start: @escaping @Sendable (EventLoop) -> Void) throws(SystemError) {
    let outcome = OneShot<Outcome>()
    let thread = try Thread.start(name: name) {
      do throws(SystemError) {
        let loop = try EventLoop()
        outcome.fulfil(.running(loop.mailbox))
        start(loop)
        loop.run()
      } catch {
        outcome.fulfil(.failed(error))
      }
    }
    switch outcome.wait() {
    case .running(let mailbox):
      self.mailbox = mailbox
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
}
