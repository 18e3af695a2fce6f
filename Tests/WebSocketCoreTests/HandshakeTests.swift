import Primitives
import Testing

@testable import WebSocketCore

@Suite struct ServerHandshakeTests {
  @Test func `the request of the specification gets the answer of the specification`() {
    let probe = Probe()
    probe.supported = ["superchat", "chat"]
    probe.feed(request(adding: "Origin: http://example.com", "Sec-WebSocket-Protocol: chat, superchat"))
    #expect(probe.isOpen)
    #expect(
      String(decoding: probe.output, as: UTF8.self) == """
        HTTP/1.1 101 Switching Protocols\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r
        Sec-WebSocket-Protocol: superchat\r
        \r

        """)
  }

  static let accepted: [[UInt8]] = [
    Array(validRequest.utf8),
    request(replacing: "Upgrade", with: "UPGRADE: h2c, WebSocket"),
    request(replacing: "Connection", with: "connection:keep-alive , upgrade"),
    request(replacing: "Host", with: "hOsT:   [::1]:80  "),
    request(replacing: "GET", with: "GET http://server.example.com/chat HTTP/1.1"),
    request(adding: "Content-Length: 0"),
    request(adding: "X-Name: J\u{FC}rgen"),
    request(adding: "X-Empty:"),
    request(adding: "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x; a=\"b\""),
    request(adding: "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b, c"),
  ]

  @Test(arguments: accepted) func `a valid request opens, whole, byte by byte and with frames behind it`(
    bytes: [UInt8]
  ) {
    let frame = Frame(.text, Array("at once".utf8))
    let whole = Probe()
    whole.feed(bytes + frame.bytes(from: .client))
    #expect(whole.seen.last == .message(.text, frame.payload))
    let slow = Probe()
    slow.feedByteByByte(bytes + frame.bytes(from: .client))
    #expect(slow.seen == whole.seen)
    #expect(slow.output == whole.output)
    #expect(String(decoding: whole.output, as: UTF8.self).hasPrefix("HTTP/1.1 101 "))
  }

  @Test func `the request says what was asked for`() throws {
    let probe = Probe()
    probe.feed(request(replacing: "GET", with: "GET /a/b?c=d?e HTTP/1.1"))
    guard case .upgradeRequested(let request)? = probe.seen.first else {
      Issue.record("no request in \(probe.seen)")
      return
    }
    #expect(request.target == "/a/b?c=d?e")
    #expect(request.path == "/a/b")
    #expect(request.query == "c=d?e")
    #expect(request.host == "server.example.com")
    #expect(request.headers["HOST"] == "server.example.com")
  }

  struct Refused: CustomTestStringConvertible {
    let what: String
    let bytes: [UInt8]
    let status: Int
    let error: HandshakeError
    var testDescription: String { what }
  }

  static let refused: [Refused] = [
    Refused(
      what: "POST", bytes: request(replacing: "GET", with: "POST /chat HTTP/1.1"), status: 405,
      error: .methodNotAllowed("POST")),
    Refused(
      what: "HTTP/1.0", bytes: request(replacing: "GET", with: "GET /chat HTTP/1.0"), status: 505,
      error: .httpVersionNotSupported("HTTP/1.0")),
    Refused(
      what: "two words", bytes: request(replacing: "GET", with: "GET /chat"), status: 400,
      error: .malformedHead(.requestLine)),
    Refused(
      what: "four words", bytes: request(replacing: "GET", with: "GET /chat x HTTP/1.1"), status: 400,
      error: .malformedHead(.requestLine)),
    Refused(
      what: "an empty first line", bytes: Array(("\r\n" + validRequest).utf8), status: 400,
      error: .malformedHead(.requestLine)),
    Refused(
      what: "a relative target", bytes: request(replacing: "GET", with: "GET chat HTTP/1.1"), status: 400,
      error: .malformedHead(.target)),
    Refused(
      what: "a fragment in the target", bytes: request(replacing: "GET", with: "GET /chat#x HTTP/1.1"), status: 400,
      error: .malformedHead(.target)),
    Refused(
      what: "no Host", bytes: request(replacing: "Host", with: nil), status: 400, error: .missingField("host")),
    Refused(what: "two Hosts", bytes: request(adding: "Host: b"), status: 400, error: .duplicateField("host")),
    Refused(
      what: "no Upgrade", bytes: request(replacing: "Upgrade", with: nil), status: 426, error: .upgradeMissing),
    Refused(
      what: "another upgrade", bytes: request(replacing: "Upgrade", with: "Upgrade: h2c"), status: 426,
      error: .upgradeMissing),
    Refused(
      what: "no Connection", bytes: request(replacing: "Connection", with: nil), status: 400,
      error: .missingField("connection")),
    Refused(
      what: "another connection", bytes: request(replacing: "Connection", with: "Connection: close"), status: 400,
      error: .invalidField("connection", value: "close")),
    Refused(
      what: "no key", bytes: request(replacing: "Sec-WebSocket-Key", with: nil), status: 400,
      error: .missingField("sec-websocket-key")),
    Refused(
      what: "a key of 15 bytes",
      bytes: request(replacing: "Sec-WebSocket-Key", with: "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"), status: 400,
      error: .invalidField("sec-websocket-key", value: "AAAAAAAAAAAAAAAAAAAA")),
    Refused(
      what: "a key of 17 bytes",
      bytes: request(replacing: "Sec-WebSocket-Key", with: "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="),
      status: 400, error: .invalidField("sec-websocket-key", value: "AAAAAAAAAAAAAAAAAAAAAAA=")),
    Refused(
      what: "a key that is not base64",
      bytes: request(replacing: "Sec-WebSocket-Key", with: "Sec-WebSocket-Key: AAAAAAAAAAA-AAAAAAAAAA=="),
      status: 400, error: .invalidField("sec-websocket-key", value: "AAAAAAAAAAA-AAAAAAAAAA==")),
    Refused(
      what: "two keys", bytes: request(adding: "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), status: 400,
      error: .duplicateField("sec-websocket-key")),
    Refused(
      what: "no version", bytes: request(replacing: "Sec-WebSocket-Version", with: nil), status: 400,
      error: .missingField("sec-websocket-version")),
    Refused(
      what: "version 8", bytes: request(replacing: "Sec-WebSocket-Version", with: "Sec-WebSocket-Version: 8"),
      status: 426, error: .versionNotSupported("8")),
    Refused(
      what: "two versions", bytes: request(adding: "Sec-WebSocket-Version: 13"), status: 400,
      error: .duplicateField("sec-websocket-version")),
    Refused(
      what: "a subprotocol with a blank", bytes: request(adding: "Sec-WebSocket-Protocol: a b"), status: 400,
      error: .invalidField("sec-websocket-protocol", value: "a b")),
    Refused(
      what: "a subprotocol twice", bytes: request(adding: "Sec-WebSocket-Protocol: a, a"), status: 400,
      error: .invalidField("sec-websocket-protocol", value: "a, a")),
    Refused(
      what: "a malformed extension", bytes: request(adding: "Sec-WebSocket-Extensions: a;;b"), status: 400,
      error: .invalidField("sec-websocket-extensions", value: "a;;b")),
    Refused(
      what: "an open quote", bytes: request(adding: "Sec-WebSocket-Extensions: a; b=\"c"), status: 400,
      error: .invalidField("sec-websocket-extensions", value: "a; b=\"c")),
    Refused(what: "a body", bytes: request(adding: "Content-Length: 5"), status: 400, error: .requestHasBody),
    Refused(
      what: "a chunked body", bytes: request(adding: "Transfer-Encoding: chunked"), status: 400,
      error: .requestHasBody),
    Refused(
      what: "a folded line", bytes: request(adding: "X: a", " b"), status: 400, error: .malformedHead(.foldedLine)),
    Refused(
      what: "a blank before the colon", bytes: request(adding: "X : a"), status: 400,
      error: .malformedHead(.fieldName)),
    Refused(what: "no colon", bytes: request(adding: "X"), status: 400, error: .malformedHead(.fieldName)),
    Refused(what: "no name", bytes: request(adding: ": a"), status: 400, error: .malformedHead(.fieldName)),
    Refused(
      what: "a zero in a value", bytes: request(adding: "X: a\u{0}b"), status: 400,
      error: .malformedHead(.fieldValue)),
    Refused(
      what: "a value that is not UTF-8",
      bytes: Array(validRequest.utf8.dropLast(2)) + [0x58, 0x3A, 0xFF, 13, 10, 13, 10],
      status: 400, error: .malformedHead(.fieldValue)),
    Refused(
      what: "lines that end in LF alone", bytes: Array("GET / HTTP/1.1\nHost: a\n\n".utf8), status: 400,
      error: .malformedHead(.lineEnding)),
    Refused(
      what: "a CR inside a line", bytes: request(adding: "X: a\rb"), status: 400,
      error: .malformedHead(.lineEnding)),
    Refused(
      what: "17 KiB of head", bytes: request(adding: "X: " + String(repeating: "a", count: 17_000)), status: 431,
      error: .headTooLong(limit: 16_384)),
    Refused(
      what: "a line that never ends", bytes: Array(repeating: 0x41, count: 16_385), status: 431,
      error: .headTooLong(limit: 16_384)),
    Refused(
      what: "200 fields", bytes: request(adding: String(repeating: "X: a\r\n", count: 199) + "X: a"), status: 431,
      error: .tooManyFields(limit: 128)),
    Refused(
      what: "a TLS greeting", bytes: [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x0A], status: 400,
      error: .malformedHead(.lineEnding)),
  ]

  @Test(arguments: refused) func `a bad request is refused with its status, whole and byte by byte`(bad: Refused) {
    for isSlow in [false, true] {
      let probe = Probe()
      if isSlow { probe.feedByteByByte(bad.bytes) } else { probe.feed(bad.bytes) }
      #expect(probe.machine.outcome?.failure == .handshake(bad.error))
      #expect(probe.seen == [.transport(.close)])
      let answer = String(decoding: probe.output, as: UTF8.self)
      #expect(answer.hasPrefix("HTTP/1.1 \(bad.status) "))
      #expect(answer.contains("Connection: "))
      #expect(answer.hasSuffix("\"}"))
    }
  }

  @Test func `another version is told which one is spoken`() {
    let probe = Probe()
    probe.feed(request(replacing: "Sec-WebSocket-Version", with: "Sec-WebSocket-Version: 25"))
    #expect(String(decoding: probe.output, as: UTF8.self).contains("\r\nSec-WebSocket-Version: 13\r\n"))
  }

  @Test func `a head of exactly the limit is read and one byte more is not`() {
    var configuration = WebSocketConfiguration()
    configuration.maxRequestHeadBytes = validRequest.utf8.count
    let probe = Probe(server: configuration)
    probe.feed(Array(validRequest.utf8))
    #expect(probe.isOpen)
    configuration.maxRequestHeadBytes -= 1
    let tight = Probe(server: configuration)
    tight.feed(Array(validRequest.utf8))
    #expect(tight.machine.outcome?.failure == .handshake(.headTooLong(limit: validRequest.utf8.count - 1)))
  }

  @Test func `the application's rejection is sent with its body and ends the connection`() {
    let probe = Probe()
    probe.rejection = Rejection(status: 404, headers: ["Retry-After": "5"], message: "no \"such\" path\n")
    probe.feed(Array(validRequest.utf8) + [1, 2, 3])
    #expect(
      String(decoding: probe.output, as: UTF8.self) == """
        HTTP/1.1 404 Not Found\r
        Content-Type: application/json\r
        Content-Length: 34\r
        Connection: close\r
        Retry-After: 5\r
        \r
        {"error":"no \\"such\\" path\\u000a"}
        """)
    #expect(probe.machine.outcome?.failure == .handshake(.rejected(status: 404)))
    #expect(probe.seen.last == .transport(.close))
  }

  @Test func `a subprotocol the client did not offer is not selected`() {
    var machine = ConnectionMachine(server: ConnectionContext(WebSocketConfiguration()), at: .zero)
    var bytes = Array(validRequest.utf8)
    var output: [UInt8] = []
    var offset = 0
    var span = bytes.mutableSpan
    var raw = span.mutableBytes
    guard case .upgradeRequested = machine.next(in: &raw, from: &offset, at: .zero, into: &output) else {
      Issue.record("no upgrade request")
      return
    }
    let agreed = machine.accept(subprotocol: "lifeline.v1", into: &output)
    #expect(agreed == nil)
    #expect(!String(decoding: output, as: UTF8.self).contains("Sec-WebSocket-Protocol"))
  }

  @Test func `a decision that comes after the connection was given up changes nothing`() {
    var machine = ConnectionMachine(server: ConnectionContext(WebSocketConfiguration()), at: .zero)
    var bytes = Array(validRequest.utf8)
    var output: [UInt8] = []
    var offset = 0
    var span = bytes.mutableSpan
    var raw = span.mutableBytes
    _ = machine.next(in: &raw, from: &offset, at: .zero, into: &output)
    let action = machine.close(.goingAway, at: .zero, into: &output)
    #expect(action == .abort)
    machine.accept(into: &output)
    let late = machine.reject(Rejection(status: 404, message: "late"), into: &output)
    #expect(late == nil)
    #expect(machine.state == .closed)
    #expect(output.isEmpty)
  }

  @Test func `a header value cannot smuggle a second field in`() {
    var headers = HTTPHeaders()
    headers.append("X", "a\r\nSet-Cookie: b")
    headers.append("X Y", "a")
    headers.append("", "a")
    #expect(headers == [:])
    headers.append("X", "a\tb")
    #expect(headers == ["X": "a\tb"])
  }
}

