import Reactor

// What the guides of `Reactor.docc` show; `Scripts/doc-examples.sh` compares.

/// Posts to a loop from another thread.
func greet(_ thread: EventLoopThread, _ connection: LoopBound<Connection>) {
  thread.mailbox.post {
    connection.value.send("hello from another thread\n")
  }
}

/// Lives on a loop, so that tasks and callbacks of that loop reach it without a change of thread.
actor Scoreboard {
  private let executor: LoopSerialExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
  private(set) var points: [String: Int] = [:]

  init(on executor: LoopSerialExecutor) { self.executor = executor }

  func add(_ count: Int, to name: String) { points[name, default: 0] += count }
}

/// Keeps score by tasks and by callbacks.
func keepScore() async throws -> [String: Int] {
  try await withEventLoop { loop in
    let scores = Scoreboard(on: loop.serialExecutor)
    await withTaskGroup(of: Void.self) { group in
      for name in ["ada", "alan", "ada"] {
        group.addTask { await scores.add(1, to: name) }
      }
    }
    loop.schedule(after: .milliseconds(1)) {
      scores.assumeIsolated { $0.add(10, to: "alan") }
    }
    try await loop.sleep(for: .milliseconds(2))
    return await scores.points
  }
}

/// Sends as many lines as the peer takes, and never more than it takes.
final class Countdown: ConnectionDelegate {
  private var left: Int

  init(from count: Int) { left = count }

  func produce(into connection: Connection) {
    while left > 0, connection.pendingBytes <= connection.options.highWatermarkBytes {
      connection.send("\(left)\n")
      left -= 1
    }
    if left == 0 { connection.close() }
  }

  func connectionDidDrainBelowLowWatermark(_ connection: Connection) { produce(into: connection) }
  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {}
  func connectionDidClose(_ connection: Connection, error: SystemError?) {}
}
