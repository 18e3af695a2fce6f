import Primitives
import Testing

@testable import WebSocketCore

@Suite struct MessageTests {
  @Test(arguments: Role.both) func `fragments make one message, with control frames between them`(role: Role) throws {
    let frames = [
      Frame(.text, Array("one ".utf8), isFinal: false), Frame(.ping, [7]), Frame(.continuation, [], isFinal: false),
      Frame(.continuation, Array("two".utf8)), Frame(.binary, [0xFF]),
    ]
    let bytes = frames.flatMap { $0.bytes(from: role.peer) }
    for chunks in [[], Array(repeating: 1, count: bytes.count), [5, 9, 2]] {
      let probe = try Probe.open(role)
      probe.feed(bytes, chunks: chunks)
      #expect(probe.seen == [.message(.text, Array("one two".utf8)), .message(.binary, [0xFF])])
      #expect(try probe.sentFrames() == [Frame(.pong, [7])])
    }
  }

  struct Bad: CustomTestStringConvertible {
    let what: String
    let frames: [Frame]
    let error: ProtocolError
    let code: UInt16
    var testDescription: String { what }
  }

  static let limit = 1000

  static let bad: [Bad] = [
    Bad(
      what: "a continuation first", frames: [Frame(.continuation, [1])], error: .continuationWithoutMessage, code: 1002),
    Bad(
      what: "a continuation after a whole message", frames: [Frame(.text, [0x61]), Frame(.continuation, [1])],
      error: .continuationWithoutMessage, code: 1002),
    Bad(
      what: "a text inside a message", frames: [Frame(.text, [], isFinal: false), Frame(.text, [0x61])],
      error: .messageInterrupted(by: .text), code: 1002),
    Bad(
      what: "a binary inside a message", frames: [Frame(.binary, [1], isFinal: false), Frame(.binary, [1])],
      error: .messageInterrupted(by: .binary), code: 1002),
    Bad(what: "a text that is not UTF-8", frames: [Frame(.text, [0x61, 0xFF])], error: .textNotUTF8, code: 1007),
    Bad(what: "a text cut in a character", frames: [Frame(.text, [0xE2, 0x82])], error: .textNotUTF8, code: 1007),
    Bad(
      what: "a fragment that is not UTF-8",
      frames: [Frame(.text, [0xE2], isFinal: false), Frame(.continuation, [0x28])],
      error: .textNotUTF8, code: 1007),
    Bad(
      what: "a frame over the limit", frames: [Frame(.binary, Array(repeating: 0, count: limit + 1))],
      error: .messageTooLong(length: UInt64(limit + 1), limit: limit), code: 1009),
    Bad(
      what: "fragments over the limit",
      frames: [
        Frame(.binary, Array(repeating: 0, count: limit), isFinal: false), Frame(.continuation, [], isFinal: false),
        Frame(.continuation, [1], isFinal: false),
      ], error: .messageTooLong(length: UInt64(limit + 1), limit: limit), code: 1009),
    Bad(what: "a close of one byte", frames: [Frame(.close, [3])], error: .closePayloadOfOneByte, code: 1002),
    Bad(
      what: "a close reason that is not UTF-8", frames: [Frame(.close, [0x03, 0xE8, 0xFF])],
      error: .closeReasonNotUTF8, code: 1007),
  ]

  @Test(arguments: bad, Role.both)
  func `a broken rule is answered with its close code, whole and byte by byte`(bad: Bad, role: Role) throws {
    var configuration = WebSocketConfiguration()
    configuration.maxMessageBytes = Self.limit
    let bytes = bad.frames.flatMap { $0.bytes(from: role.peer) } + Frame(.text, [0x61]).bytes(from: role.peer)
    for isSlow in [false, true] {
      let probe = try Probe.open(role, configuration)
      if isSlow { probe.feedByteByByte(bytes) } else { probe.feed(bytes) }
      #expect(probe.machine.outcome?.failure == .protocolViolation(bad.error))
      #expect(probe.machine.outcome?.code == CloseCode(rawValue: bad.code))
      #expect(try probe.sentFrames() == [.close(bad.code, bad.error.summary)])
      #expect(probe.seen.last == .transport(.close))
      #expect(probe.machine.state == .closed)
    }
  }