@Suite struct ClientHandshakeTests {
  /// The answer that fits the probe's request, with one line replaced; `nil` removes it.
  private func answer(to probe: Probe, replacing start: String = "\u{0}", with line: String? = nil) throws -> String {
    let server = Probe()
    server.feed(probe.output)
    #expect(server.isOpen)
    return String(decoding: server.output, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
      .compactMap { $0.hasPrefix(start) ? line : String($0) }.joined(separator: "\r\n")
  }

  @Test func `a request says what it must and no more`() throws {
    let probe = try Probe.client(offering: ["lifeline.v1", "b"])
    let text = String(decoding: probe.output, as: UTF8.self)
    let key = try #require(
      text.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") }?.dropFirst(19))
    #expect(
      text == """
        GET /chat HTTP/1.1\r
        Host: server.example.com\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Key: \(key)\r
        Sec-WebSocket-Version: 13\r
        Sec-WebSocket-Protocol: lifeline.v1, b\r
        \r

        """)
    #expect(AcceptKey.isValid(key.utf8))
    let other = try Probe.client(offering: ["lifeline.v1", "b"], seed: 2)
    #expect(other.output != probe.output)
  }

  @Test func `a fitting answer opens, whole, byte by byte and with frames behind it`() throws {
    let frame = Frame(.text, Array("welcome".utf8))
    for isSlow in [false, true] {
      let probe = try Probe.client()
      let bytes = Array(try answer(to: probe).utf8) + frame.bytes(from: .server)
      if isSlow { probe.feedByteByByte(bytes) } else { probe.feed(bytes) }
      #expect(probe.isOpen)
      #expect(probe.seen.count == 2)
      #expect(probe.seen.last == .message(.text, frame.payload))
    }
  }

