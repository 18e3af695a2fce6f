/// Why a connection ended other than by a finished close handshake.
public enum ConnectionFailure: Error, Hashable, Sendable {
  case handshake(HandshakeError)
  case protocolViolation(ProtocolError)
  /// Nothing came from the peer for this long after a ping.
  case pingTimedOut(after: Duration)
  /// The peer did not answer our Close frame in time.
  case closeTimedOut(after: Duration)
  /// The peer ended the TCP connection in the middle of the handshake, a frame, a message, or without a Close frame.
  case endOfStream(during: Phase)

  /// This side gave the connection up.
  case abandoned

  public enum Phase: String, Hashable, Sendable {
    case handshake
    case frame
    case message
    case betweenMessages = "the time between messages"
    case closeHandshake = "the close handshake"
  }
}

extension ConnectionFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .handshake(let error): "handshake failed: \(error)"
    case .protocolViolation(let error): "protocol violation: \(error)"
    case .pingTimedOut(let limit): "nothing came from the peer within pingTimeout \(limit) of a ping"
    case .closeTimedOut(let limit): "the peer did not answer the close frame within closeTimeout \(limit)"
    case .endOfStream(let phase): "the peer ended the connection during \(phase.rawValue) without a close frame"
    case .abandoned: "the connection was given up by this side"
    }
  }
}

/// How a connection ended.
public struct CloseOutcome: Hashable, Sendable {
  /// The code of the Close frame received, or of the one sent if the peer broke the rules; 1005 and 1006 as in
  /// RFC 6455 §7.1.5.
  public let code: CloseCode
  /// The reason that came with the code.
  public let text: String
  /// `nil` when the peer closed properly.
  public let failure: ConnectionFailure?

  public init(code: CloseCode, text: String, failure: ConnectionFailure?) {
    self.code = code
    self.text = text
    self.failure = failure
  }

  static func failed(_ failure: ConnectionFailure) -> CloseOutcome {
    CloseOutcome(code: .abnormal, text: "", failure: failure)
  }
}