  @Test(arguments: FrameDecoderTests.badHeaders)
  func `a broken header is answered with its close code`(bad: FrameDecoderTests.Bad) throws {
    let probe = try Probe.open(bad.role)
    probe.feed(bad.bytes)
    #expect(probe.machine.outcome?.failure == .protocolViolation(bad.error))
    #expect(try probe.sentFrames() == [.close(bad.error.closeCode.rawValue, bad.error.summary)])
  }

  @Test func `every error's summary fits a close frame and its description names the clause`() {
    for bad in FrameDecoderTests.badHeaders {
      #expect(bad.error.summary.utf8.count <= 123)
      #expect(bad.error.description.contains("RFC 6455 §"))
    }
  }

  @Test func `a text that cannot become UTF-8 is refused before its frame is complete`() throws {
    let probe = try Probe.open(.server)
    let frame = Frame(.text, Array("κόσμε".utf8) + [0xF4, 0x90] + Array(repeating: 0x61, count: 100))
    let bytes = frame.bytes(from: .client)
    let bad = 6 + "κόσμε".utf8.count + 1
    probe.feed(Array(bytes[..<bad]))
    #expect(probe.isOpen)
    probe.feed([bytes[bad]])
    #expect(probe.machine.outcome?.code == .invalidPayload)
  }

  @Test func `a message over the limit is refused from its header alone`() throws {
    var configuration = WebSocketConfiguration()
    configuration.maxMessageBytes = 1000
    let probe = try Probe.open(.server, configuration)
    probe.feed(Array(Frame(.binary, Array(repeating: 0, count: 1001)).bytes(from: .client).prefix(8)))
    #expect(probe.machine.outcome?.code == .messageTooBig)
  }

  @Test(arguments: Role.both) func `a message of exactly the limit is delivered`(role: Role) throws {
    var configuration = WebSocketConfiguration()
    configuration.maxMessageBytes = 1000
    let probe = try Probe.open(role, configuration)
    let payload = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
    let fragments = [
      Frame(.binary, Array(payload[..<400]), isFinal: false), Frame(.continuation, Array(payload[400...])),
    ]
    probe.feed(fragments.flatMap { $0.bytes(from: role.peer) })
    #expect(probe.seen == [.message(.binary, payload)])
  }

  @Test(arguments: [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] as [UInt16])
  func `a close code that may not be sent is a protocol error`(code: UInt16) throws {
    let probe = try Probe.open(.server)
    probe.feed(Frame.close(code).bytes(from: .client))
    #expect(probe.machine.outcome?.failure == .protocolViolation(.closeCodeNotAllowed(code)))
    #expect(probe.machine.outcome?.code == .protocolError)
  }

