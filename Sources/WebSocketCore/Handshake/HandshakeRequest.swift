/// A client's valid request for an upgrade, as a server sees it (RFC 6455 §4.2.1).
public struct HandshakeRequest: Hashable, Sendable {
  /// Path and query as sent, beginning with "/".
  public let target: String
  /// What the client offers, the preferred one first.
  public let subprotocols: [String]
  /// What the client offers, the preferred one first.
  public let extensions: [ExtensionOffer]
  private let head: MessageHead
  private let keyPlace: Range<Int32>

  /// The Host field.
  public var host: String { head.first("host") ?? "" }

  /// All fields, their names in lower case; made anew by each call, since few applications look at them.
  public var headers: HTTPHeaders { head.headers }

  /// The target without its query.
  public var path: String { RequestLine.path(of: target) }

  /// What follows the first "?"; `nil` if there is none.
  public var query: String? { RequestLine.query(of: target) }

  /// The first of `supported` that the client offers too; `nil` if there is none.
  public func preferredSubprotocol(of supported: [String]) -> String? {
    supported.first { subprotocols.contains($0) }
  }

  init(_ head: MessageHead) throws(HandshakeError) {
    self.head = head
    let line = try RequestLine(head.startLine)
    guard line.method == "GET" else { throw .methodNotAllowed(line.method) }
    target = try line.requestTarget()
    _ = try head.place(of: "host")
    guard head.hasToken("websocket", in: "upgrade") else { throw .upgradeMissing }
    guard head.hasToken("upgrade", in: "connection") else {
      guard let connection = head.first("connection") else { throw .missingField("connection") }
      throw .invalidField("connection", value: connection)
    }
    // The version is judged first: the rest of the handshake is only known for 13.
    let version = try head.single("sec-websocket-version")
    guard version == "13" else { throw .versionNotSupported(version) }
    keyPlace = try head.place(of: "sec-websocket-key")
    let key = head.bytes[Int(keyPlace.lowerBound)..<Int(keyPlace.upperBound)]
    guard AcceptKey.isValid(key) else { throw .invalidField("sec-websocket-key", value: head.text(keyPlace)) }
    guard !head.has("transfer-encoding"), head.values("content-length").allSatisfy({ $0 == "0" }) else {
      throw .requestHasBody
    }
    subprotocols = head.list("sec-websocket-protocol")
    guard subprotocols.allSatisfy(\.isToken), Set(subprotocols).count == subprotocols.count else {
      throw .invalidField(
        "sec-websocket-protocol", value: head.values("sec-websocket-protocol").joined(separator: ", "))
    }
    extensions = try ExtensionOffer.parse(head.values("sec-websocket-extensions"))
  }

  /// Appends the answer that completes the handshake (RFC 6455 §4.2.2).
  func encodeAcceptance(
    subprotocol: String?, extensions: Extensions, headers: HTTPHeaders, into output: inout [UInt8]
  ) {
    output.reserveCapacity(output.count + 256)
    output.append(contentsOf: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".utf8)
    output.append(contentsOf: "Sec-WebSocket-Accept: ".utf8)
    let key = head.bytes[Int(keyPlace.lowerBound)..<Int(keyPlace.upperBound)]
    output.append(contentsOf: AcceptKey.answer(to: key))
    if let subprotocol { output.append(contentsOf: "\r\nSec-WebSocket-Protocol: \(subprotocol)".utf8) }
    if let value = extensions.responseValue { output.append(contentsOf: "\r\nSec-WebSocket-Extensions: \(value)".utf8) }
    for field in headers.fields { output.append(contentsOf: "\r\n\(field.name): \(field.value)".utf8) }
    output.append(contentsOf: "\r\n\r\n".utf8)
  }
}
