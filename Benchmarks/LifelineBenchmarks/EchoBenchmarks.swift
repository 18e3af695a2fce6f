import Certificates
import Primitives
import Reactor
import WebSocket

private struct Row {
  let name: String
  var bytes = 1_024
  var kind = MessageKind.text
  var compression: CompressionConfiguration?
  var inFlight = 16
  var isSecure = false
}

private let rows = [
  Row(name: "20 B", bytes: 20, kind: .binary), Row(name: "1 KiB of text"),
  Row(name: "1 KiB of text", isSecure: true),
  Row(name: "1 KiB of text, one at a time", inFlight: 1),
  Row(name: "1 KiB of text, one at a time", inFlight: 1, isSecure: true),
  Row(name: "1 KiB of text, deflate, shared", compression: CompressionConfiguration(context: .shared)),
  Row(name: "1 KiB of text, deflate, dedicated", compression: CompressionConfiguration(context: .dedicated)),
]

/// A message to a server and back, both ends on one loop: what both of them cost together. Over TLS the rows have a name of
/// their own, because OpenSSL allocates: it gives an idle connection's buffers back and takes new ones for the next record.
let echoBenchmarks: [Benchmark] = rows.map { row in
  Benchmark(
    "\(row.isSecure ? "wss" : "WebSocket") echo, both ends, \(row.name)",
    operations: row.compression == nil ? (row.inFlight > 1 ? 400_000 : 100_000) : 40_000, payloadBytes: row.bytes
  ) { operations, meter in
    try echo(operations, row, meter)
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

private func echo(_ operations: Int, _ row: Row, _ meter: Meter) throws -> UInt64 {
  let loop = try EventLoop()
  var configuration = WebSocketConfiguration()
  configuration.compression = row.compression
  let (serverTLS, clientTLS) = row.isSecure ? try contexts() : (nil, nil)
  let server = try WebSocketServer.listen(
    at: .loopback(), on: loop, configuration: configuration, tls: serverTLS
  ) { _ in
    .accept(subprotocol: nil, delegate: Wall())
  }
  let player = Player(operations, payload(row.bytes), row.kind, row.inFlight, loop, meter)
  let url = try WebSocketURL(
    host: "127.0.0.1", port: server.localAddress.port ?? 0, target: "/", isSecure: row.isSecure)
  WebSocketClient.connect(to: url, on: loop, configuration: configuration, tls: clientTLS, delegate: player) { result in
    if case .failure = result { loop.stop() }
  }
  loop.run()
  guard player.received > 0 else { throw BenchmarkError(description: "no echo came back over \(url)") }
  return UInt64(player.received)
}

/// A server's and a client's, with a certificate made for the occasion.
private func contexts() throws -> (TLSServerContext?, TLSClientContext?) {
  let now = SystemWallClock.now().milliseconds
  let (start, end) = (WallTime(milliseconds: now - 60_000), WallTime(milliseconds: now + 3_600_000))
  let authority = try CertificateAuthority(commonName: "bench", notBefore: start, notAfter: end)
  let identity = try authority.issue(
    CertificateProfile(commonName: "bench", names: ["127.0.0.1"], use: .server, notBefore: start, notAfter: end))
  let directory = try ScratchDirectory()
  let (ca, certificate, key) = (directory.file("ca.pem"), directory.file("server.pem"), directory.file("key.pem"))
  try PEMFile.write(authority.identity.certificate, to: ca, .open)
  try PEMFile.write(identity.certificate, to: certificate, .open)
  try PEMFile.write(identity.privateKey, to: key, .secret)
  var client = TLSClientConfiguration()
  client.caFile = ca
  return (
    try TLSServerContext(TLSServerConfiguration(certificateChainFile: certificate, privateKeyFile: key)),
    try TLSClientContext(client)
  )
}

private final class Wall: WebSocketDelegate {
  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
    socket.send(message, kind)
  }
  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
}

/// Keeps messages in flight, and measures once everything has been used before.
private final class Player: WebSocketDelegate {
  private static let warmUp = 2_000
  private(set) var received = 0
  private let last: Int
  private let payload: [UInt8]
  private let kind: MessageKind
  private let inFlight: Int
  private let loop: EventLoop
  private let meter: Meter

  init(
    _ operations: Int, _ payload: [UInt8], _ kind: MessageKind, _ inFlight: Int, _ loop: EventLoop, _ meter: Meter
  ) {
    last = Self.warmUp + operations
    self.payload = payload
    self.kind = kind
    self.inFlight = inFlight
    self.loop = loop
    self.meter = meter
  }

  func webSocketDidOpen(_ socket: WebSocketConnection) {
    for _ in 0..<inFlight { send(on: socket) }
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
