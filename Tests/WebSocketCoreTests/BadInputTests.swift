import Primitives
import Testing

@testable import WebSocketCore

/// Everything a broken peer may do after the handshake (RFC 6455 §5, §7): what ends with which code.
@Suite struct BadInputTests {
  /// What the peer sends while the connection is open, and how that must end.
  struct Row: Sendable, CustomTestStringConvertible {
    typealias Bytes = @Sendable (Role) -> [UInt8]

    let what: String
    /// For the role that receives it.
    let bytes: Bytes
    let code: UInt16
    var testDescription: String { what }

    /// A frame by its first byte, in the shortest form and masked as the role demands.
    static func frame(_ first: UInt8, _ payload: [UInt8] = []) -> Bytes {
      { role in raw(first, UInt8(payload.count), payload)(role) }
    }

    /// A frame whose length stands as it is told: the mark, without the mask's bit, and the bytes behind it.
    static func raw(_ first: UInt8, _ mark: UInt8, _ rest: [UInt8], length: [UInt8] = []) -> Bytes {
      { role in
        switch role {
        case .server: [first, mark | 0x80] + length + [0, 0, 0, 0] + rest
        case .client: [first, mark] + length + rest
        }
      }
    }

    static func both(_ parts: Bytes...) -> Bytes {
      { role in parts.flatMap { $0(role) } }
    }
  }

  private static let dataOpcodes: [UInt8] = [0, 1, 2]
  private static let controlOpcodes: [UInt8] = [8, 9, 10]

  /// Every combination of reserved bits on every kind of frame; RSV1 too, for no extension was agreed on.
  static let reservedBits: [Row] = (1...7).flatMap { (bits: UInt8) in
    (dataOpcodes + controlOpcodes).map { opcode in
      Row(what: "reserved bits \(bits) on opcode \(opcode)", bytes: Row.frame(0x80 | bits << 4 | opcode), code: 1002)
    }
  }

  static let reservedOpcodes: [Row] = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap { (opcode: UInt8) in
    [
      Row(what: "opcode \(opcode)", bytes: Row.frame(0x80 | opcode, [1]), code: 1002),
      Row(what: "opcode \(opcode), not final", bytes: Row.frame(opcode), code: 1002),
    ]
  }

  static let controlFrames: [Row] = controlOpcodes.flatMap { opcode in
    [
      Row(what: "opcode \(opcode) fragmented", bytes: Row.frame(opcode), code: 1002),
      Row(
        what: "opcode \(opcode) of 126 bytes",
        bytes: Row.raw(0x80 | opcode, 126, Array(repeating: 0x61, count: 126), length: [0, 126]), code: 1002),
      Row(
        what: "opcode \(opcode) with a length of 64 bits",
        bytes: Row.raw(0x80 | opcode, 127, [], length: [0, 0, 0, 0, 0, 1, 0, 0]), code: 1002),
      Row(
        what: "opcode \(opcode) with a short length in 16 bits",
        bytes: Row.raw(0x80 | opcode, 126, [0x61], length: [0, 1]), code: 1002),
    ]
  }

  static let masking: [Row] = (dataOpcodes + controlOpcodes).map { opcode in
    // Whole frames, so that nothing but the mask is wrong with them.
    Row(what: "opcode \(opcode) masked as the other role", bytes: { Row.frame(0x80 | opcode)($0.peer) }, code: 1002)
  }

  static let lengths: [Row] =
    [0, 1, 125].map { (length: UInt8) in
      Row(what: "\(length) in 16 bits", bytes: Row.raw(0x82, 126, [], length: [0, length]), code: 1002)
    }
    + [[0, 0], [0, 125], [0, 126], [0xFF, 0xFF]].map { (low: [UInt8]) in
      Row(what: "\(low) in 64 bits", bytes: Row.raw(0x82, 127, [], length: [0, 0, 0, 0, 0, 0] + low), code: 1002)
    }
    + [[0x80, 0], [0xFF, 0xFF]].map { (high: [UInt8]) in
      Row(
        what: "a length that begins with \(high)", bytes: Row.raw(0x82, 127, [], length: high + [0, 0, 0, 0, 0, 0]),
        code: 1002)
    } + [
      Row(
        what: "the longest length", bytes: Row.raw(0x82, 127, [], length: [0x7F] + Array(repeating: 0xFF, count: 7)),
        code: 1009),
      Row(
        what: "a length over the limit", bytes: Row.raw(0x82, 127, [], length: [0, 0, 0, 0, 0, 0x10, 0, 1]), code: 1009),
      Row(
        what: "fragments over the limit",
        bytes: Row.both(
          Row.frame(0x02, Array(repeating: 1, count: 100)),
          Row.raw(0x00, 127, [], length: [0, 0, 0, 0, 0, 0x0F, 0xFF, 0x9D])), code: 1009),
    ]

