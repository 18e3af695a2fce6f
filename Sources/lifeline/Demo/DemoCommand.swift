import ArgumentParsing
import Coordination
import CoordinationCore
import Glibc
import Primitives
import Reactor
import Terminal

/// `lifeline demo`
enum DemoCommand: Subcommand {
  private static let keep = Option(flag: "keep", "Keep the store and the logs, and say where they are.")
  private static let cluster = Option(
    flag: "cluster",
    "Instead: three coordinators on PostgreSQL (Debian's, started for it) and six workers; coordinators are killed and cut "
      + "off, and so is the database.")
  private static let network = Option(
    "network", .choice(["loopback", "namespaces"]), default: "loopback", as: "KIND",
    "With --cluster, how machines are told apart: by addresses of the loopback interface, or by network namespaces, within "
      + "one that this process is in alone (Scripts/demo-cluster.sh makes it).")

  static let command = ArgumentParsing.Command(
    "demo", "shows a fleet that loses its network, a worker and its coordinator, and no work",
    details: [
      "Starts a coordinator and three workers as processes of their own, submits forty shell commands, cuts every "
        + "connection twice, kills a worker and the coordinator with SIGKILL while they run, and starts both again. It ends "
        + "within a minute with a table of what became of each command, checked against what it must have printed."
    ],
    options: [keep, cluster, network],
    examples: [
      Example("lifeline demo", "Everything in a temporary folder that is removed at the end."),
      Example("lifeline demo --cluster", "What becomes of work when coordinators and their database are lost."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    var template = Array("/tmp/lifeline-demo-XXXXXX".utf8CString)
    // SAFETY: mkdtemp changes the six last characters in place.
    guard unsafe mkdtemp(&template) != nil else {
      Console.standard.complain("lifeline demo: cannot make a folder in /tmp: \(SystemError.message(of: errno))")
      return 1
    }
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    do {
      let loop = try EventLoop()
      let passed: Bool
      let isInterrupted: Bool
      if invocation[cluster] {
        let network: any ClusterNetwork =
          invocation[Self.network] == "namespaces" ? NamespaceNetwork(on: loop) : LoopbackNetwork(on: loop)
        let show = try ClusterShow(network, directory: directory, on: loop)
        show.start()
        isInterrupted = try serve(loop) { show.interrupt() }
        passed = show.report()
      } else {
        let show = DemoShow(directory: directory, on: loop)
        show.start()
        isInterrupted = try serve(loop) { show.interrupt() }
        passed = show.report()
      }
      if invocation[keep] || !(passed || isInterrupted) {
        Console.standard.write(line: "The store and the logs are in \(directory)")
      } else {
        FileTree.remove(directory)
      }
      return passed ? 0 : 1
    } catch {
      Console.standard.complain("lifeline demo: \(error)")
      return 1
    }
  }

  /// Serves the loop to its end; a signal calls `interrupted`.
  /// - Returns: whether there was one.
  private static func serve(_ loop: EventLoop, _ interrupted: @escaping () -> Void) throws -> Bool {
    var isInterrupted = false
    let signals = try [SIGINT, SIGTERM, SIGHUP].map { number in
      try loop.onSignal(number) {
        isInterrupted = true
        interrupted()
      }
    }
    loop.run()
    for signal in signals { signal.cancel() }
    return isInterrupted
  }
}
