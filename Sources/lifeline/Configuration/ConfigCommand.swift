import ArgumentParsing
import Configuration
import Terminal

/// `lifeline config`: what stands in the configuration file, and what counts in the end.
enum ConfigCommand: Subcommand {
  private static let checkedFile = Argument(
    "FILE", optional: .string, "The file; the one that commands would read when left out.")
  private static let shown = Argument(
    "COMMAND", repeated: .string, "The command whose options are shown; what is set for any command when left out.")
  static let all = Option(flag: "all", "Without COMMAND: show what is at its default, too.")

  static let command = ArgumentParsing.Command(
    "config", "checks and explains the configuration file",
    details: [
      "Every option of every command can stand in a file, in a table of the command's name, and be set by a variable: "
        + "LIFELINE_COORDINATOR_PORT is port of [coordinator]. The command line counts first, then variables, then the file, "
        + "then the default.",
      "The file is what --config or LIFELINE_CONFIG names; else $XDG_CONFIG_HOME/lifeline/config.toml "
        + "(~/.config/lifeline/config.toml), else /etc/lifeline/config.toml, whichever is there first.",
    ],
    examples: [
      Example(
        "lifeline config example > ~/.config/lifeline/config.toml", "Begin with a file in which all is commented out."),
      Example("lifeline config check", "See what is wrong in it."),
      Example("lifeline config show", "See what it changes."),
    ],
    subcommands: [
      ArgumentParsing.Command(
        "check", "tells everything that is wrong in a configuration file",
        details: ["The exit status is 0 if nothing is wrong, otherwise 1."],
        arguments: [checkedFile],
        examples: [
          Example("lifeline config check", "Check the file that commands read."),
          Example("lifeline config check lifeline.toml", "Check another before it takes its place."),
        ], isConfigurable: false),
      ArgumentParsing.Command(
        "show", "shows the options in force and where each comes from",
        details: ["Keys are not shown. Nothing is checked beyond what each option demands for itself."],
        arguments: [shown], options: [all, ClientOptions.json],
        passthrough: Passthrough("OPTION…", "The options that the command would be given."),
        examples: [
          Example("lifeline config show", "What is set, for which command, and by what."),
          Example("lifeline config show coordinator", "All options of a command."),
          Example("lifeline config show worker -- --slots 4", "As a command line would have it."),
        ], isConfigurable: false),
      ArgumentParsing.Command(
        "example", "prints a configuration file with every option, commented out",
        examples: [Example("lifeline config example > config.toml", "Begin with it.")], isConfigurable: false),
    ], isConfigurable: false)

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    switch invocation.path.last {
    case "check": return check(invocation)
    case "show": return try ConfigurationShow.run(invocation, command: invocation[shown])
    default:
      Console.standard.write(
        ConfigurationExample(
          of: Subcommands.root,
          introduction: [
            "Configuration of lifeline \(Version.text). Remove the # before an option to set it; what is there now is its "
              + "default, or something of its kind. lifeline.toml(5) explains the file, lifeline config check checks it.",
            "The command line counts first, then variables such as LIFELINE_COORDINATOR_PORT, then this file.",
          ]
        ).text)
      return 0
    }
  }

  private static func check(_ invocation: Invocation) -> Int32 {
    let variables = Surroundings.variables
    do throws(ConfigurationFailure) {
      guard
        let path = invocation[checkedFile]
          ?? ConfigurationPlace.path(named: invocation[ConfigurationPlace.file], variables)
      else {
        Console.standard.write("there is no configuration file; every option is at its default\n")
        return 0
      }
      let file = try ConfigurationPlace.read(path, variables)
      for problem in file.problems { Console.standard.complain("\(problem)") }
      guard file.problems.isEmpty else {
        Console.standard.complain("\(file.problems.count == 1 ? "1 problem" : "\(file.problems.count) problems")")
        return 1
      }
      Console.standard.write("\(path): nothing is wrong\n")
      return 0
    } catch {
      Console.standard.complain("\(error)")
      return 1
    }
  }
}
