/// The answer to an ordinary request, and what a rejected upgrade is answered with.
///
/// It always ends the connection, so that nobody has to read on for another request.
public struct HTTPResponse: Hashable, Sendable {
  /// 200 to 599.
  public var status: Int
  /// The reason phrase; the status's usual one unless given.
  public var reason: String
  /// Beside Content-Type, Content-Length and Connection, which are always there.
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

  /// Appends the whole answer; to a HEAD request, all but the body (RFC 9110 §9.3.2).
  func encode(to method: HTTPRequest.Method = .get, into output: inout [UInt8]) {
    output.reserveCapacity(output.count + 256 + body.count)
    output.append(contentsOf: "HTTP/1.1 \(status) \(reason)\r\n".utf8)
    output.append(contentsOf: "Content-Type: \(contentType)\r\nContent-Length: \(body.count)\r\n".utf8)
    output.append(contentsOf: "Connection: \(connection)\r\n".utf8)
    for field in headers.fields { output.append(contentsOf: "\(field.name): \(field.value)\r\n".utf8) }
    output.append(contentsOf: "\r\n".utf8)
    if method != .head { output.append(contentsOf: body) }
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
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 426: "Upgrade Required"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 503: "Service Unavailable"
    case 505: "HTTP Version Not Supported"
    default: ""
    }
  }
}
