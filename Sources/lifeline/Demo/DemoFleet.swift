import FaultProxy
import Primitives
import Reactor

/// The demonstration's fleet: a coordinator, its workers, and a relay between them.
final class DemoFleet {
  private static let program = "/proc/self/exe"
  private static let coordinator = "coordinator"
  private static let lease = "4"

  private let loop: EventLoop
  private let directory: String
  private let processes: DemoProcesses
  private(set) var proxy: FaultProxy?
  private var address: SocketAddress?
  /// Called with what is wrong when a process ends that nobody ended.
  var onProblem: ((String) -> Void)? {
    get { processes.onProblem }
    set { processes.onProblem = newValue }
  }

  init(directory: String, on loop: EventLoop) {
    self.loop = loop
    self.directory = directory
    processes = DemoProcesses(directory: directory, on: loop)
  }

  var url: String { "ws://127.0.0.1:\(address?.port ?? 0)" }

  /// Starts the coordinator; `ready` is called once it listens.
  func startCoordinator(_ ready: @escaping () -> Void) throws(SystemError) {
    let output = DemoProcesses.port { [weak self] port in
      self?.address = SocketAddress.loopback(port: port)
      ready()
    }
    try processes.start(
      Self.coordinator, Self.program,
      [
        "coordinator", "--host", "127.0.0.1", "--port", "\(address?.port ?? 0)", "--store", "\(directory)/demo.db",
        "--lease", Self.lease,
      ] + DemoProcesses.times, output: output)
  }

  /// Puts a relay in front of the coordinator; workers connect through it.
  func startProxy() throws(SystemError) {
    guard let address else { return }
    proxy = try FaultProxy(to: address, on: loop)
  }

  func startWorker(_ name: String) throws(SystemError) {
    try processes.start(
      name, Self.program,
      [
        "worker", "--worker-id", name, "--coordinator", "ws://127.0.0.1:\(proxy?.address.port ?? 0)", "--slots", "4",
        "--state-dir", "\(directory)/\(name)", "--reconnect-delay", "0.3", "--max-reconnect-delay", "1",
      ] + DemoProcesses.times)
  }

  func killWorker(_ name: String) { processes.kill(name) }
  func killCoordinator() { processes.kill(Self.coordinator) }

  /// Ends everything and calls `done` once it has ended.
  func stop(_ done: @escaping () -> Void) {
    proxy?.close()
    processes.stop(gently: [Self.coordinator], done)
  }
}
