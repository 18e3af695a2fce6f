/// The answer to an ordinary request, and what a rejected upgrade is answered with.
///
/// What rejects an upgrade, or a request that could not be read, ends the connection.
public struct HTTPResponse: Hashable, Sendable {
  /// 200 to 599.
  public var status: Int
  /// The reason phrase; the status's usual one unless given.
  public var reason: String
  /// Beside Content-Type, Content-Length, Transfer-Encoding and Connection, which say where the message ends and are
  /// left out of these.
  public var headers: HTTPHeaders
  public var contentType: String
  public var body: [UInt8]
  /// What the Connection field says.
  var connection = "close"

  /// An answer with a body; a status out of range becomes 500, and a reason that is no field text is left out.
  public init(
    status: Int = 200, reason: String? = nil, headers: HTTPHeaders = [:], contentType: String = "application/json",
    body: [UInt8]
  ) {
    self.status = (200...599).contains(status) ? status : 500
    let phrase = reason ?? Self.phrase(self.status)
    self.reason = phrase.utf8.allSatisfy(\.isFieldByte) ? phrase : ""
    self.headers = headers
    self.contentType = contentType.utf8.allSatisfy(\.isFieldByte) ? contentType : "application/octet-stream"
    self.body = body
  }

  /// An answer whose body is `{"error": message}`.
  public init(status: Int, headers: HTTPHeaders = [:], message: String) {
    self.init(status: status, headers: headers, body: Self.errorBody(message))
  }

  enum Length {
    /// The body is all there is.
    case whole
    /// The body is the beginning; more comes as chunks.
    case chunked
  }

  /// Appends the answer; to a HEAD request, all but the body (RFC 9110 §9.3.2).
  ///
  /// A connection goes on unless it is told otherwise (RFC 9112 §9.3), so only the end is said.
  func encode(
    to method: HTTPRequest.Method = .get, _ length: Length = .whole, keepsAlive: Bool = false,
    into output: inout [UInt8]
  ) {
    output.reserveCapacity(output.count + 256 + body.count)
    output.append(contentsOf: "HTTP/1.1 \(status) \(reason)\r\n".utf8)
    // RFC 9110 §15.3.5, §15.4.5: these have no body, and a length would be of something else.
    let hasBody = status != 204 && status != 304
    if hasBody {
      output.append(contentsOf: "Content-Type: \(contentType)\r\n".utf8)
      switch length {
      case .whole: output.append(contentsOf: "Content-Length: \(body.count)\r\n".utf8)
      case .chunked: output.append(contentsOf: "Transfer-Encoding: chunked\r\n".utf8)
      }
    }
    if !keepsAlive { output.append(contentsOf: "Connection: \(connection)\r\n".utf8) }
    for field in headers.fields where !Self.isOfTheMessage(field.name) {
      output.append(contentsOf: "\(field.name): \(field.value)\r\n".utf8)
    }
    output.append(contentsOf: "\r\n".utf8)
    guard method != .head, hasBody else { return }
    switch length {
    case .whole: output.append(contentsOf: body)
    case .chunked: if !body.isEmpty { Self.appendChunk(body, to: &output) }
    }
  }

  /// RFC 9112 §7.1.
  static func appendChunk(_ bytes: [UInt8], to output: inout [UInt8]) {
    output.append(contentsOf: "\(String(bytes.count, radix: 16))\r\n".utf8)
    output.append(contentsOf: bytes)
    output.append(contentsOf: "\r\n".utf8)
  }

  /// A second word about where the message ends would let a peer choose which one it believes.
  private static func isOfTheMessage(_ name: String) -> Bool {
    ["content-length", "transfer-encoding", "connection", "content-type"].contains { HTTPHeaders.equal($0, name) }
  }

  private static func errorBody(_ message: String) -> [UInt8] {
    var body = Array(#"{"error":""#.utf8)
    for byte in message.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): body += [UInt8(ascii: "\\"), byte]
      case 0..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        body += Array(#"\u00"#.utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
      default: body.append(byte)
      }
    }
    return body + Array(#""}"#.utf8)
  }

  private static func phrase(_ status: Int) -> String {
    switch status {
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 204: "No Content"
    case 302: "Found"
    case 303: "See Other"
    case 304: "Not Modified"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 413: "Content Too Large"
    case 415: "Unsupported Media Type"
    case 417: "Expectation Failed"
    case 421: "Misdirected Request"
    case 422: "Unprocessable Content"
    case 426: "Upgrade Required"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 503: "Service Unavailable"
    case 507: "Insufficient Storage"
    case 505: "HTTP Version Not Supported"
    default: ""
    }
  }
}