  static let fragmentation: [Row] = [
    Row(what: "a continuation of nothing", bytes: Row.frame(0x80, [1]), code: 1002),
    Row(what: "a first fragment that continues", bytes: Row.frame(0x00, [1]), code: 1002),
    Row(
      what: "a continuation behind a whole message", bytes: Row.both(Row.frame(0x01), Row.frame(0x80), Row.frame(0x80)),
      code: 1002),
    Row(what: "a text inside a text", bytes: Row.both(Row.frame(0x01, [0x61]), Row.frame(0x81, [0x61])), code: 1002),
    Row(what: "a binary inside a text", bytes: Row.both(Row.frame(0x01, [0x61]), Row.frame(0x02)), code: 1002),
    Row(
      what: "a text behind a ping inside a binary", bytes: Row.both(Row.frame(0x02), Row.frame(0x89), Row.frame(0x01)),
      code: 1002),
  ]

  static let closing: [Row] = [
    Row(what: "a close of one byte", bytes: Row.frame(0x88, [3]), code: 1002),
    Row(what: "a reason that is not UTF-8", bytes: Row.frame(0x88, [3, 0xE8, 0x61, 0xC0, 0x80]), code: 1007),
    Row(what: "a reason cut inside a character", bytes: Row.frame(0x88, [3, 0xE8, 0xE2, 0x82]), code: 1007),
    Row(what: "a bad code with a bad reason", bytes: Row.frame(0x88, [3, 0xED, 0xFF]), code: 1002),
  ]

  static let rows = reservedBits + reservedOpcodes + controlFrames + masking + lengths + fragmentation + closing

  /// The end of the connection, in a word for each thing that must fit.
  private func expectEnd(
    _ probe: Probe, code: UInt16, events: Int = 1, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(probe.machine.state == .closed, sourceLocation: sourceLocation)
    #expect(probe.machine.outcome?.code.rawValue == code, sourceLocation: sourceLocation)
    guard case .protocolViolation? = probe.machine.outcome?.failure else {
      Issue.record("outcome \(String(describing: probe.machine.outcome))", sourceLocation: sourceLocation)
      return
    }
    #expect(probe.seen.filter { $0 == .transport(.close) }.count == events, sourceLocation: sourceLocation)
    let last = try #require(try probe.sentFrames().last, sourceLocation: sourceLocation)
    #expect(last.opcode == .close, sourceLocation: sourceLocation)
    #expect(last.payload.prefix(2) == [UInt8(code >> 8), UInt8(code & 0xFF)], sourceLocation: sourceLocation)
  }

  @Test(arguments: rows, Role.both)
  func `it ends with its code, however it is cut, and nothing behind it is read`(row: Row, role: Role) throws {
    let bad = row.bytes(role)
    let bytes = bad + Row.frame(0x81, [0x61])(role) + Row.frame(0x89)(role)
    for chunks in [[], Array(repeating: 1, count: bytes.count)] + (1..<min(bad.count, 20)).map({ [$0] }) {
      let probe = try Probe.open(role)
      probe.feed(bytes, chunks: chunks)
      try expectEnd(probe, code: row.code)
      #expect(!probe.seen.contains { if case .message(_, [0x61]) = $0 { true } else { false } })
    }
  }

  @Test(arguments: Role.both) func `while we close it ends the connection without a second close frame`(role: Role)
    throws
  {
    for row in Self.rows {
      let probe = try Probe.open(role)
      #expect(probe.machine.close(.goingAway, at: .zero, into: &probe.output) == nil)
      probe.feed(row.bytes(role))
      #expect(probe.machine.state == .closed, "\(row.what)")
      #expect(probe.machine.outcome?.code.rawValue == row.code, "\(row.what)")
      #expect(try probe.sentFrames() == [.close(1001)], "\(row.what)")
    }
  }

