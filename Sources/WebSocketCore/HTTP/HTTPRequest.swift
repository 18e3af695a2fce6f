/// A request that asks for no upgrade, with its body (RFC 9110 §9.3).
public struct HTTPRequest: Hashable, Sendable {
  public enum Method: String, Hashable, Sendable, CaseIterable {
    case get = "GET"
    /// Is answered as GET is, without the body; the machine sees to that.
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
    case options = "OPTIONS"
  }

  public let method: Method
  /// Path and query as sent, beginning with "/".
  public let target: String
  /// Whole, at most the configuration's `maxRequestBodyBytes` long; empty if there is none.
  public internal(set) var body: [UInt8] = []
  let head: MessageHead

  /// The Host field.
  public var host: String { head.first("host") ?? "" }

  /// All fields, their names in lower case; made anew by each call.
  public var headers: HTTPHeaders { head.headers }

  /// The value of the first field with this name, which is given in lower case, without making all of them.
  public func header(_ name: StaticString) -> String? { head.first(name) }

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
    let host = head.text(try head.place(of: "host"))
    let place = try line.place()
    target = place.target
    // §3.2.2: an absolute target's authority counts and not Host. Where they differ, somebody in front may have gone by
    // the other.
    if let authority = place.authority, authority.lowercased() != host.lowercased() {
      throw .invalidField("host", value: host)
    }
    self.method = method
    self.head = head
  }
}
