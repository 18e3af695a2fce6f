import ArgumentParsing
import Configuration
import CoordinationCore
import Glibc
import Terminal

/// One of the program's commands: what it takes, and what it does.
protocol Subcommand {
  static var command: ArgumentParsing.Command { get }

  /// Does it all and returns the exit status: 0 good, 1 the job failed. A usage error becomes 2.
  static func run(_ invocation: Invocation) throws(UsageError) -> Int32
}

/// The program's commands, and the way from a command line to one of them.
enum Subcommands {
  static var all: [any Subcommand.Type] {
    [
      CoordinatorCommand.self, WorkerCommand.self, RunCommand.self, SubmitCommand.self, TasksCommand.self,
      TaskCommand.self, WorkersCommand.self, QueueCommand.self, LogsCommand.self, FetchCommand.self, CancelCommand.self,
      PauseCommand.self, ResumeCommand.self, RetryCommand.self, CheckpointCommand.self, DrainCommand.self,
      DemoCommand.self, ProxyCommand.self, ProxyControlCommand.self,
      SimulateCommand.self, EndToEndCommand.self, StressCommand.self, TestCommand.self, FleetCommand.self,
      QuarantineCommand.self, KeysCommand.self, CertsCommand.self, ConfigCommand.self, DocsCommand.self,
      HealthCommand.self,
    ]
  }

  static var root: ArgumentParsing.Command {
    ArgumentParsing.Command(
      "lifeline", "runs commands over a fleet of workers and loses nothing",
      details: [
        "A coordinator keeps the tasks, workers run them, and everything else talks to the coordinator. Any of them may be "
          + "killed, restarted or cut off at any time: every task still ends exactly once."
      ],
      options: [ConfigurationPlace.file],
      examples: [
        Example("lifeline coordinator --store lifeline.db", "Keep tasks in a file and wait for workers."),
        Example("lifeline worker", "Run tasks on this machine."),
        Example("lifeline run -- make test", "Run one command somewhere in the fleet and wait for it."),
        Example("ls tests/*.py | sed 's/^/pytest /' | lifeline run", "Run one command for each line."),
      ],
      subcommands: all.map { $0.command })
  }

  static func run(_ words: [String]) -> Int32 {
    DescriptorWriter.ignoreBrokenPipeSignal()
    do {
      switch try ArgumentParser(root, version: Version.text).read(words) {
      case .help(let page):
        Console.standard.write(page.text(columns: TerminalDevice.columns(STDOUT_FILENO) ?? TerminalDevice.usualColumns))
        return 0
      case .version(let text):
        Console.standard.write("\(text)\n")
        return 0
      case .command(let reading):
        let variables = Surroundings.variables
        let file = reading.command.isConfigurable ? try ConfigurationPlace.file(for: reading, variables) : nil
        let invocation = try reading.finish(environment: variables, settings: file?.settings(for: reading) ?? [:])
        guard let subcommand = all.first(where: { $0.command.name == invocation.path.dropFirst().first }) else {
          preconditionFailure("\(invocation.path) was parsed and is not there")
        }
        return try subcommand.run(invocation)
      }
    } catch {
      Console.standard.complain("\(error)")
      if error is ConfigurationProblems {
        Console.standard.complain("Try 'lifeline config check', or --config /dev/null to do without.")
      }
      return UsageError.exitStatus
    }
  }
}

enum Version {
  static let text = ProductVersion.text
  /// What the manual pages are dated, so that they do not change from day to day.
  static let date = "2026-12-01"
}
