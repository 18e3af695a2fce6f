import Primitives
import Testing

@testable import WebSocketCore

/// permessage-deflate on whole connections (RFC 7692 §6); its parts have suites of their own.
@Suite struct CompressedConnectionTests {
  private static func configuration(
    _ context: CompressionConfiguration.Context = .shared,
    _ change: (inout CompressionConfiguration) -> Void = { _ in }
  ) -> WebSocketConfiguration {
    var compression = CompressionConfiguration(context: context)
    change(&compression)
    var configuration = WebSocketConfiguration()
    configuration.compression = compression
    return configuration
  }

  private static let sentence = Array(
    String(repeating: "It was the best of times, it was the worst of times. ", count: 20).utf8)

  /// Text of so many words that it does not look like an attack when it shrinks.
  private static func prose(_ count: Int, _ random: inout SplitMix) -> [UInt8] {
    let words = ["ebb", "flow", "tide", "harbour", "lantern", "north", "rope", "signal", "vessel", "weather"]
    var text: [UInt8] = []
    while text.count < count { text += Array("\(words.randomElement(using: &random) ?? "") ".utf8) }
    return Array(text.prefix(count))
  }

  private func send(_ payload: [UInt8], _ kind: MessageKind, from probe: Probe) {
    #expect(probe.machine.append(payload.span.bytes, kind: kind, to: &probe.output))
  }

  static let agreements: [(client: CompressionConfiguration.Context, server: CompressionConfiguration.Context)] = [
    (.shared, .shared), (.dedicated, .dedicated), (.dedicated, .shared), (.shared, .dedicated),
  ]

  @Test(arguments: agreements) func `messages of all sizes arrive as they were, compressed where that helps`(
    client: CompressionConfiguration.Context, server: CompressionConfiguration.Context
  ) throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("compressed messages: seed \(seed)")
    var random = SplitMix(state: seed)
    let (client, server) = try Probe.pair(Self.configuration(client), Self.configuration(server))
    #expect(client.machine.context.configuration.compression != nil)
    for (sender, receiver) in [(client, server), (server, client)] {
      var expected: [Seen] = []
      var compressed = 0
      var plain = 0
      for size in [0, 1, 255, 256, 1_000, 65_536, 300_000, 1_000_000, 700, 256] {
        for isRandom in [false, true] {
          let payload: [UInt8] =
            isRandom
            ? (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
            : Self.prose(size, &random)
          let kind: MessageKind = isRandom ? .binary : .text
          send(payload, kind, from: sender)
          expected.append(.message(kind, payload))
          let frame = try #require(sender.sentFrames().first)
          #expect(frame.isCompressed == (!isRandom && size >= 256))
          if frame.isCompressed { compressed += 1 } else { plain += 1 }
          receiver.feed(sender.takeOutput(), chunks: (0..<200).map { _ in Int.random(in: 1...9_000, using: &random) })
        }
      }
      let isEqual = receiver.seen == expected
      #expect(isEqual, "seed \(seed)")
      #expect(compressed == 7 && plain == 13)
    }
  }

  @Test func `with context takeover a repeated message shrinks to almost nothing, without it does not`() throws {
    var sizes: [CompressionConfiguration.Context: [Int]] = [:]
    for context in [CompressionConfiguration.Context.shared, .dedicated] {
      let (client, server) = try Probe.pair(Self.configuration(context), Self.configuration(context))
      for _ in 0..<2 {
        send(Self.sentence, .text, from: server)
        sizes[context, default: []].append(server.output.count)
        client.feed(server.takeOutput())
      }
      #expect(client.seen == [.message(.text, Self.sentence), .message(.text, Self.sentence)])
    }
    let shared = try #require(sizes[.shared])
    let dedicated = try #require(sizes[.dedicated])
    #expect(shared[0] == shared[1])
    #expect(dedicated[1] < dedicated[0] / 2)
  }

