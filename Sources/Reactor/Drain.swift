import Primitives

/// A wait until a set of closing connections is gone, bounded by a deadline.
final class Drain {
  var remaining: Set<UInt64>
  let completion: () -> Void

  init(remaining: Set<UInt64>, completion: @escaping () -> Void) {
    self.remaining = remaining
    self.completion = completion
  }
}

extension EventLoop {
  /// Stops every listener of the loop and closes its connections gracefully, then calls `completion` once.
  ///
  /// Connections still there when `timeout` passes are cut. The loop keeps running: stop it in the completion.
  /// Call on the loop.
  public func drain(within timeout: Duration, _ completion: @escaping () -> Void) {
    preconditionOnLoop()
    for case let listener as Listener in resources.elements { listener.close() }
    drain(within: timeout, where: { _ in true }, completion)
  }

  func drain(within timeout: Duration, where isMeant: (Connection) -> Bool, _ completion: @escaping () -> Void) {
    let connections = connections.elements.filter(isMeant)
    let drain = Drain(remaining: Set(connections.map(\.id)), completion: completion)
    drains.append(drain)
    for connection in connections { connection.close(within: timeout) }
    if connections.isEmpty { afterTurn { [self] in finishDrains() } }
  }

  /// Called once for every connection that ended.
  func connectionDidEnd(_ connection: Connection) {
    guard !drains.isEmpty else { return }
    for drain in drains { drain.remaining.remove(connection.id) }
    finishDrains()
  }

  private func finishDrains() {
    let done = drains.filter(\.remaining.isEmpty)
    drains.removeAll(where: \.remaining.isEmpty)
    for drain in done { drain.completion() }
  }
}
