import Glibc
import Primitives
public import Reactor
public import Testing

/// Runs a loop on the calling thread: `body` sets the scene, and something in it must stop the loop within `limit`.
///
/// A loop that does not stop in time is a failed test that says so, never a hang.
public func withLoop(
  limit: Duration = .seconds(60), sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (EventLoop) throws -> Void
) throws {
  let loop = try EventLoop()
  try body(loop)
  let bound = loop.schedule(after: limit) {
    Issue.record("the loop was not stopped within \(limit)", sourceLocation: sourceLocation)
    loop.stop()
  }
  loop.run()
  bound.cancel()
}

extension EventLoop {
  /// Calls `body` as soon as `condition` holds, looking once a turn; records an issue if `limit` passes first.
  public func when(
    _ condition: @escaping () -> Bool, limit: Duration = .seconds(60),
    sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping () -> Void
  ) {
    let deadline = now + limit
    func look() {
      if condition() { return body() }
      guard now < deadline else {
        Issue.record("the condition did not hold within \(limit)", sourceLocation: sourceLocation)
        return stop()
      }
      schedule(after: .milliseconds(1)) { look() }
    }
    look()
  }
}