  @Test(
    arguments: [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
      as [UInt16])
  func `a close code that may be sent is answered with itself`(code: UInt16) throws {
    let probe = try Probe.open(.server)
    probe.feed(Frame.close(code, "bye").bytes(from: .client))
    #expect(probe.machine.outcome == CloseOutcome(code: CloseCode(rawValue: code), text: "bye", failure: nil))
    #expect(try probe.sentFrames() == [.close(code)])
  }

  @Test func `random messages survive random fragments and random reads`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("random messages: seed \(seed)")
    var random = SplitMix(state: seed)
    for round in 0..<40 {
      let role = Role.both[round % 2]
      var expected: [Seen] = []
      var pongs: [Frame] = []
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 1...12, using: &random) {
        let kind: MessageKind = Bool.random(using: &random) ? .text : .binary
        var payload: [UInt8] = []
        let size = [0, 5, 125, 126, 700, 70_000].randomElement(using: &random) ?? 0
        while payload.count < size {
          switch kind {
          case .text:
            payload += Array(
              (["a", "é", "語", "🙂", "plain text of some length"].randomElement(using: &random) ?? "").utf8)
          case .binary: payload.append(UInt8.random(in: 0...255, using: &random))
          }
        }
        expected.append(.message(kind, payload))
        var rest = payload[...]
        var opcode = kind.opcode
        while true {
          let isFinal = Int.random(in: 0..<3, using: &random) == 0
          let part = isFinal ? rest : rest.prefix(Int.random(in: 0...rest.count, using: &random))
          rest = rest.dropFirst(part.count)
          let key = (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) }
          bytes += Frame(opcode, Array(part), isFinal: isFinal).bytes(from: role.peer, key: key)
          if Int.random(in: 0..<4, using: &random) == 0 {
            let ping = (0..<Int.random(in: 0...125, using: &random)).map { UInt8(truncatingIfNeeded: $0) }
            bytes += Frame(.ping, ping).bytes(from: role.peer, key: key)
            pongs.append(Frame(.pong, ping))
          }
          if isFinal { break }
          opcode = .continuation
        }
      }
      var chunks: [Int] = []
      let largest = [1, 3, 20, 1500, 100_000].randomElement(using: &random) ?? 1
      while chunks.reduce(0, +) < bytes.count && chunks.count < 300_000 {
        chunks.append(contentsOf: (0..<1000).map { _ in Int.random(in: 1...largest, using: &random) })
      }
      for usesFastPath in [true, false] {
        let probe = try Probe.open(role)
        probe.usesFastPath = usesFastPath
        probe.feed(bytes, chunks: chunks)
        guard probe.seen == expected, try probe.sentFrames() == pongs else {
          Issue.record(
            "seed \(seed), round \(round), reads of up to \(largest) bytes, fast \(usesFastPath): messages differ")
          return
        }
      }
    }
  }

  @Test func `random bytes never trap and only end in a protocol error or none`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("random bytes: seed \(seed)")
    var random = SplitMix(state: seed)
    for round in 0..<2000 {
      let role = Role.both[round % 2]
      let probe = round % 4 < 2 ? try Probe.open(role) : role == .server ? Probe() : try Probe.client()
      var bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      // Half of them start like a frame, so that the random part gets further.
      if bytes.count > 2 && Bool.random(using: &random) {
        bytes[0] = [0x81, 0x82, 0x01, 0x88, 0x89].randomElement(using: &random) ?? 0
        bytes[1] = (role == .server ? 0x80 : 0) | (bytes[1] & 0x7F)
      }
      let chunks = (0..<10).map { _ in Int.random(in: 1...40, using: &random) }
      probe.feed(bytes, chunks: chunks)
      switch probe.machine.outcome?.failure {
      case nil, .protocolViolation, .handshake: break
      case let failure: Issue.record("seed \(seed), round \(round): \(String(describing: failure))")
      }
    }
  }
}

@Suite struct ConnectionMachineTests {
  static let configuration: WebSocketConfiguration = {
    var configuration = WebSocketConfiguration()
    configuration.handshakeTimeout = .seconds(10)
    configuration.closeTimeout = .seconds(5)
    configuration.pingInterval = .seconds(30)
    configuration.pingTimeout = .seconds(20)
    return configuration
  }()

  enum Start: CaseIterable { case handshake, open, closing, draining, closed }

  enum Stimulus: CaseIterable {
    case closeRequested, closeFrame, message, ping, violation, endOfStream, deadline, abandon
  }

  /// The probe in a state, at time zero.
  private func probe(_ role: Role, in start: Start) throws -> Probe {
    var probe: Probe
    switch (start, role) {
    case (.handshake, .server): return Probe(server: Self.configuration)
    case (.handshake, .client):
      probe = try .client(Self.configuration)
    case (.open, _): probe = try .open(role, Self.configuration)
    case (.closing, _):
      probe = try .open(role, Self.configuration)
      #expect(probe.machine.close(.normal, at: .zero, into: &probe.output) == nil)
    case (.draining, _):
      precondition(role == .client, "a server closes first")
      probe = try .open(role, Self.configuration)
      probe.feed(Frame.close(1000).bytes(from: .server))
    case (.closed, _):
      probe = try .open(role, Self.configuration)
      _ = probe.machine.endOfStream()
    }
    probe.output = []
    probe.seen = []
    return probe
  }

