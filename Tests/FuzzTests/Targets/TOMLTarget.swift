import TOML

/// Any bytes as a configuration file: mistakes are told in order and within the file, and what was understood means the
/// same when it is written again.
enum TOMLTarget {
  /// Deeper tables cannot be written within each other on one line.
  private static let depthMax = 30

  static func run(_ input: inout FuzzInput) throws(Finding) {
    let bytes = Array(input.rest)
    let (table, errors) = TOMLParser.parse(bytes)
    let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
    var last = TOMLPosition(line: 0, column: 0)
    for error in errors {
      let position = error.position
      try require(position.line <= lines && position.column >= 1, "a mistake beyond the file: \(error)")
      try require(
        (last.line, last.column) < (position.line, position.column), "mistakes out of order: \(last), \(error)")
      try require(
        !error.explanation.isEmpty && !error.explanation.contains("\n"), "an explanation of no line: \(error)")
      last = position
    }
    guard errors.isEmpty, let text = written(table, depth: 0) else { return }
    let entries = "top = \(text)\n"
    let (again, newErrors) = TOMLParser.parse(Array(entries.utf8))
    try require(newErrors.isEmpty, "what was understood cannot be written: \(newErrors) in \(entries)")
    guard case .table(let copy)? = again["top"]?.item.value else {
      throw Finding(description: "a table is no table in \(entries)")
    }
    try require(written(copy, depth: 0) == text, "written again it is something else: \(entries)")
  }

  /// A table on one line; `nil` if it is too deep for that.
  private static func written(_ table: TOMLTable, depth: Int) -> String? {
    var parts: [String] = []
    for entry in table.entries {
      guard let value = written(entry.item.value, depth: depth + 1) else { return nil }
      parts.append("\(TOMLText.key(entry.key)) = \(value)")
    }
    return parts.isEmpty ? "{}" : "{ \(parts.joined(separator: ", ")) }"
  }

  private static func written(_ value: TOMLValue, depth: Int) -> String? {
    guard depth < depthMax else { return nil }
    switch value {
    case .string(let text): return TOMLText.string(text)
    case .integer(let number): return "\(number)"
    case .float(let number): return "\(number)"
    case .boolean(let value): return "\(value)"
    case .table(let table): return written(table, depth: depth)
    case .array(let items):
      var parts: [String] = []
      for item in items {
        guard let part = written(item.value, depth: depth + 1) else { return nil }
        parts.append(part)
      }
      return "[\(parts.joined(separator: ", "))]"
    }
  }
}
