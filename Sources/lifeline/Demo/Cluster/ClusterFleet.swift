import CoordinationCore
import Glibc
import History
import Primitives
import Reactor
import Trials

/// The demonstration's processes: a database, coordinators, workers, each on a machine of its own.
final class ClusterFleet {
  let network: any ClusterNetwork
  let database: DatabaseServer
  private let loop: EventLoop
  private let directory: String
  private let program: String
  private var processes: [String: ChildProcess] = [:]
  private var expected: Set<Int32> = []
  /// What was read of each coordinator's history.
  private var historyBytes: [String: Int] = [:]
  private var registrations: [String: [HistoryRecord]] = [:]
  private var isEnding = false
  private var onEmpty: (() -> Void)?
  /// Called with what is wrong when a process ends that nobody ended, or cannot be started.
  var onProblem: ((String) -> Void)?

  /// Short enough to see everything happen within a minute.
  private static let times = ["--heartbeat-interval", "0.5", "--heartbeat-timeout", "1.5"]
  private static let lease = "12"
  private static let closedGrace = "4"
  static let slots = 4

  init(_ network: any ClusterNetwork, directory: String, on loop: EventLoop) throws {
    self.network = network
    self.directory = directory
    self.loop = loop
    program = try FleetEnvironment.program()
    database = try DatabaseServer(log: "\(directory)/database.log", network: network.databaseNetwork, on: loop)
    database.onUnexpectedEnd = { [weak self] in self?.onProblem?($0) }
  }

  var urls: [String] { ClusterMachines.coordinators.map(network.url) }

  func startDatabase(_ ready: @escaping () -> Void) {
    database.start { [weak self] problem in if let problem { self?.onProblem?("\(problem)") } else { ready() } }
  }

  /// Starts a coordinator; `ready` is called once it listens.
  func startCoordinator(_ name: String, _ ready: @escaping () -> Void = {}) throws {
    let arguments =
      ["coordinator"] + network.listening(name)
      + [
        "--store", try network.store(for: name, database), "--name", name, "--lease", Self.lease, "--closed-grace",
        Self.closedGrace, "--history", history(of: name),
      ]
    var line = ""
    var isReady = false
    let output = ChildProcess.Output.pipe(onBytes: { [weak self] bytes in
      guard let self, !isReady else { return }
      // SAFETY: the pointer is used within the closure only.
      line += unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
      guard let end = line.firstIndex(of: "\n") else { return }
      isReady = true
      do { try network.opened(name, port: UInt16(line[..<end].split(separator: ":").last ?? "") ?? 0) } catch {
        onProblem?("\(error)")
      }
      ready()
    })
    try spawn(name, arguments + Self.times, output: output, environment: database.environment)
  }

  func startWorker(_ name: String) throws {
    try spawn(
      name,
      [
        "worker", "--worker-id", name, "--coordinator", urls.joined(separator: ","), "--slots", "\(Self.slots)",
        "--state-dir", "\(directory)/\(name)", "--reconnect-delay", "0.2", "--max-reconnect-delay", "1",
      ] + Self.times, output: .null, environment: [:])
  }

  func isRunning(_ name: String) -> Bool { processes[name] != nil }

  func kill(_ name: String) {
    guard let process = processes[name] else { return }
    expected.insert(process.pid)
    process.signal(SIGKILL)
  }

  // MARK: Who serves whom

  private func history(of name: String) -> String { "\(directory)/\(name).jsonl" }

  /// By what coordinators have written down so far.
  func failovers() -> Failovers {
    for name in ClusterMachines.coordinators { readOn(name) }
    return Failovers(registrations)
  }

  /// Reads what a history has more than the last time: all of it takes a while in the end.
  private func readOn(_ name: String) {
    guard let bytes = try? WholeFile.read(history(of: name), maxBytes: 256 << 20) else { return }
    let rest = bytes.dropFirst(historyBytes[name] ?? 0)
    // The last line may be under way.
    guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else { return }
    historyBytes[name] = bytes.index(after: end)
    guard let text = try? HistoryText(Array(rest[...end])) else { return }
    registrations[name, default: []] += text.records.filter {
      if case .registered = $0.event { true } else { false }
    }
  }

  // MARK: The end

  /// Ends everything and calls `done` once it has ended.
  func stop(_ done: @escaping () -> Void) {
    guard !isEnding else { return }
    isEnding = true
    onEmpty = done
    for name in processes.keys { kill(name) }
    callIfEmpty()
  }

  private func callIfEmpty() {
    guard isEnding, processes.isEmpty, let onEmpty else { return }
    self.onEmpty = nil
    database.kill { [self] in
      network.close()
      database.remove()
      onEmpty()
    }
  }

  private func spawn(
    _ name: String, _ arguments: [String], output: ChildProcess.Output, environment: [String: String]
  ) throws(SystemError) {
    let words = network.prefix(of: name) + ["setpriv", "--pdeathsig", "KILL", program] + arguments
    var configuration = ChildProcess.Configuration(executable: words[0], arguments: Array(words.dropFirst()))
    configuration.standardOutput = output
    configuration.group = .newSession
    configuration.environment = FleetEnvironment.variables.merging(environment) { $1 }
    let path = "\(directory)/\(name).log"
    let log = try FleetLog.open(path)
    defer { _ = Glibc.close(log) }
    configuration.standardError = .descriptor(log)
    var pid: Int32 = 0
    let process = try ChildProcess.spawn(configuration, on: loop) { [weak self] status in
      guard let self else { return }
      processes[name] = nil
      if expected.remove(pid) == nil, !isEnding { onProblem?("\(name) ended by itself: \(status)") }
      callIfEmpty()
    }
    pid = process.pid
    processes[name] = process
  }
}
