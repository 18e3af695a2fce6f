import Glibc

@main struct Program {
  static func main() {
    InheritedState.repair()
    ServiceEnvironment.adopt()
    let words = Array(CommandLine.arguments.dropFirst())
    // Between a worker and its command: it takes part in nothing else.
    if words.first == "supervise" { exit(Supervise.run(Array(words.dropFirst()))) }
    exit(Subcommands.run(words))
  }
}