  @Test func `a message that does not shrink goes out plain and spoils no later one`() throws {
    var random = SplitMix(state: 7)
    let noise = (0..<5_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    let (client, server) = try Probe.pair(Self.configuration(.dedicated), Self.configuration(.dedicated))
    for payload in [Self.sentence, noise, Self.sentence, noise] { send(payload, .binary, from: client) }
    #expect(try client.sentFrames().map(\.isCompressed) == [true, false, true, false])
    server.feed(client.takeOutput())
    #expect(server.seen == [Self.sentence, noise, Self.sentence, noise].map { .message(.binary, $0) })
  }

  @Test func `a message whose ratio a receiver would refuse goes out plain`() throws {
    let (client, server) = try Probe.pair(Self.configuration(), Self.configuration())
    let zeros = [UInt8](repeating: 0, count: 900_000)
    send(zeros, .binary, from: client)
    #expect(try client.sentFrames().map(\.isCompressed) == [false])
    server.feed(client.takeOutput())
    #expect(server.seen == [.message(.binary, zeros)])
  }

  @Test func `a client that is told of a window too small for zlib sends plain messages and reads compressed ones`()
    throws
  {
    let client = try Probe.client(Self.configuration())
    let server = Probe(server: Self.configuration())
    server.feed(client.output)
    let answer = String(decoding: server.output, as: UTF8.self)
      .replacing("permessage-deflate;", with: "permessage-deflate; client_max_window_bits=8;")
    client.feed(Array(answer.utf8))
    client.output = []
    #expect(client.isOpen)
    send(Self.sentence, .text, from: client)
    #expect(try client.sentFrames() == [Frame(.text, Self.sentence)])
    server.output = []
    send(Self.sentence, .text, from: server)
    client.feed(server.takeOutput())
    #expect(client.seen.last == .message(.text, Self.sentence))
  }

  @Test func `fragments of a compressed message may have control frames between them`() throws {
    let (client, server) = try Probe.pair(Self.configuration(), Self.configuration())
    send(Self.sentence, .text, from: client)
    let payload = try #require(client.sentFrames().first).payload
    for cut in [0, 1, payload.count / 2, payload.count] {
      server.seen = []
      server.output = []
      server.feedByteByByte(
        Frame(.text, Array(payload[..<cut]), isFinal: false, isCompressed: true).bytes(from: .client)
          + Frame(.ping, [1, 2]).bytes(from: .client)
          + Frame(.continuation, Array(payload[cut...])).bytes(from: .client))
      #expect(server.seen == [.message(.text, Self.sentence)])
      #expect(try server.sentFrames() == [Frame(.pong, [1, 2])])
    }
  }

  @Test func `connections in the middle of a message borrow a context each and give it back`() throws {
    let configuration = Self.configuration()
    let context = ConnectionContext(configuration)
    let (client, _) = try Probe.pair(configuration, configuration)
    send(Self.sentence, .text, from: client)
    let frame = client.takeOutput()
    let servers = try (0..<5).map { _ in
      let server = Probe(sharing: context)
      server.feed(try Probe.client(configuration).takeOutput())
      server.seen = []
      return server
    }
    for server in servers { server.feed(Array(frame.prefix(20))) }
    for server in servers.reversed() { server.feed(Array(frame.dropFirst(20))) }
    #expect(servers.allSatisfy { $0.seen == [.message(.text, Self.sentence)] })
    #expect(context.compressionPool.createdInflaters == 5)
    for server in servers { server.feed(frame) }
    #expect(servers.allSatisfy { $0.seen.count == 2 })
    #expect(context.compressionPool.createdInflaters == 5)
  }

  @Test func `a message that nobody took does not reach the next connection`() throws {
    let partial = PartialMessage()
    partial.begin(.client, WebSocketConfiguration(), nil)
    var bytes =
      Frame(.binary, [1, 2], isFinal: false).bytes(from: .server) + Frame(.continuation, [3]).bytes(from: .server)
    var span = bytes.mutableSpan
    var raw = span.mutableBytes
    var offset = 0
    var items: [MessageAssembler.Item] = []
    while let piece = try partial.decoder.next(in: &raw, from: &offset) {
      if let item = try partial.assembler.take(piece, from: raw.bytes, inPieces: false) { items.append(item) }
    }
    #expect(items == [.message(.binary, .assembled)])
    partial.begin(.client, WebSocketConfiguration(), nil)
    let left = partial.assembler.takeMessage()
    #expect(left.isEmpty)
  }

  struct Bad: Sendable, CustomTestStringConvertible {
    var what: String
    var frames: [Frame]
    var error: ProtocolError
    var testDescription: String { what }
  }

  /// "Hello" compressed (RFC 7692 §7.2.3.1).
  private static let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
  private static let bomb = compressed([UInt8](repeating: 0, count: 3_000_000))

  private static func compressed(_ message: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    let deflater = Deflater(windowBits: 15, memoryLevel: 8, level: 9)
    precondition(deflater?.compress(message.span.bytes, into: &output, limit: .max) == true)
    return output
  }

  static let bad: [Bad] = [
    Bad(
      what: "a compressed ping", frames: [Frame(.ping, hello, isCompressed: true)], error: .reservedBits(bits: 0x40)),
    Bad(
      what: "a compressed pong", frames: [Frame(.pong, hello, isCompressed: true)], error: .reservedBits(bits: 0x40)),
    Bad(
      what: "a compressed close", frames: [Frame(.close, [3, 232], isCompressed: true)],
      error: .reservedBits(bits: 0x40)),
    Bad(
      what: "RSV1 on a continuation of a compressed message",
      frames: [
        Frame(.text, hello, isFinal: false, isCompressed: true), Frame(.continuation, [0], isCompressed: true),
      ], error: .reservedBits(bits: 0x40)),
    Bad(
      what: "RSV1 on a continuation of a plain message",
      frames: [Frame(.text, [0x41], isFinal: false), Frame(.continuation, hello, isCompressed: true)],
      error: .reservedBits(bits: 0x40)),
    Bad(
      what: "a block of a kind that does not exist", frames: [Frame(.binary, [0x06, 0, 0], isCompressed: true)],
      error: .compressedDataInvalid),
    Bad(
      what: "a stream that ends within a block",
      frames: [Frame(.text, Array(hello.prefix(4)), isCompressed: true)], error: .compressedDataTruncated),
    Bad(
      what: "text that inflates to what is no UTF-8",
      frames: [Frame(.text, compressed([0x41, 0xFF]), isCompressed: true)], error: .textNotUTF8),
    Bad(
      what: "a stream that expands without end", frames: [Frame(.binary, bomb, isCompressed: true)],
      error: .inflationRatioExceeded(limit: 256)),
  ]

  @Test(arguments: bad) func `what a broken peer may compress is answered with its close code, whole and byte by byte`(
    bad: Bad
  ) throws {
    for role in Role.both {
      for inPieces in [false, true] {
        for isWhole in [true, false] {
          let pair = try Probe.pair(Self.configuration(), Self.configuration())
          let probe = role == .server ? pair.server : pair.client
          probe.machine.receivesPieces = inPieces
          let bytes = bad.frames.flatMap { $0.bytes(from: role.peer) }
          if isWhole { probe.feed(bytes) } else { probe.feedByteByByte(bytes) }
          #expect(probe.machine.outcome?.failure == .protocolViolation(bad.error))
          #expect(try probe.sentFrames() == [.close(bad.error.closeCode.rawValue, bad.error.summary)])
          #expect(probe.seen.last == .transport(.close))
        }
      }
    }
  }

  @Test(arguments: Role.both) func `RSV1 is refused where no compression was agreed on`(role: Role) throws {
    let probe = try Probe.open(role)
    probe.feed(Frame(.text, Self.hello, isCompressed: true).bytes(from: role.peer))
    #expect(probe.machine.outcome?.failure == .protocolViolation(.reservedBits(bits: 0x40)))
  }

  @Test func `a message that inflates past the limit ends the connection and is never held`() throws {
    var configuration = Self.configuration { $0.maxInflationRatio = 2_000 }
    configuration.maxMessageBytes = 100_000
    let (_, server) = try Probe.pair(configuration, configuration)
    server.feed(Frame(.binary, Self.bomb, isCompressed: true).bytes(from: .client))
    #expect(server.machine.outcome?.failure == .protocolViolation(.inflatedTooLong(limit: 100_000)))
    #expect(server.seen == [.transport(.close)])
  }

  // MARK: Pieces

  @Test(arguments: [nil, CompressionConfiguration.Context.shared, .dedicated])
  func `a message sent in pieces arrives in pieces, and whole at a peer that wants it whole`(
    context: CompressionConfiguration.Context?
  ) throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("pieces: seed \(seed)")
    var random = SplitMix(state: seed)
    let configuration = context.map { Self.configuration($0) } ?? WebSocketConfiguration()
    for inPieces in [true, false] {
      let (client, server) = try Probe.pair(configuration, configuration)
      for (sender, receiver) in [(client, server), (server, client)] {
        receiver.machine.receivesPieces = inPieces
        for round in 0..<8 {
          let isCompressed = context != nil && round < 6
          var message: [UInt8] = []
          let parts = [0, 1, 3, 200, 70_000].shuffled(using: &random)
          for (index, size) in parts.enumerated() {
            let isNoise = round % 2 == 0
            let piece =
              isNoise
              ? (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) } : Self.prose(size, &random)
            message += piece
            let isLast = index == parts.count - 1
            let isSent = sender.machine.append(
              piece: piece.span.bytes, kind: .binary, isLast: isLast, compressing: isCompressed, to: &sender.output)
            #expect(isSent)
            #expect(sender.machine.isSendingPieces == !isLast)
            // A ping may come between the pieces.
            if index == 2 { _ = sender.machine.ping([9], into: &sender.output) }
          }
          let frames = try sender.sentFrames().filter { !$0.opcode.isControl }
          try #require(!frames.isEmpty)
          #expect(frames.map(\.opcode) == [.binary] + Array(repeating: .continuation, count: frames.count - 1))
          #expect(frames.map(\.isFinal) == Array(repeating: false, count: frames.count - 1) + [true])
          #expect(frames.map(\.isCompressed) == [isCompressed] + Array(repeating: false, count: frames.count - 1))
          receiver.seen = []
          receiver.feed(sender.takeOutput(), chunks: (0..<100).map { _ in Int.random(in: 1...3_000, using: &random) })
          #expect(try receiver.sentFrames() == [Frame(.pong, [9])])
          receiver.output = []
          var received: [UInt8] = []
          var ends = 0
          for seen in receiver.seen {
            switch seen {
            case .piece(.binary, let piece, let isLast):
              #expect(isLast || !piece.isEmpty)
              #expect(ends == 0)
              received += piece
              if isLast { ends += 1 }
            case .message(.binary, let whole):
              received = whole
              ends += 1
            default: Issue.record("unexpected \(seen)")
            }
          }
          if inPieces { #expect(receiver.seen.count > 1) } else { #expect(receiver.seen.count == 1) }
          let isEqual = received == message
          #expect(isEqual && ends == 1, "seed \(seed), round \(round)")
        }
      }
    }
  }

