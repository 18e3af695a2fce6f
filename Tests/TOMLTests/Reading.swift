import TOML

/// Short ways to read a text and to look at what came of it.
enum Reading {
  /// The text of a table, in one line: values as `s:…`, `i:…`, `f:…`, `b:…`, lists and tables in brackets.
  static func text(_ table: TOMLTable) -> String {
    "{" + table.entries.map { "\($0.key)=\(text($0.item.value))" }.joined(separator: " ") + "}"
  }

  static func text(_ value: TOMLValue) -> String {
    switch value {
    case .string(let text): "s:\(text)"
    case .integer(let number): "i:\(number)"
    case .float(let number): "f:\(number)"
    case .boolean(let value): "b:\(value)"
    case .array(let items): "[" + items.map { text($0.value) }.joined(separator: " ") + "]"
    case .table(let table): text(table)
    }
  }

  static func of(_ text: String) -> (text: String, errors: [TOMLError]) {
    let (table, errors) = TOMLParser.parse(Array(text.utf8))
    return (self.text(table), errors)
  }
}
