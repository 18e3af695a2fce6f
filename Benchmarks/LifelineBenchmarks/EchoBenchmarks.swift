import Reactor
import WebSocket

private let rows: [(name: String, bytes: Int, kind: MessageKind, compression: CompressionConfiguration?)] = [
  ("20 B", 20, .binary, nil),
  ("1 KiB of text", 1_024, .text, nil),
  ("1 KiB of text, deflate, shared", 1_024, .text, CompressionConfiguration(context: .shared)),
  ("1 KiB of text, deflate, dedicated", 1_024, .text, CompressionConfiguration(context: .dedicated)),
]

/// A message to a server and back, both ends on one loop: what both of them cost together.
let echoBenchmarks: [Benchmark] = rows.map { row in
  Benchmark(
    "WebSocket echo, both ends, \(row.name)", operations: row.compression == nil ? 400_000 : 40_000,
    payloadBytes: row.bytes
  ) { operations, meter in
    try echo(operations, payload(row.bytes), row.kind, row.compression, meter)
  }
}

private func payload(_ count: Int) -> [UInt8] {
  var text = ""
  var number = 0
  while text.utf8.count < count {
    number += 1
    text += #"{"id":\#(number),"state":"running","progress":0.\#(number % 10)},"#
  }
  return Array(text.utf8.prefix(count))
}

private func echo(
  _ operations: Int, _ payload: [UInt8], _ kind: MessageKind, _ compression: CompressionConfiguration?, _ meter: Meter
) throws -> UInt64 {
  let loop = try EventLoop()
  var configuration = WebSocketConfiguration()
  configuration.compression = compression
  let server = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration) { _ in
    .accept(subprotocol: nil, delegate: Wall())
  }
  let player = Player(operations, payload, kind, loop, meter)
  let url = try WebSocketURL(host: "127.0.0.1", port: server.localAddress.port ?? 0, target: "/")
  WebSocketClient.connect(to: url, on: loop, configuration: configuration, delegate: player)
  loop.run()
  return UInt64(player.received)
}

private final class Wall: WebSocketDelegate {
  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
    socket.send(message, kind)
  }
  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
}

/// Keeps messages in flight, and measures once everything has been used before.
private final class Player: WebSocketDelegate {
  private static let inFlight = 16
  private static let warmUp = 2_000
  private(set) var received = 0
  private let last: Int
  private let payload: [UInt8]
  private let kind: MessageKind
  private let loop: EventLoop
  private let meter: Meter

  init(_ operations: Int, _ payload: [UInt8], _ kind: MessageKind, _ loop: EventLoop, _ meter: Meter) {
    last = Self.warmUp + operations
    self.payload = payload
    self.kind = kind
    self.loop = loop
    self.meter = meter
  }

  func webSocketDidOpen(_ socket: WebSocketConnection) {
    for _ in 0..<Self.inFlight { send(on: socket) }
  }

  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
    precondition(message.byteCount == payload.count, "the echo has another length")
    received += 1
    if received == Self.warmUp { meter.start() }
    if received == last {
      meter.stop()
      loop.stop()
    }
    if received < last { send(on: socket) }
  }

  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}

  private func send(on socket: WebSocketConnection) {
    switch kind {
    case .text: socket.send(text: payload)
    case .binary: socket.send(binary: payload)
    }
  }
}
