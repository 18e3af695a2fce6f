/// The help of one command.
public struct HelpPage: Sendable {
  public let command: Command
  public let path: [String]
  /// Options of the commands above, which can be given here as well.
  public let inherited: [OptionDefinition]

  public init(command: Command, path: [String], inherited: [OptionDefinition] = []) {
    self.command = command
    self.path = path
    self.inherited = inherited
  }

  private struct Entry {
    let title: String
    let text: String
  }

  /// The page laid out for a terminal of `columns` columns; narrower than 40 counts as 40, wider than 100 as 100.
  public func text(columns: Int = 80) -> String {
    let columns = min(max(columns, 40), 100)
    var blocks = ["Usage: \(usage)"]
    blocks.append(lines(sentence(command.purpose), columns, indent: 0))
    blocks += command.details.map { lines($0, columns, indent: 0) }

    var sections: [(title: String, entries: [Entry])] = []
    sections.append(("Commands", command.subcommands.map { Entry(title: $0.name, text: sentence($0.purpose)) }))
    var arguments = command.arguments.map { entry($0.definition) }
    if let passthrough = command.passthrough {
      arguments.append(Entry(title: "-- \(passthrough.usage)", text: passthrough.purpose))
    }
    sections.append(("Arguments", arguments))
    sections += command.sections.map { ($0.title, $0.options.map { entry($0.definition) }) }
    sections.append(
      (
        "Always",
        inherited.map { entry($0) } + [
          Entry(title: "--help", text: "Print this help."), Entry(title: "--version", text: "Print the version."),
        ]
      ))
    sections.removeAll { $0.entries.isEmpty }

    // One column for all sections, so that the eye finds its place; an overlong title gets a line of its own.
    let titles = sections.flatMap { $0.entries.map(\.title.count) }
    let column = min((titles.max() ?? 0) + 4, 30)
    blocks += sections.map { section in
      "\(section.title):\n" + section.entries.map { layOut($0, column, columns) }.joined(separator: "\n")
    }
    if !command.examples.isEmpty {
      let examples = command.examples.map { "  \($0.commandLine)\n" + lines($0.purpose, columns, indent: 6) }
      blocks.append("Examples:\n" + examples.joined(separator: "\n"))
    }
    if !command.subcommands.isEmpty {
      blocks.append(lines("'\(path.joined(separator: " ")) COMMAND --help' explains a command.", columns, indent: 0))
    }
    return blocks.joined(separator: "\n\n") + "\n"
  }

  package var usage: String {
    var parts = [path.joined(separator: " ")]
    parts += command.options.filter(\.isRequired).map { "--\($0.name) \($0.placeholder ?? "")" }
    if command.options.contains(where: { !$0.isRequired }) { parts.append("[OPTION…]") }
    if !command.subcommands.isEmpty { parts.append("COMMAND …") }
    parts += command.arguments.map(\.definition.usage)
    if let passthrough = command.passthrough {
      parts.append(passthrough.isRequired ? "-- \(passthrough.usage)" : "[-- \(passthrough.usage)]")
    }
    return parts.joined(separator: " ")
  }

  private func entry(_ option: OptionDefinition) -> Entry {
    var title = option.title
    if let placeholder = option.placeholder { title += " \(placeholder)" }
    let facts = option.facts.joined(separator: "; ")
    return Entry(title: title, text: option.purpose + (facts.isEmpty ? "" : " (\(facts))"))
  }

  private func entry(_ argument: ArgumentDefinition) -> Entry {
    Entry(title: argument.name, text: argument.purpose + (argument.limits.map { " (\($0))" } ?? ""))
  }

  private func layOut(_ entry: Entry, _ column: Int, _ columns: Int) -> String {
    let title = "  \(entry.title)"
    let text = lines(entry.text, columns, indent: column)
    guard title.count + 2 <= column else { return "\(title)\n\(text)" }
    return title + text.dropFirst(title.count)
  }

  /// `text` broken at spaces into indented lines of at most `columns` characters; a longer word stays whole.
  private func lines(_ text: String, _ columns: Int, indent: Int) -> String {
    let margin = String(repeating: " ", count: indent)
    var result: [String] = []
    var line = margin
    for word in text.split(separator: " ") {
      if line.count > indent, line.count + 1 + word.count > columns {
        result.append(line)
        line = margin
      }
      line += (line.count > indent ? " " : "") + word
    }
    result.append(line)
    return result.joined(separator: "\n")
  }

  private func sentence(_ purpose: String) -> String {
    let text = purpose.prefix(1).uppercased() + purpose.dropFirst()
    return text.hasSuffix(".") ? text : text + "."
  }
}

extension OptionDefinition {
  /// How help names it: `--port`, `--[no-]compression`.
  package var title: String { isNegatable ? "--[no-]\(name)" : "--\(name)" }

  /// What help says in brackets behind its purpose.
  package var facts: [String] {
    var facts: [String] = []
    if isRequired { facts.append("required") }
    if isRepeatable { facts.append("may be repeated") }
    if let limits { facts.append(limits) }
    if let defaultText { facts.append("default: \(defaultText)") }
    if let environment { facts.append("environment: \(environment)") }
    return facts
  }
}
