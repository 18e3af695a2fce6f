import Coordination

/// `lifeline supervise`: what a worker starts for each command; not for people, so no help mentions it.
enum Supervise {
  static func run(_ arguments: [String]) -> Int32 { Supervisor.run(arguments: arguments) }
}
