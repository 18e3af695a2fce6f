import Glibc
import Reactor
import TestSupport
import Testing
import WebSocket

private struct Oops: Error, Equatable {}

// Asynchronous tests wait for a thread of the pool, which blocking tests of other suites may hold for a while.
@Suite(.timeLimit(.minutes(5))) struct AsyncConnectingTests {
  @Test func `returns the body's value, and the peer sees 1000`() async throws {
    let reasons = EventLog<CloseReason>("closes")
    try await withServer(handler: { socket, _ in
      for try await _ in socket {}
      reasons.put(try #require(socket.closeReason))
    }) { address in
      let length = try await WebSocketClient.withConnection(to: try address.url("/x?y"), at: address) { socket in
        socket.remoteAddress == address ? 4 : 0
      }
      #expect(length == 4)
      try await until { reasons.count == 1 }
    }
    #expect(reasons.all.map(\.code) == [.normal])
    #expect(reasons.all.allSatisfy { $0.wasClean })
  }

  @Test func `rethrows the body's error, and the peer sees 1011`() async throws {
    let codes = EventLog<CloseCode?>("closes")
    try await withServer(handler: { socket, _ in
      for try await _ in socket {}
      codes.put(socket.closeReason?.code)
    }) { address in
      await #expect(throws: Oops()) {
        try await WebSocketClient.withConnection(to: try address.url(), at: address) { _ in throw Oops() }
      }
      try await until { codes.count == 1 }
    }
    #expect(codes.all == [.internalError])
  }

  @Test func `a cancelled body's connection is closed with 1001`() async throws {
    let codes = EventLog<CloseCode?>("closes")
    let opened = EventLog<Int>("opened")
    try await withServer(handler: { socket, _ in
      opened.put(1)
      for try await _ in socket {}
      codes.put(socket.closeReason?.code)
    }) { address in
      let client = Task {
        try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
          opened.put(2)
          for try await _ in socket {}
        }
      }
      try await until { opened.count == 2 }
      client.cancel()
      await #expect(throws: CancellationError.self) { try await client.value }
      try await until { codes.count == 1 }
    }
    #expect(codes.all == [.goingAway])
  }

  @Test func `uses the loop it is called on, or one of its own`() async throws {
    try await withServer { address in
      let own = try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
        #expect(socket.executor.isOnLoop)
        return socket.executor
      }
      #expect(!own.mailbox.post {})
      try await withEventLoop { loop in
        let executor = loop.taskExecutor
        try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
          #expect(socket.executor === executor)
        }
      }
    }
  }

  @Test func `a refused connection is an error of the transport`() async throws {
    let address = try await withServer { $0 }
    let error = await #expect(throws: WebSocketError.self) {
      try await WebSocketClient.withConnection(to: try address.url(), at: address) { _ in }
    }
    guard case .transport(let cause)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(cause.code == ECONNREFUSED)
  }

  @Test func `can be cancelled while it waits for the answer, and leaves nothing behind`() async throws {
    try await withEventLoop { loop in
      let executor = loop.taskExecutor
      let accepted = EventLog<Int>("accepted")
      let silent = Silent()
      let listener = try Listener.listen(at: .loopback(), on: loop) { connection in
        connection.delegate = silent
        accepted.put(1)
      }
      let address = listener.localAddress
      let client = Task(executorPreference: executor) {
        try await WebSocketClient.withConnection(to: try address.url(), at: address) { _ in }
      }
      try await until(on: executor) { accepted.count == 1 }
      client.cancel()
      await #expect(throws: CancellationError.self) { try await client.value }
      // The peer sees it go.
      await silent.closed()
      listener.close()
    }
  }

  @Test func `is not even tried by a cancelled task`() async throws {
    let client = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      try await WebSocketClient.withConnection(to: try WebSocketURL("ws://127.0.0.1:1/")) { _ in }
    }
    await #expect(throws: CancellationError.self) { try await client.value }
  }
}

/// Accepts and never answers.
private final class Silent: ConnectionDelegate {
  private var isClosed = false
  private var continuation: CheckedContinuation<Void, Never>?

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {}

  func connectionDidClose(_ connection: Connection, error: SystemError?) {
    isClosed = true
    continuation.take()?.resume()
  }

  nonisolated(nonsending) func closed() async {
    if isClosed { return }
    await withCheckedContinuation { continuation = $0 }
  }
}
