import Glibc
import Reactor
import Trials

/// Every machine a network namespace, every line a virtual cable to a bridge, which is pulled out to cut somebody off.
///
/// This process is in a namespace of its own and may make others (`Scripts/demo-cluster.sh` sees to it), so nothing is
/// visible outside, and all of it is gone with the processes that hold it.
final class NamespaceNetwork: ClusterNetwork {
  private struct Machine {
    let name: String
    /// Its address on each line that it has a cable to.
    let hosts: [ClusterLine: String]
  }

  private static let coordinatorPort: UInt16 = 8_765
  private let loop: EventLoop
  private let machines: [Machine]
  /// Processes that do nothing but be in a machine's namespace.
  private var holders: [String: ChildProcess] = [:]
  private var running: [ObjectIdentifier: ChildProcess] = [:]
  private var isClosed = false

  init(on loop: EventLoop) {
    self.loop = loop
    machines =
      [Machine(name: ClusterMachines.database, hosts: [.data: "10.77.1.2"])]
      + ClusterMachines.coordinators.enumerated().map { index, name in
        Machine(name: name, hosts: [.front: "10.77.0.\(11 + index)", .data: "10.77.1.\(11 + index)"])
      }
      + ClusterMachines.workers.enumerated().map { index, name in
        Machine(name: name, hosts: [.front: "10.77.0.\(21 + index)"])
      }
  }

  let summary = "a network namespace for each, virtual cables between them"

  var databaseNetwork: DatabaseServer.Network? {
    DatabaseServer.Network(
      host: host(of: ClusterMachines.database, .data), from: "10.77.1.0/24",
      prefix: { [unowned self] in prefix(of: ClusterMachines.database) })
  }

  private func host(of name: String, _ line: ClusterLine) -> String {
    machines.first { $0.name == name }?.hosts[line] ?? ""
  }

  func prefix(of machine: String) -> [String] {
    ["nsenter", "--target", "\(holders[machine]?.pid ?? 0)", "--net", "--"]
  }

  func listening(_ coordinator: String) -> [String] {
    // Nobody else can be in this network.
    ["--host", host(of: coordinator, .front), "--port", "\(Self.coordinatorPort)", "--insecure"]
  }

  func store(for coordinator: String, _ server: DatabaseServer) -> String {
    DatabaseServer.url(host: host(of: ClusterMachines.database, .data))
  }

  func opened(_ coordinator: String, port: UInt16) {}
  func url(of coordinator: String) -> String { "ws://\(host(of: coordinator, .front)):\(Self.coordinatorPort)" }

  // MARK: Making it

  func build(_ ready: @escaping (String?) -> Void) {
    var missing = machines.count
    do {
      for machine in machines {
        var configuration = ChildProcess.Configuration(
          executable: "setpriv",
          arguments: ["--pdeathsig", "KILL", "unshare", "--net", "--", "sh", "-c", "echo; exec sleep 86400"])
        configuration.standardError = .null
        configuration.standardOutput = .pipe(onBytes: { [weak self] _ in
          missing -= 1
          if missing == 0 { self?.connect(ready) }
        })
        holders[machine.name] = try ChildProcess.spawn(configuration, on: loop) { [weak self] status in
          guard let self, !isClosed else { return }
          ready("the namespace of \(machine.name) cannot be made: unshare ended with \(status)")
        }
      }
    } catch { ready("namespaces cannot be made: \(error)") }
  }

  private func connect(_ ready: @escaping (String?) -> Void) {
    var lines = [
      "set -e", "ip link set lo up", "ip link add name front type bridge", "ip link add name data type bridge",
      "ip addr add 10.77.0.1/24 dev front", "ip link set front up", "ip link set data up",
    ]
    for machine in machines {
      let pid = holders[machine.name]?.pid ?? 0
      lines.append("nsenter -t \(pid) -n ip link set lo up")
      for (line, host) in machine.hosts {
        let cable = Self.cable(machine.name, line)
        lines += [
          "ip link add \(cable) type veth peer name \(line.rawValue) netns \(pid)",
          "ip link set \(cable) master \(line.rawValue) up",
          "nsenter -t \(pid) -n ip addr add \(host)/24 dev \(line.rawValue)",
          "nsenter -t \(pid) -n ip link set \(line.rawValue) up",
        ]
      }
    }
    run(lines.joined(separator: "\n")) { problem in ready(problem) }
  }

  /// The name of the end that is plugged into the bridge: at most 15 letters.
  private static func cable(_ machine: String, _ line: ClusterLine) -> String {
    "\(line.rawValue.prefix(1))-\(machine.prefix(1))\(machine.suffix(1))"
  }

  private func run(_ script: String, _ done: @escaping (String?) -> Void) {
    var errors = ""
    var configuration = ChildProcess.Configuration(executable: "/bin/sh", arguments: ["-c", script])
    configuration.standardError = .pipe(onBytes: { bytes in
      // SAFETY: the pointer is used within the closure only.
      errors += unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    })
    do {
      var identity: ObjectIdentifier?
      let process = try ChildProcess.spawn(configuration, on: loop) { [weak self] status in
        if let identity { self?.running[identity] = nil }
        done(status == .exited(0) ? nil : "the network cannot be changed: \(status) \(errors)")
      }
      identity = ObjectIdentifier(process)
      running[ObjectIdentifier(process)] = process
    } catch { done("\(error)") }
  }

  /// What went wrong with a cable.
  var onProblem: ((String) -> Void)?

  func setCut(_ isCut: Bool, _ coordinator: String, from line: ClusterLine) {
    run("ip link set \(Self.cable(coordinator, line)) \(isCut ? "down" : "up")") { [weak self] problem in
      if let problem { self?.onProblem?(problem) }
    }
  }

  func close() {
    isClosed = true
    for holder in holders.values { holder.signal(SIGKILL) }
  }
}
