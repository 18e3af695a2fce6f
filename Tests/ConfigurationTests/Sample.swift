import ArgumentParsing
import Configuration

/// A program with one of everything.
enum Sample {
  enum Level: String, CaseIterable, Sendable { case debug = "DEBUG", info = "INFO" }

  static let file = Option("config", optional: .string, as: "FILE", "The file.")
  static let port = Option("port", .integer(1...65_535), default: 8_765, as: "PORT", "Where to listen.")
  static let grace = Option("grace", .duration(.zero ... .seconds(600)), default: .seconds(15), "How long to wait.")
  static let ratio = Option("ratio", .number(0...1), default: 0.5, "How many may fail.")
  static let level = Option("log-level", ArgumentType<Level>.choice, default: .info, as: "LEVEL", "What to log.")
  static let compression = Option(flag: "compression", default: true, "Compress.")
  static let store = Option("store", optional: .string, as: "FILE", "Where tasks are kept.")
  static let labels = Option("label", repeated: .namedText, "What is special here.")
  static let names = Option("name", repeated: .string, as: "NAME", "Some names.")
  static let key = Option("key", optional: .string, as: "KEY", environment: "SAMPLE_KEY", "The key.").secret()
  static let address = Option(
    "address", .string, default: "here", as: "URL", environment: "SAMPLE_ADDRESS", "Where it is."
  ).shared(as: "client")
  static let count = Option("count", .integer(0...9), default: 3, as: "N", "How many.")
  static let prefix = Option(required: "prefix", .string, as: "TEXT", "What it begins with.")

  static let root = Command(
    "sample", "does things", options: [file],
    subcommands: [
      Command("serve", "serves", options: [port, grace, ratio, level, compression, store, labels, names, key]),
      Command("list", "lists", options: [count, address]),
      Command("show", "shows", arguments: [Argument("ID", .string, "Which.")], options: [address]),
      Command("set", "sets", subcommands: [Command("name", "sets a name", options: [prefix])]),
      Command("config", "checks", options: [count], isConfigurable: false),
    ])

  static func read(_ text: String, isPrivate: Bool = true) -> ConfigurationFile {
    let source = ConfigurationFile.Source(
      path: "f.toml", bytes: Array(text.utf8), isPrivate: isPrivate, home: "/tmp/someone")
    return ConfigurationFile(source, for: root)
  }

  /// What a command line comes to with a file and an environment.
  static func invocation(
    _ line: String, file text: String = "", environment: [String: String] = [:]
  ) throws -> Invocation {
    let parser = ArgumentParser(root, version: "1")
    guard case .command(let reading) = try parser.read(line.split(separator: " ").map(String.init)) else {
      throw NotRunnable()
    }
    return try reading.finish(environment: environment, settings: read(text).settings(for: reading))
  }

  struct NotRunnable: Error {}
}
