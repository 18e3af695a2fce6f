public import Reactor

/// An ordinary GET or HEAD request to a WebSocket server, and the way to answer it.
///
/// Answer once, within the call or later on the same loop, before the configuration's `handshakeTimeout` since the
/// connection was made: after it the client is told 408. One connection carries one request.
public final class HTTPExchange {
  public let request: HTTPRequest
  public let remoteAddress: SocketAddress
  private weak let socket: WebSocketConnection?

  init(_ request: HTTPRequest, _ socket: WebSocketConnection) {
    self.request = request
    remoteAddress = socket.remoteAddress
    self.socket = socket
  }

  /// Sends the answer and ends the connection; without effect once it was answered or the client has gone.
  ///
  /// The answer may be as long as the configuration's `maxPendingBytes`.
  public func respond(_ response: HTTPResponse) { socket?.respond(response) }
}

@available(*, unavailable) extension HTTPExchange: Sendable {}
