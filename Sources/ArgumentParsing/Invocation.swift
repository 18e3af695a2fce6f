/// What parsing a command line comes to.
public enum ParseOutcome: Sendable {
  case run(Invocation)
  /// `--help` was asked for: print the page on standard output and exit with 0.
  case help(HelpPage)
  /// `--version` was asked for: print this on standard output and exit with 0.
  case version(String)
}

/// A command line that was understood: which command, and the checked values of its options and arguments.
public struct Invocation: Sendable {
  /// The command's name and those above it: `["lifeline", "run"]`.
  public let path: [String]
  /// Everything after `--`, if the command hands it on.
  public let passthrough: [String]
  /// All that are declared, given or not.
  let options: [String: GivenOption]
  let argumentTexts: [String: [String]]

  /// The value of an option that the command declares.
  public subscript<Value>(option: Option<Value>) -> Value {
    let name = option.definition.name
    let texts = given(option).texts
    do throws(ValueProblem) { return try option.read(texts) } catch {
      preconditionFailure("--\(name) is declared twice with different types: \(error)")
    }
  }

  /// The value of a positional argument that the command declares.
  public subscript<Value>(argument: Argument<Value>) -> Value {
    let name = argument.definition.name
    guard let texts = argumentTexts[name] else {
      preconditionFailure("\(path.joined(separator: " ")) declares no argument \(name)")
    }
    do throws(ValueProblem) { return try argument.read(texts) } catch {
      preconditionFailure("\(name) is declared twice with different types: \(error)")
    }
  }

  /// Whether the option was given, on the command line, by the environment or a file, rather than left to its default.
  public func isGiven(_ option: any DeclaredOption) -> Bool { given(option).source != .standard }

  /// Whether the option stands on the command line itself: what the environment says may be meant for other commands.
  public func isGivenByWord(_ option: any DeclaredOption) -> Bool { given(option).source == .commandLine }

  /// Where the option's value comes from.
  public func source(of option: any DeclaredOption) -> OptionSource { given(option).source }

  /// Which of two options that exclude each other counts: the smaller one is nearer to the user, by the order command
  /// line, environment, file, default.
  public func rank(of option: any DeclaredOption) -> Int { given(option).rank }

  private func given(_ option: any DeclaredOption) -> GivenOption {
    guard let given = options[option.definition.name] else {
      preconditionFailure("\(path.joined(separator: " ")) declares no option --\(option.definition.name)")
    }
    return given
  }

  /// An error about this command line that only the command itself could see.
  public func error(_ explanation: String) -> UsageError {
    UsageError(path: path, .other(explanation))
  }
}
