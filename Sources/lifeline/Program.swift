import Glibc

@main struct Program {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst()
    if arguments.first == "supervise" { exit(Supervise.run(Array(arguments.dropFirst()))) }
  }
}
