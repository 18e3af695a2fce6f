/// Texts of all four kinds.
extension TOMLRun {
  /// The text that begins here, with a quote.
  mutating func readString() throws(TOMLError) -> String {
    let start = cursor.position
    let isBasic = cursor.peek() == UInt8(ascii: "\"")
    if cursor.isAt("\"\"\"") || cursor.isAt("'''") { return try readLongString(isBasic: isBasic, from: start) }
    let quote = cursor.peek() ?? 0
    cursor.advance()
    var bytes: [UInt8] = []
    while true {
      if cursor.isAtLineEnd {
        throw error(
          "the text that begins here is not closed on its line; close the quote, or use three of them for several lines",
          at: start)
      }
      guard let byte = cursor.peek() else { break }
      if byte == quote { break }
      if isBasic, byte == UInt8(ascii: "\\") {
        try readEscape(into: &bytes)
        continue
      }
      try checkCharacter(in: "a text")
      bytes.append(byte)
      cursor.advance()
    }
    cursor.advance()
    return String(decoding: bytes, as: UTF8.self)
  }

  /// `"""…"""` or `'''…'''`, over any number of lines.
  private mutating func readLongString(isBasic: Bool, from start: TOMLPosition) throws(TOMLError) -> String {
    let quote = isBasic ? UInt8(ascii: "\"") : UInt8(ascii: "'")
    cursor.advance(by: 3)
    // The line's end behind the opening quotes is there for the eye only.
    if cursor.isAtLineEnd, !cursor.isAtEnd { cursor.skipLine() }
    var bytes: [UInt8] = []
    while let byte = cursor.peek() {
      if byte == quote {
        var count = 0
        while count < 5, cursor.peek(count) == quote { count += 1 }
        cursor.advance(by: count)
        guard count >= 3 else {
          bytes += [UInt8](repeating: quote, count: count)
          continue
        }
        // Up to two quotes belong to the text when three more close it.
        bytes += [UInt8](repeating: quote, count: count - 3)
        return String(decoding: bytes, as: UTF8.self)
      }
      if isBasic, byte == UInt8(ascii: "\\") {
        if !skipJoinedLines() { try readEscape(into: &bytes) }
        continue
      }
      if !cursor.isAtLineEnd { try checkCharacter(in: "a text") }
      bytes.append(byte)
      if byte == UInt8(ascii: "\r") {
        cursor.advance()
        bytes.append(UInt8(ascii: "\n"))
      }
      cursor.advance()
    }
    let quotes = isBasic ? "\"\"\"" : "'''"
    throw error("the text that begins here is never closed; write \(quotes) behind it", at: start)
  }

  /// A backslash at a line's end takes the blank space up to the next character with it.
  private mutating func skipJoinedLines() -> Bool {
    var probe = cursor
    probe.advance()
    probe.skipBlanks()
    guard probe.isAtLineEnd, !probe.isAtEnd else { return false }
    while probe.isAtLineEnd, !probe.isAtEnd {
      probe.skipLine()
      probe.skipBlanks()
    }
    cursor = probe
    return true
  }

  private mutating func readEscape(into bytes: inout [UInt8]) throws(TOMLError) {
    let position = cursor.position
    cursor.advance()
    let letter = cursor.peek()
    switch letter {
    case UInt8(ascii: "b"): bytes.append(0x08)
    case UInt8(ascii: "t"): bytes.append(0x09)
    case UInt8(ascii: "n"): bytes.append(0x0A)
    case UInt8(ascii: "f"): bytes.append(0x0C)
    case UInt8(ascii: "r"): bytes.append(0x0D)
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(letter ?? 0)
    case UInt8(ascii: "u"), UInt8(ascii: "U"):
      cursor.advance()
      bytes += try readScalar(digits: letter == UInt8(ascii: "u") ? 4 : 8, from: position)
      return
    default:
      throw error(
        "\\\(cursor.character) is no escape; a backslash is written \\\\, or the text in '…', where none means anything",
        at: position)
    }
    cursor.advance()
  }

  private mutating func readScalar(digits count: Int, from position: TOMLPosition) throws(TOMLError) -> [UInt8] {
    let start = cursor.index
    while cursor.index < start + count, let byte = cursor.peek(), byte < 0x80,
      Character(Unicode.Scalar(byte)).isHexDigit
    {
      cursor.advance()
    }
    let text = cursor.text(from: start)
    guard text.utf8.count == count, let value = UInt32(text, radix: 16) else {
      throw error("\\\(count == 4 ? "u" : "U") needs \(count) hexadecimal digits", at: position)
    }
    guard let scalar = Unicode.Scalar(value) else {
      throw error("U+\(text.uppercased()) is no character", at: position)
    }
    return Array(String(Character(scalar)).utf8)
  }
}
