/// A parsed HTTP/1.1 head: the start line and the fields, still without a judgement about WebSocket (RFC 9112).
///
/// It keeps the bytes and where things lie in them; text is made of what is asked for only, because a server that takes
/// thousands of connections a second reads few of their fields.
struct MessageHead: Hashable, Sendable {
  /// A field's place: its name, any case, and its value without the blanks around it.
  struct Field: Hashable, Sendable {
    let name: Range<Int32>
    let value: Range<Int32>
  }

  let bytes: [UInt8]
  private(set) var fields: [Field] = []
  private let startLineBytes: Int

  /// Parses a head that ends in an empty line.
  init(_ bytes: [UInt8], maxFields: Int, startLineFault: HandshakeError.Fault) throws(HandshakeError) {
    var text = UTF8Validator()
    // SAFETY: bytes are initialized whatever they hold.
    guard unsafe text.accept(bytes.span.bytes), text.isBetweenScalars else { throw .malformedHead(.fieldValue) }
    self.bytes = bytes
    var start = 0
    var end = Self.lineEnd(in: bytes, from: 0)
    startLineBytes = end
    guard end > 0, bytes[..<end].allSatisfy(\.isFieldByte) else { throw .malformedHead(startLineFault) }
    fields.reserveCapacity(16)
    while true {
      start = min(end + 2, bytes.count)
      end = Self.lineEnd(in: bytes, from: start)
      guard end > start else { return }
      guard fields.count < maxFields else { throw .tooManyFields(limit: maxFields) }
      fields.append(try Self.field(in: bytes, start..<end))
    }
  }

  /// Where the line's CR is. The reader let pairs of CR LF only through.
  private static func lineEnd(in bytes: [UInt8], from start: Int) -> Int {
    var end = start
    while end < bytes.count && bytes[end] != UInt8(ascii: "\r") { end += 1 }
    return end
  }

  private static func field(in bytes: [UInt8], _ line: Range<Int>) throws(HandshakeError) -> Field {
    if bytes[line.lowerBound].isBlank { throw .malformedHead(.foldedLine) }
    var colon = line.lowerBound
    while colon < line.upperBound && bytes[colon].isTokenByte { colon += 1 }
    guard colon > line.lowerBound, colon < line.upperBound, bytes[colon] == UInt8(ascii: ":") else {
      throw .malformedHead(.fieldName)
    }
    var value = (colon + 1)..<line.upperBound
    while let first = value.first, bytes[first].isBlank { value.removeFirst() }
    while let last = value.last, bytes[last].isBlank { value.removeLast() }
    for index in value {
      guard bytes[index].isFieldByte else { throw .malformedHead(.fieldValue) }
    }
    return Field(name: Range(line.lowerBound..<colon), value: Range(value))
  }

  /// Throws unless `line`, without its end, is a field; for the trailers of a body, which nobody reads.
  static func checkField(_ line: [UInt8]) throws(HandshakeError) { _ = try field(in: line, 0..<line.count) }

  // MARK: Looking things up; names and tokens are given in lower case and found in any.

  var startLine: Substring { Substring(text(0..<Int32(truncatingIfNeeded: startLineBytes))) }

  /// All fields as text, their names in lower case.
  var headers: HTTPHeaders {
    var headers = HTTPHeaders()
    for field in fields { headers.append(text(field.name).lowercased(), text(field.value)) }
    return headers
  }

  func has(_ name: StaticString) -> Bool { fields.contains { isEqual($0.name, name) } }

  /// The first value of this name; `nil` if there is none.
  func first(_ name: StaticString) -> String? {
    fields.first { isEqual($0.name, name) }.map { text($0.value) }
  }

  /// The values of all fields with this name, in order.
  func values(_ name: StaticString) -> [String] {
    has(name) ? fields.filter { isEqual($0.name, name) }.map { text($0.value) } : []
  }

  /// The place of a value that must stand exactly once.
  func place(of name: StaticString) throws(HandshakeError) -> Range<Int32> {
    var place: Range<Int32>?
    for field in fields where isEqual(field.name, name) {
      guard place == nil else { throw .duplicateField("\(name)") }
      place = field.value
    }
    guard let place else { throw .missingField("\(name)") }
    return place
  }

  /// The value of a field that must stand exactly once.
  func single(_ name: StaticString) throws(HandshakeError) -> String { text(try place(of: name)) }

  /// Whether a comma-separated list has this element.
  func hasToken(_ token: StaticString, in name: StaticString) -> Bool {
    fields.contains { field in
      guard isEqual(field.name, name) else { return false }
      var start = field.value.lowerBound
      for index in field.value where bytes[Int(index)] == UInt8(ascii: ",") {
        if isEqual(trimmed(start..<index), token) { return true }
        start = index + 1
      }
      return isEqual(trimmed(start..<field.value.upperBound), token)
    }
  }

  /// The elements of all lists with this name, without surrounding blanks and empty ones.
  func list(_ name: StaticString) -> [String] {
    values(name).flatMap { value in
      value.utf8.split(separator: UInt8(ascii: ",")).map { String(Substring($0).trimmingBlanks) }.filter { !$0.isEmpty }
    }
  }

  func text(_ place: Range<Int32>) -> String {
    String(decoding: bytes[Int(place.lowerBound)..<Int(place.upperBound)], as: UTF8.self)
  }

  private func trimmed(_ place: Range<Int32>) -> Range<Int32> {
    var place = place
    while let first = place.first, bytes[Int(first)].isBlank { place.removeFirst() }
    while let last = place.last, bytes[Int(last)].isBlank { place.removeLast() }
    return place
  }

  /// Compares without case.
  private func isEqual(_ place: Range<Int32>, _ text: StaticString) -> Bool {
    guard place.count == text.utf8CodeUnitCount else { return false }
    // SAFETY: a constant of that many bytes.
    return text.withUTF8Buffer { text in
      for index in 0..<place.count {
        let expected = unsafe text[index]
        guard bytes[Int(place.lowerBound) + index].lowercasedASCII == expected else { return false }
      }
      return true
    }
  }
}

extension Range where Bound == Int32 {
  fileprivate init(_ range: Range<Int>) {
    // A head is bounded by `maxRequestHeadBytes`; HeadReader keeps that below what 32 bits hold.
    self = Int32(truncatingIfNeeded: range.lowerBound)..<Int32(truncatingIfNeeded: range.upperBound)
  }
}
