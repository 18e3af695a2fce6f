import Reactor
import TestSupport
import WebSocket

/// A client whose every byte the test chooses.
struct RawPeer {
  let socket: BlockingSocket

  static let request = """
    GET /raw HTTP/1.1\r
    Host: test\r
    Upgrade: websocket\r
    Connection: Upgrade\r
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
    Sec-WebSocket-Version: 13\r
    \r

    """

  init(to address: SocketAddress, receiveBufferBytes: Int32? = nil) throws {
    socket = try BlockingSocket(to: address, receiveBufferBytes: receiveBufferBytes)
  }

  /// Reads one byte at a time up to the empty line of a head.
  func receiveHead() throws -> String {
    var head = ""
    while !head.hasSuffix("\r\n\r\n") {
      let byte = try socket.receive(exactly: 1)
      if byte.isEmpty { break }
      head += String(decoding: byte, as: UTF8.self)
    }
    return head
  }

  /// Completes the handshake.
  func open() throws {
    try socket.send(Self.request)
    let head = try receiveHead()
    precondition(head.hasPrefix("HTTP/1.1 101 "), "the server answered \(head)")
  }

  /// A frame masked with zeros, so that its payload stands as it is.
  static func frame(_ firstByte: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let count = payload.count
    if count < 126 { return [firstByte, 0x80 | UInt8(count), 0, 0, 0, 0] + payload }
    precondition(count < 65_536)
    return [firstByte, 0xFE, UInt8(count >> 8), UInt8(count & 0xFF), 0, 0, 0, 0] + payload
  }
}

/// Starts a server on a thread of its own that serves `delegate`'s delegates.
func serve(
  _ configuration: WebSocketConfiguration = .init(),
  _ delegate: @escaping @Sendable () -> any WebSocketDelegate = { Echo() },
  onHandshakeFailure: (@Sendable (CloseReason) -> Void)? = nil
) throws -> RunningServer {
  try RunningServer { loop in
    let server = try WebSocketServer.listen(at: .loopback(), on: loop, configuration: configuration) { _ in
      .accept(subprotocol: nil, delegate: delegate())
    }
    if let onHandshakeFailure { server.onHandshakeFailure = { onHandshakeFailure($1) } }
    return server.localAddress
  }
}

extension SocketAddress {
  /// The URL of a server at this address.
  func url(_ target: String = "/") throws -> WebSocketURL {
    try WebSocketURL(host: host, port: port ?? 0, target: target)
  }
}