  /// What the stimulus does: the action on the socket, the frames sent, and the state afterwards.
  private func apply(_ stimulus: Stimulus, to probe: Probe) -> ConnectionMachine.TransportAction? {
    let peer = probe.machine.role.peer
    let now = stimulus == .deadline ? probe.machine.deadline : .zero + .seconds(1)
    probe.now = now
    switch stimulus {
    case .closeRequested: return probe.machine.close(.goingAway, reason: "r", at: now, into: &probe.output)
    case .closeFrame: probe.feed(Frame.close(4000, "x").bytes(from: peer))
    case .message: probe.feed(Frame(.text, [0x61]).bytes(from: peer))
    case .ping: probe.feed(Frame(.ping, [9]).bytes(from: peer))
    case .violation: probe.feed([0xFF, 0xFF])
    case .endOfStream: return probe.machine.endOfStream()
    case .deadline: return probe.machine.timerFired(at: now, outboundIsEmpty: true, into: &probe.output)
    case .abandon: return probe.machine.abandon()
    }
    for case .transport(let action) in probe.seen { return action }
    return nil
  }

  struct Row {
    let start: Start
    let stimulus: Stimulus
    var action: ConnectionMachine.TransportAction?
    var sent: [Frame] = []
    let state: ConnectionMachine.State
    var failure: ConnectionFailure?
  }

  static let openRows: [Row] = [
    Row(
      start: .open, stimulus: .closeRequested, sent: [.close(1001, "r")],
      state: .closing(deadline: .zero + .seconds(6))),
    Row(start: .open, stimulus: .message, state: .open),
    Row(start: .open, stimulus: .ping, sent: [Frame(.pong, [9])], state: .open),
    Row(
      start: .open, stimulus: .violation, action: .close,
      sent: [.close(1002, ProtocolError.reservedBits(bits: 0x70).summary)],
      state: .closed, failure: .protocolViolation(.reservedBits(bits: 0x70))),
    Row(
      start: .open, stimulus: .endOfStream, action: .close, state: .closed,
      failure: .endOfStream(during: .betweenMessages)),
    Row(start: .open, stimulus: .deadline, sent: [Frame(.ping)], state: .open),
    Row(start: .open, stimulus: .abandon, action: .abort, state: .closed, failure: .abandoned),
    Row(start: .closing, stimulus: .closeRequested, state: .closing(deadline: .zero + .seconds(5))),
    Row(start: .closing, stimulus: .message, state: .closing(deadline: .zero + .seconds(5))),
    Row(start: .closing, stimulus: .ping, state: .closing(deadline: .zero + .seconds(5))),
    Row(
      start: .closing, stimulus: .violation, action: .close,
      state: .closed, failure: .protocolViolation(.reservedBits(bits: 0x70))),
    Row(
      start: .closing, stimulus: .endOfStream, action: .close, state: .closed,
      failure: .endOfStream(during: .closeHandshake)),
    Row(
      start: .closing, stimulus: .deadline, action: .abort, state: .closed,
      failure: .closeTimedOut(after: .seconds(5))),
    Row(start: .closing, stimulus: .abandon, action: .abort, state: .closed, failure: .abandoned),
  ]

  @Test(arguments: openRows, Role.both)
  func `an open or closing connection answers every event`(row: Row, role: Role) throws {
    let probe = try probe(role, in: row.start)
    #expect(apply(row.stimulus, to: probe) == row.action)
    #expect(try probe.sentFrames() == row.sent)
    #expect(probe.machine.state == row.state)
    #expect(probe.machine.outcome?.failure == row.failure)
  }

  @Test(arguments: [Start.open, .closing]) func `a server ends the TCP connection after both close frames`(
    start: Start
  ) throws {
    let probe = try probe(.server, in: start)
    #expect(apply(.closeFrame, to: probe) == .close)
    #expect(probe.machine.state == .closed)
    #expect(try probe.sentFrames() == (start == .open ? [.close(4000)] : []))
    #expect(probe.machine.outcome == CloseOutcome(code: .init(rawValue: 4000), text: "x", failure: nil))
  }

