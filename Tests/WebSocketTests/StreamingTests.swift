import Reactor
import TestSupport
import Testing

@testable import WebSocket
@testable import WebSocketCore

/// Messages in pieces, prepared messages and compression over real sockets.
@Suite(.timeLimit(.minutes(5))) struct StreamingTests {
  private static let offers: [CompressionConfiguration?] = [
    nil, CompressionConfiguration(context: .shared), CompressionConfiguration(context: .dedicated),
  ]

  /// Counts what comes in pieces, and checks it without keeping it.
  private final class Sink: WebSocketDelegate {
    private(set) var bytes = 0
    private(set) var ends = 0
    private(set) var isAsExpected = true
    private(set) var largestPiece = 0
    private(set) var closeReason: CloseReason?

    func webSocketDidOpen(_ socket: WebSocketConnection) { socket.receivesPieces = true }
    func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
      isAsExpected = false
    }
    func webSocket(
      _ socket: WebSocketConnection, didReceivePiece piece: RawSpan, kind: MessageKind, isLast: Bool
    ) {
      for offset in stride(from: 0, to: piece.byteCount, by: 997) where isAsExpected {
        isAsExpected = piece.byte(at: offset) == Source.byte(at: bytes + offset)
      }
      bytes += piece.byteCount
      largestPiece = max(largestPiece, piece.byteCount)
      if isLast { ends += 1 }
    }
    func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) { closeReason = reason }
  }

  /// Sends one long message, never holding more of it than the watermark allows.
  private final class Source: WebSocketDelegate {
    static let pieceBytes = 50_000
    private let pieces: Int
    private let data: [UInt8]
    private let compressing: Bool
    private var sent = 0
    private(set) var mostPending = 0

    init(pieces: Int, compressing: Bool) {
      self.pieces = pieces
      self.compressing = compressing
      data = (0..<(pieces * Self.pieceBytes)).map(Self.byte)
    }

    static func byte(at offset: Int) -> UInt8 { UInt8(truncatingIfNeeded: offset &* offset / 1_009) }

    func webSocketDidOpen(_ socket: WebSocketConnection) { sendMore(socket) }
    func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) { sendMore(socket) }
    func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {}
    func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}

    private func sendMore(_ socket: WebSocketConnection) {
      while sent < pieces, socket.pendingBytes <= 256 * 1024 {
        let piece = Array(data[(sent * Self.pieceBytes)..<((sent + 1) * Self.pieceBytes)])
        sent += 1
        socket.send(piece: piece.span.bytes, .binary, isLast: sent == pieces, compressing: compressing)
        mostPending = max(mostPending, socket.pendingBytes)
      }
    }
  }

  @Test(arguments: offers) func `a message far larger than any buffer goes through in pieces`(
    compression: CompressionConfiguration?
  ) throws {
    let pieces = 100
    let total = pieces * Source.pieceBytes
    var configuration = WebSocketConfiguration()
    configuration.compression = compression
    configuration.maxMessageBytes = total
    configuration.highWatermarkBytes = 256 * 1024
    configuration.lowWatermarkBytes = 64 * 1024
    configuration.maxPendingBytes = 1024 * 1024
    let sink = Sink()
    let source = Source(pieces: pieces, compressing: compression != nil)
    try withLoop(limit: .seconds(30)) { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration) { _ in
        .accept(subprotocol: nil, delegate: sink)
      }
      WebSocketClient.connect(
        to: try server.localAddress.url(), on: loop, configuration: configuration, delegate: source)
      loop.when({ sink.ends == 1 || sink.closeReason != nil }, limit: .seconds(30)) { loop.stop() }
    }
    #expect(sink.closeReason == nil || sink.ends == 1)
    #expect(sink.bytes == total)
    #expect(sink.isAsExpected)
    // What arrives is a read, or what a read inflates to at once.
    #expect(sink.largestPiece <= 128 * 1024)
    #expect(source.mostPending <= 256 * 1024 + 2 * Source.pieceBytes)
  }

  @Test(arguments: offers, offers) func `messages come back through every agreement`(
    client: CompressionConfiguration?, server: CompressionConfiguration?
  ) throws {
    let recorder = Recorder()
    let texts = (0..<60).map { String(repeating: "message \($0), ", count: $0 * $0) }
    try withLoop { loop in
      var serving = WebSocketConfiguration()
      serving.compression = server
      var asking = WebSocketConfiguration()
      asking.compression = client
      let listening = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: serving) { _ in
        .accept(subprotocol: nil, delegate: Echo())
      }
      WebSocketClient.connect(
        to: try listening.localAddress.url(), on: loop, configuration: asking, delegate: recorder
      ) { result in
        guard let socket = try? result.get() else { return }
        #expect(socket.isCompressed == (client != nil && server != nil))
        for text in texts { socket.send(text: text) }
      }
      loop.when({ recorder.heard.count == texts.count + 1 }) { loop.stop() }
    }
    let isEqual = Array(recorder.heard.dropFirst().dropLast(recorder.closes.count)) == texts.map { .text($0) }
    #expect(isEqual)
  }

  @Test func `a prepared message reaches every kind of connection`() throws {
    let text = String(repeating: "to all of you: ", count: 100)
    let prepared = PreparedMessage(text: text, compression: CompressionConfiguration())
    let recorders = Self.offers.map { _ in Recorder() }
    try withLoop { loop in
      var configuration = WebSocketConfiguration()
      configuration.compression = CompressionConfiguration(context: .dedicated)
      let greeter = Recorder { socket, event in
        if event == .open { for _ in 0..<2 { socket.send(prepared) } }
      }
      let server = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration) { _ in
        .accept(subprotocol: nil, delegate: greeter)
      }
      for (offer, recorder) in zip(Self.offers, recorders) {
        var asking = WebSocketConfiguration()
        asking.compression = offer
        WebSocketClient.connect(
          to: try server.localAddress.url(), on: loop, configuration: asking, delegate: recorder)
      }
      loop.when({ recorders.allSatisfy { $0.heard.count == 3 } }) { loop.stop() }
    }
    for recorder in recorders { #expect(recorder.heard.prefix(3) == [.open, .text(text), .text(text)]) }
  }

  @Test func `connections of one loop borrow from one pool, whichever server or client they belong to`() throws {
    try withLoop { loop in
      var configuration = WebSocketConfiguration()
      configuration.compression = CompressionConfiguration()
      let message = String(repeating: "borrowed ", count: 100)
      var echoed = 0
      for _ in 0..<3 {
        let server = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration) { _ in
          .accept(subprotocol: nil, delegate: Echo())
        }
        for _ in 0..<4 {
          let recorder = Recorder { socket, event in
            if event == .open { socket.send(text: message) }
            if event == .text(message) { echoed += 1 }
          }
          WebSocketClient.connect(
            to: try server.localAddress.url(), on: loop, configuration: configuration, delegate: recorder)
        }
      }
      loop.when({ echoed == 12 }) {
        #expect(loop.compressionPool.createdDeflaters == 1)
        #expect(loop.compressionPool.createdInflaters == 1)
        loop.stop()
      }
    }
  }

  @Test func `an idle connection is small`() {
    // With the reactor's part and the tables' it must stay within 400 bytes; `make bench-peers` weighs the whole process.
    #expect(MemoryLayout<ConnectionMachine>.size <= 104)
  }
}
