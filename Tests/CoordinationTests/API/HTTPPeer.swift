import CoordinationCore
import Reactor
import TestSupport

/// A plain HTTP client for the tests of the API: one connection, one request after the other.
final class HTTPPeer {
  struct Answer {
    var status: Int
    /// Names in lower case.
    var fields: [String: String]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    var json: JSONObject {
      get throws {
        guard let object = try JSONParser.parse(body).object else { throw Malformed(description: text) }
        return object
      }
    }
  }

  struct Malformed: Error { var description: String }

  private let socket: BlockingSocket
  private let host: String
  private var unread: [UInt8] = []

  init(_ address: SocketAddress, host: String = "localhost") throws {
    socket = try BlockingSocket(to: address)
    self.host = host
  }

  func send(_ method: String, _ target: String, _ fields: [(String, String)] = [], _ body: String? = nil) throws {
    var text = "\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n"
    for field in fields { text += "\(field.0): \(field.1)\r\n" }
    if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
    try socket.send(text + "\r\n" + (body ?? ""))
  }

  func ask(_ method: String, _ target: String, _ fields: [(String, String)] = [], _ body: String? = nil) throws
    -> Answer
  {
    try send(method, target, fields, body)
    var answer = try head()
    guard method != "HEAD" else { return answer }
    if answer.fields["transfer-encoding"] == "chunked" {
      while let piece = try chunk() { answer.body += piece }
    } else {
      answer.body = try take(Int(answer.fields["content-length"] ?? "") ?? 0)
    }
    return answer
  }

  func get(_ target: String) throws -> Answer { try ask("GET", target) }

  func post(_ target: String, _ body: JSONObject? = nil, _ fields: [(String, String)] = []) throws -> Answer {
    let type = body == nil ? [] : [("Content-Type", "application/json")]
    return try ask("POST", target, type + fields, body?.text ?? "")
  }

  /// The status and the fields of an answer whose body is read piece by piece.
  func head() throws -> Answer {
    let end = Array("\r\n\r\n".utf8)
    while unread.firstRange(of: end) == nil { try more() }
    let range = unread.firstRange(of: end) ?? 0..<0
    let lines = String(decoding: unread[..<range.lowerBound], as: UTF8.self).split(separator: "\r\n")
    unread.removeFirst(range.upperBound)
    guard let first = lines.first, let status = Int(first.dropFirst("HTTP/1.1 ".count).prefix(3)) else {
      throw Malformed(description: "\(lines)")
    }
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      fields[parts[0].lowercased()] = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
    }
    return Answer(status: status, fields: fields, body: [])
  }

  /// The next chunk; `nil` at the end.
  func chunk() throws -> [UInt8]? {
    guard let size = Int(try line(), radix: 16) else { throw Malformed(description: "no chunk size") }
    let bytes = try take(size)
    _ = try line()
    return size == 0 ? nil : bytes
  }

  /// Everything from now on until it contains `text`.
  func chunks(until text: String) throws -> String {
    var all: [UInt8] = []
    while all.firstRange(of: Array(text.utf8)) == nil {
      guard let piece = try chunk() else {
        throw Malformed(description: "it ended without \(text): \(String(decoding: all, as: UTF8.self))")
      }
      all += piece
    }
    return String(decoding: all, as: UTF8.self)
  }

  private func line() throws -> String {
    while unread.firstRange(of: [13, 10]) == nil { try more() }
    let range = unread.firstRange(of: [13, 10]) ?? 0..<0
    let text = String(decoding: unread[..<range.lowerBound], as: UTF8.self)
    unread.removeFirst(range.upperBound)
    return text
  }

  private func take(_ count: Int) throws -> [UInt8] {
    while unread.count < count { try more() }
    let bytes = Array(unread.prefix(count))
    unread.removeFirst(count)
    return bytes
  }

  private func more() throws {
    let bytes = try socket.receive()
    guard !bytes.isEmpty else { throw Malformed(description: "the connection ended") }
    unread += bytes
  }
}
