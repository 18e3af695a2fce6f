internal import ArgumentParsing

/// The manual page of one command.
struct ManualPage {
  let command: Command
  let path: [String]
  /// The options of the commands above.
  let inherited: [OptionDefinition]
  let manual: Manual

  /// `lifeline-config-check`
  var name: String { path.joined(separator: "-") }

  var text: String {
    var lines = RoffText.head(name, section: 1, date: manual.date, version: manual.title)
    lines += [".SH NAME", "\(RoffText.escaped(name)) \\- \(RoffText.escaped(command.purpose))"]
    lines += [".SH SYNOPSIS"] + synopsis
    lines += [".SH DESCRIPTION"] + paragraphs([sentence(command.purpose)] + command.details)
    lines += commands + arguments + options + exitStatus + environment + examples + seeAlso
    return lines.joined(separator: "\n") + "\n"
  }

  private var synopsis: [String] {
    let words = path.joined(separator: " ")
    let usage = HelpPage(command: command, path: path).usage.dropFirst(words.count)
    return [RoffText.bold(words) + RoffText.escaped(String(usage))]
  }

  private var commands: [String] {
    guard !command.subcommands.isEmpty else { return [] }
    return [".SH COMMANDS"]
      + command.subcommands.flatMap { subcommand in
        RoffText.entry(
          RoffText.bold(subcommand.name), "\(sentence(subcommand.purpose)) See \(name)-\(subcommand.name)(1).")
      }
  }

  private var arguments: [String] {
    var entries = command.arguments.map(\.definition).flatMap { argument in
      RoffText.entry(
        RoffText.italic(argument.name), argument.purpose + (argument.limits.map { " (\($0))" } ?? ""))
    }
    if let passthrough = command.passthrough {
      entries += RoffText.entry(RoffText.bold("--") + " " + RoffText.italic(passthrough.usage), passthrough.purpose)
    }
    return entries.isEmpty ? [] : [".SH ARGUMENTS"] + entries
  }

  private var options: [String] {
    var lines = [".SH OPTIONS"]
    for section in command.sections {
      if section.title != "Options" { lines.append(".SS \"\(RoffText.escaped(section.title))\"") }
      lines += section.options.flatMap { entry($0.definition) }
    }
    lines += [".SS \"Always\""] + inherited.flatMap(entry)
    lines += RoffText.entry(RoffText.bold("--help"), "Print a help page.")
    lines += RoffText.entry(RoffText.bold("--version"), "Print the version.")
    return lines
  }

  private func entry(_ option: OptionDefinition) -> [String] {
    let facts = option.facts.joined(separator: "; ")
    let title = RoffText.bold(option.title) + (option.placeholder.map { " \(RoffText.italic($0))" } ?? "")
    return RoffText.entry(title, option.purpose + (facts.isEmpty ? "" : " (\(facts))"))
  }

  private var exitStatus: [String] {
    [".SH EXIT STATUS"] + RoffText.entry(RoffText.bold("0"), "It is done.")
      + RoffText.entry(RoffText.bold("1"), "It could not be done, or what was asked for failed.")
      + RoffText.entry(RoffText.bold("2"), "The command line, a variable or the configuration file makes no sense.")
  }

  private var environment: [String] {
    guard command.isConfigurable, let option = command.options.first else { return [] }
    let variable = OptionPlace(option, of: path).variables[0]
    var lines = [
      ".SH ENVIRONMENT",
      RoffText.escaped(
        "Every option can be set by a variable of its name, the command's before it: \(variable) is --\(option.name). "
          + "The command line counts first, then variables, then the configuration file, then the default. "
          + "See \(manual.fileName)(5)."),
    ]
    for option in command.options {
      guard let variable = option.environment else { continue }
      lines += RoffText.entry(RoffText.bold(variable), "Sets --\(option.name), for every command that has it.")
    }
    return lines
  }

  private var examples: [String] {
    guard !command.examples.isEmpty else { return [] }
    return [".SH EXAMPLES"]
      + command.examples.flatMap { [".PP", RoffText.escaped($0.purpose)] + RoffText.literal([$0.commandLine]) }
  }

  private var seeAlso: [String] {
    var names = [String]()
    if path.count > 1 { names.append("\(path.dropLast().joined(separator: "-"))(1)") }
    names += command.subcommands.map { "\(name)-\($0.name)(1)" }
    names.append("\(manual.fileName)(5)")
    return [".SH SEE ALSO", RoffText.escaped(names.joined(separator: ", "))]
  }

  private func paragraphs(_ texts: [String]) -> [String] {
    texts.flatMap { [".PP", RoffText.escaped($0)] }
  }

  private func sentence(_ purpose: String) -> String {
    let text = purpose.prefix(1).uppercased() + purpose.dropFirst()
    return text.hasSuffix(".") ? text : text + "."
  }
}
