import Primitives

@testable import WebSocketCore

/// What a machine said, with payloads copied out of the bytes they were lent in.
enum Seen: Hashable {
  case upgradeRequested(HandshakeRequest)
  case resourceRequested(HTTPRequest)
  case opened(HandshakeResponse)
  case message(MessageKind, [UInt8])
  case piece(MessageKind, [UInt8], isLast: Bool)
  case pong
  case transport(ConnectionMachine.TransportAction)
}

/// Drives one machine as the shell does, and keeps what came out.
final class Probe {
  var machine: ConnectionMachine
  var output: [UInt8] = []
  var seen: [Seen] = []
  var now = Instant.zero
  /// How `upgradeRequested` is answered; `nil` accepts without a subprotocol.
  var rejection: Rejection?
  /// How `resourceRequested` is answered at once; `nil` lets it wait.
  var response: HTTPResponse?
  /// The subprotocols a server supports.
  var supported: [String] = []
  var outboundIsEmpty = true
  /// Whether whole messages are taken the short way first, as the shell does; the long way must give the same.
  var usesFastPath = true

  init(server configuration: WebSocketConfiguration = .init()) {
    machine = ConnectionMachine(server: ConnectionContext(configuration), at: .zero)
  }

  /// A server that shares its context with others.
  init(sharing context: ConnectionContext) {
    machine = ConnectionMachine(server: context, at: .zero)
  }

  private init(_ machine: consuming ConnectionMachine, sent output: [UInt8]) {
    self.machine = machine
    self.output = output
  }

  /// A client that has sent its request.
  static func client(
    _ configuration: WebSocketConfiguration = .init(), offering subprotocols: [String] = [], seed: UInt64 = 1
  ) throws -> Probe {
    var generator = SplitMix(state: seed)
    let request = try ClientHandshake(
      target: "/chat", host: "server.example.com", subprotocols: subprotocols, using: &generator)
    var output: [UInt8] = []
    let machine = ConnectionMachine(
      client: request, ConnectionContext(configuration), keys: generator, at: .zero, into: &output)
    return Probe(machine, sent: output)
  }

  /// A machine whose handshake is done, with nothing seen and nothing sent.
  static func open(_ role: Role, _ configuration: WebSocketConfiguration = .init()) throws -> Probe {
    let probe: Probe
    switch role {
    case .server:
      probe = Probe(server: configuration)
      probe.feed(Array(validRequest.utf8))
    case .client:
      probe = try .client(configuration)
      let server = Probe(server: configuration)
      server.feed(probe.output)
      probe.feed(server.output)
    }
    probe.output = []
    probe.seen = []
    return probe
  }

  /// Two machines that have shaken hands, so that an extension may be agreed on; nothing seen and nothing sent.
  static func pair(
    _ client: WebSocketConfiguration, _ server: WebSocketConfiguration
  ) throws -> (client: Probe, server: Probe) {
    let client = try Probe.client(client)
    let server = Probe(server: server)
    server.feed(client.output)
    client.feed(server.output)
    for probe in [client, server] {
      probe.output = []
      probe.seen = []
    }
    return (client, server)
  }

  /// Hands over what was sent.
  func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }

  /// A copy of what the machine says, because `#expect` cannot look at a machine.
  var isOpen: Bool { machine.isOpen }

  /// Feeds the bytes as reads of the given sizes, the last of them as long as it takes.
  func feed(_ bytes: [UInt8], chunks: [Int] = []) {
    var rest = bytes[...]
    for size in chunks + [bytes.count] where !rest.isEmpty {
      read(Array(rest.prefix(size)))
      rest = rest.dropFirst(size)
    }
  }

  /// Goes on with what came behind a request, as the shell does once that is answered.
  func goOn() {
    if let backlog = machine.takeBacklog() { read(backlog) }
  }

  func feedByteByByte(_ bytes: [UInt8]) {
    for byte in bytes { read([byte]) }
  }

  private func read(_ bytes: [UInt8]) {
    var bytes = bytes
    var span = bytes.mutableSpan
    var raw = span.mutableBytes
    machine.beginRead(at: now, outboundIsEmpty: outboundIsEmpty, into: &output)
    var offset = 0
    while true {
      if usesFastPath, let message = machine.nextWholeMessage(in: &raw, from: &offset) {
        seen.append(.message(message.kind, message.payload.map { raw.bytes.byte(at: $0) }))
        continue
      }
      switch machine.next(in: &raw, from: &offset, at: now, into: &output) {
      case .needsBytes:
        precondition(offset == raw.byteCount, "the machine left bytes unused")
        return
      case .upgradeRequested(let request):
        seen.append(.upgradeRequested(request))
        if let rejection {
          if let action = machine.reject(rejection, into: &output) { seen.append(.transport(action)) }
        } else {
          machine.accept(subprotocol: request.preferredSubprotocol(of: supported), into: &output)
        }
      case .resourceRequested(let request):
        seen.append(.resourceRequested(request))
        if let response, let action = machine.answer(response, at: now, into: &output) {
          seen.append(.transport(action))
        }
      case .opened(let response): seen.append(.opened(response))
      case .message(let kind, .inPlace(let range)):
        seen.append(.message(kind, range.map { raw.bytes.byte(at: $0) }))
      case .message(let kind, .assembled):
        var message = machine.takeMessage()
        seen.append(.message(kind, message))
        machine.recycle(&message)
      case .piece(let kind, .inPlace(let range), let isLast):
        seen.append(.piece(kind, range.map { raw.bytes.byte(at: $0) }, isLast: isLast))
      case .piece(let kind, .assembled, let isLast):
        var piece = machine.takeMessage()
        seen.append(.piece(kind, piece, isLast: isLast))
        machine.recycle(&piece)
      case .pong: seen.append(.pong)
      case .transport(let action): seen.append(.transport(action))
      }
    }
  }

  /// The frames sent so far, read as the peer would.
  func sentFrames() throws -> [Frame] {
    try Frame.all(in: output, receivedBy: machine.role == .server ? .client : .server)
  }
}