  @Test(
    arguments: [
      ("Upgrade", nil, HandshakeError.missingField("upgrade")),
      ("Upgrade", "Upgrade: h2c", .invalidField("upgrade", value: "h2c")),
      ("Upgrade", "Upgrade: websocket, h2c", .invalidField("upgrade", value: "websocket, h2c")),
      ("Connection", nil, .missingField("connection")),
      ("Connection", "Connection: close", .invalidField("connection", value: "close")),
      ("Sec-WebSocket-Accept", nil, .missingField("sec-websocket-accept")),
      ("Connection", "Connection: Upgrade\r\nSec-WebSocket-Accept: x", .duplicateField("sec-websocket-accept")),
      ("Connection", "Connection: Upgrade\r\nSec-WebSocket-Protocol: other", .subprotocolNotOffered("other")),
      (
        "Connection", "Connection: Upgrade\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a",
        .duplicateField("sec-websocket-protocol")
      ),
      (
        "Connection", "Connection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate",
        .extensionNotOffered("permessage-deflate")
      ),
      ("HTTP/1.1", "HTTP/1.0 101 Switching", .httpVersionNotSupported("HTTP/1.0")),
      ("HTTP/1.1", "HTTP/1.1 1010 x", .malformedHead(.statusLine)),
      ("HTTP/1.1", "101", .malformedHead(.statusLine)),
      ("Connection", "Connection : Upgrade", .malformedHead(.fieldName)),
    ] as [(String, String?, HandshakeError)])
  func `a bad answer is refused, whole and byte by byte`(start: String, line: String?, error: HandshakeError) throws {
    for isSlow in [false, true] {
      let probe = try Probe.client(offering: ["a", "b"])
      let bytes = Array(try answer(to: probe, replacing: start, with: line).utf8)
      if isSlow { probe.feedByteByByte(bytes) } else { probe.feed(bytes) }
      #expect(probe.machine.outcome?.failure == .handshake(error))
      #expect(probe.seen == [.transport(.abort)])
    }
  }

