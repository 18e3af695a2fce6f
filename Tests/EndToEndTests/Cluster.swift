import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

/// Two coordinators of real processes on a PostgreSQL, any number of workers, and a client that watches through both.
///
/// Commands find `E2E`, the cluster's folder, and `J`, the journal, as those of a `Fleet` do. Nothing outlives the object.
final class Cluster {
  /// Which of the two.
  enum Name: String, CaseIterable {
    case a, b
    var other: Name { self == .a ? .b : .a }
  }

  let directory = TemporaryDirectory()
  let journal: Journal
  private(set) var watch: FleetWatch
  private(set) var coordinators: [Name: TestProcess] = [:]
  private var ports: [Name: UInt16] = [:]
  private let store: String
  private let memberLease: String
  private var workers: [TestProcess] = []
  private var gates: [String: Int32] = [:]

  /// - Parameters:
  ///   - store: a database of its own.
  ///   - memberLease: how long a coordinator may be silent before the other takes over.
  init(store: String, memberLease: String = "1s") throws {
    self.store = store
    self.memberLease = memberLease
    journal = try Journal(directory.file("journal"))
    let started = try Name.allCases.map { name in
      (name, try Self.coordinator(name, port: 0, store: store, memberLease))
    }
    for (name, (process, port)) in started { (coordinators[name], ports[name]) = (process, port) }
    watch = try FleetWatch(started.map { "ws://127.0.0.1:\($0.1.1)" }.joined(separator: ","))
  }

  deinit {
    watch.stop()
    for process in workers + coordinators.values { process.signal(SIGKILL) }
    for descriptor in gates.values { close(descriptor) }
    journal.close()
    let end = MonotonicClock.now() + .seconds(5)
    while MonotonicClock.now() < end {
      let left = commands
      if left.isEmpty { break }
      for pid in left { kill(pid, SIGKILL) }
      poll(nil, 0, 2)
    }
  }

  /// Processes that workers of this cluster have started, and those workers.
  private var commands: [Int32] {
    let me = getpid()
    return ProcessTable.entries().filter {
      $0.isAlive && $0.pid != me && ProcessTable.environment(of: $0.pid, has: "E2E", beginningWith: directory.path)
    }.map(\.pid)
  }

  func address(_ name: Name) -> SocketAddress { .loopback(port: ports[name] ?? 0) }
  func url(_ name: Name) -> String { "ws://127.0.0.1:\(ports[name] ?? 0)" }
  var urls: String { Name.allCases.map(url).joined(separator: ",") }

  // MARK: Coordinators

  private static func coordinator(
    _ name: Name, port: UInt16, store: String, _ memberLease: String
  ) throws -> (TestProcess, UInt16) {
    let process = try TestProcess(
      Fleet.program,
      [
        "coordinator", "--host", "127.0.0.1", "--port", "\(port)", "--store", store, "--name", name.rawValue,
        "--member-lease", memberLease, "--heartbeat-interval", Fleet.heartbeatInterval, "--heartbeat-timeout",
        Fleet.heartbeatTimeout, "--lease", "30s", "--closed-grace", "20s", "--log-level", "DEBUG",
      ])
    let line = try process.output.first("address", limit: .seconds(30)) {
      $0.hasPrefix("listening on ws://127.0.0.1:")
    }
    guard let port = line.split(separator: ":").last.flatMap({ UInt16($0) }) else {
      throw TimedOut("no port in \(line)")
    }
    return (process, port)
  }

