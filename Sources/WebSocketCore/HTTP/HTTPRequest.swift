/// A request that asks for no upgrade: an ordinary GET or HEAD without a body (RFC 9110 §9.3).
public struct HTTPRequest: Hashable, Sendable {
  public enum Method: String, Hashable, Sendable {
    case get = "GET"
    /// Is answered as GET is, without the body; the machine sees to that.
    case head = "HEAD"
  }

  public let method: Method
  /// Path and query as sent, beginning with "/".
  public let target: String
  private let head: MessageHead

  /// The Host field.
  public var host: String { head.first("host") ?? "" }

  /// All fields, their names in lower case; made anew by each call.
  public var headers: HTTPHeaders { head.headers }

  /// The target without its query; still percent-encoded.
  public var path: String { RequestLine.path(of: target) }

  /// What follows the first "?", still percent-encoded; `nil` if there is none.
  public var query: String? { RequestLine.query(of: target) }

  /// `nil` when the request asks for an upgrade to WebSocket. What is wrong with any other is thrown, as for an upgrade.
  init?(_ head: MessageHead) throws(HandshakeError) {
    guard !head.hasToken("websocket", in: "upgrade") else { return nil }
    let line = try RequestLine(head.startLine)
    guard let method = Method(rawValue: line.method) else { throw .methodNotAllowed(line.method) }
    // RFC 9112 §3.2: a request without exactly one Host is refused.
    _ = try head.place(of: "host")
    // What followed it would have to be read to its end, and nothing that is served here takes any.
    guard !head.has("transfer-encoding"), head.values("content-length").allSatisfy({ $0 == "0" }) else {
      throw .requestHasBody
    }
    self.method = method
    target = try line.requestTarget()
    self.head = head
  }
}
