/// The ordinary requests of one connection and their answers, one after another (RFC 9112 §9.3).
///
///     head ──▶ body ──▶ awaiting the answer ──▶ (streaming it) ──▶ the next head
///
/// Requests that came behind the one that is being answered wait as bytes, so their answers keep their order.
///
/// Made with a connection's first ordinary request: one that becomes a WebSocket never has any.
final class HTTPConversation {
  private(set) var request: HTTPRequest
  private var body: BodyReader?
  /// Whether another request may follow.
  private(set) var keepsAlive = true
  /// Whether an answer of unknown length has begun and not ended.
  private(set) var isStreaming = false
  /// Whether the client has ended its half: what it sent before is still answered.
  var reachedEndOfStream = false
  /// Whether so much waits to be written that no other request is read.
  var isHeldBack = false
  private var backlog: [UInt8] = []

  /// Beyond it the shell stops reading until the answer has left.
  private static let maxBacklogBytes = 64 * 1024

  init(_ request: HTTPRequest) { self.request = request }

  // MARK: Reading

  /// Begins a request whose head was read; true when its body is still to come.
  func begin(
    _ request: HTTPRequest, _ configuration: WebSocketConfiguration, into output: inout [UInt8]
  ) throws(HandshakeError) -> Bool {
    self.request = request
    let limit = configuration.maxRequestBodyBytes
    let framing = try BodyFraming(request.head, limit: limit)
    // RFC 9110 §10.1.1: the only expectation there is.
    let expectations = request.head.values("expect")
    guard expectations.allSatisfy({ $0.lowercased() == "100-continue" }) else {
      throw .unknownExpectation(expectations.joined(separator: ", "))
    }
    if request.head.hasToken("close", in: "connection") { keepsAlive = false }
    body = BodyReader(framing, limit: limit, maxTrailerBytes: configuration.maxRequestHeadBytes)
    guard body != nil else { return false }
    if !expectations.isEmpty { output.append(contentsOf: "HTTP/1.1 100 Continue\r\n\r\n".utf8) }
    return true
  }

  /// The whole request, once its body is complete.
  func readBody(_ bytes: RawSpan, from offset: inout Int) throws(HandshakeError) -> HTTPRequest? {
    guard try body?.take(bytes, from: &offset) != false else { return nil }
    request.body = body?.bytes ?? []
    body = nil
    return request
  }

  /// Keeps what came behind the request that is being answered.
  func keep(_ bytes: RawSpan, from offset: inout Int) {
    backlog.append(contentsOf: bytes.extracting(offset..<bytes.byteCount))
    offset = bytes.byteCount
  }

  var hasFullBacklog: Bool { backlog.count >= Self.maxBacklogBytes }

  func takeBacklog() -> [UInt8] {
    defer { backlog = [] }
    return backlog
  }

  // MARK: Answering

  /// No request is read after this one.
  func endAfterAnswer() { keepsAlive = false }

  func answer(_ response: HTTPResponse, into output: inout [UInt8]) {
    request.body = []
    response.encode(to: request.method, .whole, keepsAlive: keepsAlive, into: &output)
  }

  func beginStream(_ response: HTTPResponse, into output: inout [UInt8]) {
    request.body = []
    isStreaming = true
    response.encode(to: request.method, .chunked, keepsAlive: keepsAlive, into: &output)
  }

  func append(_ bytes: [UInt8], into output: inout [UInt8]) {
    // An empty chunk would end the answer, and one to HEAD would be taken for the next answer.
    guard isStreaming, request.method != .head, !bytes.isEmpty else { return }
    HTTPResponse.appendChunk(bytes, to: &output)
  }

  func endStream(into output: inout [UInt8]) {
    isStreaming = false
    if request.method != .head { output.append(contentsOf: "0\r\n\r\n".utf8) }
  }
}

@available(*, unavailable) extension HTTPConversation: Sendable {}
