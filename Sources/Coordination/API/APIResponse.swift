import CoordinationCore
import WebSocketCore

/// The answers of the API that are no problems.
enum APIResponse {
  /// With every answer: it is about this moment, and is what its type says and nothing else.
  static let fields: HTTPHeaders = ["Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"]

  static func json(_ object: JSONObject, status: Int = 200, headers: HTTPHeaders = [:]) -> HTTPResponse {
    json(text(object), status: status, headers: headers)
  }

  static func json(_ text: [UInt8], status: Int = 200, headers extra: HTTPHeaders = [:]) -> HTTPResponse {
    var headers = fields
    for field in extra.fields { headers.append(field.name, field.value) }
    return HTTPResponse(status: status, headers: headers, body: text)
  }

  static func text(_ object: JSONObject) -> [UInt8] {
    var body: [UInt8] = []
    body.reserveCapacity(1_024)
    object.write(into: &body)
    body.append(UInt8(ascii: "\n"))
    return body
  }
}
