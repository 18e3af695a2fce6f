/// Text as XML may carry it.
package enum XMLText {
  /// Escapes what has a meaning; what XML forbids, also as a reference, becomes U+FFFD.
  package static func escaped(_ text: String, isAttribute: Bool = false) -> String {
    var result = ""
    result.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      // `]]>` may not stand in text.
      case ">": result += "&gt;"
      case "\"" where isAttribute: result += "&quot;"
      // In an attribute white space would be read back as spaces, and anywhere a return as a line's end.
      case "\n" where isAttribute: result += "&#10;"
      case "\t" where isAttribute: result += "&#9;"
      case "\r": result += "&#13;"
      default: result.unicodeScalars.append(scalar.isXMLCharacter ? scalar : "\u{FFFD}")
      }
    }
    return result
  }

  /// The end of a text of which no more than `limit` bytes are kept, and how much was left out.
  package static func end(of bytes: [UInt8], limit: Int) -> String {
    guard bytes.count > limit else { return String(decoding: bytes, as: UTF8.self) }
    var kept = bytes.suffix(limit)
    // Not from the middle of a character.
    while let first = kept.first, first & 0xC0 == 0x80, kept.count > limit - 4 { kept.removeFirst() }
    return "(\(bytes.count - kept.count) bytes left out)\n" + String(decoding: kept, as: UTF8.self)
  }
}
