/// A text as TOML 1.0 has it, without dates and times.
///
/// A small reader of our own: it must say for each mistake where it is and what to write instead, and go on after it, so
/// that somebody who edits a file hears of everything at once. It is stricter than nothing in the standard: what TOML
/// forbids is an error here.
public enum TOMLParser {
  /// No configuration is longer.
  public static let maxBytes = 1 << 20
  /// How deep lists and inline tables may stand in each other, and how many parts a key may have.
  static let maxDepth = 32
  /// More than these are not told; nobody corrects them from one list.
  static let maxErrors = 50

  /// Reads a whole text.
  ///
  /// - Returns: what could be understood, and everything that is wrong, in the order of the text. The table is only to be
  ///   relied on if nothing is wrong.
  public static func parse(_ bytes: [UInt8]) -> (table: TOMLTable, errors: [TOMLError]) {
    guard bytes.count <= maxBytes else {
      let error = TOMLError(
        "the file has \(bytes.count) bytes; at most \(maxBytes) are read", at: TOMLPosition(line: 1, column: 1))
      return (.empty, [error])
    }
    for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
      guard let column = columnOfDamage(line) else { continue }
      let position = TOMLPosition(line: index + 1, column: column)
      return (.empty, [TOMLError("what stands here is not UTF-8; save the file as UTF-8", at: position)])
    }
    var run = TOMLRun(bytes)
    run.readAll()
    return (run.root.table, run.errors)
  }

  /// Where a line stops being UTF-8; `nil` if it is.
  private static func columnOfDamage(_ line: ArraySlice<UInt8>) -> Int? {
    guard String(validating: line, as: UTF8.self) == nil else { return nil }
    var bytes = line.makeIterator()
    var decoder = Unicode.UTF8.ForwardParser()
    var column = 1
    while case .valid = decoder.parseScalar(from: &bytes) { column += 1 }
    return column
  }
}

/// One reading in progress: lines, keys and tables.
struct TOMLRun {
  var cursor: TOMLCursor
  private(set) var errors: [TOMLError] = []
  let root = TOMLNode(.header, at: TOMLPosition(line: 1, column: 1))
  /// Where keys go.
  private var section: TOMLNode
  /// How many lists and inline tables are open here.
  var depth = 0

  init(_ bytes: [UInt8]) {
    cursor = TOMLCursor(bytes)
    section = root
  }

  mutating func readAll() {
    while !cursor.isAtEnd, errors.count < TOMLParser.maxErrors {
      do throws(TOMLError) { try readExpression() } catch {
        errors.append(error)
        recover()
      }
    }
  }

  /// Goes on behind a mistake where something new begins.
  private mutating func recover() {
    let wasInside = depth > 0
    depth = 0
    // Only a mistake before the line's end has a rest of the line to skip.
    if cursor.position.column > 1 || errors.last?.position.line == cursor.position.line { cursor.skipLine() }
    guard wasInside else { return }
    while !cursor.isAtEnd {
      var probe = cursor
      probe.skipBlanks()
      if probe.isAtLineEnd || probe.peek() == UInt8(ascii: "[") && !probe.lineHas(UInt8(ascii: ",")) { return }
      if let byte = probe.peek(), TOMLText.isBare(byte), probe.lineHas(UInt8(ascii: "=")) { return }
      cursor.skipLine()
    }
  }

  private mutating func readExpression() throws(TOMLError) {
    cursor.skipBlanks()
    switch cursor.peek() {
    case UInt8(ascii: "["): try readHeader()
    case UInt8(ascii: "#"), UInt8(ascii: "\n"), UInt8(ascii: "\r"), nil: break
    default:
      let path = try readKey()
      let item = try readAssignedItem(path)
      try section.set(path, item)
    }
    try readLineEnd()
  }

  private mutating func readHeader() throws(TOMLError) {
    // What follows a header that makes no sense belongs nowhere.
    section = TOMLNode(.header, at: cursor.position)
    let isList = cursor.isAt("[[")
    cursor.advance(by: isList ? 2 : 1)
    cursor.skipBlanks()
    if cursor.peek() == UInt8(ascii: "]") { throw error("the table's name is missing between the brackets") }
    let path = try readKey()
    guard cursor.isAt(isList ? "]]" : "]") else {
      throw error("expected \(isList ? "]]" : "]") after the table's name, this is \(cursor.character)")
    }
    cursor.advance(by: isList ? 2 : 1)
    section = isList ? try root.appendTable(path) : try root.define(path)
  }

  /// `a`, `"a b"`, `a.b.'c'`, and the blanks behind it.
  mutating func readKey() throws(TOMLError) -> [TOMLKey] {
    var path: [TOMLKey] = []
    repeat {
      cursor.skipBlanks()
      let position = cursor.position
      guard path.count < TOMLParser.maxDepth else { throw error("a key has at most \(TOMLParser.maxDepth) parts") }
      let text: String
      switch cursor.peek() {
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        guard !cursor.isAt("\"\"\""), !cursor.isAt("'''") else {
          throw error("a key stands in single quotes, on one line")
        }
        text = try readString()
      default:
        let start = cursor.index
        while let byte = cursor.peek(), TOMLText.isBare(byte) { cursor.advance() }
        text = cursor.text(from: start)
        guard !text.isEmpty else {
          throw error(
            "expected a key, this is \(cursor.character); a key with other characters than letters, digits, _ and - stands in quotes"
          )
        }
      }
      path.append(TOMLKey(text: text, position: position))
      cursor.skipBlanks()
    } while cursor.take(UInt8(ascii: "."))
    return path
  }

  /// `= VALUE`
  mutating func readAssignedItem(_ path: [TOMLKey]) throws(TOMLError) -> TOMLItem {
    let name = TOMLText.shown(TOMLNode.text(path))
    guard cursor.take(UInt8(ascii: "=")) else {
      throw error("expected = after \(name), this is \(cursor.character); write \(name) = VALUE")
    }
    cursor.skipBlanks()
    if cursor.isAtLineEnd || cursor.peek() == UInt8(ascii: "#") {
      throw error("\(name) has no value; write a text in quotes, a number, true, false or a list, or remove the key")
    }
    return try readItem()
  }

  /// Nothing but a comment may stand in the rest of the line.
  private mutating func readLineEnd() throws(TOMLError) {
    cursor.skipBlanks()
    try skipComment()
    guard cursor.isAtLineEnd else {
      throw error("expected the end of the line, this is \(cursor.character); only a # comment may stand here")
    }
    cursor.skipLine()
  }

  /// A comment up to the line's end, if one is here.
  mutating func skipComment() throws(TOMLError) {
    guard cursor.peek() == UInt8(ascii: "#") else { return }
    while !cursor.isAtLineEnd {
      try checkCharacter(in: "a comment")
      cursor.advance()
    }
  }

  /// Control characters would show as nothing, or as something else.
  func checkCharacter(in what: String) throws(TOMLError) {
    guard let byte = cursor.peek(), byte < 0x20 && byte != UInt8(ascii: "\t") || byte == 0x7F else { return }
    throw error("a control character, \(cursor.character), in \(what); remove it or write it as an escape in \"…\"")
  }

  func error(_ explanation: String, at position: TOMLPosition? = nil) -> TOMLError {
    TOMLError(explanation, at: position ?? cursor.position)
  }
}
