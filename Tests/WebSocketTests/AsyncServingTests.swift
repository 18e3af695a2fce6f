import Glibc
import Reactor
import TestSupport
import Testing
import WebSocket

private struct Oops: Error, Equatable {}

// Asynchronous tests wait for a thread of the pool, which blocking tests of other suites may hold for a while.
@Suite(.timeLimit(.minutes(5))) struct AsyncServingTests {
  @Test func `cancelling ends it gracefully: handlers are cancelled, peers hear 1001, the port is free`() async throws {
    let events = EventLog<String>("events")
    let (addresses, listening) = AsyncStream.makeStream(of: SocketAddress.self)
    let server = Task {
      try await WebSocketServer.serve(at: .loopback(), onListening: { listening.yield($0) }) { socket, _ in
        events.put("handler")
        defer { events.put("left") }
        for try await _ in socket {}
      }
      events.put("served")
    }
    let address = try #require(await addresses.first { _ in true })
    try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
      try await until(on: socket.executor) { events.count == 1 }
      server.cancel()
      for try await _ in socket {}
      #expect(socket.closeReason?.code == .goingAway)
    }
    try await server.value
    #expect(events.all == ["handler", "left", "served"])
    await #expect(throws: WebSocketError.self) {
      try await WebSocketClient.withConnection(to: try address.url(), at: address) { _ in }
    }
  }

  @Test func `cancelling ends connections that never came out of the handshake, too`() async throws {
    try await withEventLoop { loop in
      let executor = loop.taskExecutor
      let peers = try await withServer { address in
        let peer = try BlockingSocket(to: address)
        try peer.send("GET / HTTP/1.1\r\n")
        // Its accept precedes this connection's in the listener's queue.
        try await WebSocketClient.withConnection(to: try address.url(), at: address) { _ in }
        #expect(executor.isOnLoop)
        return ThreadSocket(peer)
      }
      // Reset or closed, but not left open.
      _ = try? await withEventLoop(name: "peer") { _ in try peers.receiveToEnd() }
    }
  }

  @Test func `a handler that throws ends its own connection with 1011, and is heard of`() async throws {
    let failures = EventLog<Bool>("failures")
    try await withServer(
      onFailure: { failures.put($1 is Oops) },
      handler: { socket, request in
        if request.path == "/bad" { throw Oops() }
        for try await message in socket { try await socket.send(message) }
      }
    ) { address in
      try await withEventLoop { _ in
        try await WebSocketClient.withConnection(to: try address.url("/good"), at: address) { good in
          try await WebSocketClient.withConnection(to: try address.url("/bad"), at: address) { bad in
            for try await _ in bad {}
            #expect(bad.closeReason?.code == .internalError)
          }
          try await good.send(text: "still served")
          #expect(try await good.first { _ in true } == .text("still served"))
        }
      }
    }
    #expect(failures.all == [true])
  }

  @Test func `an upgrade can be refused, and a subprotocol agreed on`() async throws {
    var configuration = WebSocketConfiguration()
    configuration.subprotocols = ["chat.v2", "chat.v1"]
    let fixed = configuration
    try await withServer(
      configuration: configuration,
      accept: { request in
        guard request.path == "/chat" else { return .reject(status: 404, message: "no such path: \(request.path)") }
        return .accept(subprotocol: request.subprotocol, headers: ["X-Greeting": "hello"])
      }
    ) { address in
      let error = await #expect(throws: WebSocketError.self) {
        try await WebSocketClient.withConnection(to: try address.url("/other"), at: address) { _ in }
      }
      guard case .connection(.handshake(.refused(let answer)))? = error else {
        Issue.record("the client was told \(String(describing: error))")
        return
      }
      #expect(answer.status == 404)
      try await WebSocketClient.withConnection(
        to: try address.url("/chat"), at: address, configuration: fixed
      ) { socket in
        #expect(socket.subprotocol == "chat.v2")
        #expect(socket.responseHeaders["X-Greeting"] == "hello")
        #expect(socket.remoteAddress == address)
      }
    }
  }

  @Test func `several loops share the connections, each of which stays on its own`() async throws {
    let loops = EventLog<ObjectIdentifier>("loops")
    try await withServer(
      loops: 3,
      handler: { socket, _ in
        loops.put(ObjectIdentifier(socket.executor))
        for try await message in socket {
          await Task.yield()
          if !socket.executor.isOnLoop { Issue.record("a task has left its loop") }
          try await socket.send(message)
        }
      }
    ) { address in
      try await withEventLoop { _ in
        try await withThrowingTaskGroup(of: Void.self) { group in
          for number in 0..<60 {
            group.addTask {
              try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
                try await socket.send(text: "\(number)")
                #expect(try await socket.first { _ in true } == .text("\(number)"))
              }
            }
          }
          try await group.waitForAll()
        }
      }
    }
    #expect(loops.count == 60)
    #expect(Set(loops.all).count > 1)
  }

  @Test func `a port that is taken is an error that names it`() async throws {
    try await withServer { address in
      let error = await #expect(throws: SystemError.self) {
        try await WebSocketServer.serve(at: address) { _, _ in }
      }
      #expect(error?.code == EADDRINUSE)
    }
  }

  @Test func `it ends with an error when its loop is stopped under it`() async throws {
    let thread = try EventLoopThread(name: "stopped") { _ in }
    let executor = thread.taskExecutor
    let (addresses, listening) = AsyncStream.makeStream(of: SocketAddress.self)
    let left = EventLog<String>("handlers")
    let server = Task(executorPreference: executor) {
      try await WebSocketServer.serve(
        at: .loopback(), onListening: { listening.yield($0) }, onFailure: { left.put("\($1)") }
      ) { socket, _ in
        left.put("served")
        for try await _ in socket {}
      }
    }
    let address = try #require(await addresses.first { _ in true })
    await #expect(throws: WebSocketError.self) {
      try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
        try await until(on: socket.executor) { left.count == 1 }
        await thread.shutDown()
        for try await _ in socket {}
      }
    }
    let error = await #expect(throws: SystemError.self) { try await server.value }
    #expect(error?.code == ECANCELED)
    #expect(left.all.first == "served")
  }

  @Test func `a task that is cancelled before it serves never listens on`() async throws {
    let server = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      try await WebSocketServer.serve(at: .loopback()) { _, _ in }
    }
    try await server.value
  }
}

/// A blocking socket for a thread of its own.
private struct ThreadSocket: @unchecked Sendable {
  private let socket: BlockingSocket
  init(_ socket: BlockingSocket) { self.socket = socket }
  func receiveToEnd() throws -> [UInt8] { try socket.receiveToEnd() }
}