  @Test(arguments: [Start.open, .closing]) func `a client waits for the server to end the TCP connection`(
    start: Start
  ) throws {
    let probe = try probe(.client, in: start)
    #expect(apply(.closeFrame, to: probe) == nil)
    #expect(probe.machine.state == .draining(deadline: .zero + .seconds(6)))
    #expect(try probe.sentFrames() == (start == .open ? [.close(4000)] : []))
    #expect(probe.machine.endOfStream() == .close)
    #expect(probe.machine.outcome == CloseOutcome(code: .init(rawValue: 4000), text: "x", failure: nil))
  }

  @Test(arguments: Stimulus.allCases)
  func `a draining client says nothing more and ends with the stream, the deadline or us`(stimulus: Stimulus) throws {
    let probe = try probe(.client, in: .draining)
    let before = probe.machine.outcome
    let action = apply(stimulus, to: probe)
    switch stimulus {
    case .endOfStream: #expect(action == .close)
    case .deadline, .abandon: #expect(action == .abort)
    case .closeRequested, .closeFrame, .message, .ping, .violation: #expect(action == nil)
    }
    #expect(probe.output.isEmpty)
    #expect(probe.seen.isEmpty)
    #expect(probe.machine.outcome == before)
  }

  @Test(arguments: Stimulus.allCases, Role.both)
  func `a closed connection does nothing`(stimulus: Stimulus, role: Role) throws {
    let probe = try probe(role, in: .closed)
    let before = probe.machine.outcome
    #expect(apply(stimulus, to: probe) == nil)
    #expect(probe.output.isEmpty)
    #expect(probe.seen.isEmpty)
    #expect(probe.machine.state == .closed)
    #expect(probe.machine.outcome == before)
  }

  @Test(arguments: Role.both) func `a handshake that is not finished in time is given up`(role: Role) throws {
    let probe = try probe(role, in: .handshake)
    #expect(probe.machine.deadline == .zero + .seconds(10))
    #expect(probe.machine.timerFired(at: .zero + .seconds(9), outboundIsEmpty: true, into: &probe.output) == nil)
    let action = apply(.deadline, to: probe)
    #expect(action == (role == .server ? .close : .abort))
    #expect(probe.machine.outcome?.failure == .handshake(.timedOut(after: .seconds(10))))
    #expect(String(decoding: probe.output, as: UTF8.self).hasPrefix("HTTP/1.1 408 ") == (role == .server))
  }

