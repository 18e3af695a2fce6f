public import Reactor

/// A client's request to speak WebSocket, as the application judges it.
public struct UpgradeRequest: Sendable {
  /// The request as it was sent: target, path, query, fields, offered subprotocols.
  public let handshake: HandshakeRequest
  public let remoteAddress: SocketAddress
  /// The first of the configuration's subprotocols that the client offers; `nil` if there is none.
  public let subprotocol: String?
  /// What both ends agreed on, the client's certificate included; `nil` without TLS.
  public let tls: TLSInfo?

  public var target: String { handshake.target }
  public var path: String { handshake.path }
  public var headers: HTTPHeaders { handshake.headers }
  /// What the client offers, the preferred one first.
  public var offeredSubprotocols: [String] { handshake.subprotocols }
}

/// The application's answer to an `UpgradeRequest`.
public enum UpgradeDecision {
  /// Opens the connection. A subprotocol that the client did not offer is left out of the answer.
  case accept(subprotocol: String?, headers: HTTPHeaders = [:], delegate: any WebSocketDelegate)
  /// Answers with an HTTP status and ends the connection.
  case reject(Rejection)

  /// Rejects with a body of `{"error": message}`.
  public static func reject(status: Int, message: String, headers: HTTPHeaders = [:]) -> UpgradeDecision {
    .reject(Rejection(status: status, headers: headers, message: message))
  }
}