  @Test func `a compressed message delivered in pieces never holds more than one of them`() throws {
    var configuration = Self.configuration { $0.maxInflationRatio = 2_000 }
    configuration.maxMessageBytes = 5_000_000
    let (_, server) = try Probe.pair(configuration, configuration)
    server.machine.receivesPieces = true
    server.feed(Frame(.binary, Self.bomb, isCompressed: true).bytes(from: .client))
    var total = 0
    for seen in server.seen {
      guard case .piece(.binary, let piece, _) = seen else {
        Issue.record("unexpected \(seen)")
        return
      }
      #expect(piece.count <= MessageAssembler.inflatedPieceBytes)
      total += piece.count
    }
    #expect(total == 3_000_000)
    #expect(server.seen.count >= 3_000_000 / MessageAssembler.inflatedPieceBytes)
  }

  @Test(arguments: Role.both) func `text in pieces is checked across them`(role: Role) throws {
    let probe = try Probe.open(role)
    probe.machine.receivesPieces = true
    let text = Array("a語".utf8)
    probe.feedByteByByte(Frame(.text, text).bytes(from: role.peer))
    let received = probe.seen.flatMap { seen -> [UInt8] in
      if case .piece(.text, let piece, _) = seen { return piece }
      return []
    }
    #expect(received == text)
    probe.feed(Frame(.text, [0xE8, 0xAA], isFinal: false).bytes(from: role.peer))
    #expect(probe.isOpen)
    probe.feed(Frame(.continuation, [0x41]).bytes(from: role.peer))
    #expect(probe.machine.outcome?.code == .invalidPayload)
  }

