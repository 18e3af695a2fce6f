import Glibc
import Primitives
import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(3))) struct TLSStreamTests {
  private let certificates: TestCertificates

  init() throws { certificates = try TestCertificates() }

  private static let seeds: [UInt64] = {
    if let text = getenv("LIFELINE_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
    return (0..<12).map { _ in UInt64.random(in: 0...999_999_999) }
  }()

  private static func noise(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  /// A pair with something between the two that passes on what they send in pieces.
  private func withSplitPair(
    limit: Duration = .seconds(20), pieces: @escaping () -> Int = { 100_000 },
    _ body: @escaping (Pair, Splitter?) -> Void
  ) throws {
    var splitter: Splitter?
    try withSecurePair(
      certificates.server(), certificates.client(), limit: limit,
      via: { address, loop in
        let made = try Splitter(to: address, on: loop, pieceBytes: pieces)
        splitter = made
        return made.address
      }, { body($0, splitter) })
  }

  @Test(arguments: seeds)
  func `whatever the pieces on the way, the same bytes arrive both ways and in order`(seed: UInt64) throws {
    let replay = Comment("replay: LIFELINE_SEED=\(seed) swift test --filter TLSStreamTests")
    var generator = SeededGenerator(seed: seed)
    let largest = [1, 2, 7, 100, 5_000, 70_000, 300_000].randomElement(using: &generator) ?? 1
    let total = largest < 10 ? 3_000 : 400_000
    let upload = Self.noise(Int.random(in: 1...total, using: &generator), &generator)
    let download = Self.noise(Int.random(in: 1...total, using: &generator), &generator)
    var pieces = generator.split()
    var sends = generator.split()
    try withSplitPair(
      limit: .seconds(60), pieces: { largest == 1 ? 1 : Int.random(in: 1...largest, using: &pieces) }
    ) { pair, splitter in
      func send(_ bytes: ArraySlice<UInt8>, _ connection: Connection?) {
        guard !bytes.isEmpty else { return }
        let count = min(bytes.count, Int.random(in: 1...60_000, using: &sends))
        connection?.send(Array(bytes.prefix(count)))
        let rest = bytes.dropFirst(count)
        pair.loop.schedule(after: .zero) { send(rest, connection) }
      }
      send(upload[...], pair.client)
      send(download[...], pair.server)
      pair.loop.when(
        {
          pair.serverSide.receivedBytes >= upload.count && pair.clientSide.receivedBytes >= download.count
            || !pair.serverSide.closes.isEmpty || !pair.clientSide.closes.isEmpty
        }, limit: .seconds(50)
      ) {
        #expect(pair.serverSide.received == upload, replay)
        #expect(pair.clientSide.received == download, replay)
        pair.client?.close()
        pair.loop.when({ !pair.serverSide.closes.isEmpty && !pair.clientSide.closes.isEmpty }) {
          #expect(pair.serverSide.closes == [nil], replay)
          #expect(pair.clientSide.closes == [nil], replay)
          withExtendedLifetime(splitter) { pair.loop.stop() }
        }
      }
    }
  }

  @Test func `everything of a turn leaves in one call, in records that are as full as can be`() throws {
    try withSecurePair(certificates.server(), certificates.client()) { pair in
      pair.loop.schedule(after: .milliseconds(10)) {
        let before = pair.loop.writeCalls
        for _ in 0..<100 { pair.client?.send("0123456789") }
        #expect(pair.client?.pendingBytes == 1_000)
        pair.loop.when({ pair.serverSide.receivedBytes == 1_000 }) {
          #expect(pair.loop.writeCalls == before + 1)
          #expect(pair.client?.pendingBytes == 0)
          pair.loop.stop()
        }
      }
    }
  }

  @Test(arguments: [true, false])
  func `a peer that does not read holds the sender back, and gets everything in the end`(upload: Bool) throws {
    var options = ConnectionOptions()
    options.sendBufferBytes = 64 * 1024
    let piece = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let pieces = 200
    try withSecurePair(certificates.server(), certificates.client(), server: options, client: options) { pair in
      let (sender, senderSide) = upload ? (pair.client, pair.clientSide) : (pair.server, pair.serverSide)
      let (receiver, receiverSide) = upload ? (pair.server, pair.serverSide) : (pair.client, pair.clientSide)
      receiver?.pauseReading()
      var left = pieces
      var most = 0
      func produce() {
        while left > 0, let sender, sender.pendingBytes <= sender.options.highWatermarkBytes {
          sender.send(piece)
          left -= 1
          most = max(most, sender.pendingBytes)
        }
      }
      senderSide.onRise = { _ in
        // The first time it is held back most is still to be sent.
        if senderSide.rises == 1 { #expect(left > 0) }
        receiver?.resumeReading()
      }
      senderSide.onDrain = { _ in produce() }
      produce()
      pair.loop.when({ receiverSide.receivedBytes == pieces * piece.count }, limit: .seconds(30)) {
        #expect(senderSide.rises > 0)
        #expect(senderSide.drains == senderSide.rises)
        // The watermark, a message, and what encryption adds to so much.
        #expect(most < options.highWatermarkBytes + 2 * piece.count)
        var isRight = true
        for start in stride(from: 0, to: receiverSide.received.count, by: piece.count) {
          isRight = isRight && receiverSide.received[start..<start + piece.count].elementsEqual(piece)
        }
        #expect(isRight)
        pair.loop.stop()
      }
    }
  }

  @Test func `nothing is delivered while reading is paused, and nothing is lost by it`() throws {
    let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }
    try withSecurePair(certificates.server(), certificates.client()) { pair in
      var isPaused = false
      pair.serverSide.onReceive = { connection in
        #expect(!isPaused)
        isPaused = true
        connection.pauseReading()
        pair.loop.schedule(after: .milliseconds(1)) {
          isPaused = false
          connection.resumeReading()
        }
      }
      pair.client?.send(bytes)
      pair.loop.when({ pair.serverSide.receivedBytes == bytes.count }) {
        #expect(pair.serverSide.received == bytes)
        pair.loop.stop()
      }
    }
  }

  @Test(arguments: [true, false])
  func `each direction ends by itself`(clientFirst: Bool) throws {
    try withSecurePair(certificates.server(), certificates.client()) { pair in
      let (first, firstSide) = clientFirst ? (pair.client, pair.clientSide) : (pair.server, pair.serverSide)
      let secondSide = clientFirst ? pair.serverSide : pair.clientSide
      secondSide.onEnd = { connection in
        connection.send("still here")
        connection.close()
      }
      first?.send("last words")
      first?.shutdownWrite()
      pair.loop.when({ !pair.serverSide.closes.isEmpty && !pair.clientSide.closes.isEmpty }) {
        #expect(secondSide.text == "last words")
        #expect(secondSide.sawEnd)
        #expect(firstSide.text == "still here")
        #expect(pair.serverSide.closes == [nil])
        #expect(pair.clientSide.closes == [nil])
        pair.loop.stop()
      }
    }
  }

  @Test(arguments: [true, false])
  func `an end that the peer did not announce is an error, after all that came before it`(server: Bool) throws {
    try withSplitPair { pair, splitter in
      let (victim, sender) = server ? (pair.serverSide, pair.client) : (pair.clientSide, pair.server)
      sender?.send("half of it")
      pair.loop.when({ victim.text == "half of it" }) {
        splitter?.cut(towardsServer: server)
        pair.loop.when({ !victim.closes.isEmpty }) {
          #expect(victim.closes.map { $0?.tls } == [.truncated])
          #expect(text(of: victim.closes[0]).contains("something may be missing"))
          #expect(!victim.sawEnd)
          pair.loop.stop()
        }
      }
    }
  }

  @Test(arguments: [true, false])
  func `a byte that changed on the way ends the connection, and none of its record is delivered`(server: Bool) throws {
    try withSplitPair { pair, splitter in
      let (victim, sender) = server ? (pair.serverSide, pair.client) : (pair.clientSide, pair.server)
      splitter?.onPiece = { piece, towardsServer in
        // The last byte is of the record's authentication.
        if towardsServer == server, !piece.isEmpty { piece[piece.count - 1] ^= 1 }
      }
      sender?.send("a secret")
      pair.loop.when({ !victim.closes.isEmpty }) {
        #expect(victim.received.isEmpty)
        let problem = text(of: victim.closes[0]?.tls)
        #expect(problem.contains("bad record mac"), "\(victim.closes)")
        pair.loop.stop()
      }
    }
  }
}
