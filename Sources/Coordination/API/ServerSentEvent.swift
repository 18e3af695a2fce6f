import CoordinationCore

/// The text of `text/event-stream` (WHATWG HTML §9.2). JSON text has no line breaks, so its data is one line.
enum ServerSentEvent {
  static let contentType = "text/event-stream; charset=utf-8"
  /// A comment: it keeps what lies between from taking the connection for dead.
  static let keepAlive = Array(": keep-alive\n\n".utf8)

  static func text(_ name: String, id: UInt64, _ data: JSONObject) -> [UInt8] {
    var bytes = Array("event: \(name)\nid: \(id)\ndata: ".utf8)
    bytes.reserveCapacity(bytes.count + 512)
    data.write(into: &bytes)
    bytes += [UInt8(ascii: "\n"), UInt8(ascii: "\n")]
    return bytes
  }
}
