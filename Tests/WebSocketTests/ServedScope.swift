import Reactor
import WebSocket

/// Serves on the current loop, or on loops of its own, while `body` runs; both have ended when it returns.
func withServer<Value: Sendable>(
  loops: Int = 1, configuration: WebSocketConfiguration = .init(), tls: TLSServerContext? = nil,
  receiveQueue: ReceiveQueueLimits = .init(),
  accept: @escaping @Sendable (UpgradeRequest) -> UpgradeAnswer = { .accept(subprotocol: $0.subprotocol) },
  onFailure: @escaping @Sendable (AsyncWebSocket, any Error) -> Void = { _, _ in },
  handler: @escaping @Sendable (AsyncWebSocket, UpgradeRequest) async throws -> Void = { socket, _ in
    for try await message in socket { try await socket.send(message) }
  },
  _ body: @Sendable (SocketAddress) async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Void.self) { group in
    let (addresses, listening) = AsyncStream.makeStream(of: SocketAddress.self)
    group.addTask {
      defer { listening.finish() }
      try await WebSocketServer.serve(
        at: .loopback(), loops: loops, configuration: configuration, tls: tls, receiveQueue: receiveQueue,
        accept: accept, onListening: { listening.yield($0) }, onFailure: onFailure, handler: handler)
    }
    guard let address = await addresses.first(where: { _ in true }) else {
      try await group.waitForAll()
      throw CancellationError()
    }
    let value = try await body(address)
    group.cancelAll()
    try await group.waitForAll()
    return value
  }
}

/// Runs on its executor's loop, looking once a millisecond, until `condition` holds; the suite's time limit bounds it.
func until(on executor: LoopTaskExecutor, _ condition: @Sendable () -> Bool) async throws {
  try await withTaskExecutorPreference(executor) {
    while !condition() { try await executor.sleep(for: .milliseconds(1)) }
  }
}

/// As above, for what belongs to no loop.
func until(_ condition: @Sendable () -> Bool) async throws {
  while !condition() { try await Task.sleep(for: .milliseconds(1)) }
}

/// Refers to an object without keeping it, from any task.
final class WeakReference<Object: AnyObject>: @unchecked Sendable {
  private(set) weak var object: Object?
  init(_ object: Object) { self.object = object }
}
