/// Turns the words of a command line into typed values, or into an error that says which word is wrong.
///
/// Pure: it reads no environment of its own, prints nothing and never exits.
public struct ArgumentParser: Sendable {
  public let command: Command
  public let version: String

  public init(_ command: Command, version: String) {
    self.command = command
    self.version = version
  }

  /// Understands `words`, the program's name not among them.
  ///
  /// An option's last occurrence counts, then its environment variable unless empty, then its default.
  public func parse(_ words: [String], environment: [String: String] = [:]) throws(UsageError) -> ParseOutcome {
    var run = Run(command: command)
    var rest = words[...]
    while let word = rest.popFirst() {
      switch word {
      case "--":
        run.takeAfterDashes(Array(rest))
        rest = []
      case "--help", "-h": return .help(run.helpPage)
      case "--version": return .version("\(command.name) \(version)")
      case _ where word.hasPrefix("--"): try run.takeOption(word, &rest)
      // `-` alone is an argument by custom: standard input. So is a negative number.
      case _ where word.hasPrefix("-") && word != "-" && Double(word) == nil:
        throw run.error(.unknownOption(word, nearest: run.nearestOption(to: String(word.drop { $0 == "-" }))))
      case "help" where !run.command.subcommands.isEmpty:
        // The words after it choose the page.
        for word in rest where !word.hasPrefix("-") && !run.command.subcommands.isEmpty { try run.takeWord(word) }
        return .help(run.helpPage)
      default: try run.takeWord(word)
      }
    }
    return .run(try run.finish(environment))
  }
}

/// One parse in progress.
private struct Run {
  private(set) var command: Command
  private var path: [String]
  private var options: [OptionDefinition]
  private var optionTexts: [String: [String]] = [:]
  private var words: [String] = []
  private var passthrough: [String] = []

  init(command: Command) {
    self.command = command
    path = [command.name]
    options = command.options
  }

  var helpPage: HelpPage { HelpPage(command: command, path: path) }

  func error(_ problem: UsageError.Problem) -> UsageError { UsageError(path: path, problem) }

  func nearestOption(to name: String) -> String? {
    let names = options.flatMap { $0.isNegatable ? [$0.name, "no-\($0.name)"] : [$0.name] } + ["help", "version"]
    return NearestWord.find(name, in: names).map { "--\($0)" }
  }

  mutating func takeAfterDashes(_ rest: [String]) {
    if command.passthrough != nil { passthrough = rest } else { words += rest }
  }

  mutating func takeOption(_ word: String, _ rest: inout ArraySlice<String>) throws(UsageError) {
    let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let name = parts.first ?? ""
    let inlineValue = parts.count > 1 ? parts[1] : nil
    let positive = options.first { $0.name == name }
    let negated = options.first { $0.isNegatable && "no-\($0.name)" == name }
    guard let option = positive ?? negated else {
      throw error(.unknownOption("--\(name)", nearest: nearestOption(to: name)))
    }
    if option.isFlag {
      if let inlineValue { throw error(.unexpectedValue(option: "--\(name)", value: inlineValue)) }
      optionTexts[option.name] = [positive == nil ? "false" : "true"]
      return
    }
    let value: String
    if let inlineValue {
      value = inlineValue
    } else if let next = rest.first, !next.hasPrefix("--") {
      // Two dashes are an option that follows a forgotten value far more often than a value.
      value = next
      rest.removeFirst()
    } else {
      throw error(.missingValue(option: "--\(name)", placeholder: option.placeholder ?? ""))
    }
    optionTexts[option.name, default: []].append(value)
  }

  mutating func takeWord(_ word: String) throws(UsageError) {
    guard !command.subcommands.isEmpty else {
      words.append(word)
      return
    }
    guard let subcommand = command.subcommands.first(where: { $0.name == word }) else {
      throw error(.unknownSubcommand(word, nearest: NearestWord.find(word, in: command.subcommands.map(\.name))))
    }
    command = subcommand
    path.append(subcommand.name)
    options += subcommand.options
  }

  mutating func finish(_ environment: [String: String]) throws(UsageError) -> Invocation {
    guard command.subcommands.isEmpty else { throw error(.missingSubcommand) }
    let givenByWord = Set(optionTexts.keys)
    for option in options {
      var source = "--\(option.name)"
      if optionTexts[option.name] == nil, let variable = option.environment, let text = environment[variable],
        !text.isEmpty
      {
        optionTexts[option.name] = [text]
        source = "environment variable \(variable)"
      }
      do throws(ValueProblem) { try option.check(optionTexts[option.name] ?? []) } catch {
        throw self.error(
          problem(error, source, missing: .missingOption("--\(option.name)", environment: option.environment)))
      }
    }
    let argumentTexts = try assignWords()
    if let wanted = command.passthrough, wanted.isRequired, passthrough.isEmpty {
      throw error(.missingArgument("-- \(wanted.usage)"))
    }
    return Invocation(
      path: path, passthrough: passthrough, optionTexts: optionTexts, argumentTexts: argumentTexts,
      declaredOptions: Set(options.map(\.name)), givenByWord: givenByWord)
  }

  /// Gives each argument its words, in order; the last may take all that remain.
  private func assignWords() throws(UsageError) -> [String: [String]] {
    var rest = words[...]
    var result: [String: [String]] = [:]
    for argument in command.arguments.map(\.definition) {
      let taken = Array(argument.isRepeatable ? rest : rest.prefix(1))
      rest = rest.dropFirst(taken.count)
      do throws(ValueProblem) { try argument.check(taken) } catch {
        throw self.error(problem(error, argument.name, missing: .missingArgument(argument.name)))
      }
      result[argument.name] = taken
    }
    if let extra = rest.first {
      throw error(.unexpectedArgument(extra, belongsAfterDashes: command.passthrough != nil))
    }
    return result
  }

  private func problem(_ problem: ValueProblem, _ argument: String, missing: UsageError.Problem) -> UsageError.Problem {
    switch problem {
    case .missing: missing
    case .invalid(let text, let expectation):
      .invalidValue(argument: argument, value: text, expectation: expectation)
    }
  }
}