  @Test func `an answer to another key is refused`() throws {
    let probe = try Probe.client(seed: 1)
    let other = try Probe.client(seed: 2)
    probe.feed(Array(try answer(to: other).utf8))
    guard case .handshake(.acceptMismatch)? = probe.machine.outcome?.failure else {
      Issue.record("outcome \(String(describing: probe.machine.outcome))")
      return
    }
  }

  @Test func `the server's choice of subprotocol is taken`() throws {
    let probe = try Probe.client(offering: ["a", "b"])
    let server = Probe()
    server.supported = ["b", "a"]
    server.feed(probe.output)
    probe.feed(server.output)
    guard case .opened(let response)? = probe.seen.first else {
      Issue.record("not opened: \(probe.seen)")
      return
    }
    #expect(response.subprotocol == "b")
  }

  @Test(arguments: [true, false]) func `a refusal is reported with its status, fields and body`(hasLength: Bool) throws
  {
    let head =
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n" + (hasLength ? "Content-Length: 4\r\n" : "") + "\r\n"
    for isSlow in [false, true] {
      let probe = try Probe.client()
      let bytes = Array((head + "busy").utf8)
      if isSlow { probe.feedByteByByte(bytes) } else { probe.feed(bytes) }
      if !hasLength {
        #expect(probe.machine.outcome == nil)
        #expect(probe.machine.endOfStream() == .close)
      }
      guard case .handshake(.refused(let refusal))? = probe.machine.outcome?.failure else {
        Issue.record("outcome \(String(describing: probe.machine.outcome))")
        return
      }
      #expect(refusal.status == 503)
      #expect(refusal.headers["retry-after"] == "7")
      #expect(refusal.body == Array("busy".utf8))
    }
  }

  @Test(arguments: [("chat", "h"), ("/a b", "h"), ("/a\r\nX: y", "h"), ("/", ""), ("/", "h\r\n")])
  func `a target or host that cannot be sent is an error`(target: String, host: String) {
    var generator = SplitMix(state: 1)
    #expect(throws: HandshakeError.self) {
      try ClientHandshake(target: target, host: host, using: &generator)
    }
  }

  @Test func `fields of the handshake itself cannot be replaced`() {
    var generator = SplitMix(state: 1)
    #expect(throws: HandshakeError.invalidField("upgrade", value: "h2c")) {
      try ClientHandshake(target: "/", host: "h", headers: ["Upgrade": "h2c"], using: &generator)
    }
  }
}
