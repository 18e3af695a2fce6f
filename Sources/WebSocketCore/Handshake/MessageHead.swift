/// A parsed HTTP/1.1 head: the start line and the fields, still without a judgement about WebSocket (RFC 9112).
struct MessageHead: Hashable, Sendable {
  var startLine: Substring
  var headers: HTTPHeaders

  /// Parses a head that ends in an empty line.
  init(_ bytes: [UInt8], maxFields: Int, startLineFault: HandshakeError.Fault) throws(HandshakeError) {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .malformedHead(.fieldValue) }
    // The reader let pairs of CR LF only through, so cutting at LF leaves one CR at each line's end.
    var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
    guard let first = lines.popFirst(), first.dropLast().allSatisfy(\.isFieldByte), first.count > 1 else {
      throw .malformedHead(startLineFault)
    }
    startLine = Substring(first.dropLast())
    headers = HTTPHeaders()
    for line in lines.map({ $0.dropLast() }) where !line.isEmpty {
      guard headers.count < maxFields else { throw .tooManyFields(limit: maxFields) }
      if let start = line.first, start.isBlank { throw .malformedHead(.foldedLine) }
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon != line.startIndex,
        line[..<colon].allSatisfy(\.isTokenByte)
      else { throw .malformedHead(.fieldName) }
      let name = Substring(line[..<colon]).lowercased()
      let value = Substring(line[line.index(after: colon)...]).trimmingBlanks
      guard headers.append(name, String(value)) else { throw .malformedHead(.fieldValue) }
    }
  }

  /// The value of a field that must stand exactly once.
  func single(_ name: String) throws(HandshakeError) -> String {
    let values = headers.values(name)
    guard let value = values.first else { throw .missingField(name) }
    guard values.count == 1 else { throw .duplicateField(name) }
    return value
  }
}
