import Glibc
import Primitives
import TestSupport
import Testing

@testable import Reactor

/// Peers that speak no TLS, or an old one, or stop in the middle.
@Suite(.timeLimit(.minutes(2))) struct TLSBadPeerTests {
  private let certificates: TestCertificates

  init() throws { certificates = try TestCertificates() }

  /// A server that echoes, and tells how its connections ended.
  static func serve(
    _ context: TLSServerContext, _ ends: EventLog<String>, closesAfter: Bool = false
  ) throws -> RunningServer {
    try RunningServer { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop, tls: context) { connection in
        let recorder = Recorder()
        recorder.onReceive = { connection in
          connection.send(recorder.received)
          recorder.received = []
          if closesAfter { connection.close() }
        }
        recorder.onClose = { [unowned recorder] _ in
          ends.put(recorder.closes[0].map { "\($0.tls.map { "\($0)" } ?? "\($0)")" } ?? "in order")
        }
        connection.delegate = recorder
      }
      return listener.localAddress
    }
  }

  // MARK: Clients

  @Test(arguments: ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "POST /x HTTP/1.1\r\n", "HEAD / HTTP/1.0\r\n\r\n"])
  func `a plain HTTP request to a TLS port is told so in plain HTTP`(request: String) throws {
    let ends = EventLog<String>("ends")
    let server = try Self.serve(certificates.server(), ends)
    defer { server.stop() }
    let peer = try BlockingSocket(to: server.address)
    try peer.send(request)
    let answer = String(decoding: try peer.receiveToEnd(), as: UTF8.self)
    #expect(answer.hasPrefix("HTTP/1.1 400 Bad Request\r\n"), "\(answer)")
    let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1)
    let body = try #require(parts.last)
    #expect(answer.contains("\r\nContent-Length: \(body.utf8.count)\r\n"))
    #expect(answer.contains("\r\nContent-Type: application/json\r\n"))
    #expect(body == #"{"error":"this port speaks TLS; use an https:// or wss:// address"}"#)
    peer.close()
    try ends.first("plain HTTP") { $0.hasPrefix("a plain HTTP request came to a port that speaks TLS") }
  }

  /// What a client of TLS 1.0 or 1.1 begins with (RFC 2246 §7.4.1.2).
  private static func oldHello(_ minor: UInt8) -> [UInt8] {
    let suites: [UInt8] = [0xC0, 0x0A, 0xC0, 0x09, 0xC0, 0x14, 0xC0, 0x13, 0x00, 0x35, 0x00, 0x2F]
    let curves: [UInt8] = [0x00, 0x0A, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17]
    let hello =
      [3, minor] + [UInt8](repeating: 7, count: 32) + [0, 0, UInt8(suites.count)] + suites + [1, 0]
      + [0, UInt8(curves.count)] + curves
    return [0x16, 3, 1, 0, UInt8(hello.count + 4), 1, 0, 0, UInt8(hello.count)] + hello
  }

  @Test(arguments: [1, 2] as [UInt8])
  func `a client of TLS 1.0 or 1.1 is refused with protocol_version`(minor: UInt8) throws {
    let ends = EventLog<String>("ends")
    let server = try Self.serve(certificates.server(), ends)
    defer { server.stop() }
    let peer = try BlockingSocket(to: server.address)
    try peer.send(Self.oldHello(minor))
    let answer = try peer.receiveToEnd()
    // A fatal alert, 70 (RFC 8446 §6.2).
    #expect(answer.first == 0x15 && answer.suffix(2) == [2, 70], "\(answer)")
    peer.close()
    try ends.first("protocol version") { $0.contains("1.2 is the oldest that is spoken here") }
  }

  @Test(arguments: ["\u{16}\u{3}\u{1}", "SSH-2.0-x\r\n", "\0\0\0\0\0\0\0\0", "ping"])
  func `what is no TLS ends the connection and nothing else`(text: String) throws {
    let ends = EventLog<String>("ends")
    let server = try Self.serve(certificates.server(), ends)
    defer { server.stop() }
    let peer = try BlockingSocket(to: server.address)
    try peer.send(text)
    peer.shutdownWrite()
    _ = try? peer.receiveToEnd()
    peer.close()
    try ends.first("an error") { $0 != "in order" }
    // The next one is served.
    let client = try certificates.client()
    var answer = ""
    try withLoop { loop in
      Connection.connect(to: server.address, on: loop, tls: client) { result in
        guard case .success(let connection) = result else {
          Issue.record("\(result)")
          return loop.stop()
        }
        let recorder = Recorder()
        connection.delegate = recorder
        connection.send("still there?")
        loop.when({ recorder.text == "still there?" }) {
          answer = recorder.text
          connection.close()
          loop.when({ !recorder.closes.isEmpty }) { loop.stop() }
        }
      }
    }
    #expect(answer == "still there?")
  }

  @Test func `a client that goes in the middle of the handshake is an end during the handshake`() throws {
    let ends = EventLog<String>("ends")
    let server = try Self.serve(certificates.server(), ends)
    defer { server.stop() }
    let peer = try BlockingSocket(to: server.address)
    try peer.send(Array(Self.oldHello(3).prefix(20)))
    peer.close()
    try ends.first("the end") { $0 == "the connection ended during the TLS handshake" }
  }

  @Test func `closing before the handshake is done leaves nothing behind`() throws {
    try withLoop { loop in
      let recorder = Recorder()
      let listener = try Listener.listen(at: .loopback(), on: loop, tls: certificates.server()) { connection in
        connection.delegate = recorder
        connection.send("never seen")
        loop.afterTurn { connection.close() }
      }
      let client = Recorder()
      Connection.connect(to: listener.localAddress, on: loop) { result in
        (try? result.get())?.delegate = client
      }
      loop.when({ !recorder.closes.isEmpty && !client.closes.isEmpty }) {
        #expect(recorder.closes == [nil])
        #expect(client.received.isEmpty, "nothing is sent in the clear")
        #expect(loop.connections.count == 0)
        loop.stop()
      }
    }
  }

  // MARK: Servers

  /// What a client says of a plain server that does `body` with its connection.
  private func failure(
    timeout: Duration = .seconds(3), of body: @escaping (Connection) -> Void
  ) throws -> SystemError? {
    let client = try certificates.client()
    var failure: SystemError?
    try withLoop { loop in
      let recorder = Recorder()
      recorder.onReceive = body
      // It keeps its side open, whatever the client says.
      recorder.onEnd = { _ in }
      let listener = try Listener.listen(at: .loopback(), on: loop) { connection in connection.delegate = recorder }
      Connection.connect(to: listener.localAddress, on: loop, timeout: timeout, tls: client) { result in
        switch result {
        case .success: Issue.record("connected")
        case .failure(let error): failure = error
        }
        loop.stop()
      }
    }
    return failure
  }

  @Test func `a server that speaks no TLS is told from one that speaks an old one`() throws {
    let greeting = try failure { $0.send("220 mail.example ESMTP\r\n") }
    #expect(greeting?.tls == .notTLS, "\(text(of: greeting))")
    #expect(text(of: greeting).contains("the peer does not speak TLS"))
    let http = try failure { $0.send("HTTP/1.1 400 Bad Request\r\n\r\n") }
    #expect(http?.tls == .notTLS, "\(text(of: http))")
    let old = try failure { $0.send([0x15, 3, 1, 0, 2, 2, 70]) }
    #expect(old?.tls == .protocolVersion, "\(text(of: old))")
  }

  @Test func `a server that goes, or never answers, is an error in time`() throws {
    let gone = try failure { $0.close() }
    #expect(gone?.tls == .endedDuringHandshake, "\(text(of: gone))")
    let mute = try failure(timeout: .milliseconds(200)) { _ in }
    #expect(mute?.code == ETIMEDOUT)
    #expect(text(of: mute).contains("127.0.0.1"))
  }

  @Test func `an attempt that is given up during the handshake is heard of no more`() throws {
    let client = try certificates.client()
    try withLoop { loop in
      let recorder = Recorder()
      let listener = try Listener.listen(at: .loopback(), on: loop) { $0.delegate = recorder }
      let attempt = Connection.connect(to: listener.localAddress, on: loop, tls: client) { result in
        Issue.record("\(result)")
      }
      loop.when({ recorder.receivedBytes > 0 }) {
        attempt.cancel()
        loop.when({ !recorder.closes.isEmpty }) {
          #expect(loop.connections.count == 0)
          loop.stop()
        }
      }
    }
  }
}
