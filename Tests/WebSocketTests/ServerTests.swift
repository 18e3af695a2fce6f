import Glibc
@testable import Reactor
import TestSupport
import Testing
import WebSocket

@Suite(.timeLimit(.minutes(5))) struct WebSocketServerTests {
  @Test func `a handshake of one byte at a time opens and its message comes back`() throws {
    let server = try serve()
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    for byte in Array(RawPeer.request.utf8) + RawPeer.frame(0x81, Array("slow".utf8)) { try peer.socket.send([byte]) }
    #expect(try peer.receiveHead().contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
    #expect(try peer.socket.receive(exactly: 6) == [0x81, 4] + Array("slow".utf8))
  }

  @Test func `frames that follow the head in the same write are answered`() throws {
    let server = try serve()
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.socket.send(Array(RawPeer.request.utf8) + RawPeer.frame(0x82, [1, 2, 3]))
    _ = try peer.receiveHead()
    #expect(try peer.socket.receive(exactly: 5) == [0x82, 3, 1, 2, 3])
  }

  @Test func `what is sent while receiving leaves in one write`() throws {
    let server = try serve()
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.open()
    let before = server.onLoop { $0.writeCalls }
    let frames = (0..<50).flatMap { RawPeer.frame(0x82, [$0]) }
    try peer.socket.send(frames)
    #expect(try peer.socket.receive(exactly: 150) == (0..<50).flatMap { [0x82, 1, $0] })
    #expect(server.onLoop { $0.writeCalls } - before == 1)
  }

  @Test func `a handshake that is not finished in time is answered with 408 and ended`() throws {
    var configuration = WebSocketConfiguration()
    configuration.handshakeTimeout = .milliseconds(50)
    let failures = Exchange<CloseReason>()
    let server = try serve(configuration, onHandshakeFailure: { failures.put($0) })
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.socket.send("GET / HT")
    let answer = String(decoding: try peer.socket.receiveToEnd(), as: UTF8.self)
    #expect(answer.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
    peer.socket.close()
    #expect(failures.take().error == .connection(.handshake(.timedOut(after: .milliseconds(50)))))
  }

  @Test(arguments: [0, 1, 40]) func `a connection cut in the middle of a handshake is over, and counted`(
    count: Int
  ) throws {
    let failures = Exchange<CloseReason>()
    let server = try serve(onHandshakeFailure: { failures.put($0) })
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.socket.send(Array(RawPeer.request.utf8.prefix(count)))
    peer.socket.close()
    #expect(failures.take().error == .connection(.endOfStream(during: .handshake)))
  }

  @Test(arguments: [1, 5, 7]) func `a connection cut in the middle of a frame closes once, abnormally`(
    count: Int
  ) throws {
    let closes = Exchange<Recorder.Heard>()
    let server = try serve { Recorder { _, event in closes.put(event) } }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.open()
    #expect(closes.take() == .open)
    try peer.socket.send(Array(RawPeer.frame(0x81, [0x61, 0x62]).prefix(count)))
    peer.socket.close()
    guard case .close(let reason) = closes.take() else {
      Issue.record("something else than the close came")
      return
    }
    #expect(reason.code == .abnormal)
    #expect(reason.error == .connection(.endOfStream(during: .frame)))
    #expect(!reason.wasClean)
  }

  @Test func `a reset connection closes once, with the system's error`() throws {
    let closes = Exchange<Recorder.Heard>()
    let server = try serve { Recorder { _, event in closes.put(event) } }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.open()
    #expect(closes.take() == .open)
    peer.socket.reset()
    guard case .close(let reason) = closes.take(), case .transport(let error)? = reason.error else {
      Issue.record("no transport error came")
      return
    }
    #expect(error.code == ECONNRESET)
    #expect(reason.code == .abnormal)
  }

  struct Violation: CustomTestStringConvertible {
    let what: String
    let bytes: [UInt8]
    let code: UInt16
    var testDescription: String { what }
  }

  @Test(arguments: [
    Violation(what: "an unmasked frame", bytes: [0x81, 0x01, 0x61], code: 1002),
    Violation(what: "a text that is not UTF-8", bytes: RawPeer.frame(0x81, [0xFF]), code: 1007),
    Violation(
      what: "a message over the limit", bytes: RawPeer.frame(0x82, Array(repeating: 0, count: 101)), code: 1009),
    Violation(
      what: "fragments over the limit",
      bytes: RawPeer.frame(0x02, Array(repeating: 0, count: 100)) + RawPeer.frame(0x80, [1]), code: 1009),
  ]) func `a peer that breaks a rule reads the close code and then the end`(violation: Violation) throws {
    var configuration = WebSocketConfiguration()
    configuration.maxMessageBytes = 100
    let server = try serve(configuration)
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.open()
    // More input behind the fault must not turn the close frame into a reset.
    try peer.socket.send(violation.bytes + Array(repeating: 0, count: 10_000))
    let answer = try peer.socket.receiveToEnd()
    #expect(answer.first == 0x88)
    #expect(answer.dropFirst(2).prefix(2) == [UInt8(violation.code >> 8), UInt8(violation.code & 0xFF)])
  }

  @Test func `a silent peer is pinged and then cut`() throws {
    var configuration = WebSocketConfiguration()
    configuration.pingInterval = .milliseconds(30)
    configuration.pingTimeout = .milliseconds(60)
    let events = Exchange<Recorder.Heard>()
    let server = try serve(configuration) { Recorder { _, event in events.put(event) } }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.open()
    #expect(events.take() == .open)
    #expect(try peer.socket.receive(exactly: 2) == [0x89, 0x00])
    // A pong buys another interval.
    try peer.socket.send(RawPeer.frame(0x8A, []))
    #expect(events.take() == .pong)
    #expect(try peer.socket.receive(exactly: 2) == [0x89, 0x00])
    guard case .close(let reason) = events.take() else {
      Issue.record("something else than the close came")
      return
    }
    #expect(reason.error == .connection(.pingTimedOut(after: .milliseconds(60))))
    #expect(throws: BlockingSocket.Failure.self) { try peer.socket.receive() }
  }

  @Test func `a peer that does not answer the close frame is cut after the deadline`() throws {
    var configuration = WebSocketConfiguration()
    configuration.closeTimeout = .milliseconds(50)
    let events = Exchange<Recorder.Heard>()
    let server = try serve(configuration) {
      Recorder { socket, event in
        events.put(event)
        if event == .open { socket.close(code: .normal, reason: "enough") }
      }
    }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.open()
    #expect(try peer.socket.receive(exactly: 10) == [0x88, 8, 0x03, 0xE8] + Array("enough".utf8))
    #expect(events.take() == .open)
    guard case .close(let reason) = events.take() else {
      Issue.record("something else than the close came")
      return
    }
    #expect(reason.error == .connection(.closeTimedOut(after: .milliseconds(50))))
  }

  @Test func `a peer that does not read raises the high watermark and later the low one`() throws {
    var configuration = WebSocketConfiguration()
    configuration.highWatermarkBytes = 64 * 1024
    configuration.lowWatermarkBytes = 16 * 1024
    let events = Exchange<Recorder.Heard>()
    let total = 512 * 16_384
    let server = try serve(configuration) {
      Recorder { socket, event in
        events.put(event)
        guard event == .open else { return }
        for index in 0..<512 { socket.send(binary: [UInt8](repeating: UInt8(index & 0xFF), count: 16_384)) }
      }
    }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address, receiveBufferBytes: 8192)
    try peer.open()
    #expect(events.take() == .open)
    #expect(events.take() == .high)
    let bytes = try peer.socket.receive(exactly: total + 512 * 4)
    #expect(bytes.count == total + 512 * 4)
    #expect(Array(bytes.suffix(3)) == [255, 255, 255])
    #expect(events.take() == .low)
  }

  @Test func `more than the bound of waiting bytes ends the connection`() throws {
    var configuration = WebSocketConfiguration()
    configuration.maxPendingBytes = 1024 * 1024
    let events = Exchange<Recorder.Heard>()
    let server = try serve(configuration) {
      Recorder { socket, event in
        events.put(event)
        guard event == .open else { return }
        var sends = 0
        while socket.isOpen && sends < 10_000 {
          socket.send(binary: [UInt8](repeating: 0, count: 16_384))
          sends += 1
        }
      }
    }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address, receiveBufferBytes: 8192)
    try peer.open()
    #expect(events.take() == .open)
    guard case .close(let reason) = events.take() else {
      Issue.record("something else than the close came")
      return
    }
    #expect(reason.error == .outboundOverflow(limit: 1024 * 1024))
  }

  @Test func `an unknown path is rejected with a status and a JSON body`() throws {
    let server = try RunningServer { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop) { request in
        guard request.path == "/known" else { return .reject(status: 404, message: "no such path: \(request.path)") }
        return .accept(subprotocol: request.subprotocol, delegate: Echo())
      }
      return server.localAddress
    }
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.socket.send(RawPeer.request)
    let answer = String(decoding: try peer.socket.receiveToEnd(), as: UTF8.self)
    #expect(answer.hasPrefix("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"))
    #expect(answer.hasSuffix("\r\n\r\n{\"error\":\"no such path: /raw\"}"))
  }
}