  @Test(arguments: Role.both) func `every close code there is is answered with itself or with 1002`(role: Role) throws {
    let codes = Array(0...5100) + stride(from: 5101, to: 65_536, by: 251) + [65_535]
    for code in codes.map(UInt16.init) {
      let probe = try Probe.open(role)
      probe.feed(Frame.close(code).bytes(from: role.peer))
      let isAllowed: Bool =
        switch code {
        case 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014: true
        case 3000...4999: true
        default: false
        }
      #expect(probe.machine.outcome?.code.rawValue == (isAllowed ? code : 1002))
      #expect((probe.machine.outcome?.failure == nil) == isAllowed)
      #expect(try probe.sentFrames().first?.payload.prefix(2) == Frame.close(isAllowed ? code : 1002).payload[...])
    }
  }

  // MARK: UTF-8

  /// Each is wrong at its last byte and not before it (RFC 3629).
  static let invalidText: [[UInt8]] = [
    [0x80], [0xBF], [0xC0], [0xC1], [0xF5], [0xFF], [0xC2, 0x41], [0xC2, 0xC0], [0xE0, 0x80], [0xE0, 0x9F],
    [0xE1, 0x41],
    [0xE2, 0x82, 0x41], [0xED, 0xA0], [0xED, 0xBF], [0xEF, 0xBF, 0xC0], [0xF0, 0x80], [0xF0, 0x8F], [0xF0, 0x9F, 0x41],
    [0xF0, 0x9F, 0x99, 0x41], [0xF4, 0x90], [0xF4, 0x8F, 0xBF, 0xC0], [0xFE],
  ]

  @Test(arguments: invalidText, Role.both)
  func `text that is not UTF-8 ends with 1007 at its first wrong byte, split anywhere`(bad: [UInt8], role: Role) throws
  {
    let good = Array("κ語🙂".utf8)
    let text = good + bad + Array("more".utf8)
    let wrong = good.count + bad.count - 1
    for split in 0...text.count {
      // Two fragments, cut at `split`.
      let first = Frame(.text, Array(text[..<split]), isFinal: false).bytes(from: role.peer)
      let second = Frame(.continuation, Array(text[split...])).bytes(from: role.peer)
      let whole = try Probe.open(role)
      whole.feed(first + second)
      try expectEnd(whole, code: 1007)
      let cut = try Probe.open(role)
      cut.feed(first)
      #expect(cut.machine.isOpen == (split <= wrong))
      cut.feed(second)
      try expectEnd(cut, code: 1007)
      // One frame, in two reads.
      let header = role == .server ? 6 : 2
      let frame = Frame(.text, text).bytes(from: role.peer)
      let read = try Probe.open(role)
      read.feed(Array(frame[..<(header + split)]))
      #expect(read.machine.isOpen == (split <= wrong))
      read.feed(Array(frame[(header + split)...]))
      try expectEnd(read, code: 1007)
    }
  }

  @Test(arguments: ["κόσμε", "語", "🙂", "\u{80}\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}"], Role.both)
  func `text that is UTF-8 is delivered, split anywhere, and refused if it ends anywhere inside a character`(
    text: String, role: Role
  ) throws {
    let bytes = Array(text.utf8)
    for split in 0...bytes.count {
      let (start, rest) = (Array(bytes[..<split]), Array(bytes[split...]))
      let probe = try Probe.open(role)
      probe.feed(Frame(.text, start, isFinal: false).bytes(from: role.peer))
      probe.feed(Frame(.continuation, rest).bytes(from: role.peer))
      #expect(probe.seen == [.message(.text, bytes)])
      guard String(validating: start, as: UTF8.self) == nil else { continue }
      for isFragmented in [false, true] {
        let short = try Probe.open(role)
        short.feed(Frame(.text, start, isFinal: !isFragmented).bytes(from: role.peer))
        if isFragmented { short.feed(Frame(.continuation).bytes(from: role.peer)) }
        try expectEnd(short, code: 1007)
      }
    }
  }

  // MARK: After the close

