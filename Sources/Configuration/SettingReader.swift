internal import ArgumentParsing
internal import TOML

/// Turns a value of the file into the texts that the command line would have had.
struct SettingReader {
  struct Problem: Error {
    let explanation: String
    let position: TOMLPosition
  }

  let option: OptionDefinition
  /// The user's folder, for `~/`.
  let home: String?

  /// The texts, each of which the option accepts.
  func texts(of item: TOMLItem) throws(Problem) -> [String] {
    switch (item.value, option.isRepeatable) {
    case (.array(let items), true):
      var texts: [String] = []
      for item in items { texts += try oneOrPairs(item) }
      return texts
    case (.array, false): throw problem("takes one value, this is a list", at: item)
    default: return try oneOrPairs(item)
    }
  }

  private func oneOrPairs(_ item: TOMLItem) throws(Problem) -> [String] {
    guard case .table(let table) = item.value, option.form == .pair else { return [try checked(item)] }
    guard option.isRepeatable || table.entries.count == 1 else { throw problem("takes one NAME=VALUE", at: item) }
    var texts: [String] = []
    for entry in table.entries {
      guard case .string(let value) = entry.item.value else {
        throw problem(
          "expected a text in quotes for \(TOMLText.key(entry.key)), this is \(entry.item.value.kind)", at: entry.item)
      }
      texts.append(try checked("\(entry.key)=\(value)", at: TOMLItem(entry.item.value, at: entry.position)))
    }
    return texts
  }

  private func checked(_ item: TOMLItem) throws(Problem) -> String { try checked(try text(of: item), at: item) }

  private func checked(_ text: String, at item: TOMLItem) throws(Problem) -> String {
    do throws(ValueProblem) { try option.check([text]) } catch {
      switch error {
      case .missing: throw problem("needs a value", at: item)
      case .invalid(let text, let expectation):
        let shown = option.isSecret ? "what stands here" : TOMLText.string(String(text.prefix(80)))
        throw problem("\(shown) is not valid; expected \(expectation)", at: item)
      }
    }
    return text
  }

  private func text(of item: TOMLItem) throws(Problem) -> String {
    switch (option.form, item.value) {
    case (.boolean, .boolean(let value)): return "\(value)"
    case (.boolean, let other): throw problem("expected true or false without quotes, this is \(other.kind)", at: item)
    case (_, .string(let text)): return expanded(text)
    case (.integer, .integer(let number)), (.number, .integer(let number)), (.duration, .integer(let number)):
      return "\(number)"
    case (.number, .float(let number)), (.duration, .float(let number)):
      guard number.isFinite else { throw problem("expected a number that is finite", at: item) }
      return "\(number)"
    case (let form, let other): throw problem("expected \(expectation(form)), this is \(other.kind)", at: item)
    }
  }

  private func expectation(_ form: ValueForm) -> String {
    switch form {
    case .text: "a text in quotes"
    case .integer: "a whole number"
    case .number: "a number"
    case .duration: "a time such as \"15s\" or a number of seconds"
    case .pair: "a text \"NAME=VALUE\" or a table { NAME = \"VALUE\" }"
    case .boolean: "true or false"
    }
  }

  /// A shell would have done this for the command line.
  private func expanded(_ text: String) -> String {
    guard option.hint == .file || option.hint == .folder, text.hasPrefix("~/"), let home else { return text }
    return home + text.dropFirst()
  }

  private func problem(_ explanation: String, at item: TOMLItem) -> Problem {
    Problem(explanation: "\(option.name): \(explanation)", position: item.position)
  }
}
