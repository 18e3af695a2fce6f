/// How the end of a request's body is told (RFC 9112 §6).
///
/// Whoever stands between a client and this server must come to the same end, or one's body is the other's next request.
/// So whatever leaves room for a second opinion is refused, and the connection with it: two lengths, a length beside a
/// transfer coding, a coding that is not exactly `chunked`, a length with a sign or a blank.
enum BodyFraming: Hashable, Sendable {
  case none
  /// In bytes, more than zero.
  case length(Int)
  case chunked

  /// - Parameter limit: the longest body taken, in bytes.
  init(_ head: MessageHead, limit: Int) throws(HandshakeError) {
    let codings = head.values("transfer-encoding")
    let lengths = head.values("content-length")
    if let coding = codings.first {
      guard lengths.isEmpty else { throw .ambiguousBody("both Content-Length and Transfer-Encoding") }
      guard codings.count == 1 else { throw .ambiguousBody("more than one Transfer-Encoding") }
      guard coding.utf8.map(\.lowercasedASCII) == Array("chunked".utf8) else {
        throw .unknownTransferCoding(coding)
      }
      self = .chunked
      return
    }
    guard let text = lengths.first else {
      self = .none
      return
    }
    // Equal ones might be taken for one (RFC 9110 §8.6), but nobody needs them.
    guard lengths.count == 1 else { throw .ambiguousBody("more than one Content-Length") }
    // Nineteen digits are more than an Int holds; Int's own reading would let a sign through.
    guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let length = Int(text)
    else { throw .invalidField("content-length", value: text) }
    guard length <= limit else { throw .bodyTooLong(limit: limit) }
    self = length == 0 ? .none : .length(length)
  }
}
