internal import Primitives

/// A command line that makes no sense, with what to do about it; the exit status is 2.
public struct UsageError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    case unknownOption(String, nearest: String?)
    case unknownSubcommand(String, nearest: String?)
    case missingSubcommand
    case missingValue(option: String, placeholder: String)
    case unexpectedValue(option: String, value: String)
    /// `argument` is as the user knows it: `--port`, `ID`, or the environment variable.
    case invalidValue(argument: String, value: String, expectation: String)
    case missingOption(String, environment: String?)
    case missingArgument(String)
    /// `belongsAfterDashes`: the command takes such things only after `--`.
    case unexpectedArgument(String, belongsAfterDashes: Bool)
    /// What only the command itself can judge: options that exclude each other, a file that is needed.
    case other(String)
  }

  /// The command the problem is in: `["lifeline", "run"]`.
  public let path: [String]
  public let problem: Problem

  public static let exitStatus: Int32 = 2

  public init(path: [String], _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  /// Two lines, for standard error: the problem, and where help is found.
  public var description: String {
    let command = path.joined(separator: " ")
    return "\(command): \(explanation)\nTry '\(command) --help'."
  }

  private var explanation: String {
    switch problem {
    case .unknownOption(let option, let nearest):
      "unknown option \(shown(option))" + (nearest.map { "; did you mean \($0)?" } ?? "")
    case .unknownSubcommand(let word, let nearest):
      "unknown command \(shown(word))" + (nearest.map { "; did you mean \($0)?" } ?? "")
    case .missingSubcommand: "a command is missing"
    case .missingValue(let option, let placeholder):
      "\(option) needs a value: \(option) \(placeholder) (one that begins with dashes is written \(option)=…)"
    case .unexpectedValue(let option, let value): "\(option) takes no value, but was given \(shown(value))"
    case .invalidValue(let argument, let value, let expectation):
      "\(argument): \(value.isEmpty ? "an empty text" : shown(value)) is not valid; expected \(expectation)"
    case .missingOption(let option, let environment):
      "\(option) is missing" + (environment.map { " (or set \($0))" } ?? "")
    case .missingArgument(let name): "\(name) is missing"
    case .unexpectedArgument(let word, let belongsAfterDashes):
      "unexpected argument \(shown(word))" + (belongsAfterDashes ? "; put -- before the command to run" : "")
    case .other(let text): text
    }
  }

  /// Whatever was typed, on one line and of bearable length.
  private func shown(_ text: String) -> String {
    let escaped = text.escapedForDisplay
    let cut = escaped.count > 80 ? escaped.prefix(79) + "…" : Substring(escaped)
    return cut.contains(" ") ? "'\(cut)'" : String(cut)
  }
}
