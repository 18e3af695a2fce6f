import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

/// A fleet of real processes: one coordinator on a SQLite file, any number of workers, and a client that watches.
///
/// Commands find `E2E`, the fleet's folder, in their environment, and `J`, a pipe whose lines the test reads in the order
/// they were written: the journal. Nothing of the fleet outlives the object.
final class Fleet {
  static let program = TestProcess.built("lifeline")

  let directory = TemporaryDirectory()
  let journal: Journal
  private(set) var watch: FleetWatch
  private(set) var coordinator: TestProcess
  private(set) var port: UInt16
  private let lease: Duration
  private let extra: [String]
  private var workers: [TestProcess] = []
  private var gates: [String: Int32] = [:]

  /// Short times, so that what takes half a minute in production takes a second here.
  static let heartbeatInterval = "100ms"
  static let heartbeatTimeout = "1200ms"

  /// - Parameter lease: long where it must not run out on a busy machine, short where it must.
  init(lease: Duration = .seconds(15), coordinatorOptions: [String] = []) throws {
    self.lease = lease
    extra = coordinatorOptions
    journal = try Journal(directory.file("journal"))
    (coordinator, port) = try Self.coordinator(directory, lease, port: 0, extra)
    watch = try FleetWatch("ws://127.0.0.1:\(port)")
  }

  deinit {
    watch.stop()
    for process in workers + [coordinator] { process.signal(SIGKILL) }
    for descriptor in gates.values { close(descriptor) }
    journal.close()
    // Supervising processes end their commands by themselves; what a broken one leaves is found by its environment.
    let end = MonotonicClock.now() + .seconds(5)
    while MonotonicClock.now() < end {
      let left = processes("E2E", directory.path)
      if left.isEmpty { break }
      for pid in left { kill(pid, SIGKILL) }
      poll(nil, 0, 2)
    }
  }

  var url: String { "ws://127.0.0.1:\(port)" }
  var address: SocketAddress { .loopback(port: port) }
  var store: String { directory.file("tasks.db") }

  // MARK: The coordinator

  private static func coordinator(
    _ directory: TemporaryDirectory, _ lease: Duration, port: UInt16, _ extra: [String]
  ) throws -> (TestProcess, UInt16) {
    let process = try TestProcess(
      program,
      [
        "coordinator", "--host", "127.0.0.1", "--port", "\(port)", "--store", directory.file("tasks.db"),
        "--heartbeat-interval", heartbeatInterval, "--heartbeat-timeout", heartbeatTimeout, "--lease",
        "\(lease.wholeMilliseconds)ms", "--log-level", "DEBUG",
      ] + extra, environment: ["E2E": directory.path])
    let line = try process.output.first("address") { $0.hasPrefix("listening on ws://127.0.0.1:") }
    guard let port = line.split(separator: ":").last.flatMap({ UInt16($0) }) else {
      throw TimedOut("no port in \(line)")
    }
    return (process, port)
  }

  func killCoordinator() throws { try coordinator.kill() }

  /// Starts the next coordinator on the same file and port.
  func restartCoordinator() throws {
    (coordinator, port) = try Self.coordinator(directory, lease, port: port, extra)
  }

  // MARK: Workers

  /// Starts a worker; the test waits for `registered` if it matters.
  func startWorker(
    _ id: String, slots: Int = 1, through relay: FaultRelay? = nil, state: String = "state", options: [String] = []
  ) throws -> TestProcess {
    let process = try TestProcess(
      Self.program,
      [
        "worker", "--worker-id", id, "--coordinator", relay?.url ?? url, "--slots", "\(slots)", "--state-dir",
        directory.file(state), "--heartbeat-interval", Self.heartbeatInterval, "--heartbeat-timeout",
        Self.heartbeatTimeout, "--reconnect-delay", "50ms", "--max-reconnect-delay", "200ms", "--log-level", "DEBUG",
        "--pass-env", "E2E", "--pass-env", "J",
      ] + options, environment: ["E2E": directory.path, "J": journal.path, "TMPDIR": directory.path])
    workers.append(process)
    return process
  }

  /// The same, and it is registered when this returns.
  func worker(_ id: String, slots: Int = 1, through relay: FaultRelay? = nil) throws -> TestProcess {
    let process = try startWorker(id, slots: slots, through: relay)
    try process.registered()
    return process
  }

  /// The file that keeps a worker's results until the coordinator has them.
  func outbox(_ worker: String) -> String { directory.file("state/\(worker).outbox") }

  // MARK: Tasks, through the client commands

