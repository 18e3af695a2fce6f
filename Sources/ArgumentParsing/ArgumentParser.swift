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
  /// An option's last occurrence counts, then its environment variables unless empty, then its default.
  public func parse(_ words: [String], environment: [String: String] = [:]) throws(UsageError) -> ParseOutcome {
    switch try read(words) {
    case .help(let page): .help(page)
    case .version(let text): .version(text)
    case .command(let reading): .run(try reading.finish(environment: environment))
    }
  }

  /// What a command line says by itself, before anything else is asked.
  public enum Reading: Sendable {
    case help(HelpPage)
    case version(String)
    case command(CommandLineReading)
  }

  /// The first half of `parse`: a file that the command line names can be read before the values are judged.
  public func read(_ words: [String]) throws(UsageError) -> Reading {
    var reading = CommandLineReading(command)
    var rest = words[...]
    while let word = rest.popFirst() {
      switch word {
      case "--":
        reading.takeAfterDashes(Array(rest))
        rest = []
      case "--help", "-h": return .help(reading.helpPage)
      case "--version": return .version("\(command.name) \(version)")
      case _ where word.hasPrefix("--"): try reading.takeOption(word, &rest)
      // `-` alone is an argument by custom: standard input. So is a negative number.
      case _ where word.hasPrefix("-") && word != "-" && Double(word) == nil:
        throw reading.error(.unknownOption(word, nearest: reading.nearestOption(to: String(word.drop { $0 == "-" }))))
      case "help" where !reading.command.subcommands.isEmpty:
        // The words after it choose the page.
        for word in rest where !word.hasPrefix("-") && !reading.command.subcommands.isEmpty {
          try reading.takeWord(word)
        }
        return .help(reading.helpPage)
      default: try reading.takeWord(word)
      }
    }
    guard reading.command.subcommands.isEmpty else { throw reading.error(.missingSubcommand) }
    return .command(reading)
  }
}
