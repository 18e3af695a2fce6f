import CoordinationCore
import FaultProxy
import Glibc
import Primitives
import Reactor
import Trials

/// The demonstration's processes: a coordinator and its workers, this program itself, started, killed and started again.
final class DemoFleet {
  private let loop: EventLoop
  private let program: String
  private let directory: String
  private var coordinator: ChildProcess?
  private var workers: [String: ChildProcess] = [:]
  private(set) var proxy: FaultProxy?
  private(set) var address: SocketAddress?
  private var isEnding = false
  private var onEmpty: (() -> Void)?
  /// Called when a process ends that nobody ended.
  var onUnexpectedEnd: ((String, Reactor.ExitStatus) -> Void)?
  private var expected: Set<Int32> = []

  /// Short enough to see everything happen within half a minute, long enough for a coordinator's restart.
  private static let times = ["--heartbeat-interval", "0.5", "--heartbeat-timeout", "1.5"]
  static let lease = "4"

  init(directory: String, on loop: EventLoop) {
    self.loop = loop
    self.directory = directory
    program = "/proc/self/exe"
  }

  var url: String { "ws://127.0.0.1:\(address?.port ?? 0)" }

  /// Starts the coordinator; `ready` is called with what it said first.
  func startCoordinator(_ ready: @escaping () -> Void) throws(SystemError) {
    var configuration = process(
      "coordinator",
      [
        "coordinator", "--host", "127.0.0.1", "--port", "\(address?.port ?? 0)", "--store", "\(directory)/demo.db",
        "--lease", Self.lease,
      ] + Self.times)
    var line = ""
    var isReady = false
    configuration.standardOutput = .pipe(onBytes: { [weak self] bytes in
      guard let self, !isReady else { return }
      line += Self.text(bytes)
      guard let end = line.firstIndex(of: "\n") else { return }
      isReady = true
      let port = UInt16(line[..<end].split(separator: ":").last ?? "") ?? 0
      address = SocketAddress.loopback(port: port)
      ready()
    })
    coordinator = try spawn("coordinator", configuration) { [weak self] in self?.coordinator = nil }
  }

  /// Puts a relay in front of the coordinator; workers connect through it.
  func startProxy() throws(SystemError) {
    guard let address else { return }
    proxy = try FaultProxy(to: address, on: loop)
  }

  func startWorker(_ name: String) throws(SystemError) {
    let configuration = process(
      name,
      [
        "worker", "--worker-id", name, "--coordinator", "ws://127.0.0.1:\(proxy?.address.port ?? 0)", "--slots", "4",
        "--state-dir", "\(directory)/\(name)", "--reconnect-delay", "0.3", "--max-reconnect-delay", "1",
      ] + Self.times)
    workers[name] = try spawn(name, configuration) { [weak self] in self?.workers[name] = nil }
  }

  func killWorker(_ name: String) { kill(workers[name]) }
  func killCoordinator() { kill(coordinator) }

  private func kill(_ process: ChildProcess?) {
    guard let process else { return }
    expected.insert(process.pid)
    process.signal(SIGKILL)
  }

  /// Ends everything and calls `done` once it has ended.
  func stop(_ done: @escaping () -> Void) {
    isEnding = true
    onEmpty = done
    proxy?.close()
    for worker in workers.values { kill(worker) }
    coordinator?.signal(SIGTERM)
    callIfEmpty()
  }

  private func callIfEmpty() {
    guard isEnding, workers.isEmpty, coordinator == nil else { return }
    let done = onEmpty
    onEmpty = nil
    done?()
  }

  /// A process of this program whose log goes to a file of its name.
  private func process(_ name: String, _ arguments: [String]) -> ChildProcess.Configuration {
    var configuration = ChildProcess.Configuration(executable: program, arguments: arguments)
    configuration.standardOutput = .null
    configuration.group = .newSession
    configuration.environment = FleetEnvironment.variables
    return configuration
  }

  private func spawn(
    _ name: String, _ configuration: ChildProcess.Configuration, _ ended: @escaping () -> Void
  ) throws(SystemError) -> ChildProcess {
    var configuration = configuration
    let path = "\(directory)/\(name).log"
    let log = try FleetLog.open(path)
    defer { _ = Glibc.close(log) }
    configuration.standardError = .descriptor(log)
    var pid: Int32 = 0
    let process = try ChildProcess.spawn(configuration, on: loop) { [weak self] status in
      ended()
      guard let self else { return }
      if expected.remove(pid) == nil, !isEnding { onUnexpectedEnd?(name, status) }
      callIfEmpty()
    }
    pid = process.pid
    return process
  }

  private static func text(_ bytes: RawSpan) -> String {
    // SAFETY: the pointer is used within the closure only.
    unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }
}
