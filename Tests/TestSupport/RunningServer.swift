public import Reactor
import Synchronization

/// A server on a loop thread of its own, for tests whose clients block on the test's thread.
public final class RunningServer: Sendable {
  public let address: SocketAddress
  public let thread: EventLoopThread

  /// `start` runs on the new loop, sets the server up and says where it listens.
  public init(_ start: @escaping @Sendable (EventLoop) throws -> SocketAddress) throws {
    let started = Exchange<Result<SocketAddress, any Error>>()
    thread = try EventLoopThread(name: "test server") { loop in
      started.put(Result { try start(loop) })
    }
    do {
      address = try started.take().get()
    } catch {
      thread.stop()
      thread.join()
      throw error
    }
  }

  /// Runs `body` on the server's loop and waits for what it returns.
  public func onLoop<Value: Sendable>(_ body: @escaping @Sendable (EventLoop) -> Value) -> Value {
    let answer = Exchange<Value>()
    guard thread.mailbox.post({ loop in answer.put(body(loop)) }) else { fatalError("the server's loop has ended") }
    return answer.take()
  }

  public func stop() {
    thread.stop()
    thread.join()
  }
}
