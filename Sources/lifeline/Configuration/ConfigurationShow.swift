import ArgumentParsing
import Configuration
import CoordinationCore
import Terminal

/// `lifeline config show`
enum ConfigurationShow {
  /// One line of it.
  private struct Line {
    let command: String
    let option: OptionDefinition
    let given: GivenOption

    var value: String {
      guard given.source != .standard else { return option.defaultValue ?? option.defaultText ?? "" }
      return option.isSecret ? "(hidden)" : given.texts.joined(separator: ", ")
    }

    var source: String {
      switch given.source {
      case .commandLine: "command line"
      case .environment(let name): "environment \(name)"
      case .file(let path, let line): "\(path):\(line)"
      case .standard: "default"
      }
    }

    var json: JSONObject {
      var object: JSONObject = ["command": .string(command), "option": .string(option.name)]
      if option.isSecret && given.source != .standard {
        object["hidden"] = .bool(true)
      } else if option.isRepeatable {
        let usual = option.defaultValue.map { [$0] } ?? []
        object["value"] = .array((given.source == .standard ? usual : given.texts).map(JSONValue.string))
      } else {
        object["value"] = (given.texts.last ?? option.defaultValue).map(JSONValue.string) ?? .null
      }
      switch given.source {
      case .commandLine: object["source"] = "command line"
      case .environment(let name):
        object["source"] = "environment"
        object["variable"] = .string(name)
      case .file(let path, let line):
        object["source"] = "file"
        object["file"] = .string(path)
        object["line"] = .integer(Int64(line))
      case .standard: object["source"] = "default"
      }
      return object
    }
  }

  static func run(_ invocation: Invocation, command: [String]) throws(UsageError) -> Int32 {
    let variables = Surroundings.variables
    let root = Subcommands.root
    guard !command.isEmpty || invocation.passthrough.isEmpty else {
      throw invocation.error("say before -- which command the options are for")
    }
    do {
      let path = ConfigurationPlace.path(named: invocation[ConfigurationPlace.file], variables)
      let file = try path.map { path throws(ConfigurationFailure) in try ConfigurationPlace.read(path, variables) }
      var lines: [Line] = []
      if command.isEmpty {
        for (path, command) in root.tree where command.subcommands.isEmpty && command.isConfigurable {
          let all = try self.lines(Array(path.dropFirst()), file, variables)
          lines += all.filter { invocation[ConfigCommand.all] || $0.given.source != .standard }
        }
      } else {
        lines = try self.lines(command + invocation.passthrough, file, variables)
      }
      if invocation[ClientOptions.json] {
        let list = JSONList(to: Console.standard)
        list.append(lines.map(\.json))
        list.end()
      } else {
        show(lines, command: command, path: path)
      }
      remarkOnUnknown(variables, root)
      return 0
    } catch let error as UsageError {
      throw error
    } catch {
      Console.standard.complain("\(error)")
      return 1
    }
  }

  /// What a command line comes to, option by option.
  private static func lines(
    _ words: [String], _ file: ConfigurationFile?, _ variables: [String: String]
  ) throws -> [Line] {
    let parser = ArgumentParser(Subcommands.root, version: Version.text)
    guard case .command(let reading) = try parser.read(words) else { return [] }
    let settings = try file?.settings(for: reading) ?? [:]
    let name = reading.path.dropFirst().joined(separator: " ")
    return reading.places.filter { $0.path.count > 1 }.map { place in
      Line(
        command: name, option: place.option, given: reading.given(place, environment: variables, settings: settings))
    }
  }

  private static func show(_ lines: [Line], command: [String], path: String?) {
    let console = Console.standard
    console.write("configuration file: \(path ?? "none")\n")
    guard !lines.isEmpty else { return console.write("every option is at its default\n") }
    let isOne = !command.isEmpty
    var table = Table(
      (isOne ? [] : [Table.Column("COMMAND")]) + [
        Table.Column("OPTION"), Table.Column("VALUE", mayShrink: true), Table.Column("FROM"),
      ])
    for line in lines {
      let emphasis: TextStyle.Emphasis = line.given.source == .standard ? .dim : .none
      table.append(
        (isOne ? [] : [Table.Cell(line.command)]) + [
          Table.Cell(line.option.name), Table.Cell(line.value, emphasis), Table.Cell(line.source, emphasis),
        ])
    }
    console.write(table)
  }

  /// A misspelt variable would otherwise do nothing in silence.
  private static func remarkOnUnknown(_ variables: [String: String], _ root: ArgumentParsing.Command) {
    // A command that a worker runs is told things by variables that look like options and are none.
    guard variables["LIFELINE_CONTROL_FD"] == nil else { return }
    var known: Set<String> = []
    for (path, command) in root.tree {
      for option in command.options { known.formUnion(OptionPlace(option, of: path).variables) }
    }
    for name in variables.keys.sorted() where name.hasPrefix("LIFELINE_") && !known.contains(name) {
      let nearest = NearestWord.find(name, in: known.sorted().map { $0.lowercased() })
      guard let nearest else { continue }
      Console.standard.remark("\(name) is no option's variable; did you mean \(nearest.uppercased())?")
    }
  }
}
