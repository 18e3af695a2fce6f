/// The first line of a request (RFC 9112 §3), taken apart; the method is still to be judged.
struct RequestLine {
  let method: String
  private let rawTarget: Substring

  init(_ line: Substring) throws(HandshakeError) {
    let parts = line.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false).map { Substring($0) }
    guard parts.count == 3, String(parts[0]).isToken, parts[2].hasPrefix("HTTP/") else {
      throw .malformedHead(.requestLine)
    }
    guard parts[2] == "HTTP/1.1" else { throw .httpVersionNotSupported(String(parts[2])) }
    method = String(parts[0])
    rawTarget = parts[1]
  }

  /// Path and query, beginning with "/".
  func requestTarget() throws(HandshakeError) -> String { try place().target }

  /// Path and query, and before them what an absolute target names instead of the Host field.
  func place() throws(HandshakeError) -> (authority: String?, target: String) {
    guard rawTarget.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
      throw .malformedHead(.target)
    }
    if rawTarget.hasPrefix("/") { return (nil, String(rawTarget)) }
    // A server must understand the absolute form as well (RFC 9112 §3.2.2).
    for scheme in ["http://", "https://", "ws://", "wss://"] where rawTarget.lowercased().hasPrefix(scheme) {
      let rest = rawTarget.dropFirst(scheme.count)
      let authority = rest.prefix { $0 != "/" && $0 != "?" }
      guard !authority.isEmpty else { break }
      let target = rest.dropFirst(authority.count)
      return (String(authority), target.hasPrefix("/") ? String(target) : "/" + target)
    }
    throw .malformedHead(.target)
  }

  // MARK: The parts of a target

  static func path(of target: String) -> String {
    // By bytes: a target is ASCII, and walking along characters costs as much as the rest of a small request.
    target.utf8.firstIndex(of: UInt8(ascii: "?")).map { String(target[..<$0]) } ?? target
  }

  /// What follows the first "?"; `nil` if there is none.
  static func query(of target: String) -> String? {
    target.utf8.firstIndex(of: UInt8(ascii: "?")).map { String(target[target.index(after: $0)...]) }
  }
}
