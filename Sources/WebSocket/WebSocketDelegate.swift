/// What a connection tells its owner; every call comes on the loop that owns the connection.
///
/// The connection holds its delegate until it is closed.
public protocol WebSocketDelegate: AnyObject {
  /// The handshake is done: messages may be sent.
  func webSocketDidOpen(_ socket: WebSocketConnection)

  /// A whole message; text is valid UTF-8. The bytes are valid during the call only: copy what is to be kept.
  func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: MessageKind)

  /// Part of a message, while the connection's `receivesPieces` is set; the bytes are valid during the call only.
  ///
  /// The parts of a text are UTF-8 together, and each is checked as far as that can be said. Only the last part may be
  /// empty.
  func webSocket(_ socket: WebSocketConnection, didReceivePiece piece: RawSpan, kind: MessageKind, isLast: Bool)

  /// A pong came, whether asked for or not.
  func webSocketDidReceivePong(_ socket: WebSocketConnection)

  /// More than `highWatermarkBytes` wait to be written: hold back.
  func webSocketDidRiseAboveHighWatermark(_ socket: WebSocketConnection)

  /// At most `lowWatermarkBytes` wait to be written again: go on.
  func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection)

  /// The connection is gone; called exactly once for a connection that was open, and nothing comes after it.
  func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason)
}

extension WebSocketDelegate {
  public func webSocketDidOpen(_ socket: WebSocketConnection) {}
  public func webSocket(
    _ socket: WebSocketConnection, didReceivePiece piece: RawSpan, kind: MessageKind, isLast: Bool
  ) {}
  public func webSocketDidReceivePong(_ socket: WebSocketConnection) {}
  public func webSocketDidRiseAboveHighWatermark(_ socket: WebSocketConnection) {}
  public func webSocketDidDrainBelowLowWatermark(_ socket: WebSocketConnection) {}
}
