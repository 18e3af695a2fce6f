import Cryptography

/// A code as 43 digits of base64url (RFC 4648 §5), written and read in place: no message needs an array for its code.
enum Base64Digits {
  private static let count = 43

  static func append(_ digest: SHA256Digest, to bytes: inout [UInt8]) {
    for digit in 0..<count {
      // Six bits from bit 6 × digit on; the last digit has four, and two zeros.
      let (index, shift) = (digit * 6 / 8, digit * 6 % 8)
      let high = UInt16(digest[index]) << 8
      let pair = high | (index + 1 < SHA256Digest.byteCount ? UInt16(digest[index + 1]) : 0)
      bytes.append(character(UInt8(truncatingIfNeeded: pair >> UInt16(10 - shift)) & 0x3F))
    }
  }

  /// - Returns: `nil` unless there are 43 digits at `start`, the last of them with two zeros.
  static func digest(_ bytes: [UInt8], at start: Int) -> SHA256Digest? {
    guard start >= 0, start + count <= bytes.count else { return nil }
    var code: [UInt8] = []
    code.reserveCapacity(SHA256Digest.byteCount)
    var word: UInt32 = 0
    var bits: UInt32 = 0
    for position in start..<start + count {
      guard let value = value(of: bytes[position]) else { return nil }
      word = word << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        code.append(UInt8(truncatingIfNeeded: word >> bits))
        word &= (1 << bits) - 1
      }
    }
    return word == 0 ? SHA256Digest(code) : nil
  }

  private static func character(_ value: UInt8) -> UInt8 {
    switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + value - 26
    case 52..<62: UInt8(ascii: "0") + value - 52
    case 62: UInt8(ascii: "-")
    default: UInt8(ascii: "_")
    }
  }

  private static func value(of character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
    case UInt8(ascii: "-"): 62
    case UInt8(ascii: "_"): 63
    default: nil
    }
  }
}
