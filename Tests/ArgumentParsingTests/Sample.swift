import ArgumentParsing

enum Level: String, CaseIterable, Sendable { case debug = "DEBUG", info = "INFO", warning = "WARNING" }

/// A command line like the real one, with one of everything.
enum Sample {
  static let port = Option(
    "port", .integer(1...65535), default: 8765, as: "PORT", environment: "SAMPLE_PORT", "Where to listen.")
  static let level = Option("log-level", ArgumentType<Level>.choice, default: .info, as: "LEVEL", "What to log.")
  static let grace = Option("grace", .duration(.zero ... .seconds(600)), default: .seconds(30), "How long to wait.")
  static let store = Option(
    "store", optional: .string, as: "FILE", whenMissing: "in memory", "Where to keep the tasks.")
  static let key = Option(
    required: "key", .string, as: "KEY", environment: "SAMPLE_KEY", "What the workers must show to be let in at all.")
  static let json = Option(flag: "json", environment: "SAMPLE_JSON", "Print JSON.")
  static let progress = Option(flag: "progress", default: true, "Show progress.")
  static let variables = Option("env", repeated: .namedText, "Set in the command's environment.")
  static let ratio = Option("ratio", .number(0...1), default: 0.5, "How many may fail.")
  static let id = Argument("ID", .string, "The task.")
  static let count = Argument("COUNT", optional: .integer(0...9), "How many lines.")
  static let files = Argument("FILE", repeated: .string, required: true, "What to read.")

  static let command = Command(
    "sample", "does things",
    subcommands: [
      Command(
        "serve", "serves requests", details: ["It goes on until it is told to stop."],
        options: [port, level, grace, store, json, progress, ratio], sections: [OptionSection("Security", [key])],
        examples: [Example("sample serve --key secret", "Serve on the usual port.")]),
      Command(
        "run", "runs a command", options: [json, variables],
        passthrough: Passthrough("COMMAND [ARG…]", required: true, "What to run.")),
      Command("logs", "prints a task's output", arguments: [id, count], options: [json]),
      Command("read", "reads files", arguments: [files]),
    ])

  static let parser = ArgumentParser(command, version: "1.2.3")

  static func parse(_ words: [String], environment: [String: String] = [:]) throws(UsageError) -> ParseOutcome {
    try parser.parse(words, environment: environment)
  }

  /// For command lines that must be runnable.
  static func invocation(_ line: String, environment: [String: String] = [:]) throws -> Invocation {
    let outcome = try parse(line.split(separator: " ").map(String.init), environment: environment)
    guard case .run(let invocation) = outcome else { throw NotRunnable() }
    return invocation
  }

  /// For command lines that must be refused.
  static func problem(_ words: [String], environment: [String: String] = [:]) -> UsageError.Problem? {
    do throws(UsageError) {
      _ = try parse(words, environment: environment)
      return nil
    } catch { return error.problem }
  }

  struct NotRunnable: Error {}
}
