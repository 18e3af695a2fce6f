/// A client's half of the handshake: what it asks for, and what answer it takes (RFC 6455 §4.1).
public struct ClientHandshake: Hashable, Sendable {
  /// Path and query, beginning with "/".
  public let target: String
  /// Host and, unless it is 80, port, as the Host field has them.
  public let host: String
  /// Fields beyond those of the handshake.
  public let headers: HTTPHeaders
  /// What to offer, the preferred one first.
  public let subprotocols: [String]
  let key: String

  /// The key is drawn from `generator`; a target, host or subprotocol that cannot be sent is an error.
  public init(
    target: String, host: String, headers: HTTPHeaders = [:], subprotocols: [String] = [],
    using generator: inout some RandomNumberGenerator
  ) throws(HandshakeError) {
    guard target.hasPrefix("/"), target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
      throw .malformedHead(.target)
    }
    guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw .invalidField("host", value: host)
    }
    guard subprotocols.allSatisfy(\.isToken), Set(subprotocols).count == subprotocols.count else {
      throw .invalidField("sec-websocket-protocol", value: subprotocols.joined(separator: ", "))
    }
    for name in Self.reservedFields {
      if let value = headers[name] { throw .invalidField(name, value: value) }
    }
    self.target = target
    self.host = host
    self.headers = headers
    self.subprotocols = subprotocols
    key = AcceptKey.make(using: &generator)
  }

  /// Fields that the handshake itself writes.
  private static let reservedFields = [
    "host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol",
    "sec-websocket-extensions", "content-length", "transfer-encoding",
  ]

  /// Appends the request.
  func encode(into output: inout [UInt8]) {
    output.append(contentsOf: "GET \(target) HTTP/1.1\r\nHost: \(host)\r\nUpgrade: websocket\r\n".utf8)
    output.append(contentsOf: "Connection: Upgrade\r\nSec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: 13\r\n".utf8)
    if !subprotocols.isEmpty {
      output.append(contentsOf: "Sec-WebSocket-Protocol: \(subprotocols.joined(separator: ", "))\r\n".utf8)
    }
    if let value = Extensions.offerValue(for: nil) {
      output.append(contentsOf: "Sec-WebSocket-Extensions: \(value)\r\n".utf8)
    }
    for field in headers.fields { output.append(contentsOf: "\(field.name): \(field.value)\r\n".utf8) }
    output.append(contentsOf: "\r\n".utf8)
  }

  /// What a server's head means.
  enum Answer: Hashable, Sendable {
    case accepted(HandshakeResponse, Extensions)
    /// Not 101: the body, of at most this many bytes, may say why.
    case refused(status: Int, HTTPHeaders, bodyBytes: Int)
  }

  /// The most of a refusal's body that is kept, in bytes.
  private static let maxRefusalBodyBytes = 4096

  func answer(in bytes: [UInt8], maxFields: Int) throws(HandshakeError) -> Answer {
    let head = try MessageHead(bytes, maxFields: maxFields, startLineFault: .statusLine)
    let status = try Self.status(ofStatusLine: head.startLine)
    let headers = head.headers
    guard status == 101 else {
      let length = headers["content-length"].flatMap { Int($0) } ?? Self.maxRefusalBodyBytes
      return .refused(status: status, headers, bodyBytes: min(max(0, length), Self.maxRefusalBodyBytes))
    }
    let upgrade = try head.single("upgrade")
    guard HTTPHeaders.equal(upgrade, "websocket") else { throw .invalidField("upgrade", value: upgrade) }
    guard let connection = headers["connection"] else { throw .missingField("connection") }
    guard headers.hasToken("upgrade", in: "connection") else { throw .invalidField("connection", value: connection) }
    let accept = try head.single("sec-websocket-accept")
    let expected = AcceptKey.answer(to: key)
    guard accept == expected else { throw .acceptMismatch(expected: expected, received: accept) }
    var subprotocol: String?
    if headers["sec-websocket-protocol"] != nil {
      let name = try head.single("sec-websocket-protocol")
      guard subprotocols.contains(name) else { throw .subprotocolNotOffered(name) }
      subprotocol = name
    }
    let extensions = try Extensions.confirmed(by: ExtensionOffer.parse(headers), offered: nil)
    return .accepted(HandshakeResponse(subprotocol: subprotocol, headers: headers), extensions)
  }

  private static func status(ofStatusLine line: Substring) throws(HandshakeError) -> Int {
    let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count >= 2, parts[0].hasPrefix("HTTP/"), parts[1].utf8.count == 3,
      parts[1].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let status = Int(parts[1])
    else { throw .malformedHead(.statusLine) }
    guard parts[0] == "HTTP/1.1" else { throw .httpVersionNotSupported(String(parts[0])) }
    return status
  }
}

/// A server's acceptance, as a client sees it.
public struct HandshakeResponse: Hashable, Sendable {
  /// The server's choice; `nil` if it made none.
  public let subprotocol: String?
  /// All fields, their names in lower case.
  public let headers: HTTPHeaders
}
