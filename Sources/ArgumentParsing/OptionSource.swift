/// Where an option's value comes from.
public enum OptionSource: Sendable, Equatable {
  case commandLine
  /// A variable of this name.
  case environment(String)
  case file(path: String, line: Int)
  /// It was given nowhere.
  case standard
}

/// What a configuration file says of one option, checked already.
public struct FileSetting: Sendable, Equatable {
  /// As the command line would have them: one for each time that the option is given.
  public let texts: [String]
  public let path: String
  public let line: Int
  /// Whether it is said for all commands that share the option, rather than for the one.
  public let isShared: Bool

  public init(texts: [String], path: String, line: Int, isShared: Bool) {
    self.texts = texts
    self.path = path
    self.line = line
    self.isShared = isShared
  }
}

/// An option, and the command that declares it.
public struct OptionPlace: Sendable {
  public let option: OptionDefinition
  /// The declaring command's name and those above it: `["lifeline", "coordinator"]`.
  public let path: [String]

  public init(_ option: OptionDefinition, of path: [String]) {
    self.option = option
    self.path = path
  }

  /// The variables that set the option, the first that is not empty counts: its own (`LIFELINE_TASKS_PATIENCE`), that of
  /// all commands that share it (`LIFELINE_CLIENT_PATIENCE`), and the one it was declared with.
  public var variables: [String] {
    var names = [Self.variable(path + [option.name])]
    if let shared = option.sharedAs { names.append(Self.variable(path.prefix(1) + [shared, option.name])) }
    if let declared = option.environment, !names.contains(declared) { names.append(declared) }
    return names
  }

  private static func variable(_ words: [String]) -> String {
    words.joined(separator: "_").uppercased().replacing("-", with: "_")
  }
}

/// A value, where it comes from, and what it counts beside others.
public struct GivenOption: Sendable {
  /// Empty if it was given nowhere.
  public let texts: [String]
  public let source: OptionSource
  /// Smaller is nearer to the user: the command line is 0, then variables, then files, each from the particular to the
  /// general.
  public let rank: Int

  static func find(
    _ place: OptionPlace, words: [String]?, environment: [String: String], settings: [String: FileSetting]
  ) -> GivenOption {
    if let words { return GivenOption(texts: words, source: .commandLine, rank: 0) }
    for (index, variable) in place.variables.enumerated() {
      guard let text = environment[variable], !text.isEmpty else { continue }
      // Several values stand on a line each: what else could separate them may be part of one.
      let texts = place.option.isRepeatable ? text.split(separator: "\n").map(String.init) : [text]
      return GivenOption(texts: texts, source: .environment(variable), rank: 1 + index)
    }
    if let setting = settings[place.option.name] {
      let source = OptionSource.file(path: setting.path, line: setting.line)
      return GivenOption(texts: setting.texts, source: source, rank: setting.isShared ? 11 : 10)
    }
    return GivenOption(texts: [], source: .standard, rank: 20)
  }
}
