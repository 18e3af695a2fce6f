public import Reactor

/// Why a connection failed or could not be made.
public enum WebSocketError: Error, Equatable, Sendable {
  /// The handshake, the peer's frames, or a deadline.
  case connection(ConnectionFailure)
  /// The system: connecting, reading or writing.
  case transport(SystemError)
  /// More than `maxPendingBytes` waited to be written.
  case outboundOverflow(limit: Int)
  /// A message was to be sent on a connection that was closed, properly, with this code and text.
  case closed(CloseCode, reason: String)
}

extension WebSocketError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .connection(let failure): failure.description
    case .transport(let error): error.description
    case .outboundOverflow(let limit):
      "the peer reads too slowly: more than maxPendingBytes \(limit) waited; stop sending above the high watermark"
    case .closed(let code, let reason):
      "the connection is closed with code \(code)\(reason.isEmpty ? "" : " (\(reason))"); nothing can be sent"
    }
  }
}

/// How a connection ended; delivered exactly once.
public struct CloseReason: Equatable, Sendable {
  /// The peer's code, ours if the peer broke the rules, 1005 for a Close frame without a code, 1006 for none at all.
  public let code: CloseCode
  /// The text that came with the code; may be empty.
  public let text: String
  /// `nil` when the close handshake was completed.
  public let error: WebSocketError?

  /// Whether the close handshake was completed (RFC 6455 §7.1.4).
  public var wasClean: Bool { error == nil }

  init(outcome: CloseOutcome?, transport error: SystemError?, maxPendingBytes: Int) {
    if let outcome {
      // What the protocol decided first stays: an error of the socket after it is only its echo.
      code = outcome.code
      text = outcome.text
      self.error = outcome.failure.map(WebSocketError.connection)
      return
    }
    code = .abnormal
    text = ""
    guard let error else {
      self.error = .connection(.abandoned)
      return
    }
    self.error = error.isOverflow ? .outboundOverflow(limit: maxPendingBytes) : .transport(error)
  }
}

extension CloseReason: CustomStringConvertible {
  public var description: String {
    let detail = [text, error?.description ?? ""].filter { !$0.isEmpty }.joined(separator: "; ")
    return detail.isEmpty ? "\(code)" : "\(code) (\(detail))"
  }
}
