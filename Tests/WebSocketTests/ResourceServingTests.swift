import Reactor
import TestSupport
import Testing
import WebSocket

@Suite(.timeLimit(.minutes(5))) struct ResourceServingTests {
  private func serve(
    _ configuration: WebSocketConfiguration = .init(),
    _ resources: @escaping @Sendable (HTTPExchange, EventLoop) -> Void,
    onHandshakeFailure: @escaping @Sendable (CloseReason) -> Void = { _ in }
  ) throws -> RunningServer {
    try RunningServer { loop in
      let server = try WebSocketServer.listen(
        at: .loopback(), on: loop, configuration: configuration, resources: { resources($0, loop) },
        accept: { _ in .accept(subprotocol: nil, delegate: Echo()) })
      server.onHandshakeFailure = { onHandshakeFailure($1) }
      return server.localAddress
    }
  }

  private func ask(_ address: SocketAddress, _ request: String) throws -> String {
    let peer = try RawPeer(to: address)
    try peer.socket.send(request)
    return String(decoding: try peer.socket.receiveToEnd(), as: UTF8.self)
  }

  @Test func `an ordinary request is answered, and upgrades go on`() throws {
    let server = try serve { exchange, _ in
      exchange.respond(
        HTTPResponse(contentType: "text/plain", body: Array("you asked for \(exchange.request.path)".utf8)))
      exchange.respond(HTTPResponse(body: Array("twice".utf8)))
    }
    defer { server.stop() }
    let answer = try ask(server.address, "GET /thing?a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(answer.hasSuffix("\r\n\r\nyou asked for /thing"))
    let peer = try RawPeer(to: server.address)
    try peer.open()
    try peer.socket.send(RawPeer.frame(0x81, Array("hi".utf8)))
    #expect(try peer.socket.receive(exactly: 4) == [0x81, 2] + Array("hi".utf8))
  }

  @Test func `an answer that comes later arrives, however long it is`() throws {
    let body = (0..<600_000).map { UInt8(truncatingIfNeeded: $0) }
    let server = try serve { exchange, loop in
      loop.schedule(after: .milliseconds(5)) { exchange.respond(HTTPResponse(contentType: "a/b", body: body)) }
    }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.socket.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    let answer = try peer.socket.receiveToEnd()
    #expect(answer.suffix(body.count).elementsEqual(body))
  }

  @Test func `an answered request is no failed handshake, a refused one is`() throws {
    let failures = Exchange<CloseReason>()
    let server = try serve { exchange, _ in
      exchange.respond(HTTPResponse(body: []))
    } onHandshakeFailure: {
      failures.put($0)
    }
    defer { server.stop() }
    #expect(
      try ask(server.address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
    #expect(try ask(server.address, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("HTTP/1.1 405 "))
    #expect(failures.take().error == .connection(.handshake(.methodNotAllowed("TRACE"))))
  }

  @Test func `a client that leaves before its answer hurts nobody`() throws {
    let asked = Exchange<LoopBound<HTTPExchange>>()
    let gone = Exchange<CloseReason>()
    let server = try serve { exchange, loop in
      asked.put(LoopBound(exchange, to: loop))
    } onHandshakeFailure: {
      gone.put($0)
    }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    let exchange = asked.take()
    peer.socket.reset()
    _ = gone.take()
    server.onLoop { _ in exchange.value.respond(HTTPResponse(body: [])) }
  }

  @Test func `a request that nobody answers ends with 503`() throws {
    var configuration = WebSocketConfiguration()
    configuration.answerTimeout = .milliseconds(50)
    let server = try serve(configuration) { _, _ in }
    defer { server.stop() }
    #expect(try ask(server.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("HTTP/1.1 503 "))
  }

  @Test func `requests that come together are answered in order, at once or later`() throws {
    let server = try serve { exchange, loop in
      let answer = HTTPResponse(contentType: "text/plain", body: Array("<\(exchange.request.path)>".utf8))
      // Every other one later, so that the next waits for it.
      guard exchange.request.path.hasSuffix("1") else { return exchange.respond(answer) }
      loop.schedule(after: .milliseconds(1)) { exchange.respond(answer) }
    }
    defer { server.stop() }
    let requests = (0..<2_000).map { index in
      "POST /\(index) HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\(index == 1_999 ? "Connection: close\r\n" : "")\r\nhi"
    }
    let answers = try ask(server.address, requests.joined()).split(separator: "<").dropFirst().map {
      $0.prefix { $0 != ">" }
    }
    #expect(answers == (0..<2_000).map { "/\($0)" })
  }

  @Test func `a peer that asks and asks and reads nothing holds no more than its share`() throws {
    var configuration = WebSocketConfiguration()
    configuration.highWatermarkBytes = 256 << 10
    configuration.lowWatermarkBytes = 64 << 10
    configuration.maxPendingBytes = 1 << 20
    let body = [UInt8](repeating: 0x61, count: 100_000)
    let served = Exchange<String>()
    let server = try serve(configuration) { exchange, _ in
      exchange.respond(HTTPResponse(contentType: "text/plain", body: body))
      if exchange.request.path == "/last" { served.put("last") }
    }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    // Two hundred answers are twenty times what may wait.
    for _ in 0..<200 { try peer.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
    try peer.socket.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    let answers = try peer.socket.receiveToEnd()
    #expect(answers.count > 201 * body.count)
    #expect(served.take() == "last")
  }

  @Test func `an answer in pieces arrives piece by piece, and its maker hears when the client goes`() throws {
    let gone = Exchange<String>()
    let streams = Exchange<LoopBound<HTTPStream>>()
    let server = try serve { exchange, loop in
      guard let stream = exchange.stream(HTTPResponse(contentType: "text/plain", body: Array("begin".utf8))) else {
        return
      }
      stream.onClose = { gone.put("gone") }
      streams.put(LoopBound(stream, to: loop))
    }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(try peer.receiveHead().contains("Transfer-Encoding: chunked"))
    #expect(try peer.socket.receive(exactly: 10) == Array("5\r\nbegin\r\n".utf8))
    let stream = streams.take()
    server.onLoop { _ in stream.value.send(Array("more".utf8)) }
    #expect(try peer.socket.receive(exactly: 9) == Array("4\r\nmore\r\n".utf8))
    server.onLoop { _ in stream.value.finish() }
    #expect(try peer.socket.receive(exactly: 5) == Array("0\r\n\r\n".utf8))
    // The same connection again, and this time the client goes first.
    try peer.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    let second = streams.take()
    peer.socket.reset()
    #expect(gone.take() == "gone")
    server.onLoop { _ in
      #expect(!second.value.isOpen)
      second.value.send([1])
      second.value.finish()
    }
  }
}
