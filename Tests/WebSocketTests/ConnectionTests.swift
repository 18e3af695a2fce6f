import Glibc
import Reactor
import TestSupport
import Testing
import WebSocket

@Suite(.timeLimit(.minutes(5))) struct WebSocketConnectionTests {
  /// A server on the loop whose connections have the given delegate.
  private func listen(
    _ delegate: any WebSocketDelegate, on loop: EventLoop, _ configuration: WebSocketConfiguration = .init()
  ) throws -> WebSocketServer {
    try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration) {
      .accept(subprotocol: $0.subprotocol, delegate: delegate)
    }
  }

  @Test func `messages of every length form come back in order, as the kind they were`() throws {
    let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000]
    let texts = sizes.map { String(repeating: "é", count: $0 / 2) }
    var expected: [Recorder.Heard] = [.open]
    let client = Recorder()
    try withLoop { loop in
      let server = try listen(Echo(), on: loop)
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: client) { result in
        guard let socket = try? result.get() else { return }
        for (size, text) in zip(sizes, texts) {
          let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
          socket.send(binary: bytes)
          socket.send(text: text)
          expected += [.binary(bytes), .text(text)]
        }
      }
      loop.when({ client.heard.count == 1 + 2 * sizes.count }) { loop.stop() }
    }
    // The end of the loop ends the connection too.
    let heard = client.heard.dropLast(client.closes.count)
    #expect(heard.count == expected.count)
    for (index, pair) in zip(heard, expected).enumerated() {
      // Compared one by one: a difference is shown as its place, not as a megabyte.
      let isEqual = pair.0 == pair.1
      #expect(isEqual, "message \(index) differs")
    }
  }

  @Test func `both ends know what was asked for and agreed on`() throws {
    var configuration = WebSocketConfiguration()
    configuration.subprotocols = ["lifeline.v1", "other"]
    let serverSide = Recorder()
    let client = Recorder()
    try withLoop { loop in
      var asked: UpgradeRequest?
      let server = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration) {
        asked = $0
        return .accept(subprotocol: $0.subprotocol, delegate: serverSide)
      }
      var offers = WebSocketConfiguration()
      offers.subprotocols = ["unknown", "other", "lifeline.v1"]
      WebSocketClient.connect(
        to: try server.localAddress.url("/a/b?c=d"), on: loop, configuration: offers,
        headers: ["Authorization": "Bearer x"], delegate: client)
      loop.when({ client.socket != nil && serverSide.socket != nil }) {
        #expect(client.socket?.subprotocol == "lifeline.v1")
        #expect(serverSide.socket?.subprotocol == "lifeline.v1")
        #expect(asked?.target == "/a/b?c=d")
        #expect(asked?.headers["authorization"] == "Bearer x")
        #expect(asked?.headers["host"] == "127.0.0.1:\(server.localAddress.port ?? 0)")
        #expect(client.socket?.responseHeaders["upgrade"] == "websocket")
        #expect(client.socket?.remoteAddress == server.localAddress)
        #expect(server.connectionCount == 1)
        loop.stop()
      }
    }
  }

  @Test(arguments: [true, false]) func `a close handshake is clean at both ends, whoever starts it`(
    serverStarts: Bool
  ) throws {
    let serverSide = Recorder()
    let client = Recorder()
    try withLoop { loop in
      let server = try listen(serverSide, on: loop)
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: client)
      loop.when({ client.socket != nil && serverSide.socket != nil }) {
        let starter = serverStarts ? serverSide : client
        starter.socket?.send(text: "last words")
        starter.socket?.close(code: CloseCode(rawValue: 4001), reason: "done")
        #expect(starter.socket?.isOpen == false)
        starter.socket?.send(text: "too late")
        loop.when({ !client.closes.isEmpty && !serverSide.closes.isEmpty && server.connectionCount == 0 }) {
          loop.schedule(after: .milliseconds(20)) { loop.stop() }
        }
      }
    }
    let (starter, other) = serverStarts ? (serverSide, client) : (client, serverSide)
    #expect(starter.heard.count == 2 && other.heard.count == 3)
    #expect(other.heard.dropFirst().first == .text("last words"))
    for (side, text) in [(starter, ""), (other, "done")] {
      #expect(side.closes.count == 1)
      #expect(side.closes.first?.code == CloseCode(rawValue: 4001))
      #expect(side.closes.first?.text == text)
      #expect(side.closes.first?.wasClean == true)
    }
  }

  @Test func `a close that both ends start at once is clean`() throws {
    let serverSide = Recorder()
    let client = Recorder()
    try withLoop { loop in
      let server = try listen(serverSide, on: loop)
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: client)
      loop.when({ client.socket != nil && serverSide.socket != nil }) {
        client.socket?.close(code: .normal)
        serverSide.socket?.close(code: .goingAway)
        loop.when({ !client.closes.isEmpty && !serverSide.closes.isEmpty }) { loop.stop() }
      }
    }
    #expect(client.closes.map(\.code) == [.goingAway])
    #expect(serverSide.closes.map(\.code) == [.normal])
    #expect(client.closes.allSatisfy(\.wasClean) && serverSide.closes.allSatisfy(\.wasClean))
  }

  @Test func `an aborted connection closes once at both ends, and calls after that do nothing`() throws {
    let serverSide = Recorder()
    let client = Recorder { socket, event in
      guard case .close = event else { return }
      socket.send(text: "x")
      socket.ping()
      socket.close()
      socket.abort()
      socket.pauseReading()
      socket.resumeReading()
    }
    try withLoop { loop in
      let server = try listen(serverSide, on: loop)
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: client)
      loop.when({ client.socket != nil && serverSide.socket != nil }) {
        client.socket?.abort()
        client.socket?.abort()
        loop.when({ !client.closes.isEmpty && !serverSide.closes.isEmpty }) { loop.stop() }
      }
    }
    #expect(client.closes.map(\.error) == [.connection(.abandoned)])
    #expect(serverSide.closes.map(\.code) == [.abnormal])
  }

  @Test(arguments: [true, false]) func `a message after a close or abort in the same read is not delivered`(
    aborts: Bool
  ) throws {
    let serverSide = Recorder { socket, event in
      guard case .text = event else { return }
      if aborts { socket.abort() } else { socket.close() }
    }
    let client = Recorder { socket, event in
      guard event == .open else { return }
      for text in ["first", "second", "third"] { socket.send(text: text) }
    }
    try withLoop { loop in
      let server = try listen(serverSide, on: loop)
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: client)
      loop.when({ !client.closes.isEmpty && !serverSide.closes.isEmpty }) { loop.stop() }
    }
    #expect(serverSide.heard.prefix(2) == [.open, .text("first")])
    #expect(serverSide.heard.count == 3)
  }

  @Test func `a ping is answered and the delegate hears of it`() throws {
    let client = Recorder { socket, event in if event == .open { socket.ping([1, 2, 3]) } }
    try withLoop { loop in
      let server = try listen(Echo(), on: loop)
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: client)
      loop.when({ client.heard == [.open, .pong] }) { loop.stop() }
    }
  }

  @Test func `pings keep an idle connection open at both ends`() throws {
    var configuration = WebSocketConfiguration()
    configuration.pingInterval = .milliseconds(10)
    configuration.pingTimeout = .milliseconds(2000)
    let serverSide = Recorder()
    let client = Recorder()
    try withLoop { loop in
      let server = try listen(serverSide, on: loop, configuration)
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: client)
      loop.when({ serverSide.heard.count(where: { $0 == .pong }) >= 5 }) { loop.stop() }
    }
    #expect(client.heard.first == .open)
  }

  @Test func `a paused connection hears nothing until it goes on`() throws {
    let serverSide = Recorder { socket, event in if event == .open { socket.pauseReading() } }
    let client = Recorder { socket, event in if event == .open { socket.send(text: "hello") } }
    try withLoop { loop in
      let server = try listen(serverSide, on: loop)
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: client)
      loop.when({ client.socket?.pendingBytes == 0 && serverSide.socket != nil }) {
        loop.schedule(after: .milliseconds(50)) {
          #expect(serverSide.heard == [.open])
          serverSide.socket?.resumeReading()
          loop.when({ serverSide.heard == [.open, .text("hello")] }) { loop.stop() }
        }
      }
    }
  }

  @Test func `a closing server says 1001 to everybody and takes no more`() throws {
    let client = Recorder()
    var late: Result<WebSocketConnection, WebSocketError>?
    try withLoop { loop in
      let server = try listen(Echo(), on: loop)
      let url = try server.localAddress.url()
      WebSocketClient.connect(to: url, on: loop, delegate: client) { _ in
        server.close(reason: "restart") {
          #expect(server.connectionCount == 0)
          WebSocketClient.connect(to: url, on: loop, delegate: Recorder()) {
            late = $0
            loop.stop()
          }
        }
      }
    }
    #expect(client.closes.map(\.code) == [.goingAway])
    #expect(client.closes.map(\.text) == ["restart"])
    guard case .failure(.transport(let error))? = late else {
      Issue.record("connecting to a closed server gave \(String(describing: late))")
      return
    }
    #expect(error.code == ECONNREFUSED)
  }

  @Test func `nothing is left of closed connections, their delegates and the server`() throws {
    weak var weakServerSide: Recorder?
    weak var weakClient: Recorder?
    weak var weakServerSocket: WebSocketConnection?
    weak var weakClientSocket: WebSocketConnection?
    weak var weakServer: WebSocketServer?
    weak var weakLoop: EventLoop?
    var kept: [AnyObject] = []
    try withLoop { loop in
      weakLoop = loop
      let serverSide = Recorder()
      let client = Recorder()
      let server = try listen(serverSide, on: loop)
      (weakServerSide, weakClient, weakServer) = (serverSide, client, server)
      WebSocketClient.connect(to: try server.localAddress.url(), on: loop, delegate: client)
      // The conditions hold what they look at, so they look through weak references.
      loop.when({ weakClient?.socket != nil && weakServerSide?.socket != nil }) { [unowned loop] in
        weakServerSocket = weakServerSide?.socket
        weakClientSocket = weakClient?.socket
        weakServer?.close { [unowned loop] in
          loop.schedule(after: .milliseconds(10)) { [unowned loop] in loop.stop() }
        }
      }
      kept = [server, serverSide, client]
    }
    #expect(kept.count == 3)
    kept = []
    #expect(weakServerSide == nil)
    #expect(weakClient == nil)
    #expect(weakServerSocket == nil)
    #expect(weakClientSocket == nil)
    #expect(weakServer == nil)
    #expect(weakLoop == nil)
  }
}
