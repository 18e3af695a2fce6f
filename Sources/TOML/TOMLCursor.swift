/// A place in the bytes of a text, which are UTF-8.
struct TOMLCursor {
  private let bytes: [UInt8]
  private(set) var index = 0
  private(set) var position = TOMLPosition(line: 1, column: 1)

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    // A mark of the byte order says nothing in UTF-8; some editors write it.
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { index = 3 }
  }

  var isAtEnd: Bool { index >= bytes.count }

  /// The byte `offset` places from here; `nil` beyond the end.
  func peek(_ offset: Int = 0) -> UInt8? {
    let place = index + offset
    return place < bytes.count ? bytes[place] : nil
  }

  func isAt(_ text: StaticString) -> Bool {
    for offset in 0..<text.utf8CodeUnitCount {
      // SAFETY: the offset is less than the literal's length.
      guard let byte = peek(offset), unsafe byte == text.utf8Start[offset] else { return false }
    }
    return true
  }

  /// Whether a line ends here; a carriage return counts only before a line feed.
  var isAtLineEnd: Bool {
    switch peek() {
    case nil, UInt8(ascii: "\n"): true
    case UInt8(ascii: "\r"): peek(1) == UInt8(ascii: "\n")
    default: false
    }
  }

  /// Goes on by one byte.
  mutating func advance() {
    guard let byte = peek() else { return }
    index += 1
    if byte == UInt8(ascii: "\n") {
      position = TOMLPosition(line: position.line + 1, column: 1)
    } else if peek().map({ $0 & 0xC0 != 0x80 }) ?? true {
      // A character's later bytes are no columns of their own.
      position = TOMLPosition(line: position.line, column: position.column + 1)
    }
  }

  mutating func advance(by count: Int) { for _ in 0..<count { advance() } }

  /// Goes on past `byte` if it is here.
  mutating func take(_ byte: UInt8) -> Bool {
    guard peek() == byte else { return false }
    advance()
    return true
  }

  mutating func skipBlanks() {
    while let byte = peek(), byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") { advance() }
  }

  /// Goes on to the beginning of the next line.
  mutating func skipLine() {
    while let byte = peek() {
      advance()
      if byte == UInt8(ascii: "\n") { return }
    }
  }

  /// The bytes from `start` up to here, as text.
  func text(from start: Int) -> String { String(decoding: bytes[min(start, index)..<index], as: UTF8.self) }

  func bytes(from start: Int) -> ArraySlice<UInt8> { bytes[min(start, index)..<index] }

  /// The character here, for a message.
  var character: String {
    guard !isAtEnd else { return "the end of the file" }
    if isAtLineEnd { return "the end of the line" }
    let end = min(index + 4, bytes.count)
    let text = String(decoding: bytes[index..<end], as: UTF8.self)
    return text.unicodeScalars.first.map { TOMLText.shown(String(Character($0))) } ?? ""
  }

  /// Whether the rest of this line has `byte` in it.
  func lineHas(_ byte: UInt8) -> Bool {
    var offset = 0
    while let next = peek(offset), next != UInt8(ascii: "\n") {
      if next == byte { return true }
      offset += 1
    }
    return false
  }
}
