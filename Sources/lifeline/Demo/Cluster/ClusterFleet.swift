import CoordinationCore
import History
import Primitives
import Reactor
import Trials

/// The demonstration's processes: a database, coordinators, workers, each on a machine of its own.
final class ClusterFleet {
  let network: any ClusterNetwork
  let database: DatabaseServer
  private let directory: String
  private let program: String
  private let processes: DemoProcesses
  /// What was read of each coordinator's history.
  private var historyBytes: [String: Int] = [:]
  private var registrations: [String: [HistoryRecord]] = [:]
  /// Called with what is wrong when a process ends that nobody ended, or cannot be started.
  var onProblem: ((String) -> Void)?

  private static let lease = "12"
  private static let closedGrace = "4"
  static let slots = 4

  init(_ network: any ClusterNetwork, directory: String, on loop: EventLoop) throws {
    self.network = network
    self.directory = directory
    processes = DemoProcesses(directory: directory, on: loop)
    program = try FleetEnvironment.program()
    database = try DatabaseServer(log: "\(directory)/database.log", network: network.databaseNetwork, on: loop)
    database.onUnexpectedEnd = { [weak self] in self?.onProblem?($0) }
    processes.onProblem = { [weak self] in self?.onProblem?($0) }
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
    let output = DemoProcesses.port { [weak self] port in
      guard let self else { return }
      do { try network.opened(name, port: port) } catch { onProblem?("\(error)") }
      ready()
    }
    try spawn(name, arguments + DemoProcesses.times, output: output, environment: database.environment)
  }

  func startWorker(_ name: String) throws {
    try spawn(
      name,
      [
        "worker", "--worker-id", name, "--coordinator", urls.joined(separator: ","), "--slots", "\(Self.slots)",
        "--state-dir", "\(directory)/\(name)", "--reconnect-delay", "0.2", "--max-reconnect-delay", "1",
      ] + DemoProcesses.times)
  }

  func kill(_ name: String) { processes.kill(name) }

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
    processes.stop { [self] in
      database.kill { [self] in
        network.close()
        database.remove()
        done()
      }
    }
  }

  private func spawn(
    _ name: String, _ arguments: [String], output: ChildProcess.Output = .null, environment: [String: String] = [:]
  ) throws(SystemError) {
    let words = network.prefix(of: name) + ["setpriv", "--pdeathsig", "KILL", program] + arguments
    try processes.start(name, words[0], Array(words.dropFirst()), output: output, environment: environment)
  }
}
