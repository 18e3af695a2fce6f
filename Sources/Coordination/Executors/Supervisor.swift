import Glibc
import Reactor

/// The process between a worker and one command: ends the command, with all its descendants, when the worker dies, when
/// the lease runs out, or when it is told to.
///
/// The command's parent, so no process number it signals can have been given to somebody else. See
/// `SupervisorRequest` and `SupervisorReport` for what it hears on standard input and says on standard output.
public enum Supervisor {
  /// Supervises the one command that the worker names; returns the exit status for this process.
  ///
  /// - Parameter arguments: only for people who look at the list of processes.
  public static func run(arguments: [String]) -> Int32 {
    let inherited = [
      STDIN_FILENO, STDOUT_FILENO, SupervisorDescriptor.commandOutput, SupervisorDescriptor.commandError,
      SupervisorDescriptor.controlLines,
    ]
    guard inherited.allSatisfy(isPipe) else {
      return fail("lifeline supervise is started by a worker, with its pipes; it is of no use by itself", status: 2)
    }
    // Nothing that a terminal or a service manager sends to many may end it before its command.
    for number in [SIGINT, SIGHUP, SIGTERM, SIGQUIT] { _ = signal(number, SIG_IGN) }
    guard ProcessTable.adoptOrphans() else { return fail("lifeline supervise: cannot adopt orphans", status: 1) }
    do {
      let loop = try EventLoop()
      let supervision = Supervision(on: loop)
      try supervision.begin()
      withExtendedLifetime(supervision) { loop.run() }
      return 0
    } catch {
      return fail("lifeline supervise: \(error)", status: 1)
    }
  }

  private static func isPipe(_ descriptor: Int32) -> Bool {
    var status = stat()
    // SAFETY: fstat fills the local it is given.
    return unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
  }

  private static func fail(_ message: String, status: Int32) -> Int32 {
    let text = Array("\(message)\n".utf8)
    // SAFETY: the kernel reads the array's bytes during the call.
    _ = unsafe text.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
    return status
  }
}
