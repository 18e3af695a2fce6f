import Glibc
import Reactor
import TestSupport
import Testing
import WebSocket

@testable import WebSocketCore

/// What a broken peer meets on a real socket: the right answer, then the end of the stream, both soon.
@Suite(.timeLimit(.minutes(5))) struct BadPeerTests {
  struct Row: CustomTestStringConvertible {
    let what: String
    let bytes: [UInt8]
    /// What comes back before the close frame.
    var before: [UInt8] = []
    let code: UInt16
    var testDescription: String { what }
  }

  static let clients: [Row] = [
    Row(what: "RSV1 without the extension", bytes: RawPeer.frame(0xC1, [0x61]), code: 1002),
    Row(what: "a reserved opcode", bytes: RawPeer.frame(0x83, []), code: 1002),
    Row(what: "a fragmented ping", bytes: RawPeer.frame(0x09, []), code: 1002),
    Row(what: "a ping of 126 bytes", bytes: RawPeer.frame(0x89, Array(repeating: 1, count: 126)), code: 1002),
    Row(what: "a length with the top bit", bytes: [0x82, 0xFF, 0x80] + Array(repeating: 0, count: 11), code: 1002),
    Row(what: "a length that is not minimal", bytes: [0x82, 0xFE, 0, 1, 0, 0, 0, 0, 1], code: 1002),
    Row(what: "the longest length", bytes: [0x82, 0xFF, 0x7F] + Array(repeating: 0xFF, count: 11), code: 1009),
    Row(what: "a continuation of nothing", bytes: RawPeer.frame(0x80, []), code: 1002),
    Row(what: "close code 1005", bytes: RawPeer.frame(0x88, [0x03, 0xED]), code: 1002),
    Row(what: "a close of one byte", bytes: RawPeer.frame(0x88, [0x03]), code: 1002),
    Row(what: "a reason that is not UTF-8", bytes: RawPeer.frame(0x88, [0x03, 0xE8, 0xFF]), code: 1007),
    Row(what: "a surrogate", bytes: RawPeer.frame(0x01, [0xED]) + RawPeer.frame(0x80, [0xA0, 0x80]), code: 1007),
    Row(
      what: "a good message and then a fault", bytes: RawPeer.frame(0x82, [7]) + RawPeer.frame(0xF2, []),
      before: [0x82, 1, 7], code: 1002),
    Row(
      what: "data behind a close", bytes: RawPeer.frame(0x88, [0x03, 0xE8]) + RawPeer.frame(0x82, [7]), code: 1000),
  ]

  @Test(arguments: clients, [false, true])
  func `a broken client reads the close code and then the end`(row: Row, isSlow: Bool) throws {
    let server = try serve()
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.open()
    // More input behind the fault must not turn the close frame into a reset.
    let bytes = row.bytes + RawPeer.frame(0x82, Array(repeating: 9, count: 5000))
    if isSlow {
      for byte in row.bytes { try peer.socket.send([byte]) }
    } else {
      try peer.socket.send(bytes)
    }
    let answer = try peer.socket.receiveToEnd()
    #expect(answer.starts(with: row.before + [0x88]))
    #expect(answer.dropFirst(row.before.count + 2).prefix(2) == [UInt8(row.code >> 8), UInt8(row.code & 0xFF)])
    #expect(answer.count == row.before.count + 2 + Int(answer.dropFirst(row.before.count + 1).first ?? 0))
  }

  /// A server whose answer is right and whose frames are not, on the loop under test.
  private final class BrokenServer: ConnectionDelegate {
    private let frames: [UInt8]
    private var request: [UInt8] = []
    private(set) var received: [UInt8] = []
    private(set) var hasReachedEnd = false

    init(_ frames: [UInt8]) {
      self.frames = frames
    }

    func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
      let bytes = bytes.bytes.withUnsafeBytes { Array($0) }
      guard !request.suffix(4).elementsEqual("\r\n\r\n".utf8) else {
        received += bytes
        return
      }
      request += bytes
      guard request.suffix(4).elementsEqual("\r\n\r\n".utf8) else { return }
      let lines = String(decoding: request, as: UTF8.self).split(separator: "\r\n")
      let name = "Sec-WebSocket-Key: "
      let key = lines.first { $0.hasPrefix(name) }?.dropFirst(name.count) ?? ""
      connection.send(
        Array(
          """
          HTTP/1.1 101 Switching Protocols\r
          Upgrade: websocket\r
          Connection: Upgrade\r
          Sec-WebSocket-Accept: \(String(decoding: AcceptKey.answer(to: key.utf8), as: UTF8.self))\r
          \r

          """.utf8) + frames)
    }

    func connectionDidReachEndOfStream(_ connection: Connection) {
      hasReachedEnd = true
      connection.close()
    }

    func connectionDidClose(_ connection: Connection, error: SystemError?) { hasReachedEnd = true }
  }

  static let servers: [Row] = [
    Row(what: "a masked frame", bytes: RawPeer.frame(0x81, [0x61]), code: 1002),
    Row(what: "RSV1 without the extension", bytes: [0xC1, 1, 0x61], code: 1002),
    Row(what: "a reserved opcode", bytes: [0x8B, 0], code: 1002),
    Row(what: "a long pong", bytes: [0x8A, 126, 0, 126], code: 1002),
    Row(what: "a text that is not UTF-8", bytes: [0x81, 2, 0xC3, 0x28], code: 1007),
    Row(what: "a frame over the limit", bytes: [0x82, 127, 0, 0, 0, 0, 0x7F, 0, 0, 0], code: 1009),
    Row(what: "close code 999", bytes: [0x88, 2, 0x03, 0xE7], code: 1002),
  ]

  @Test(arguments: servers)
  func `a broken server reads the close code, and the delegate hears of it once`(row: Row) throws {
    let client = Recorder()
    let server = BrokenServer(row.bytes)
    try withLoop { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop) { $0.delegate = server }
      WebSocketClient.connect(to: try listener.localAddress.url(), on: loop, delegate: client)
      loop.when({ !client.closes.isEmpty && server.hasReachedEnd }) { loop.stop() }
    }
    #expect(client.closes.map(\.code.rawValue) == [row.code])
    #expect(client.heard.count == 2)
    // A client's close frame is masked.
    let frame = server.received
    try #require(frame.count >= 8)
    #expect(frame[0] == 0x88 && frame[1] >= 0x82)
    #expect([frame[6] ^ frame[2], frame[7] ^ frame[3]] == [UInt8(row.code >> 8), UInt8(row.code & 0xFF)])
  }

  // MARK: Handshakes

  /// Sends a byte each time the clock ticks, and never the last one.
  private static func trickle(_ text: String, on loop: EventLoop, _ send: @escaping ([UInt8]) -> Bool) {
    var rest = Array(text.utf8.dropLast())[...]
    func step() {
      guard let byte = rest.popFirst(), send([byte]) else { return }
      loop.schedule(after: .milliseconds(5)) { step() }
    }
    step()
  }

  @Test func `a request that trickles in is answered with 408 at the deadline, though it never pauses`() throws {
    var configuration = WebSocketConfiguration()
    configuration.handshakeTimeout = .milliseconds(150)
    let answer = ByteCollector()
    var reason: CloseReason?
    try withLoop { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration) { _ in
        .accept(subprotocol: nil, delegate: Echo())
      }
      server.onHandshakeFailure = { reason = $1 }
      Connection.connect(to: server.localAddress, on: loop) { result in
        guard let transport = try? result.get() else { return loop.stop() }
        transport.delegate = answer
        // Far more bytes than the deadline leaves time for.
        Self.trickle(RawPeer.request + String(repeating: "X", count: 2000), on: loop) { byte in
          guard transport.isOpen, !answer.hasEnded else { return false }
          transport.send(byte)
          return true
        }
      }
      loop.when({ answer.hasEnded && reason != nil }) { loop.stop() }
    }
    // The request itself has 150 bytes: it was not done.
    #expect(String(decoding: answer.bytes, as: UTF8.self).hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
    #expect(reason?.error == .connection(.handshake(.timedOut(after: .milliseconds(150)))))
  }

  @Test func `a response that trickles in is given up at the deadline, though it never pauses`() throws {
    var configuration = WebSocketConfiguration()
    configuration.handshakeTimeout = .milliseconds(150)
    var error: WebSocketError?
    try withLoop { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop) { transport in
        transport.delegate = ByteCollector()
        Self.trickle("HTTP/1.1 101 " + String(repeating: "x", count: 2000), on: loop) { byte in
          guard transport.isOpen else { return false }
          transport.send(byte)
          return true
        }
      }
      WebSocketClient.connect(
        to: try listener.localAddress.url(), on: loop, configuration: configuration, delegate: Recorder()
      ) { result in
        if case .failure(let failure) = result { error = failure }
        loop.stop()
      }
    }
    #expect(error == .connection(.handshake(.timedOut(after: .milliseconds(150)))))
  }

  @Test(arguments: [
    ("GET /raw HTTP/1.1\r\nX: " + String(repeating: "a", count: 17_000), 431),
    (String(repeating: "A", count: 20_000), 431),
    ("GET /raw HTTP/1.1\r\n" + String(repeating: "X: a\r\n", count: 200) + "\r\n", 431),
    ("GET /raw HTTP/1.1\r\n\r\n", 400), ("GET /raw HTTP/1.1\nHost: a\n\n", 400), ("POST /raw HTTP/1.1\r\n\r\n", 405),
    ("GET /raw HTTP/1.0\r\n\r\n", 505), ("GET /raw HTTP/1.1\r\nHost: a\r\n\r\n", 426),
    ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\n", 400),
  ]) func `a request that is none is answered with its status and then the end`(request: String, status: Int) throws {
    let server = try serve()
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.socket.send(request)
    let answer = String(decoding: try peer.socket.receiveToEnd(), as: UTF8.self)
    #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
    #expect(answer.hasSuffix("\"}"))
  }
}

/// Keeps what comes on a plain connection.
private final class ByteCollector: ConnectionDelegate {
  private(set) var bytes: [UInt8] = []
  private(set) var hasEnded = false

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    self.bytes += bytes.bytes.withUnsafeBytes { Array($0) }
  }

  func connectionDidReachEndOfStream(_ connection: Connection) {
    hasEnded = true
    connection.close()
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) { hasEnded = true }
}
