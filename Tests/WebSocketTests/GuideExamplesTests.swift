import Reactor
import TestSupport
import Testing
import WebSocket

@Suite(.timeLimit(.minutes(5))) struct `the examples of WebSocket's guides` {
  @Test func `a question is answered`() async throws {
    try await withServer { address in
      let answer = try await ask("well?", of: try address.url())
      #expect(answer == "well?")
    }
  }

  @Test func `compression takes the memory that the guide says`() async throws {
    #expect(compressing(.dedicated).compression?.maxBytesPerConnection == 49 * 1024)
    #expect(compressing(.shared).compression?.maxBytesPerConnection == 0)
    for context in [CompressionConfiguration.Context.shared, .dedicated] {
      try await withServer(configuration: compressing(context)) { address in
        try await WebSocketClient.withConnection(
          to: try address.url(), at: address, configuration: compressing(context)
        ) { socket in
          let question = String(repeating: "the same again? ", count: 50)
          for _ in 0..<3 {
            try await socket.send(text: question)
            let answer = try await socket.first { _ in true }
            #expect(answer?.text == question)
          }
          try await until(on: socket.executor) { socket.connection?.isCompressed == true }
        }
      }
    }
  }

  @Test func `news are sent until the client stops them`() async throws {
    try await withServer(handler: { socket, _ in
      let (news, feed) = AsyncStream.makeStream(of: String.self)
      feed.yield("one")
      feed.yield("two")
      try await serveNews(socket, news)
    }) { address in
      try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
        var lines: [String?] = []
        for try await message in socket {
          lines.append(message.text)
          if lines.count == 2 { try await socket.send(text: "stop") }
        }
        #expect(lines == ["one", "two"])
        #expect(socket.closeReason?.code == .normal)
      }
    }
  }

  @Test func `a slow receiver gets everything`() async throws {
    let received = EventLog<String?>("received")
    try await withServer(handler: { socket, _ in
      try await receiveSlowly(socket) { received.put($0.text) }
    }) { address in
      try await WebSocketClient.withConnection(to: try address.url(), at: address) { socket in
        for text in ["a", "b", "c"] { try await socket.send(text: text) }
        try await until(on: socket.executor) { received.count == 3 }
      }
    }
    #expect(received.all == ["a", "b", "c"])
  }

  @Test func `a client that does not read misses prices, and its connection stays within its bounds`() throws {
    let events = EventLog<Int>("pending bytes")
    let server = try RunningServer { loop in
      try WebSocketServer.listen(at: .loopback(), on: loop) { _ in
        let ticker = Ticker()
        return .accept(subprotocol: nil, delegate: Pusher(ticker) { events.put($0) })
      }.localAddress
    }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address, receiveBufferBytes: 8192)
    try peer.open()
    try events.wait(for: "end of the push") { $0.first }
    #expect(try #require(events.all.first) < 2 * WebSocketConfiguration().highWatermarkBytes)
    peer.socket.close()
  }
}

/// Pushes far more than a client that does not read can be sent, a turn's worth at a time.
private final class Pusher: WebSocketDelegate {
  private let ticker: Ticker
  private let done: (Int) -> Void
  private var turns = 0

  init(_ ticker: Ticker, done: @escaping (Int) -> Void) {
    self.ticker = ticker
    self.done = done
  }

  func webSocketDidOpen(_ socket: WebSocketConnection) { push(to: socket) }

  private func push(to socket: WebSocketConnection) {
    turns += 1
    guard turns < 1000 else { return done(socket.pendingBytes) }
    for price in 0..<20_000 { ticker.push(price, to: socket) }
    socket.loop.schedule(after: .zero) { [self] in push(to: socket) }
  }

  func webSocketDidRiseAboveHighWatermark(_ socket: WebSocketConnection) {
    ticker.webSocketDidRiseAboveHighWatermark(socket)
  }
  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) {
    ticker.webSocketDidDrainBelowLowWatermark(socket)
  }
  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {}
  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
}
