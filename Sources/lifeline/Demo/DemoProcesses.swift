import Glibc
import Primitives
import Reactor
import Trials

/// The processes of a demonstration: this program itself, each with a log of its name, started, killed and started again.
final class DemoProcesses {
  /// Short enough to see everything happen within a minute, long enough for a coordinator's restart.
  static let times = ["--heartbeat-interval", "0.5", "--heartbeat-timeout", "1.5"]

  private let loop: EventLoop
  private let directory: String
  private var processes: [String: ChildProcess] = [:]
  /// Those that were killed.
  private var expected: Set<Int32> = []
  private var isEnding = false
  private var onEmpty: (() -> Void)?
  /// Called with what is wrong when a process ends that nobody ended.
  var onProblem: ((String) -> Void)?

  init(directory: String, on loop: EventLoop) {
    self.directory = directory
    self.loop = loop
  }

  func start(
    _ name: String, _ program: String, _ arguments: [String], output: ChildProcess.Output = .null,
    environment: [String: String] = [:]
  ) throws(SystemError) {
    var configuration = ChildProcess.Configuration(executable: program, arguments: arguments)
    configuration.standardOutput = output
    configuration.group = .newSession
    configuration.environment = FleetEnvironment.variables.merging(environment) { $1 }
    let log = try FleetLog.open("\(directory)/\(name).log")
    defer { _ = Glibc.close(log) }
    configuration.standardError = .descriptor(log)
    var pid: Int32 = 0
    let process = try ChildProcess.spawn(configuration, on: loop) { [weak self] in self?.ended(name, pid, $0) }
    pid = process.pid
    processes[name] = process
  }

  private func ended(_ name: String, _ pid: Int32, _ status: Reactor.ExitStatus) {
    processes[name] = nil
    if expected.remove(pid) == nil, !isEnding { onProblem?("\(name) ended by itself: \(status)") }
    tellIfEmpty()
  }

  func kill(_ name: String) {
    guard let process = processes[name] else { return }
    expected.insert(process.pid)
    process.signal(SIGKILL)
  }

  /// Ends everything and calls `done` once it has ended.
  /// - Parameter gentle: which may take leave; the others are killed.
  func stop(gently gentle: Set<String> = [], _ done: @escaping () -> Void) {
    guard !isEnding else { return }
    isEnding = true
    onEmpty = done
    for (name, process) in processes {
      if gentle.contains(name) { process.signal(SIGTERM) } else { process.signal(SIGKILL) }
    }
    tellIfEmpty()
  }

  private func tellIfEmpty() {
    guard isEnding, processes.isEmpty else { return }
    let done = onEmpty.take()
    done?()
  }

  /// The output of a coordinator, whose first line ends with the port at which it listens.
  static func port(_ told: @escaping (UInt16) -> Void) -> ChildProcess.Output {
    var line = ""
    var isKnown = false
    return .pipe(onBytes: { bytes in
      guard !isKnown else { return }
      // SAFETY: the pointer is used within the closure only.
      line += unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
      guard let end = line.firstIndex(of: "\n") else { return }
      isKnown = true
      told(UInt16(line[..<end].split(separator: ":").last ?? "") ?? 0)
    })
  }
}
