internal import ArgumentParsing

/// The manual page of the configuration file.
struct ConfigurationPage {
  let manual: Manual

  var text: String {
    let program = manual.root.name
    var lines = RoffText.head(manual.fileName, section: 5, date: manual.date, version: manual.title)
    lines += [
      ".SH NAME",
      "\(RoffText.escaped(manual.fileName)) \\- \(RoffText.escaped("the configuration file of \(program)"))",
      ".SH DESCRIPTION",
    ]
    lines += paragraphs([
      "The file is TOML 1.0 without dates and times. It has a table for each command of \(program), in which each option "
        + "of the command can stand by its name without the dashes. A mistake is told with its line and column, and keeps "
        + "the commands from running that would have read it.",
      "\(program) config check shows everything that is wrong, \(program) config show what counts and where it comes from, "
        + "and \(program) config example prints a file with every option to begin with.",
    ])
    lines += [".SH FILES", RoffText.escaped("The first of these that there is; the others are not read then:")]
    for (place, meaning) in manual.filePlaces { lines += RoffText.entry(RoffText.italic(place), meaning) }
    lines += paragraphs([
      "No file of the current folder is read unless it is named: whoever enters a folder that somebody else filled would "
        + "otherwise talk to the coordinator that the folder wants. /dev/null is a file that says nothing. A file that "
        + "holds a key must be readable by its owner alone."
    ])
    lines += [".SH PRECEDENCE"]
    lines += paragraphs([
      "The command line counts first, then variables, then the file, then the default. Of two variables or two tables, "
        + "the command's own counts before what commands share. An empty variable counts as none. Options that exclude "
        + "each other, as a key and a file with a key, are compared in the same order.",
      "The variable of an option is named after the program, the command and the option, in capitals: "
        + "\(exampleVariable). Several values of an option that may be repeated stand on a line each.",
    ])
    lines += [".SH VALUES"]
    for (title, meaning) in values { lines += RoffText.entry(RoffText.escaped(title), meaning) }
    lines += [".SH TABLES"]
    for table in manual.root.settingTables { lines += self.lines(of: table) }
    lines += [".SH SEE ALSO", RoffText.escaped("\(program)(1), \(program)-config(1)")]
    return lines.joined(separator: "\n") + "\n"
  }

  private var exampleVariable: String {
    let found = manual.root.tree.first { $0.path.count > 1 && !$0.command.options.isEmpty }
    guard let (path, command) = found, let option = command.options.first else { return "none" }
    return "\(OptionPlace(option, of: path).variables[0]) for --\(option.name) of \(path.joined(separator: " "))"
  }

  private var values: [(String, String)] {
    [
      ("a text", "In quotes: \"…\" with backslash escapes, '…' without. A leading ~/ of a file or folder is your own."),
      ("a number", "Without quotes, underscores between digits allowed."),
      ("a time", "A text such as \"500ms\", \"15s\", \"2m\" or \"1h\", or a number of seconds."),
      ("a flag", "true or false. What is --no-NAME on the command line is NAME = false."),
      ("several values", "A list in brackets for an option that may be repeated; one value alone needs none."),
      ("NAME=VALUE", "A text, a list of them, or a table: { NAME = \"VALUE\" }."),
    ]
  }

  private func lines(of table: SettingTable) -> [String] {
    var lines = [".SS \"\(RoffText.escaped("[\(table.name.joined(separator: "."))]"))\""]
    let readers = table.readers.joined(separator: ", ")
    let isShared = table.options.contains { [$0.sharedAs] == table.name.map(Optional.some) }
    lines.append(
      RoffText.escaped(
        isShared ? "Shared by: \(readers). Their own tables count first." : "Read by \(manual.root.name) \(readers)."))
    for option in table.options {
      let facts = ([kind(of: option)] + option.facts.filter { !$0.hasPrefix("environment") }).joined(separator: "; ")
      lines += RoffText.entry(RoffText.bold(option.name), "\(option.purpose) (\(facts))")
    }
    return lines
  }

  private func kind(of option: OptionDefinition) -> String {
    switch option.form {
    case .text: "a text"
    case .integer, .number: "a number"
    case .duration: "a time"
    case .pair: "NAME=VALUE"
    case .boolean: "a flag"
    }
  }

  private func paragraphs(_ texts: [String]) -> [String] {
    texts.flatMap { [".PP", RoffText.escaped($0)] }
  }
}