  static let afterTheClose: [Row] = [
    Row(what: "a message", bytes: Row.frame(0x81, [0x61]), code: 0),
    Row(what: "a ping", bytes: Row.frame(0x89, [1]), code: 0), Row(what: "a pong", bytes: Row.frame(0x8A), code: 0),
    Row(what: "a second close", bytes: Row.frame(0x88, [0x0F, 0xA0]), code: 0),
    Row(what: "a broken frame", bytes: { _ in [0xFF, 0xFF, 0xFF] }, code: 0),
    Row(what: "half a header", bytes: { _ in [0x82] }, code: 0),
  ]

  @Test(arguments: afterTheClose, Role.both)
  func `data behind the peer's close is neither delivered nor answered, in the same read or a later one`(
    row: Row, role: Role
  ) throws {
    for isLater in [false, true] {
      let probe = try Probe.open(role)
      let close = Frame.close(1000, "bye").bytes(from: role.peer)
      if isLater { probe.feed(close) }
      probe.feed((isLater ? [] : close) + row.bytes(role))
      #expect(probe.machine.outcome == CloseOutcome(code: .normal, text: "bye", failure: nil))
      #expect(try probe.sentFrames() == [.close(1000)])
      #expect(probe.seen == (role == .server ? [.transport(.close)] : []))
    }
  }

  // MARK: Without end

  @Test(arguments: Role.both) func `fragments without end are refused at the limit and hold no more than it`(role: Role)
    throws
  {
    var configuration = WebSocketConfiguration()
    configuration.maxMessageBytes = 10_000
    let probe = try Probe.open(role, configuration)
    var received = 0
    probe.feed(Frame(.binary, isFinal: false).bytes(from: role.peer))
    let fragment = Frame(.continuation, Array(repeating: 1, count: 100), isFinal: false).bytes(from: role.peer)
    while probe.machine.isOpen && received < 20_000 {
      probe.feed(fragment)
      received += 100
    }
    #expect(received == 10_100)
    try expectEnd(probe, code: 1009)
  }

  @Test(arguments: Role.both) func `65,536 fragments, empty ones too, make one message`(role: Role) throws {
    let probe = try Probe.open(role)
    let empty = Frame(.continuation, isFinal: false).bytes(from: role.peer)
    let byte = Frame(.continuation, [0x61], isFinal: false).bytes(from: role.peer)
    probe.feed(Frame(.text, isFinal: false).bytes(from: role.peer))
    for index in 0..<65_534 { probe.feed(index % 64 == 0 ? byte : empty) }
    #expect(probe.seen.isEmpty)
    probe.feed(Frame(.continuation).bytes(from: role.peer))
    #expect(probe.seen == [.message(.text, Array(repeating: 0x61, count: 1024))])
  }
}

