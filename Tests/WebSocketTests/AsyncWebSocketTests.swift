import Glibc
import Reactor
import Synchronization
import TestSupport
import Testing
import WebSocket

private struct Oops: Error {}

// Asynchronous tests wait for a thread of the pool, which blocking tests of other suites may hold for a while.
@Suite(.timeLimit(.minutes(5))) struct AsyncWebSocketTests {
  @Test func `messages come in their order and of their kind, without a change of thread`() async throws {
    try await withEventLoop { loop in
      let executor = loop.taskExecutor
      try await withServer(handler: { socket, _ in
        #expect(executor.isOnLoop)
        for try await message in socket {
          if !executor.isOnLoop { Issue.record("a message was received on another thread") }
          try await socket.send(message)
          if !executor.isOnLoop { Issue.record("a send returned on another thread") }
        }
        #expect(executor.isOnLoop)
      }) { address in
        try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
          #expect(executor.isOnLoop)
          for number in 0..<500 {
            try await socket.send(text: "nümber \(number)")
            try await socket.send(binary: [UInt8(truncatingIfNeeded: number), 0xFF])
          }
          var received: [WebSocketMessage] = []
          for try await message in socket {
            received.append(message)
            if received.count == 1000 { break }
          }
          #expect(
            received
              == (0..<500).flatMap { number -> [WebSocketMessage] in
                [.text("nümber \(number)"), .binary([UInt8(truncatingIfNeeded: number), 0xFF])]
              })
          #expect(received.first?.text == "nümber 0")
          #expect(received.last?.text == nil)
          #expect(executor.isOnLoop)
        }
      }
    }
  }

  @Test func `a task that does not receive holds its peer back, in bounded memory on both sides`() async throws {
    let (messages, bytes) = (1000, 65_536)
    let configuration = Self.smallWatermarks
    let limits = ReceiveQueueLimits(maxMessages: 16, maxBytes: 1 << 20)
    let sent = Atomic(0)
    let sender = EventLog<AsyncWebSocket>("sender")
    try await withEventLoop { _ in
      try await withServer(
        configuration: configuration, receiveQueue: limits,
        handler: { socket, _ in
          // Not receiving until the peer is held back: more waits in it than it may have.
          try await until(on: socket.executor) {
            socket.queuedMessages >= limits.maxMessages
              && (sender.all.first?.connection?.pendingBytes ?? 0) > configuration.highWatermarkBytes
          }
          #expect(sent.load(ordering: .relaxed) < messages)
          var (received, mostQueued, mostUnderWay) = (0, 0, 0)
          for try await message in socket {
            #expect(message.bytes.count == bytes)
            mostUnderWay = max(mostUnderWay, sent.load(ordering: .relaxed) - received)
            mostQueued = max(mostQueued, socket.queuedMessages)
            received += 1
            if received % 50 == 0 { try await socket.executor.sleep(for: .milliseconds(1)) }
            if received == messages { break }
          }
          #expect(received == messages)
          // One read brings at most two whole messages and the end of a third.
          #expect(mostQueued <= limits.maxMessages + 3)
          // The rest is the kernel's: its buffers are far smaller than what was to be sent.
          #expect(mostUnderWay < messages)
          try await socket.send(text: "all here")
        }
      ) { address in
        try await WebSocketClient.withConnection(to: try address.url(), at: address, configuration: configuration) {
          socket in
          sender.put(socket)
          let payload = [UInt8](repeating: 7, count: bytes)
          for _ in 0..<messages {
            try await socket.send(binary: payload)
            sent.add(1, ordering: .relaxed)
            #expect(socket.connection?.pendingBytes ?? 0 <= configuration.highWatermarkBytes + bytes + 14)
          }
          #expect(try await socket.first { _ in true } == .text("all here"))
        }
      }
    }
  }

  @Test func `a sender above the high watermark is suspended until the peer reads`() async throws {
    let (configuration, messages) = (Self.smallWatermarks, 2000)
    try await withEventLoop { loop in
      let executor = loop.taskExecutor
      let ready = EventLog<AsyncWebSocket>("sockets")
      try await withServer(
        configuration: configuration,
        handler: { socket, _ in
          ready.put(socket)
          for _ in 0..<messages { try await socket.send(binary: [UInt8](repeating: 1, count: 16_384)) }
          for try await _ in socket {}
        }
      ) { address in
        let peer = ThreadPeer(try RawPeer(to: address, receiveBufferBytes: 8192))
        try await withEventLoop(name: "peer") { _ in try peer.open() }
        try await until(on: executor) {
          (ready.all.first?.connection?.pendingBytes ?? 0) > configuration.highWatermarkBytes
        }
        let total = messages * (16_384 + 4)
        #expect(try await withEventLoop(name: "peer") { _ in try peer.receive(exactly: total) } == total)
        try peer.sendClose()
      }
    }
  }

  @Test func `cancellation ends a receive and a send that wait, and the connection lives on`() async throws {
    let configuration = Self.smallWatermarks
    let cancelled = EventLog<String>("cancelled")
    try await withEventLoop { _ in
      try await withServer(
        configuration: configuration,
        handler: { socket, _ in
          let receiver = Task(executorPreference: socket.executor) { try await socket.first { _ in true } }
          await Task.yield()
          receiver.cancel()
          await #expect(throws: CancellationError.self) { try await receiver.value }
          cancelled.put("receive")

          let sender = Task(executorPreference: socket.executor) {
            while true { try await socket.send(binary: [UInt8](repeating: 1, count: 16_384)) }
          }
          try await until(on: socket.executor) {
            (socket.connection?.pendingBytes ?? 0) > configuration.highWatermarkBytes
          }
          sender.cancel()
          await #expect(throws: CancellationError.self) { try await sender.value }
          cancelled.put("send")
          #expect(socket.connection?.isOpen == true)
          // A cancelled task's receive left nothing behind that could take this one's message.
          #expect(try await socket.first { _ in true } == .text("still there"))
          cancelled.put("received")
        }
      ) { address in
        try await WebSocketClient.withConnection(
          to: try address.url(), at: address, receiveQueue: ReceiveQueueLimits(maxMessages: 1, maxBytes: 1)
        ) { socket in
          try await until(on: socket.executor) { cancelled.all == ["receive", "send"] }
          try await socket.send(text: "still there")
          for try await _ in socket {}
          #expect(socket.closeReason?.code == .normal)
        }
      }
    }
    #expect(cancelled.all == ["receive", "send", "received"])
  }

  @Test func `a task that is cancelled already neither sends nor receives`() async throws {
    try await withEventLoop { _ in
      try await withServer { address in
        try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
          try await socket.send(text: "before")
          try await until(on: socket.executor) { socket.queuedMessages == 1 }
          let late = Task(executorPreference: socket.executor) {
            withUnsafeCurrentTask { $0?.cancel() }
            await #expect(throws: CancellationError.self) { try await socket.send(text: "late") }
            await #expect(throws: CancellationError.self) { try await socket.first { _ in true } }
          }
          await late.value
          #expect(try await socket.first { _ in true } == .text("before"))
        }
      }
    }
  }

  @Test func `the sequence ends with the close handshake, after what came before it`() async throws {
    try await withEventLoop { _ in
      try await withServer(handler: { socket, _ in
        for number in 0..<3 { try await socket.send(text: "\(number)") }
        let reason = await socket.close(code: CloseCode(rawValue: 4001), reason: "enough")
        #expect(reason.wasClean)
        #expect(await socket.close().code == reason.code)
      }) { address in
        try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
          var texts: [String?] = []
          for try await message in socket { texts.append(message.text) }
          #expect(texts == ["0", "1", "2"])
          #expect(socket.closeReason?.code == CloseCode(rawValue: 4001))
          #expect(socket.closeReason?.text == "enough")
          #expect(socket.connection == nil)
          #expect(try await socket.first { _ in true } == nil)
          await #expect(throws: WebSocketError.closed(CloseCode(rawValue: 4001), reason: "enough")) {
            try await socket.send(text: "too late")
          }
        }
      }
    }
  }

  @Test func `the sequence throws when the connection fails, and so do those who wait to send`() async throws {
    let errors = EventLog<String>("errors")
    try await withEventLoop { loop in
      let executor = loop.taskExecutor
      let configuration = Self.smallWatermarks
      try await withServer(
        configuration: configuration,
        handler: { socket, _ in
          async let sending: Void = {
            await #expect(throws: WebSocketError.self) {
              while true { try await socket.send(binary: [UInt8](repeating: 1, count: 16_384)) }
            }
            errors.put("send")
          }()
          await #expect(throws: WebSocketError.self) { for try await _ in socket {} }
          errors.put("receive")
          await sending
        }
      ) { address in
        let peer = ThreadPeer(try RawPeer(to: address, receiveBufferBytes: 8192))
        try await withEventLoop(name: "peer") { _ in try peer.open() }
        try await withEventLoop(name: "peer") { _ in try peer.readSome() }
        peer.reset()
        try await until(on: executor) { errors.count == 2 }
      }
    }
    #expect(errors.all.sorted() == ["receive", "send"])
  }

  @Test func `a message beyond maxPendingBytes fails the connection and its sender hears why`() async throws {
    var configuration = WebSocketConfiguration()
    configuration.maxPendingBytes = 100_000
    let small = configuration
    let failures = EventLog<String>("failures")
    try await withEventLoop { loop in
      let executor = loop.taskExecutor
      try await withServer(
        configuration: small, onFailure: { failures.put("\($1)") },
        // Far more than the kernel takes at once, so that most of it would wait.
        handler: { socket, _ in try await socket.send(binary: [UInt8](repeating: 0, count: 32 << 20)) }
      ) { address in
        await #expect(throws: WebSocketError.self) {
          try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
            for try await _ in socket {}
          }
        }
        try await until(on: executor) { failures.count == 1 }
      }
    }
    #expect(failures.all == ["\(WebSocketError.outboundOverflow(limit: 100_000))"])
  }

  @Test func `it may be used from other threads, by way of its loop`() async throws {
    let answers = try await withServer { address in
      try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
        let detached = try await Task.detached { () -> WebSocketMessage? in
          #expect(!socket.executor.isOnLoop)
          try await socket.send(text: "from the pool")
          return try await socket.first { _ in true }
        }.value
        let main = try await Task { @MainActor in
          try await socket.send(text: "from the main actor")
          var iterator = socket.makeAsyncIterator()
          let answer = try await iterator.next()
          MainActor.assertIsolated()
          return answer
        }.value
        let otherLoop = try await withEventLoop { loop in
          try await socket.send(text: "from another loop")
          let answer = try await socket.first { _ in true }
          #expect(loop.isOnLoop)
          return answer
        }
        let reason = await Task.detached { await socket.close() }.value
        #expect(reason.code == .normal)
        return [detached, main, otherLoop]
      }
    }
    #expect(answers.map { $0?.text } == ["from the pool", "from the main actor", "from another loop"])
  }

  @Test func `nothing of a connection is left when its scope has ended`() async throws {
    let sockets = EventLog<WeakReference<AsyncWebSocket>>("sockets")
    let connections = EventLog<WeakReference<WebSocketConnection>>("connections")
    try await withEventLoop { _ in
      try await withServer(handler: { socket, _ in
        sockets.put(WeakReference(socket))
        connections.put(WeakReference(try #require(socket.connection)))
        for try await message in socket { try await socket.send(message) }
      }) { address in
        try await withThrowingTaskGroup(of: Void.self) { group in
          for _ in 0..<10 {
            group.addTask {
              try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
                sockets.put(WeakReference(socket))
                connections.put(WeakReference(try #require(socket.connection)))
                try await socket.send(text: "one")
                try await socket.send(text: "left unread")
                _ = try await socket.first { _ in true }
              }
            }
          }
          try await group.waitForAll()
        }
      }
    }
    #expect(sockets.count == 20)
    #expect(sockets.all.allSatisfy { $0.object == nil })
    #expect(connections.all.allSatisfy { $0.object == nil })
  }

  private static var smallWatermarks: WebSocketConfiguration {
    var configuration = WebSocketConfiguration()
    configuration.highWatermarkBytes = 256 * 1024
    configuration.lowWatermarkBytes = 64 * 1024
    return configuration
  }
}

/// A blocking peer for a thread of its own: the pool's are few, and may be blocked by other tests.
struct ThreadPeer: @unchecked Sendable {
  private let peer: RawPeer

  init(_ peer: RawPeer) { self.peer = peer }

  func open() throws { try peer.open() }
  func readSome() throws { _ = try peer.socket.receive() }
  func reset() { peer.socket.reset() }
  func receive(exactly count: Int) throws -> Int { try peer.socket.receive(exactly: count).count }
  func sendClose() throws { try peer.socket.send(RawPeer.frame(0x88, [])) }
}