  @Test(arguments: Role.both, [Stimulus.endOfStream, .closeRequested, .abandon])
  func `a handshake that is cut or given up ends the connection`(role: Role, stimulus: Stimulus) throws {
    let probe = try probe(role, in: .handshake)
    probe.feed(Array((role == .server ? "GET / HT" : "HTTP/1.1 10").utf8))
    #expect(apply(stimulus, to: probe) == (stimulus == .endOfStream ? .close : .abort))
    #expect(probe.machine.state == .closed)
    #expect(
      probe.machine.outcome?.failure == (stimulus == .endOfStream ? .endOfStream(during: .handshake) : .abandoned))
  }

  @Test func `the end of the stream says what it interrupted`() throws {
    let whole = Frame(.binary, [1, 2, 3]).bytes(from: .client)
    for count in 1..<whole.count {
      let probe = try Probe.open(.server)
      probe.feed(Array(whole.prefix(count)))
      #expect(probe.machine.endOfStream() == .close)
      #expect(probe.machine.outcome?.failure == .endOfStream(during: .frame))
      #expect(probe.machine.outcome?.code == .abnormal)
    }
    let probe = try Probe.open(.server)
    probe.feed(Frame(.binary, [1], isFinal: false).bytes(from: .client))
    _ = probe.machine.endOfStream()
    #expect(probe.machine.outcome?.failure == .endOfStream(during: .message))
  }

  @Test(arguments: Role.both) func `silence is answered with a ping and then given up`(role: Role) throws {
    let probe = try Probe.open(role, Self.configuration)
    #expect(probe.machine.deadline == .zero + .seconds(30))
    #expect(apply(.deadline, to: probe) == nil)
    #expect(try probe.sentFrames() == [Frame(.ping)])
    #expect(probe.machine.deadline == .zero + .seconds(50))
    #expect(apply(.deadline, to: probe) == .abort)
    #expect(probe.machine.outcome?.failure == .pingTimedOut(after: .seconds(20)))
  }

  @Test(arguments: Role.both) func `a pong, or anything else, keeps the connection alive`(role: Role) throws {
    let probe = try Probe.open(role, Self.configuration)
    _ = apply(.deadline, to: probe)
    probe.now = .zero + .seconds(49)
    probe.feed(Frame(.pong).bytes(from: role.peer))
    #expect(probe.seen == [.pong])
    #expect(probe.machine.deadline == .zero + .seconds(79))
    #expect(probe.machine.timerFired(at: .zero + .seconds(50), outboundIsEmpty: true, into: &probe.output) == nil)
  }

  @Test func `beyond the limit only the newest ping is answered, once there is room`() throws {
    var configuration = WebSocketConfiguration()
    configuration.maxPendingPongs = 2
    let probe = try Probe.open(.server, configuration)
    probe.outboundIsEmpty = false
    probe.feed((1...9).flatMap { Frame(.ping, [UInt8($0)]).bytes(from: .client) })
    #expect(try probe.sentFrames() == [Frame(.pong, [1]), Frame(.pong, [2])])
    let retry = probe.machine.deadline
    #expect(retry == .zero + .milliseconds(100))
    #expect(probe.machine.timerFired(at: retry, outboundIsEmpty: false, into: &probe.output) == nil)
    #expect(probe.machine.deadline == .zero + .milliseconds(200))
    #expect(probe.machine.timerFired(at: probe.machine.deadline, outboundIsEmpty: true, into: &probe.output) == nil)
    #expect(try probe.sentFrames() == [Frame(.pong, [1]), Frame(.pong, [2]), Frame(.pong, [9])])
    #expect(probe.machine.deadline == .distantFuture)
  }

  @Test(arguments: Role.both) func `messages and pings are sent while open only`(role: Role) throws {
    let text = Array("héllo".utf8)
    let probe = try Probe.open(role)
    let sent = [
      probe.machine.append(text.span.bytes, kind: .text, to: &probe.output),
      probe.machine.ping(Array(repeating: 1, count: 200), into: &probe.output),
    ]
    #expect(sent == [true, true])
    #expect(try probe.sentFrames() == [Frame(.text, text), Frame(.ping, Array(repeating: 1, count: 125))])
    _ = probe.machine.close(.normal, at: .zero, into: &probe.output)
    probe.output = []
    let late = [
      probe.machine.append(text.span.bytes, kind: .text, to: &probe.output),
      probe.machine.ping(into: &probe.output),
    ]
    #expect(late == [false, false])
    #expect(probe.output.isEmpty)
  }

  @Test func `a long reason is cut at a character and an unsendable code is left out`() throws {
    let probe = try Probe.open(.server)
    _ = probe.machine.close(.normal, reason: String(repeating: "語", count: 60), at: .zero, into: &probe.output)
    #expect(try probe.sentFrames() == [.close(1000, String(repeating: "語", count: 41))])
    let silent = try Probe.open(.server)
    _ = silent.machine.close(.abnormal, reason: "x", at: .zero, into: &silent.output)
    #expect(try silent.sentFrames() == [Frame(.close)])
  }

  @Test func `a close frame without a code is answered with one without a code`() throws {
    let probe = try Probe.open(.server)
    probe.feed(Frame(.close).bytes(from: .client))
    #expect(probe.machine.outcome?.code == .noStatus)
    #expect(try probe.sentFrames() == [Frame(.close)])
  }

  @Test func `an assembled message's memory serves the next one`() throws {
    let probe = try Probe.open(.server)
    let bytes = Frame(.binary, Array(repeating: 1, count: 5000)).bytes(from: .client)
    for _ in 0..<3 { probe.feed(bytes, chunks: [100, 2000]) }
    #expect(probe.seen.count == 3)
  }
}
