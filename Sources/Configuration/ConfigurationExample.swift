public import ArgumentParsing
internal import TOML

/// A file with every option there is, all commented out: `#key = value` to be uncommented, `# text` to be read.
public struct ConfigurationExample: Sendable {
  private static let columns = 100
  private let root: Command
  private let introduction: [String]

  public init(of root: Command, introduction: [String]) {
    self.root = root
    self.introduction = introduction
  }

  public var text: String {
    var lines = introduction.flatMap { comment($0) + ["#"] }
    if lines.last == "#" { lines.removeLast() }
    for table in root.settingTables {
      let isShared = table.options.contains { $0.sharedAs.map { [$0] } == table.name }
      let readers = table.readers.joined(separator: ", ")
      lines += ["", ""]
      lines += comment(isShared ? "For: \(readers). What stands in their own tables counts first." : purpose(of: table))
      lines.append("[\(table.name.map(TOMLText.key).joined(separator: "."))]")
      for option in table.options { lines += [""] + comment(about: option) + [setting(option)] }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func purpose(of table: SettingTable) -> String {
    let command = root.tree.first { Array($0.path.dropFirst()) == table.name }?.command
    return "\(root.name) \(table.name.joined(separator: " ")): \(command?.purpose ?? "")"
  }

  private func comment(about option: OptionDefinition) -> [String] {
    let facts = option.facts.filter { !$0.hasPrefix("environment: ") }.joined(separator: "; ")
    return comment(option.purpose + (facts.isEmpty ? "" : " (\(facts))"))
  }

  /// The default, or something of the right kind where there is none.
  private func setting(_ option: OptionDefinition) -> String {
    guard let value = value(of: option) else { return "# \(option.name) = \(option.placeholder ?? "")" }
    return "#\(option.name) = \(value)"
  }

  private func value(of option: OptionDefinition) -> String? {
    if let text = option.defaultValue { return written(text, option.form) }
    // A sample that the option takes; what a type does not take shows as text to be read.
    let samples = [option.placeholder ?? "", "1", "10", "1000", "10s", "1m", "NAME=VALUE"] + words(option.hint)
    let good = samples.first { sample in
      do throws(ValueProblem) { try option.check([sample]) } catch { return false }
      return true
    }
    guard let good else { return option.isRepeatable ? "[]" : nil }
    let value = written(good, option.form)
    return option.isRepeatable ? "[\(value)]" : value
  }

  private func words(_ hint: ValueHint) -> [String] { if case .words(let words) = hint { words } else { [] } }

  private func written(_ text: String, _ form: ValueForm) -> String {
    switch form {
    case .boolean, .integer, .number: text
    case .text, .duration, .pair: TOMLText.string(text)
    }
  }

  private func comment(_ text: String) -> [String] {
    var lines: [String] = []
    var line = "#"
    for word in text.split(separator: " ") {
      if line.count > 1, line.count + 1 + word.count > Self.columns {
        lines.append(line)
        line = "#"
      }
      line += " \(word)"
    }
    return lines + [line]
  }
}
