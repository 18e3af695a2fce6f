/// A table of a configuration file: the options of one command, or those that several share.
public struct SettingTable: Sendable {
  /// `["coordinator"]`; a command within a command has both names.
  public let name: [String]
  public let options: [OptionDefinition]
  /// The commands that read it.
  public let readers: [String]
}

extension Command {
  /// This command and all below it, each with the names that lead to it, in the order of their declaration.
  public var tree: [(path: [String], command: Command)] {
    [([name], self)] + subcommands.flatMap { $0.tree.map { ([name] + $0.path, $0.command) } }
  }

  /// The tables that a configuration file of this program may have: what several commands share comes first.
  public var settingTables: [SettingTable] {
    var shared: [(name: String, options: [OptionDefinition], readers: [String])] = []
    var own: [SettingTable] = []
    for (path, command) in tree where command.isConfigurable && path.count > 1 {
      let reader = path.dropFirst().joined(separator: " ")
      for option in command.options {
        guard let name = option.sharedAs else { continue }
        let index = shared.firstIndex { $0.name == name } ?? shared.endIndex
        if index == shared.endIndex { shared.append((name, [], [])) }
        if !shared[index].options.contains(where: { $0.name == option.name }) { shared[index].options.append(option) }
        if !shared[index].readers.contains(reader) { shared[index].readers.append(reader) }
      }
      guard !command.options.isEmpty else { continue }
      own.append(SettingTable(name: Array(path.dropFirst()), options: command.options, readers: [reader]))
    }
    return shared.map { SettingTable(name: [$0.name], options: $0.options, readers: $0.readers) } + own
  }
}
