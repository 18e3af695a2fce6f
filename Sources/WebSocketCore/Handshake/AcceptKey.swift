import COpenSSL

/// The key that ties a handshake's answer to its question (RFC 6455 §1.3, §4.2.2).
enum AcceptKey {
  /// What Sec-WebSocket-Accept must be for this Sec-WebSocket-Key, as text.
  static func answer(to key: some Collection<UInt8>) -> [UInt8] {
    var question = Array(key)
    question.append(contentsOf: "258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)
    var digest = [UInt8](repeating: 0, count: 20)
    // SAFETY: SHA1 reads `count` bytes and writes the 20 that `digest` holds.
    _ = unsafe SHA1(question, question.count, &digest)
    return base64(digest)
  }

  /// A client's key: base64 of 16 random bytes.
  static func make(using generator: inout some RandomNumberGenerator) -> String {
    var nonce: [UInt8] = []
    for _ in 0..<2 {
      let word: UInt64 = generator.next()
      for shift in stride(from: 0, to: 64, by: 8) { nonce.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
    }
    return String(decoding: base64(nonce), as: UTF8.self)
  }

  /// Whether this is base64 of exactly 16 bytes: 22 digits and two signs of padding.
  static func isValid(_ key: some BidirectionalCollection<UInt8>) -> Bool {
    guard key.count == 24, key.suffix(2).allSatisfy({ $0 == UInt8(ascii: "=") }) else { return false }
    return key.prefix(22).allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
        true
      default: false
      }
    }
  }

  private static func base64(_ bytes: [UInt8]) -> [UInt8] {
    // Four digits for each three bytes begun, and the zero that ends a C string.
    var text = [UInt8](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
    // SAFETY: EVP_EncodeBlock writes what the line above makes room for.
    let count = unsafe EVP_EncodeBlock(&text, bytes, Int32(bytes.count))
    text.removeLast(text.count - Int(count))
    return text
  }
}
