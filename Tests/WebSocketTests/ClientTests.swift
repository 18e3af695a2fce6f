import Glibc
import Reactor
import TestSupport
import Testing
import WebSocket

@Suite(.timeLimit(.minutes(5))) struct WebSocketClientTests {
  /// Accepts TCP connections and answers the first bytes of each with `answer`; without one it stays silent.
  private final class FakeServer: ConnectionDelegate {
    let answer: String?
    let closesAfter: Bool
    private(set) var received: [UInt8] = []

    init(answering answer: String?, closesAfter: Bool) {
      self.answer = answer
      self.closesAfter = closesAfter
    }

    func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
      received += bytes.bytes.withUnsafeBytes { Array($0) }
      if let answer { connection.send(answer) }
      if closesAfter { connection.close() }
    }
    func connectionDidClose(_ connection: Connection, error: SystemError?) {}
  }

  /// How connecting to a server that answers so ends.
  private func failure(
    answering answer: String?, closesAfter: Bool = true, _ configuration: WebSocketConfiguration = .init()
  ) throws -> WebSocketError? {
    var error: WebSocketError?
    let delegate = Recorder()
    try withLoop { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop) {
        $0.delegate = FakeServer(answering: answer, closesAfter: closesAfter)
      }
      WebSocketClient.connect(
        to: try listener.localAddress.url(), on: loop, configuration: configuration, delegate: delegate
      ) { result in
        if case .failure(let failure) = result { error = failure }
        loop.stop()
      }
    }
    #expect(delegate.heard.isEmpty)
    return error
  }

  @Test func `a rejected upgrade is reported with its status, fields and body`() throws {
    var reason: CloseReason?
    var error: WebSocketError?
    let delegate = Recorder()
    try withLoop { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop) { _ in
        .reject(status: 503, message: "busy", headers: ["Retry-After": "3"])
      }
      server.onHandshakeFailure = { reason = $1 }
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: delegate) { result in
        if case .failure(let failure) = result { error = failure }
      }
      loop.when({ reason != nil && error != nil }) { loop.stop() }
    }
    guard case .connection(.handshake(.refused(let refusal)))? = error else {
      Issue.record("the error is \(String(describing: error))")
      return
    }
    #expect(refusal.status == 503)
    #expect(refusal.headers["retry-after"] == "3")
    #expect(String(decoding: refusal.body, as: UTF8.self) == "{\"error\":\"busy\"}")
    #expect(reason?.error == .connection(.handshake(.rejected(status: 503))))
    #expect(delegate.heard.isEmpty)
  }

  @Test func `a server that is not there is a transport error`() throws {
    var error: WebSocketError?
    try withLoop { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop) { _ in }
      let url = try listener.localAddress.url()
      listener.close()
      WebSocketClient.connect(to: url, on: loop, delegate: Recorder()) { result in
        if case .failure(let failure) = result { error = failure }
        loop.stop()
      }
    }
    guard case .transport(let system)? = error else {
      Issue.record("the error is \(String(describing: error))")
      return
    }
    #expect(system.code == ECONNREFUSED)
  }

  @Test func `a server that answers something else is refused`() throws {
    let answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
    guard case .connection(.handshake(.acceptMismatch(_, "x")))? = try failure(answering: answer) else {
      Issue.record("the accept value was taken")
      return
    }
    #expect(try failure(answering: "220 mail ready\r\n\r\n") == .connection(.handshake(.malformedHead(.statusLine))))
  }

  @Test func `a server that goes away during the handshake is an error`() throws {
    #expect(try failure(answering: "HTTP/1.1 10") == .connection(.endOfStream(during: .handshake)))
  }

  @Test func `a server that says nothing is given up at the deadline`() throws {
    var configuration = WebSocketConfiguration()
    configuration.handshakeTimeout = .milliseconds(50)
    configuration.closeTimeout = .milliseconds(50)
    #expect(
      try failure(answering: nil, closesAfter: false, configuration)
        == .connection(.handshake(.timedOut(after: .milliseconds(50)))))
  }

  @Test func `a field that cannot be sent is an error and nothing is dialled`() throws {
    var error: WebSocketError?
    try withLoop { loop in
      WebSocketClient.connect(
        to: try WebSocketURL("ws://127.0.0.1:9"), on: loop, headers: ["Upgrade": "h2c"], delegate: Recorder()
      ) { result in
        if case .failure(let failure) = result { error = failure }
        loop.stop()
      }
      #expect(error == nil)
    }
    #expect(error == .connection(.handshake(.invalidField("upgrade", value: "h2c"))))
  }

  @Test(arguments: [0, 1, 2, 3]) func `a cancelled attempt is not heard of again`(turns: Int) throws {
    let delegate = Recorder()
    try withLoop { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop) { _ in
        .accept(subprotocol: nil, delegate: Echo())
      }
      var isCancelled = false
      let attempt = WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: delegate) { _ in
        #expect(!isCancelled)
      }
      func cancel(after turns: Int) {
        if turns > 0 {
          loop.schedule(after: .zero) { cancel(after: turns - 1) }
          return
        }
        attempt.cancel()
        isCancelled = true
        // Both ends are gone in the end, if they ever met.
        loop.schedule(after: .milliseconds(20)) { loop.when({ server.connectionCount == 0 }) { loop.stop() } }
      }
      cancel(after: turns)
    }
  }
}