/// A frame as a test writes and reads it.
struct Frame: Hashable, CustomStringConvertible {
  var isFinal = true
  /// RSV1.
  var isCompressed = false
  var opcode: Opcode
  var payload: [UInt8]

  init(_ opcode: Opcode, _ payload: [UInt8] = [], isFinal: Bool = true, isCompressed: Bool = false) {
    self.isCompressed = isCompressed
    self.opcode = opcode
    self.payload = payload
    self.isFinal = isFinal
  }

  static func close(_ code: UInt16, _ reason: String = "") -> Frame {
    Frame(.close, [UInt8(code >> 8), UInt8(code & 0xFF)] + Array(reason.utf8))
  }

  var description: String { "\(opcode)(\(payload.count) bytes\(isFinal ? "" : ", more follow"))" }

  /// The frame's bytes, written without the code under test: masked when sent by a client.
  func bytes(from role: Role, key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]) -> [UInt8] {
    var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode.rawValue]
    let mask: UInt8 = role == .client ? 0x80 : 0
    let count = payload.count
    if count < 126 {
      bytes.append(mask | UInt8(count))
    } else if count < 65_536 {
      bytes += [mask | 126, UInt8(count >> 8), UInt8(count & 0xFF)]
    } else {
      bytes.append(mask | 127)
      for index in (0..<8).reversed() { bytes.append(UInt8((count >> (8 * index)) & 0xFF)) }
    }
    guard role == .client else { return bytes + payload }
    return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
  }

  /// Every frame in the bytes, as the given role receives them.
  static func all(in bytes: [UInt8], receivedBy role: Role) throws -> [Frame] {
    var bytes = bytes
    var span = bytes.mutableSpan
    var raw = span.mutableBytes
    var decoder = FrameDecoder(role: role, maxFrameBytes: .max)
    decoder.rules.allowedReservedBits = FrameHeader.compressedBit
    var frames: [Frame] = []
    var offset = 0
    while let piece = try decoder.next(in: &raw, from: &offset) {
      precondition(piece.isFirst && piece.isLast, "the bytes end inside a frame")
      frames.append(
        Frame(
          piece.header.opcode, piece.payload.map { raw.bytes.byte(at: $0) }, isFinal: piece.header.isFinal,
          isCompressed: piece.header.reservedBits != 0))
    }
    precondition(decoder.isBetweenFrames, "the bytes end inside a header")
    return frames
  }
}

extension Role {
  static let both: [Role] = [.server, .client]
  var peer: Role { self == .server ? .client : .server }
}

/// Random numbers that a seed repeats (Steele, Lea, Flood 2014).
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// The request of RFC 6455 §1.3, without its subprotocols.
let validRequest = """
  GET /chat HTTP/1.1\r
  Host: server.example.com\r
  Upgrade: websocket\r
  Connection: Upgrade\r
  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
  Sec-WebSocket-Version: 13\r
  \r

  """

/// The valid request with one line replaced; `nil` removes it.
func request(replacing start: String, with line: String?) -> [UInt8] {
  var lines: [String] = []
  for old in validRequest.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init) {
    if old.hasPrefix(start) {
      if let line { lines.append(line) }
    } else {
      lines.append(old)
    }
  }
  return Array(lines.joined(separator: "\r\n").utf8)
}

/// The valid request with lines added before its end.
func request(adding lines: String...) -> [UInt8] {
  Array((validRequest.dropLast() + lines.map { $0 + "\r\n" }.joined() + "\r\n").utf8)
}
