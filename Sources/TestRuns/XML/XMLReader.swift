/// Reads what a stranger wrote: UTF-8, elements, attributes, text, CDATA; comments and processing instructions are
/// passed over. No document type, no entities beyond the five and character references, and a limit on everything.
package struct XMLReader {
  package struct Limits: Sendable {
    package var maxBytes = 16 << 20
    package var maxDepth = 32
    package var maxElements = 500_000
    /// Of one element.
    package var maxAttributes = 64

    package init() {}
  }

  private let bytes: [UInt8]
  private let limits: Limits
  private var position = 0
  private var elements = 0
  /// Elements that are open, the root first.
  private var open: [XMLElement] = []

  private init(_ bytes: [UInt8], _ limits: Limits) {
    self.bytes = bytes
    self.limits = limits
  }

  /// The root element.
  package static func read(_ bytes: [UInt8], limits: Limits = Limits()) throws(XMLError) -> XMLElement {
    guard bytes.count <= limits.maxBytes else {
      throw XMLError(problem: .tooLarge(bytes: bytes.count, limit: limits.maxBytes), line: 1)
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw XMLError(problem: .notUTF8, line: 1) }
    var reader = XMLReader(bytes, limits)
    for scalar in text.unicodeScalars where !scalar.isXMLCharacter && scalar.value != 0xFEFF {
      throw XMLError(problem: .badCharacter(scalar.value), line: 1)
    }
    return try reader.document()
  }

  // MARK: The document

  private mutating func document() throws(XMLError) -> XMLElement {
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    try declaration()
    var root: XMLElement?
    while true {
      let text = try self.text()
      if open.isEmpty {
        guard text.allSatisfy(\.isWhitespace) else { throw error(.unexpected("text outside of the root element")) }
      } else {
        open[open.count - 1].text += text
      }
      guard position < bytes.count else { break }
      if let ended = try markup() {
        if open.isEmpty {
          guard root == nil else { throw error(.unexpected("a second root element")) }
          root = ended
        } else {
          open[open.count - 1].children.append(ended)
        }
      }
    }
    guard let root, open.isEmpty else { throw error(.unexpectedEnd) }
    return root
  }

  private mutating func declaration() throws(XMLError) {
    guard looking(at: "<?xml "), let end = find("?>", from: position) else { return }
    let text = String(decoding: bytes[position..<end], as: UTF8.self)
    position = end + 2
    // `encoding="…"`, with either quotation mark.
    let parts = text.split(separator: "encoding", maxSplits: 1)
    guard parts.count == 2, let value = parts.last else { return }
    let name = value.split(whereSeparator: { "=\"' ".contains($0) }).first.map(String.init) ?? ""
    guard ["utf-8", "us-ascii", "ascii"].contains(name.lowercased()) else { throw error(.encoding(name)) }
  }

  /// Reads one piece of markup; returns the element that ends with it.
  private mutating func markup() throws(XMLError) -> XMLElement? {
    if looking(at: "<!--") {
      try skip(to: "-->", from: 4)
      return nil
    }
    if looking(at: "<![CDATA[") {
      guard !open.isEmpty else { throw error(.unexpected("text outside of the root element")) }
      let start = position + 9
      guard let end = find("]]>", from: start) else { throw error(.unexpectedEnd) }
      open[open.count - 1].text += String(decoding: bytes[start..<end], as: UTF8.self)
      position = end + 3
      return nil
    }
    if looking(at: "<?") {
      try skip(to: "?>", from: 2)
      return nil
    }
    if looking(at: "<!") { throw error(.doctype) }
    if looking(at: "</") { return try endTag() }
    return try startTag()
  }

  private mutating func endTag() throws(XMLError) -> XMLElement {
    position += 2
    let found = try name()
    skipSpace()
    try expect(UInt8(ascii: ">"))
    guard let element = open.popLast() else { throw error(.unexpected("</\(found)> ends nothing")) }
    guard element.name == found else { throw error(.wrongEnd(expected: element.name, found: found)) }
    return element
  }

  private mutating func startTag() throws(XMLError) -> XMLElement? {
    position += 1
    elements += 1
    guard elements <= limits.maxElements else { throw error(.tooMany("elements", limit: limits.maxElements)) }
    var element = XMLElement(try name())
    while true {
      let hadSpace = skipSpace()
      guard position < bytes.count else { throw error(.unexpectedEnd) }
      switch bytes[position] {
      case UInt8(ascii: ">"):
        position += 1
        guard open.count < limits.maxDepth else { throw error(.tooDeep(limit: limits.maxDepth)) }
        open.append(element)
        return nil
      case UInt8(ascii: "/"):
        position += 1
        try expect(UInt8(ascii: ">"))
        return element
      default:
        guard hadSpace else { throw error(.unexpected("no space before an attribute")) }
        guard element.attributes.count < limits.maxAttributes else {
          throw error(.tooMany("attributes", limit: limits.maxAttributes))
        }
        let key = try name()
        skipSpace()
        try expect(UInt8(ascii: "="))
        skipSpace()
        guard element.attributes[key] == nil else { throw error(.twice(attribute: key)) }
        element.attributes[key] = try attributeValue()
      }
    }
  }

  private mutating func attributeValue() throws(XMLError) -> String {
    guard position < bytes.count else { throw error(.unexpectedEnd) }
    let quote = bytes[position]
    guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
      throw error(.unexpected("an attribute's value without quotation marks"))
    }
    position += 1
    guard let end = bytes[position...].firstIndex(of: quote) else { throw error(.unexpectedEnd) }
    guard !bytes[position..<end].contains(UInt8(ascii: "<")) else {
      throw error(.unexpected("a < in an attribute's value"))
    }
    let value = try decoded(position..<end)
    position = end + 1
    return value
  }

  // MARK: Pieces

  private mutating func text() throws(XMLError) -> String {
    let end = bytes[position...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
    let text = try decoded(position..<end)
    position = end
    return text
  }

  /// The text of a range, with references replaced. What they stand for is never looked at again.
  private func decoded(_ range: Range<Int>) throws(XMLError) -> String {
    guard bytes[range].contains(UInt8(ascii: "&")) else { return String(decoding: bytes[range], as: UTF8.self) }
    var result: [UInt8] = []
    var index = range.lowerBound
    while index < range.upperBound {
      guard bytes[index] == UInt8(ascii: "&") else {
        result.append(bytes[index])
        index += 1
        continue
      }
      // The longest reference that means anything has ten characters.
      guard let end = bytes[index..<min(index + 12, range.upperBound)].firstIndex(of: UInt8(ascii: ";")) else {
        throw error(.unexpected("an & that begins no reference; write &amp;"), at: index)
      }
      result += try reference(String(decoding: bytes[index + 1..<end], as: UTF8.self), at: index)
      index = end + 1
    }
    return String(decoding: result, as: UTF8.self)
  }

  private func reference(_ name: String, at index: Int) throws(XMLError) -> [UInt8] {
    switch name {
    case "amp": return [UInt8(ascii: "&")]
    case "lt": return [UInt8(ascii: "<")]
    case "gt": return [UInt8(ascii: ">")]
    case "quot": return [UInt8(ascii: "\"")]
    case "apos": return [UInt8(ascii: "'")]
    default: break
    }
    let digits = name.hasPrefix("#x") ? name.dropFirst(2) : name.dropFirst(name.hasPrefix("#") ? 1 : 0)
    guard name.hasPrefix("#"), let first = digits.first, first.isHexDigit,
      let code = UInt32(digits, radix: name.hasPrefix("#x") ? 16 : 10)
    else { throw error(.unknownEntity(name), at: index) }
    guard let scalar = Unicode.Scalar(code), scalar.isXMLCharacter else { throw error(.badCharacter(code), at: index) }
    return Array(String(Character(scalar)).utf8)
  }

  private mutating func name() throws(XMLError) -> String {
    let start = position
    while position < bytes.count, Self.isNameByte(bytes[position]) { position += 1 }
    guard position > start, !Self.isDigitOrMark(bytes[start]) else { throw error(.unexpected("a name was expected")) }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), 0x80...0xFF,
      UInt8(ascii: "_"), UInt8(ascii: ":"):
      true
    default: isDigitOrMark(byte)
    }
  }

  private static func isDigitOrMark(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
  }

  @discardableResult
  private mutating func skipSpace() -> Bool {
    let start = position
    while position < bytes.count, [0x20, 0x9, 0xA, 0xD].contains(bytes[position]) { position += 1 }
    return position > start
  }

  private mutating func expect(_ byte: UInt8) throws(XMLError) {
    guard position < bytes.count else { throw error(.unexpectedEnd) }
    guard bytes[position] == byte else {
      throw error(.unexpected("\(Character(Unicode.Scalar(byte))) was expected"))
    }
    position += 1
  }

  private func looking(at text: StaticString) -> Bool { bytes[position...].starts(with: text.description.utf8) }

  private mutating func skip(to end: StaticString, from offset: Int) throws(XMLError) {
    guard let found = find(end, from: position + offset) else { throw error(.unexpectedEnd) }
    position = found + end.utf8CodeUnitCount
  }

  private func find(_ text: StaticString, from start: Int) -> Int? {
    let wanted = Array(text.description.utf8)
    guard start <= bytes.count, let first = wanted.first else { return nil }
    var index = start
    while let next = bytes[index...].firstIndex(of: first) {
      if bytes[next...].starts(with: wanted) { return next }
      index = next + 1
    }
    return nil
  }

  private func error(_ problem: XMLError.Problem, at index: Int? = nil) -> XMLError {
    XMLError(problem: problem, line: 1 + bytes.prefix(index ?? position).count { $0 == UInt8(ascii: "\n") })
  }
}