  /// Runs a client command to its end.
  func client(_ arguments: [String], input: String? = nil, expecting status: Reactor.ExitStatus = .exited(0)) throws
    -> String
  {
    let process = try start(arguments, input: input)
    let found = try process.exit()
    guard found == status else {
      throw TimedOut(
        "lifeline \(arguments.joined(separator: " ")): \(found)\n\(process.errors.all.joined(separator: "\n"))")
    }
    return process.output.all.joined(separator: "\n")
  }

  /// Starts a client command.
  func start(_ arguments: [String], input: String? = nil) throws -> TestProcess {
    try TestProcess(Self.program, arguments, environment: ["LIFELINE_COORDINATOR": url], input: input)
  }

  /// `lifeline submit`: one task, which runs a shell script.
  func submit(_ name: String, _ script: String, options: [String] = []) throws -> String {
    let id = try client(["submit", "--run", name] + options + ["--", "sh", "-c", script])
    #expect(id == "\(name)-0001")
    return id
  }

  /// `lifeline task ID --json`
  func task(_ id: String) throws -> JSONObject {
    let text = try client(["task", id, "--json"])
    guard let object = try JSONParser.parse(text).object else { throw TimedOut("task \(id): \(text)") }
    return object
  }

  /// `lifeline tasks --json`
  func tasks() throws -> [JSONObject] {
    try (JSONParser.parse(client(["tasks", "--json"])).array ?? []).compactMap(\.object)
  }

  /// Waits until the task has ended; all that is known of it.
  func ended(_ id: String, limit: Duration = .seconds(60)) throws -> JSONObject {
    try watch.tasks.first("end of \(id)", limit: limit) { $0.text("task_id") == id && $0.hasEnded }
    return try task(id)
  }

  /// Waits until the coordinator has said that the task is in this state.
  func reached(_ status: String, _ id: String) throws {
    try watch.tasks.first("\(id) \(status)") { $0.text("task_id") == id && $0.text("status") == status }
  }

  /// Waits until so many checkpoints of a task are durable.
  func checkpoints(_ count: Int, of id: String) throws {
    try eventually("\(count) checkpoints of \(id)") {
      (try watch.ask("get_task", ["task_id": .string(id)])["task"]?.object?["checkpoints"]?.array?.count ?? 0) >= count
        ? true : nil
    }
  }

  // MARK: What commands wait for

  /// A pipe that commands wait at: `read -r _ < "$E2E/NAME"` ends once `open` was called for each that waits.
  func gate(_ name: String) throws {
    let path = directory.file(name)
    guard mkfifo(path, 0o600) == 0 else { throw TimedOut("mkfifo \(path): errno \(errno)") }
    // Open for both, it can be written to before anyone reads, and no reader ever sees its end.
    gates[name] = Glibc.open(path, O_RDWR | O_CLOEXEC)
  }

  func open(_ gate: String, times: Int = 1) {
    guard let descriptor = gates[gate] else { return }
    for _ in 0..<times { write(descriptor, "go\n", 3) }
  }

  /// This fleet's living processes that were started with a variable whose value begins so.
  func processes(_ name: String, _ value: String) -> [Int32] {
    let me = getpid()
    return ProcessTable.entries().filter {
      $0.isAlive && $0.pid != me && ProcessTable.environment(of: $0.pid, has: "E2E", beginningWith: directory.path)
        && ProcessTable.environment(of: $0.pid, has: name, beginningWith: value)
    }.map(\.pid)
  }
}

extension TestProcess {
  /// Waits for a worker's registration, the `count`th since its start.
  func registered(_ count: Int = 1) throws {
    try errors.wait(for: "registration \(count)") { lines in
      lines.count { $0.contains("worker: registered") } >= count ? true : nil
    }
  }

  /// Waits for a line of its log.
  @discardableResult
  func logs(_ text: String, limit: Duration = .seconds(60)) throws -> String {
    try errors.first("line with \"\(text)\"", limit: limit) { $0.contains(text) }
  }
}

extension JSONObject {
  func text(_ name: String) -> String { self[name]?.string ?? "" }
  func number(_ name: String) -> Int { Int(self[name]?.integer ?? -1) }

  var hasEnded: Bool { TaskStatus(rawValue: text("status"))?.isTerminal ?? false }

  /// How each attempt ended, in order.
  var outcomes: [String] { attempts.map { $0.text("outcome") } }
  var attempts: [JSONObject] { (self["attempts"]?.array ?? []).compactMap(\.object) }
}
