/// Why a handshake failed: what the peer's head had, or lacked (RFC 6455 §4).
public enum HandshakeError: Error, Hashable, Sendable {
  /// What is wrong with a line of the head.
  public enum Fault: String, Hashable, Sendable {
    case requestLine = "the request line is malformed"
    case statusLine = "the status line is malformed"
    case lineEnding = "a line does not end in CR LF"
    case fieldName = "a header field has no valid name"
    case fieldValue = "a header field has a control character or is not UTF-8"
    case foldedLine = "a header field is folded over two lines"
    case target = "the request target is neither a path nor an http URI"
  }

  // Either role.
  case malformedHead(Fault)
  case headTooLong(limit: Int)
  case tooManyFields(limit: Int)
  case missingField(String)
  case duplicateField(String)
  case invalidField(String, value: String)
  case timedOut(after: Duration)

  // What a server refuses.
  case methodNotAllowed(String)
  case httpVersionNotSupported(String)
  case upgradeMissing
  case versionNotSupported(String)
  case requestHasBody
  /// There may be two opinions about where the request ends, which is how requests are smuggled past a proxy.
  case ambiguousBody(String)
  case unknownTransferCoding(String)
  case malformedChunk(String)
  case bodyTooLong(limit: Int)
  case unknownExpectation(String)
  /// The request was not complete in time.
  case requestTimedOut(after: Duration)
  /// The application gave no answer in time.
  case answerTimedOut(after: Duration)
  /// The application said no.
  case rejected(status: Int)

  // What a client refuses.
  /// The server answered with something else than 101.
  case refused(Refusal)
  case acceptMismatch(expected: String, received: String)
  case subprotocolNotOffered(String)
  case extensionNotOffered(String)
  /// The server selected an offered extension with parameters that the offer does not allow.
  case extensionInvalid(String, detail: String)

  /// A server's answer other than 101.
  public struct Refusal: Hashable, Sendable {
    public let status: Int
    public let headers: HTTPHeaders
    /// At most the first 4,096 bytes of the body.
    public let body: [UInt8]

    public init(status: Int, headers: HTTPHeaders, body: [UInt8]) {
      self.status = status
      self.headers = headers
      self.body = body
    }
  }

  /// The clause that was broken.
  public var clause: String {
    switch self {
    case .malformedHead(.foldedLine): "RFC 9112 §5.2"
    case .malformedHead, .methodNotAllowed, .httpVersionNotSupported: "RFC 6455 §4.1, RFC 9112 §2.2"
    case .headTooLong, .tooManyFields: "RFC 6585 §5"
    case .missingField, .duplicateField, .invalidField, .upgradeMissing, .requestHasBody: "RFC 6455 §4.2.1"
    case .versionNotSupported: "RFC 6455 §4.4"
    case .ambiguousBody, .unknownTransferCoding: "RFC 9112 §6.3"
    case .malformedChunk: "RFC 9112 §7.1"
    case .bodyTooLong: "RFC 9110 §15.5.14"
    case .unknownExpectation: "RFC 9110 §10.1.1"
    case .requestTimedOut: "RFC 9110 §15.5.9"
    case .answerTimedOut: "RFC 9110 §15.6.4"
    case .timedOut: "RFC 6455 §10"
    case .rejected: "RFC 6455 §4.2.2"
    case .refused, .acceptMismatch, .subprotocolNotOffered, .extensionNotOffered: "RFC 6455 §4.1"
    case .extensionInvalid: "RFC 7692 §7.1"
    }
  }

  /// What a server answers.
  public var rejection: Rejection {
    switch self {
    case .malformedHead, .missingField, .duplicateField, .invalidField, .requestHasBody, .ambiguousBody,
      .malformedChunk:
      Rejection(status: 400, message: description)
    case .headTooLong, .tooManyFields: Rejection(status: 431, message: description)
    case .methodNotAllowed: Rejection(status: 405, headers: ["Allow": "GET"], message: description)
    case .httpVersionNotSupported: Rejection(status: 505, message: description)
    case .upgradeMissing:
      Rejection(status: 426, headers: ["Upgrade": "websocket"], message: description, connection: "Upgrade, close")
    case .versionNotSupported:
      Rejection(
        status: 426, headers: ["Upgrade": "websocket", "Sec-WebSocket-Version": "13"], message: description,
        connection: "Upgrade, close")
    case .bodyTooLong: Rejection(status: 413, message: description)
    case .unknownExpectation: Rejection(status: 417, message: description)
    case .unknownTransferCoding: Rejection(status: 501, message: description)
    case .answerTimedOut: Rejection(status: 503, message: description)
    case .timedOut, .requestTimedOut: Rejection(status: 408, message: description)
    case .rejected(let status): Rejection(status: status, message: description)
    // A client answers nothing; were a server to ask, it would be its own mistake.
    case .refused, .acceptMismatch, .subprotocolNotOffered, .extensionNotOffered, .extensionInvalid:
      Rejection(status: 500, message: description)
    }
  }
}

extension HandshakeError: CustomStringConvertible {
  public var description: String { "\(fact) (\(clause))" }

  private var fact: String {
    switch self {
    case .malformedHead(let fault): fault.rawValue
    case .headTooLong(let limit): "the head exceeds maxRequestHeadBytes \(limit)"
    case .tooManyFields(let limit): "the head has more than maxHeaderFields \(limit) fields"
    case .missingField(let name): "the field \(name) is missing"
    case .duplicateField(let name): "the field \(name) appears more than once"
    case .invalidField(let name, let value): "the field \(name) has the value \"\(value)\""
    case .timedOut(let limit): "the handshake took longer than handshakeTimeout \(limit)"
    case .methodNotAllowed(let method): "the method \(method) is not served here"
    case .httpVersionNotSupported(let version): "the HTTP version is \(version), not HTTP/1.1"
    case .upgradeMissing: "this is a WebSocket endpoint: the request must ask for an upgrade to websocket"
    case .versionNotSupported(let version): "the WebSocket version is \(version), not 13"
    case .requestHasBody: "the request has a body"
    case .ambiguousBody(let what): "the end of the request is ambiguous: it has \(what)"
    case .unknownTransferCoding(let coding): "the transfer coding is \"\(coding)\", not chunked"
    case .malformedChunk(let problem): "the chunked body is malformed: \(problem)"
    case .bodyTooLong(let limit): "the body exceeds maxRequestBodyBytes \(limit)"
    case .unknownExpectation(let text): "the expectation is \"\(text)\", not 100-continue"
    case .requestTimedOut(let limit): "the request took longer than requestTimeout \(limit)"
    case .answerTimedOut(let limit): "the request was not answered within answerTimeout \(limit)"
    case .rejected(let status): "the application rejected the request with status \(status)"
    case .refused(let refusal): "the server answered with status \(refusal.status) instead of 101"
    case .acceptMismatch(let expected, let received):
      "the field sec-websocket-accept is \"\(received)\" instead of \"\(expected)\""
    case .subprotocolNotOffered(let name): "the server selected the subprotocol \"\(name)\", which was not offered"
    case .extensionNotOffered(let name): "the server selected the extension \"\(name)\", which was not offered"
    case .extensionInvalid(let name, let detail): "the server's answer about the extension \(name): \(detail)"
    }
  }
}
