import Reactor
import TestSupport
import Testing
import WebSocket

@Suite(.timeLimit(.minutes(1))) struct ResourceServingTests {
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
    let answer = try ask(server.address, "GET /thing?a HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\n")
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
    try peer.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
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
    #expect(try ask(server.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
    #expect(try ask(server.address, "POST / HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("HTTP/1.1 405 "))
    #expect(failures.take().error == .connection(.handshake(.methodNotAllowed("POST"))))
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

  @Test func `a request that nobody answers ends with 408`() throws {
    var configuration = WebSocketConfiguration()
    configuration.handshakeTimeout = .milliseconds(50)
    let server = try serve(configuration) { _, _ in }
    defer { server.stop() }
    #expect(try ask(server.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("HTTP/1.1 408 "))
  }
}
