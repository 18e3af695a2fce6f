/// A command or subcommand: what it is called, what it takes, and what its help says.
public struct Command: Sendable {
  public let name: String
  /// One line, beginning with a verb: `runs commands over the fleet`.
  public let purpose: String
  /// Paragraphs between the purpose and the options.
  public let details: [String]
  public let arguments: [any DeclaredArgument]
  public let sections: [OptionSection]
  /// What may follow `--`; without it, `--` only ends the options.
  public let passthrough: Passthrough?
  public let examples: [Example]
  /// A command that has subcommands takes no arguments of its own.
  public let subcommands: [Command]
  /// Whether its options can stand in a configuration file as well.
  public let isConfigurable: Bool

  public init(
    _ name: String, _ purpose: String, details: [String] = [], arguments: [any DeclaredArgument] = [],
    options: [any DeclaredOption] = [], sections: [OptionSection] = [], passthrough: Passthrough? = nil,
    examples: [Example] = [], subcommands: [Command] = [], isConfigurable: Bool = true
  ) {
    precondition(arguments.isEmpty || subcommands.isEmpty, "\(name): subcommands and arguments exclude each other")
    precondition(arguments.dropLast().allSatisfy { !$0.definition.isRepeatable }, "\(name): only the last repeats")
    self.name = name
    self.purpose = purpose
    self.details = details
    self.arguments = arguments
    self.sections = (options.isEmpty ? [] : [OptionSection("Options", options)]) + sections
    self.passthrough = passthrough
    self.examples = examples
    self.subcommands = subcommands
    self.isConfigurable = isConfigurable
  }

  public var options: [OptionDefinition] { sections.flatMap { $0.options.map(\.definition) } }
}

/// Options that belong together, under a heading of their own in help.
public struct OptionSection: Sendable {
  public let title: String
  public let options: [any DeclaredOption]

  public init(_ title: String, _ options: [any DeclaredOption]) {
    self.title = title
    self.options = options
  }
}

/// Arguments that are handed on untouched: everything after `--`.
public struct Passthrough: Sendable {
  /// As the usage line shows it: `COMMAND [ARG…]`.
  public let usage: String
  public let purpose: String
  public let isRequired: Bool

  public init(_ usage: String, required: Bool = false, _ purpose: String) {
    self.usage = usage
    self.purpose = purpose
    isRequired = required
  }
}

/// A command line worth copying, and what it does.
public struct Example: Sendable {
  public let commandLine: String
  public let purpose: String

  public init(_ commandLine: String, _ purpose: String) {
    self.commandLine = commandLine
    self.purpose = purpose
  }
}
