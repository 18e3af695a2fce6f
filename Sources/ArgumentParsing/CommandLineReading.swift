/// What the words of a command line say, before variables, files and defaults are asked and values are judged.
public struct CommandLineReading: Sendable {
  /// The command that was chosen, and the names that lead to it: `["lifeline", "run"]`.
  public private(set) var command: Command
  public private(set) var path: [String]
  /// The options that can be given here, those of the commands above among them.
  public private(set) var places: [OptionPlace]
  private var optionTexts: [String: [String]] = [:]
  private var words: [String] = []
  private var passthrough: [String] = []

  init(_ command: Command) {
    self.command = command
    path = [command.name]
    places = command.options.map { OptionPlace($0, of: [command.name]) }
  }

  /// What an option comes to, whatever the other words are worth.
  public func given(
    _ place: OptionPlace, environment: [String: String], settings: [String: FileSetting] = [:]
  ) -> GivenOption {
    GivenOption.find(
      place, words: optionTexts[place.option.name], environment: environment, settings: settings)
  }

  /// Judges the values: the command line's own, then variables', then a file's, then the defaults.
  public func finish(
    environment: [String: String], settings: [String: FileSetting] = [:]
  ) throws(UsageError) -> Invocation {
    var values: [String: GivenOption] = [:]
    for place in places {
      let given = given(place, environment: environment, settings: settings)
      values[place.option.name] = given
      do throws(ValueProblem) { try place.option.check(given.texts) } catch {
        let name = "--\(place.option.name)"
        let source =
          switch given.source {
          case .commandLine, .standard: name
          case .environment(let variable): "environment variable \(variable)"
          case .file(let path, let line): "\(path):\(line): \(place.option.name)"
          }
        throw self.error(
          problem(error, source, missing: .missingOption(name, environment: place.option.environment)))
      }
    }
    let argumentTexts = try assignWords()
    if let wanted = command.passthrough, wanted.isRequired, passthrough.isEmpty {
      throw error(.missingArgument("-- \(wanted.usage)"))
    }
    return Invocation(path: path, passthrough: passthrough, options: values, argumentTexts: argumentTexts)
  }

  var helpPage: HelpPage {
    HelpPage(command: command, path: path, inherited: places.filter { $0.path != path }.map(\.option))
  }

  func error(_ problem: UsageError.Problem) -> UsageError { UsageError(path: path, problem) }

  func nearestOption(to name: String) -> String? {
    let names =
      places.flatMap { $0.option.isNegatable ? [$0.option.name, "no-\($0.option.name)"] : [$0.option.name] }
      + ["help", "version"]
    return NearestWord.find(name, in: names).map { "--\($0)" }
  }

  mutating func takeAfterDashes(_ rest: [String]) {
    if command.passthrough != nil { passthrough = rest } else { words += rest }
  }

  mutating func takeOption(_ word: String, _ rest: inout ArraySlice<String>) throws(UsageError) {
    let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let name = parts.first ?? ""
    let inlineValue = parts.count > 1 ? parts[1] : nil
    let positive = places.first { $0.option.name == name }?.option
    let negated = places.first { $0.option.isNegatable && "no-\($0.option.name)" == name }?.option
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
    places += subcommand.options.map { OptionPlace($0, of: path) }
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
