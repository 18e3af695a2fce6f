import Certificates
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing
import WebSocket

/// `wss://`, with real certificates over real sockets.
@Suite(.timeLimit(.minutes(5))) struct SecureWebSocketTests {
  private let certificates: TestCertificates

  init() throws { certificates = try TestCertificates() }

  private static func url(_ address: SocketAddress, host: String = "localhost", scheme: String = "wss") throws
    -> WebSocketURL
  {
    try WebSocketURL("\(scheme)://\(host):\(address.port ?? 0)/")
  }

  /// A server on a thread of its own; what failed before it was open is told to `failures`.
  private func serve(
    _ tls: TLSServerContext?, _ failures: EventLog<CloseReason>, _ configuration: WebSocketConfiguration = .init(),
    requests: EventLog<UpgradeRequest> = EventLog("requests")
  ) throws -> RunningServer {
    try RunningServer { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration, tls: tls) {
        requests.put($0)
        return .accept(subprotocol: nil, delegate: Echo())
      }
      server.onHandshakeFailure = { failures.put($1) }
      return server.localAddress
    }
  }

  /// Connects, sends a text, and returns what came back or why not.
  private func exchange(
    _ url: WebSocketURL, at address: SocketAddress? = nil, _ tls: TLSClientContext?,
    _ message: String = "hello"
  ) throws -> Result<String, WebSocketError> {
    var outcome: Result<String, WebSocketError>?
    try withLoop { loop in
      let recorder = Recorder { socket, event in
        switch event {
        case .text(let text):
          outcome = .success(text)
          socket.close()
        case .close(let reason):
          if outcome == nil { outcome = .failure(reason.error ?? .connection(.abandoned)) }
          loop.stop()
        default: break
        }
      }
      WebSocketClient.connect(to: url, at: address, on: loop, tls: tls, delegate: recorder) { result in
        switch result {
        case .success(let socket): socket.send(text: message)
        case .failure(let error):
          outcome = .failure(error)
          loop.stop()
        }
      }
    }
    return try #require(outcome)
  }

  /// Which trouble with TLS it was.
  private func failure(_ result: Result<String, WebSocketError>) -> TLSFailure? {
    guard case .failure(.transport(let error)) = result else { return nil }
    return error.tls
  }

  @Test func `messages of all sizes come back over wss`() throws {
    let server = try serve(certificates.server(), EventLog("failures"))
    defer { server.stop() }
    let client = try certificates.client()
    for size in [0, 1, 125, 126, 16_384, 65_536, 1_000_000] {
      let message = String(repeating: "ü", count: size / 2)
      let result = try exchange(Self.url(server.address), at: server.address, client, message)
      #expect((try? result.get()) == message, "\(size)")
    }
  }

  @Test func `the URL's host is verified, whatever address is dialled`() throws {
    let tls = try TLSServerContext(certificates.serverConfiguration(names: ["build.example"]))
    let failures = EventLog<CloseReason>("failures")
    let server = try serve(tls, failures)
    defer { server.stop() }
    let client = try certificates.client()
    let good = try exchange(Self.url(server.address, host: "build.example"), at: server.address, client)
    #expect((try? good.get()) == "hello")
    for host in ["127.0.0.1", "localhost"] {
      let bad = try exchange(Self.url(server.address, host: host), at: server.address, client)
      #expect(failure(bad) == .wrongHost(expected: host, names: ["build.example"]), "\(bad)")
    }
    try failures.first("the refusal") { reason in
      guard case .transport(let error) = reason.error else { return false }
      return error.tls != nil
    }
  }

  @Test func `without a context the system's authorities decide`() throws {
    let server = try serve(certificates.server(), EventLog("failures"))
    defer { server.stop() }
    let result = try exchange(Self.url(server.address), at: server.address, nil)
    #expect(failure(result) == .unknownAuthority, "\(result)")
  }

  @Test func `a client of ws to a port of wss is told by HTTP, and the server hears of it`() throws {
    let failures = EventLog<CloseReason>("failures")
    let server = try serve(certificates.server(), failures)
    defer { server.stop() }
    let result = try exchange(
      Self.url(server.address, scheme: "ws"), at: server.address, try certificates.client())
    guard case .failure(let error) = result else {
      Issue.record("\(result)")
      return
    }
    #expect("\(error)".contains("400"), "\(error)")
    try failures.first("plain HTTP") { reason in
      guard case .transport(let error) = reason.error else { return false }
      return error.tls == .plainHTTP
    }
  }

  @Test func `a client of wss to a port of ws hears that no TLS is spoken there`() throws {
    let server = try serve(nil, EventLog("failures"))
    defer { server.stop() }
    let result = try exchange(Self.url(server.address), at: server.address, try certificates.client())
    #expect(failure(result) == .notTLS, "\(result)")
  }

  @Test func `the application learns who the client is before it accepts`() throws {
    var configuration = try certificates.serverConfiguration()
    configuration.clientCAFile = certificates.caFile
    let requests = EventLog<UpgradeRequest>("requests")
    let server = try serve(TLSServerContext(configuration), EventLog("failures"), requests: requests)
    defer { server.stop() }
    let identity = try certificates.issue("worker-7", use: .client)
    let known = try TLSClientContext(certificates.clientConfiguration(identity))
    let result = try exchange(Self.url(server.address), at: server.address, known)
    #expect((try? result.get()) == "hello", "\(result)")
    #expect(requests.all.map { $0.tls?.peerSubject } == ["CN = worker-7"])
    let unknown = try exchange(Self.url(server.address), at: server.address, certificates.client())
    #expect(failure(unknown) == .clientCertificateMissing, "\(unknown)")
    #expect(requests.count == 1)
  }

  @Test func `who does not shake hands of TLS is gone at the handshake's deadline`() throws {
    var configuration = WebSocketConfiguration()
    configuration.handshakeTimeout = .milliseconds(300)
    let failures = EventLog<CloseReason>("failures")
    let server = try serve(certificates.server(), failures, configuration)
    defer { server.stop() }
    let peer = try BlockingSocket(to: server.address)
    try peer.send([0x16, 3, 1])
    #expect(try peer.receiveToEnd().isEmpty, "nothing is said in the clear")
    peer.close()
    try failures.first("the deadline") { $0.error == .connection(.handshake(.timedOut(after: .milliseconds(300)))) }
  }

  @Test func `an honest client is served while others never come out of the handshake`() throws {
    let server = try serve(certificates.server(), EventLog("failures"))
    defer { server.stop() }
    let mutes = try (0..<50).map { _ in try BlockingSocket(to: server.address) }
    for mute in mutes { try mute.send([0x16, 3, 1, 2]) }
    let result = try exchange(Self.url(server.address), at: server.address, certificates.client())
    #expect((try? result.get()) == "hello", "\(result)")
    for mute in mutes { mute.close() }
  }

  @Test(arguments: [1, 3]) func `tasks serve and connect over wss, on several loops`(loops: Int) async throws {
    let tls = try certificates.server()
    let client = try certificates.client()
    try await withServer(loops: loops, tls: tls) { address in
      for number in 0..<6 {
        let url = try Self.url(address)
        try await WebSocketClient.withConnection(to: url, at: address, tls: client) { socket in
          try await socket.send(text: "message \(number)")
          var answer: String?
          for try await message in socket {
            answer = message.text
            break
          }
          #expect(answer == "message \(number)")
        }
      }
    }
  }

  @Test func `a reload with connections open loses none of them`() throws {
    let tls = try certificates.server()
    let server = try serve(tls, EventLog("failures"))
    defer { server.stop() }
    let client = try certificates.client()
    var sockets: [WebSocketConnection] = []
    var answers = 0
    var closes = 0
    try withLoop { loop in
      let url = try Self.url(server.address)
      for _ in 0..<20 {
        let recorder = Recorder { socket, event in
          switch event {
          case .text: answers += 1
          case .close: closes += 1
          default: break
          }
        }
        WebSocketClient.connect(to: url, at: server.address, on: loop, tls: client, delegate: recorder) { result in
          if let socket = try? result.get() { sockets.append(socket) } else { Issue.record("\(result)") }
        }
      }
      loop.when({ sockets.count == 20 }) {
        #expect(throws: Never.self) { try tls.reload() }
        for socket in sockets { socket.send(text: "still here?") }
        loop.when({ answers == 20 }) {
          #expect(closes == 0)
          for socket in sockets { socket.close() }
          loop.when({ closes == 20 }) { loop.stop() }
        }
      }
    }
  }

  // MARK: The program

  @Test(arguments: ["callback", "async"])
  func `websocket-echo serves wss with the files it is given`(style: String) throws {
    let files = try certificates.issue("server", names: ["localhost"])
    let program = try TestProcess(
      TestProcess.built("websocket-echo"),
      ["--port", "0", "--style", style, "--tls-certificate", files.certificate, "--tls-key", files.key])
    let line = try program.output.first("address") { $0.hasPrefix("listening on wss://127.0.0.1:") }
    let port = try #require(UInt16(line.split(separator: ":").last ?? ""))
    let address = SocketAddress.loopback(port: port)
    let result = try exchange(Self.url(address), at: address, certificates.client())
    #expect((try? result.get()) == "hello", "\(result)")
    program.signal(SIGTERM)
    #expect(try program.exit() == .exited(0))
  }

  @Test func `websocket-echo names the file that is wrong`() throws {
    let files = try certificates.issue("server")
    let other = try certificates.issue("other")
    let rows: [([String], String)] = [
      (["--tls-certificate", files.certificate], "--tls-certificate and --tls-key need each other"),
      (["--tls-certificate", files.certificate, "--tls-key", other.key], "does not belong to the certificate"),
      (["--tls-certificate", "/nonexistent", "--tls-key", files.key], "/nonexistent cannot be read"),
      (["--tls-ca", "/nonexistent"], "--tls-ca: "),
    ]
    for (options, message) in rows {
      let program = try TestProcess(TestProcess.built("websocket-echo"), ["--port", "0"] + options)
      #expect(try program.exit() == .exited(2))
      #expect(program.errors.all.joined().contains(message), "\(program.errors.all)")
    }
  }
}
