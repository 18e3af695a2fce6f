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
  let optionTexts: [String: [String]]
  let argumentTexts: [String: [String]]
  let declaredOptions: Set<String>
  let givenByWord: Set<String>

  /// The value of an option that the command declares.
  public subscript<Value>(option: Option<Value>) -> Value {
    let name = option.definition.name
    precondition(declaredOptions.contains(name), "\(path.joined(separator: " ")) declares no option --\(name)")
    do throws(ValueProblem) { return try option.read(optionTexts[name] ?? []) } catch {
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

  /// Whether the option was given, on the command line or by the environment, rather than left to its default.
  public func isGiven(_ option: any DeclaredOption) -> Bool {
    optionTexts[option.definition.name] != nil
  }

  /// Whether the option stands on the command line itself: what the environment says may be meant for other commands.
  public func isGivenByWord(_ option: any DeclaredOption) -> Bool { givenByWord.contains(option.definition.name) }

  /// An error about this command line that only the command itself could see.
  public func error(_ explanation: String) -> UsageError {
    UsageError(path: path, .other(explanation))
  }
}
