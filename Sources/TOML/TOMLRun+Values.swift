/// Values: everything behind an equals sign that is no text and no number.
extension TOMLRun {
  mutating func readItem() throws(TOMLError) -> TOMLItem {
    let position = cursor.position
    let value: TOMLValue
    switch cursor.peek() {
    case UInt8(ascii: "\""), UInt8(ascii: "'"): value = .string(try readString())
    case UInt8(ascii: "["): value = .array(try nested { run throws(TOMLError) in try run.readArray() })
    case UInt8(ascii: "{"): value = .table(try nested { run throws(TOMLError) in try run.readInlineTable() })
    default: value = try readWord()
    }
    return TOMLItem(value, at: position)
  }

  private mutating func nested<Value>(
    _ body: (inout TOMLRun) throws(TOMLError) -> Value
  ) throws(TOMLError) -> Value {
    guard depth < TOMLParser.maxDepth else {
      throw error("lists and inline tables may stand in each other \(TOMLParser.maxDepth) deep at most")
    }
    depth += 1
    // After a mistake it stays, to tell the recovery that it happened inside.
    let value = try body(&self)
    depth -= 1
    return value
  }

  private mutating func readArray() throws(TOMLError) -> [TOMLItem] {
    let start = cursor.position
    cursor.advance()
    var items: [TOMLItem] = []
    while true {
      try skipLines(openSince: start)
      if cursor.take(UInt8(ascii: "]")) { return items }
      if cursor.peek() == UInt8(ascii: ",") { throw error("expected a value before this comma") }
      items.append(try readItem())
      try skipLines(openSince: start)
      if cursor.take(UInt8(ascii: "]")) { return items }
      guard cursor.take(UInt8(ascii: ",")) else {
        throw error("expected a comma or ] in the list that begins at \(start), this is \(cursor.character)")
      }
    }
  }

  /// Blanks, line ends and comments, all of which may stand between the values of a list.
  private mutating func skipLines(openSince start: TOMLPosition) throws(TOMLError) {
    while true {
      cursor.skipBlanks()
      try skipComment()
      if cursor.isAtEnd {
        throw error("the list that begins here is never closed; write ] behind its last value", at: start)
      }
      guard cursor.isAtLineEnd else { return }
      cursor.skipLine()
    }
  }

  private mutating func readInlineTable() throws(TOMLError) -> TOMLTable {
    let start = cursor.position
    cursor.advance()
    let node = TOMLNode(.header, at: start)
    cursor.skipBlanks()
    if cursor.take(UInt8(ascii: "}")) { return node.table }
    while true {
      cursor.skipBlanks()
      try checkStaysOnLine(start)
      if cursor.peek() == UInt8(ascii: "}") { throw error("no comma may stand before the } of an inline table") }
      let path = try readKey()
      try checkStaysOnLine(start)
      let item = try readAssignedItem(path)
      try node.set(path, item)
      cursor.skipBlanks()
      if cursor.take(UInt8(ascii: "}")) { return node.table }
      try checkStaysOnLine(start)
      guard cursor.take(UInt8(ascii: ",")) else {
        throw error("expected a comma or } in the inline table that begins at \(start), this is \(cursor.character)")
      }
    }
  }

  private func checkStaysOnLine(_ start: TOMLPosition) throws(TOMLError) {
    guard cursor.isAtLineEnd || cursor.peek() == UInt8(ascii: "#") else { return }
    throw error(
      "the inline table that begins at \(start) must be closed by } on its line; for more lines write a [table]")
  }

  /// `true`, `12`, `1.5`, or what somebody forgot to quote.
  private mutating func readWord() throws(TOMLError) -> TOMLValue {
    let position = cursor.position
    let start = cursor.index
    while let byte = cursor.peek(), TOMLText.isBare(byte) || [0x2B, 0x2E, 0x3A].contains(byte) { cursor.advance() }
    let word = cursor.text(from: start)
    guard !word.isEmpty else {
      throw error("expected a value, this is \(cursor.character); a text stands in quotes")
    }
    switch word {
    case "true": return .boolean(true)
    case "false": return .boolean(false)
    case "inf", "+inf": return .float(.infinity)
    case "-inf": return .float(-.infinity)
    case "nan", "+nan", "-nan": return .float(.nan)
    default: break
    }
    do throws(TOMLNumber.Problem) { return try TOMLNumber.read(cursor.bytes(from: start)) } catch {
      throw self.error(explanation(error, word), at: position)
    }
  }

  private func explanation(_ problem: TOMLNumber.Problem, _ word: String) -> String {
    let shown = TOMLText.shown(word)
    switch problem {
    case .none where ["true", "false"].contains(word.lowercased()): return "\(shown) is written in small letters"
    case .none: return "\(shown) is no value; a text stands in quotes: \(TOMLText.shown(TOMLText.string(word)))"
    case .date: return "\(shown) looks like a date or a time, which no setting is; a text stands in quotes"
    case .leadingZero: return "the number \(shown) must not begin with 0; a text stands in quotes"
    case .underscore: return "in the number \(shown) each _ must stand between two digits"
    case .overflow: return "the number \(shown) is out of range: \(Int64.min) to \(Int64.max)"
    case .malformed: return "\(shown) is no number; a text stands in quotes"
    }
  }
}
