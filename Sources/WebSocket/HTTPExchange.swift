public import Reactor

/// An ordinary request to a WebSocket server, and the way to answer it.
///
/// Answer once, within the call or later on the same loop, within the configuration's `answerTimeout`: after it the
/// client is told 503. The connection's next request comes when this one has its answer.
public final class HTTPExchange {
  public let request: HTTPRequest
  public let remoteAddress: SocketAddress
  private weak let socket: WebSocketConnection?

  init(_ request: HTTPRequest, _ socket: WebSocketConnection) {
    self.request = request
    remoteAddress = socket.remoteAddress
    self.socket = socket
  }

  /// Sends the answer; without effect once it was answered or the client has gone.
  ///
  /// The answer may be as long as the configuration's `maxPendingBytes`.
  public func respond(_ response: HTTPResponse) { socket?.respond(response) }

  /// Begins an answer whose length is not known, with the response's body as its beginning.
  ///
  /// `nil` once it was answered or the client has gone.
  public func stream(_ response: HTTPResponse) -> HTTPStream? {
    guard let socket else { return nil }
    let stream = HTTPStream(socket)
    return socket.beginStream(response, stream) ? stream : nil
  }
}

@available(*, unavailable) extension HTTPExchange: Sendable {}