/// Everything a broken peer may do in the handshake, beyond the tables of `HandshakeTests`.
@Suite struct BadHandshakeTests {
  static let requestFields = ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]

  @Test(arguments: requestFields)
  func `a request that lacks a field is refused, whole and byte by byte`(field: String) {
    // Without Upgrade it is an ordinary request: 426 says what it should have been (RFC 9110 §15.5.22).
    let status = field == "Upgrade" ? 426 : 400
    for isSlow in [false, true] {
      let probe = Probe()
      let bytes = request(replacing: field, with: nil)
      if isSlow { probe.feedByteByByte(bytes) } else { probe.feed(bytes) }
      #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 \(status) "))
      #expect(probe.seen == [.transport(.close)])
    }
  }

  @Test(arguments: requestFields) func `a field twice is refused unless it is a list`(field: String) throws {
    let line = try #require(
      validRequest.split(separator: "\r\n").map(String.init).first { $0.hasPrefix("\(field):") })
    for isSlow in [false, true] {
      let probe = Probe()
      let bytes = request(adding: line)
      if isSlow { probe.feedByteByByte(bytes) } else { probe.feed(bytes) }
      // Several fields with one name are one list (RFC 9110 §5.3), and these two are lists (RFC 6455 §4.2.1).
      let isList = field == "Upgrade" || field == "Connection"
      #expect(probe.machine.isOpen == isList)
      #expect(
        probe.machine.outcome?.failure == (isList ? nil : .handshake(.duplicateField(field.lowercased()))))
      #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 \(isList ? 101 : 400) "))
    }
  }

  struct BadResponse: Sendable, CustomTestStringConvertible {
    let what: String
    /// Makes a bad response of a good one.
    let spoil: @Sendable (String) -> String
    let error: HandshakeError?
    var testDescription: String { what }

    static func replacing(_ old: String, with new: String) -> @Sendable (String) -> String {
      { text in
        guard let range = text.firstRange(of: old) else { return "there is no \(old)" }
        return text[..<range.lowerBound] + new + text[range.upperBound...]
      }
    }

    static func adding(_ line: String) -> @Sendable (String) -> String {
      { text in text.dropLast() + line + "\r\n\r\n" }
    }
  }

  static let badResponses: [BadResponse] = [
    BadResponse(
      what: "no Upgrade", spoil: BadResponse.replacing("Upgrade: websocket\r\n", with: ""),
      error: .missingField("upgrade")),
    BadResponse(
      what: "Upgrade twice", spoil: BadResponse.adding("Upgrade: websocket"), error: .duplicateField("upgrade")),
    BadResponse(
      what: "no Connection", spoil: BadResponse.replacing("Connection: Upgrade\r\n", with: ""),
      error: .missingField("connection")),
    BadResponse(
      what: "no accept value", spoil: BadResponse.replacing("Sec-WebSocket-Accept", with: "X-Accept"),
      error: .missingField("sec-websocket-accept")),
    BadResponse(
      what: "an accept value in other letters", spoil: { $0.replacingAccept { $0.lowercased() } }, error: nil),
    BadResponse(
      what: "an accept value that is cut", spoil: { $0.replacingAccept { String($0.dropLast()) } }, error: nil),
    BadResponse(what: "an empty accept value", spoil: { $0.replacingAccept { _ in "" } }, error: nil),
    BadResponse(
      what: "a folded line", spoil: BadResponse.adding("X: a\r\n b"), error: .malformedHead(.foldedLine)),
    BadResponse(
      what: "lines that end in LF", spoil: BadResponse.replacing("\r\nUpgrade", with: "\nUpgrade"),
      error: .malformedHead(.lineEnding)),
    BadResponse(
      what: "a zero in a value", spoil: BadResponse.adding("X: \u{0}"), error: .malformedHead(.fieldValue)),
    BadResponse(
      what: "200 fields", spoil: BadResponse.adding(Array(repeating: "X: a", count: 200).joined(separator: "\r\n")),
      error: .tooManyFields(limit: 128)),
    BadResponse(
      what: "17 KiB of head", spoil: BadResponse.adding("X: " + String(repeating: "a", count: 17_000)),
      error: .headTooLong(limit: 16_384)),
    BadResponse(
      what: "a status line that never ends", spoil: { _ in "HTTP/1.1 101 " + String(repeating: "x", count: 17_000) },
      error: .headTooLong(limit: 16_384)),
  ]

  @Test(arguments: badResponses)
  func `a bad response is refused without a word, whole and byte by byte`(row: BadResponse) throws {
    for isSlow in [false, true] {
      let probe = try Probe.client()
      let server = Probe()
      server.feed(probe.output)
      let sent = probe.output.count
      let bytes = Array(row.spoil(String(decoding: server.output, as: UTF8.self)).utf8)
      if isSlow { probe.feedByteByByte(bytes) } else { probe.feed(bytes) }
      #expect(probe.seen == [.transport(.abort)])
      #expect(probe.output.count == sent)
      guard case .handshake(let error)? = probe.machine.outcome?.failure else {
        Issue.record("outcome \(String(describing: probe.machine.outcome))")
        return
      }
      if let expected = row.error {
        #expect(error == expected)
      } else {
        guard case .acceptMismatch = error else {
          Issue.record("the error is \(error)")
          return
        }
      }
    }
  }
}

extension String {
  /// The response with another accept value.
  fileprivate func replacingAccept(_ change: (String) -> String) -> String {
    split(separator: "\r\n", omittingEmptySubsequences: false).map { line in
      let name = "Sec-WebSocket-Accept: "
      return line.hasPrefix(name) ? name + change(String(line.dropFirst(name.count))) : String(line)
    }.joined(separator: "\r\n")
  }
}
