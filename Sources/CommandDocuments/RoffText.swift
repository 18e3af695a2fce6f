/// Text as `man` wants it: everything that roff would take for an instruction is escaped.
enum RoffText {
  /// Running text, on one line of input however long it is.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\(rs"
      // A plain one would be typeset as a hyphen, which no shell takes for a minus sign.
      case "-": result += "\\-"
      case "'": result += "\\(aq"
      case "`": result += "\\(ga"
      case "^": result += "\\(ha"
      case "~": result += "\\(ti"
      case "\"": result += "\\(dq"
      case "\n": result += " "
      // Terminals without it would show nothing.
      case "…": result += "..."
      case _ where scalar.isASCII: result.unicodeScalars.append(scalar)
      default:
        let digits = String(scalar.value, radix: 16, uppercase: true)
        result += "\\[u\(String(repeating: "0", count: max(0, 4 - digits.count)))\(digits)]"
      }
    }
    // At the beginning of a line it would begin a request.
    return result.hasPrefix(".") ? "\\&\(result)" : result
  }

  static func bold(_ text: String) -> String { "\\fB\(escaped(text))\\fR" }
  static func italic(_ text: String) -> String { "\\fI\(escaped(text))\\fR" }

  /// Lines that are shown as they are.
  static func literal(_ lines: [String]) -> [String] {
    [".RS 4", ".EX"] + lines.map { $0.isEmpty ? "" : escaped($0) } + [".EE", ".RE"]
  }

  /// An entry of a list: its title, already marked up, and the paragraph that belongs to it.
  static func entry(_ title: String, _ text: String) -> [String] { [".TP", title, escaped(text)] }

  /// The line that begins a page.
  static func head(_ name: String, section: Int, date: String, version: String) -> [String] {
    let title = escaped(name.uppercased())
    return [
      ".\\\" Written by lifeline docs man from the declarations of the options; changes go there.",
      ".TH \"\(title)\" \"\(section)\" \"\(escaped(date))\" \"\(escaped(version))\" \"Lifeline\"", ".nh", ".ad l",
    ]
  }
}