  @Test func `whether a message comes in pieces is settled when it begins`() throws {
    let probe = try Probe.open(.server)
    probe.feed(Frame(.text, [0x41], isFinal: false).bytes(from: .client))
    probe.machine.receivesPieces = true
    probe.feed(Frame(.continuation, [0x42]).bytes(from: .client))
    #expect(probe.seen == [.message(.text, [0x41, 0x42])])
    probe.feed(Frame(.text, [0x43]).bytes(from: .client))
    #expect(probe.seen.last == .piece(.text, [0x43], isLast: true))
  }

  @Test(arguments: Role.both) func `a message in pieces counts as a whole against the limit`(role: Role) throws {
    var configuration = WebSocketConfiguration()
    configuration.maxMessageBytes = 10
    let probe = try Probe.open(role, configuration)
    probe.machine.receivesPieces = true
    probe.feed(Frame(.binary, Array(1...6), isFinal: false).bytes(from: role.peer))
    probe.feed(Frame(.continuation, Array(1...5)).bytes(from: role.peer))
    #expect(probe.machine.outcome?.failure == .protocolViolation(.messageTooLong(length: 11, limit: 10)))
  }

  // MARK: Prepared messages

  @Test(arguments: agreements) func `a prepared message suits every agreement and spoils no later message`(
    client: CompressionConfiguration.Context, server: CompressionConfiguration.Context
  ) throws {
    let prepared = PreparedMessage(Self.sentence.span.bytes, .text, compression: CompressionConfiguration())
    let (client, server) = try Probe.pair(Self.configuration(client), Self.configuration(server))
    for (sender, receiver) in [(client, server), (server, client)] {
      for _ in 0..<2 {
        send(Self.sentence, .text, from: sender)
        if let frame = sender.machine.frame(of: prepared, into: &sender.output) { sender.output += frame }
        #expect(try sender.sentFrames().map(\.isCompressed) == [true, true])
        receiver.feed(sender.takeOutput())
      }
      #expect(receiver.seen == Array(repeating: .message(.text, Self.sentence), count: 4))
    }
  }

  @Test func `a prepared message is plain for a connection without compression, or with a smaller window`() throws {
    let long = (0..<5).flatMap { _ in Self.sentence }
    let prepared = PreparedMessage(long.span.bytes, .text, compression: CompressionConfiguration())
    let small = Self.configuration { $0.maxOutgoingWindowBits = 9 }
    for (configuration, isCompressed) in [
      (WebSocketConfiguration(), false), (small, false), (Self.configuration(), true),
    ] {
      let (client, server) = try Probe.pair(Self.configuration(), configuration)
      if let frame = server.machine.frame(of: prepared, into: &server.output) { server.output += frame }
      #expect(try server.sentFrames().map(\.isCompressed) == [isCompressed])
      client.feed(server.takeOutput())
      #expect(client.seen == [.message(.text, long)])
    }
    let plain = PreparedMessage(binary: long)
    let (_, server) = try Probe.pair(Self.configuration(), Self.configuration())
    let frame = server.machine.frame(of: plain, into: &server.output)
    #expect(frame == Frame(.binary, long).bytes(from: .server))
  }
}
