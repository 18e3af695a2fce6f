/// An answer that is sent piece by piece (the chunked coding, RFC 9112 §7.1): a log that grows, server-sent events.
///
/// Held by its connection until it is finished or the client has gone. To a HEAD request nothing is sent but the head;
/// finish all the same. Use it on the owning loop.
public final class HTTPStream {
  private weak var socket: WebSocketConnection?
  /// Called once if the client goes before `finish`.
  public var onClose: (() -> Void)?
  /// Called when at most the configuration's `lowWatermarkBytes` wait again, after there were more than its
  /// `highWatermarkBytes`.
  public var onDrain: (() -> Void)?

  init(_ socket: WebSocketConnection) { self.socket = socket }

  /// Whether anything that is sent can still arrive.
  public var isOpen: Bool { socket != nil }

  /// Bytes that wait to be written; more than the configuration's `maxPendingBytes` end the connection.
  public var pendingBytes: Int { socket?.pendingBytes ?? 0 }

  /// Sends a piece; without effect once the stream is not open.
  public func send(_ bytes: [UInt8]) { socket?.appendToStream(bytes) }

  /// Ends the answer, and lets the connection's next request come.
  public func finish() {
    let socket = socket.take()
    onClose = nil
    onDrain = nil
    socket?.endStream()
  }

  func closed() {
    socket = nil
    let onClose = onClose.take()
    onDrain = nil
    onClose?()
  }
}

@available(*, unavailable) extension HTTPStream: Sendable {}
