import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport

/// A coordinator and workers as processes, for a page to look at. Nothing of it outlives the object.
final class DashboardFleet {
  static let program = TestProcess.built("lifeline")
  private static let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"

  let directory = TemporaryDirectory()
  private(set) var coordinator: TestProcess
  private(set) var port: UInt16
  private let options: [String]
  private var others: [TestProcess] = []
  private var gates: [String: Int32] = [:]

  /// - Parameter heartbeats: how often, and for how long none may come; frequent ones are too much for a large fleet.
  init(_ options: [String] = [], heartbeats: (every: String, timeout: String) = ("500ms", "5s")) throws {
    let options = ["--heartbeat-interval", heartbeats.every, "--heartbeat-timeout", heartbeats.timeout] + options
    self.options = options
    (coordinator, port) = try Self.start(directory, port: 0, options)
  }

  deinit {
    for process in others + [coordinator] { process.signal(SIGKILL) }
    for descriptor in gates.values { close(descriptor) }
    // Commands end with their workers; the folder that they write to is removed only then.
    _ = try? eventually("end of the commands") {
      ProcessTable.entries().contains {
        $0.isAlive && $0.pid != getpid()
          && ProcessTable.environment(of: $0.pid, has: "DASHBOARD_FLEET", beginningWith: directory.path)
      } ? nil : true
    }
  }

  var url: String { "ws://127.0.0.1:\(port)" }
  var page: String { "http://127.0.0.1:\(port)/dashboard" }
  var address: SocketAddress { .loopback(port: port) }

  private static func start(
    _ directory: TemporaryDirectory, port: UInt16, _ options: [String]
  ) throws -> (TestProcess, UInt16) {
    let process = try TestProcess(
      program,
      [
        "coordinator", "--host", "127.0.0.1", "--port", "\(port)", "--store", directory.file("tasks.db"),
      ] + options)
    let line = try process.output.first("address", limit: .seconds(60)) { $0.hasPrefix("listening on ws://127.0.0.1:") }
    guard let port = line.split(separator: ":").last.flatMap({ UInt16($0) }) else {
      throw TimedOut("no port in \(line)")
    }
    return (process, port)
  }

  func killCoordinator() throws { try coordinator.kill() }

  /// The next coordinator, on the same store and port.
  func restartCoordinator() throws { (coordinator, port) = try Self.start(directory, port: port, options) }

  @discardableResult
  func worker(_ id: String, slots: Int = 2, through url: String? = nil, key: String? = nil) throws -> TestProcess {
    try start(
      [
        "worker", "--worker-id", id, "--coordinator", url ?? self.url, "--slots", "\(slots)", "--state-dir",
        directory.file("state-\(id)"), "--reconnect-delay", "100ms", "--max-reconnect-delay", "500ms",
        "--pass-env", "DASHBOARD_FLEET",
      ] + (key.map { ["--api-key", $0] } ?? []))
  }

  /// A program that the workers' commands find by its name.
  func program(_ name: String, _ text: String) throws {
    let path = directory.file(name)
    guard let file = fopen(path, "w"), fputs(text, file) >= 0, fclose(file) == 0, chmod(path, 0o700) == 0 else {
      throw TimedOut("\(path) cannot be written: errno \(errno)")
    }
  }

  /// Starts any command of ours, which ends with the fleet at the latest.
  @discardableResult
  func start(_ arguments: [String], input: String? = nil) throws -> TestProcess {
    let process = try TestProcess(
      Self.program, arguments,
      environment: [
        "DASHBOARD_FLEET": directory.path, "LIFELINE_COORDINATOR": url, "TMPDIR": directory.path,
        "PATH": "\(directory.path):\(Self.path)",
      ], input: input)
    others.append(process)
    return process
  }

  /// Runs a command to its end; what it printed.
  @discardableResult
  func run(_ arguments: [String], input: String? = nil) throws -> String {
    let process = try start(arguments, input: input)
    let status = try process.exit(limit: .seconds(60))
    guard status == .exited(0) else { throw TimedOut("lifeline \(arguments): \(status) \(process.errors.all)") }
    return process.output.all.joined(separator: "\n")
  }

  /// Submits one shell script; the task's id.
  func submit(_ script: String, run: String, name: String? = nil, options: [String] = []) throws -> String {
    try self.run(
      ["submit", "--run", run] + (name.map { ["--name", $0] } ?? []) + options + ["--", "sh", "-c", script])
  }

  /// A pipe at which a script waits: `read -r _ < "$DASHBOARD_FLEET/NAME"` ends once it was opened.
  func gate(_ name: String) throws {
    let path = directory.file(name)
    guard mkfifo(path, 0o600) == 0 else { throw TimedOut("mkfifo \(path): errno \(errno)") }
    gates[name] = Glibc.open(path, O_RDWR | O_CLOEXEC)
  }

  func open(_ gate: String) { if let descriptor = gates[gate] { write(descriptor, "go\n", 3) } }
}
