import ArgumentParsing
import Certificates
import CommandDocuments
import Glibc
import Primitives
import Reactor

/// `lifeline docs`: what packages carry beside the program, written from the declarations of its commands.
enum DocsCommand: Subcommand {
  private static let folder = Option(
    required: "to", .string, as: "DIR",
    "Where the pages are put; made if it is missing, though not the folders above it.")
  private static let shell = Argument("SHELL", ArgumentType<Shell>.choice, "Whose completion.")

  enum Shell: String, CaseIterable, Sendable { case bash }

  static let command = ArgumentParsing.Command(
    "docs", "writes manual pages and shell completion",
    details: ["Both are made of what the commands declare, so they fit this program and no other version of it."],
    examples: [
      Example("lifeline docs man --to man", "Write the manual pages."),
      Example("source <(lifeline docs completion bash)", "Let the Tab key complete command lines of lifeline."),
    ],
    subcommands: [
      ArgumentParsing.Command(
        "man", "writes a manual page for each command, and one for the configuration file",
        details: [
          "The pages carry the version's date, or that of SOURCE_DATE_EPOCH: made twice, they are the same to the byte."
        ],
        options: [folder],
        examples: [
          Example("lifeline docs man --to man && man man/lifeline-run.1", "Write them all, and read one.")
        ], isConfigurable: false),
      ArgumentParsing.Command(
        "completion", "prints a script that completes command lines of lifeline",
        details: [
          "It completes commands, options, words and files that they take, and the tasks and workers that a coordinator "
            + "knows, if one answers at once."
        ],
        arguments: [shell],
        examples: [
          Example("source <(lifeline docs completion bash)", "Use it in this shell."),
          Example(
            "autoload -U +X bashcompinit && bashcompinit && source <(lifeline docs completion bash)",
            "Use it in zsh, after compinit."),
          Example(
            "lifeline docs completion bash > ~/.local/share/bash-completion/completions/lifeline", "Use it from now on."
          ),
        ], isConfigurable: false),
    ], isConfigurable: false)

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    guard invocation.path.last == "man" else {
      Console.standard.write(
        BashCompletion(of: Subcommands.root, listingOptions: [("patience", "0.5"), ("limit", "1000")]).text)
      return 0
    }
    let folder = invocation[folder]
    do {
      // SAFETY: the path lives for the call.
      guard unsafe mkdir(folder, 0o755) == 0 || errno == EEXIST else {
        throw SystemError(call: "mkdir", subject: folder, code: errno)
      }
      for page in manual.pages { try PEMFile.write(page.text, to: "\(folder)/\(page.fileName)", .open) }
      return 0
    } catch {
      Console.standard.complain("lifeline docs man: \(error)")
      return 1
    }
  }

  private static var manual: Manual {
    Manual(
      of: Subcommands.root, title: "Lifeline \(Version.text)", date: date, fileName: "lifeline.toml",
      filePlaces: ConfigurationPlace.described)
  }

  /// The day of `SOURCE_DATE_EPOCH`, by which whoever builds packages dates everything in them; otherwise the version's.
  private static var date: String {
    guard let text = Surroundings.variables["SOURCE_DATE_EPOCH"], let seconds = Int64(text),
      case (let milliseconds, false) = seconds.multipliedReportingOverflow(by: 1_000), seconds >= 0
    else { return Version.date }
    return String(WallTime(milliseconds: milliseconds).iso8601.prefix { $0 != "T" })
  }
}