  func coordinator(_ name: Name) throws -> TestProcess { try #require(coordinators[name]) }

  /// The coordinator that a worker registered with first.
  func firstHolder(of worker: String) throws -> Name {
    try eventually("registration of \(worker)") {
      Name.allCases.first { name in
        coordinators[name]?.errors.all.contains { $0.contains("worker registered") && $0.contains("=\(worker) ") }
          ?? false
      }
    }
  }

  // MARK: Workers

  /// Starts a worker, and it is registered when this returns.
  /// - Parameters:
  ///   - coordinator: the only one that it knows; `nil`: it knows both.
  ///   - relays: the ways to them.
  func worker(
    _ id: String, slots: Int = 1, at coordinator: Name? = nil, through relays: [FaultRelay] = [],
    options: [String] = []
  ) throws -> TestProcess {
    let known = relays.isEmpty ? coordinator.map(url) ?? urls : relays.map(\.url).joined(separator: ",")
    let process = try TestProcess(
      Fleet.program,
      [
        "worker", "--worker-id", id, "--coordinator", known, "--slots", "\(slots)",
        "--state-dir", directory.file("state"), "--heartbeat-interval", Fleet.heartbeatInterval,
        "--heartbeat-timeout", Fleet.heartbeatTimeout, "--reconnect-delay", "50ms", "--max-reconnect-delay", "200ms",
        "--log-level", "DEBUG", "--pass-env", "E2E", "--pass-env", "J",
      ] + options, environment: ["E2E": directory.path, "J": journal.path, "TMPDIR": directory.path])
    workers.append(process)
    try process.registered()
    return process
  }

  // MARK: Tasks

  /// Runs a client command at one coordinator to its end; its output.
  func client(
    _ name: Name, _ arguments: [String], input: String? = nil, expecting status: Reactor.ExitStatus = .exited(0)
  ) throws -> String {
    let process = try TestProcess(
      Fleet.program, arguments, environment: ["LIFELINE_COORDINATOR": url(name)], input: input)
    let found = try process.exit(limit: .seconds(60))
    guard found == status else {
      throw TimedOut(
        "lifeline \(arguments.joined(separator: " ")) at \(name): \(found)\n"
          + process.errors.all.joined(separator: "\n"))
    }
    return process.output.all.joined(separator: "\n")
  }

  /// What the API of one coordinator shows.
  func get(_ path: String, at name: Name) throws -> JSONObject {
    let socket = try BlockingSocket(to: .loopback(port: ports[name] ?? 0))
    try socket.send("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    let text = String(decoding: try socket.receiveToEnd(), as: UTF8.self)
    guard let start = text.firstRange(of: "\r\n\r\n")?.upperBound,
      let object = try JSONParser.parse(Array(text[start...].utf8)).object
    else { throw TimedOut("\(path): \(text)") }
    return object
  }

  func submit(_ run: String, _ script: String, at name: Name, options: [String] = []) throws -> String {
    let id = try client(name, ["submit", "--run", run] + options + ["--", "sh", "-c", script])
    #expect(id == "\(run)-0001")
    return id
  }

  func task(_ id: String, at name: Name) throws -> JSONObject {
    let text = try client(name, ["task", id, "--json"])
    guard let object = try JSONParser.parse(text).object else { throw TimedOut("task \(id): \(text)") }
    return object
  }

  /// Waits until the task has ended; all that is known of it at one coordinator, which may be without its database at
  /// first.
  func ended(_ id: String, at name: Name) throws -> JSONObject {
    try eventually("end of \(id)", limit: .seconds(30)) {
      guard let task = try? task(id, at: name), task.hasEnded else { return nil }
      return task
    }
  }

  /// Waits until a coordinator has said that the task is in this state.
  func reached(_ status: String, _ id: String) throws {
    try watch.tasks.first("\(id) \(status)") { $0.text("task_id") == id && $0.text("status") == status }
  }

  // MARK: What commands wait for

  /// As a fleet's gate.
  func gate(_ name: String) throws {
    let path = directory.file(name)
    guard mkfifo(path, 0o600) == 0 else { throw TimedOut("mkfifo \(path): errno \(errno)") }
    gates[name] = Glibc.open(path, O_RDWR | O_CLOEXEC)
  }

  func open(_ gate: String) {
    if let descriptor = gates[gate] { write(descriptor, "go\n", 3) }
  }
}
