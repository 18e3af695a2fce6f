import Reactor
import WebSocket

/// Sends every message back; a peer that does not read its answers is not read from either.
final class Echo: WebSocketDelegate {
  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind) {
    socket.send(message, kind)
  }

  func webSocketDidRiseAboveHighWatermark(_ socket: WebSocketConnection) { socket.pauseReading() }

  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) { socket.resumeReading() }

  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}

  /// Serves echoes at `address` on `loop`.
  static func serve(at address: SocketAddress, on loop: EventLoop, _ options: Options) throws(SystemError)
    -> WebSocketServer
  {
    var listening = ListenerOptions()
    listening.reusePort = options.loops > 1
    // It has no state, so one serves all connections.
    let echo = Echo()
    return try WebSocketServer.listen(
      at: address, on: loop, configuration: options.configuration, options: listening, tls: options.serverTLS
    ) { _ in
      .accept(subprotocol: nil, delegate: echo)
    }
  }
}
