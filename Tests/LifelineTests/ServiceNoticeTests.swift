import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension LifelineTests {
  /// What a service manager is told, on a real datagram socket.
  @Suite struct ServiceNoticeTests {
    private func coordinator(
      _ socket: NotifySocket, _ options: [String] = [], environment: [String: String] = [:]
    ) throws -> RunningProgram {
      try RunningProgram(
        ["coordinator", "--port", "0", "--store", "memory"] + options,
        environment: environment.merging(["NOTIFY_SOCKET": socket.name]) { $1 })
    }

    private func url(_ program: RunningProgram) throws -> String {
      try program.wait("line") { $0.output.contains("\n") }
      return try #require(program.output.split(separator: "\n").first?.split(separator: " ").last.map(String.init))
    }

    @Test(arguments: [false, true])
    func `a coordinator is ready once a client can connect, and says where`(isAbstract: Bool) throws {
      let socket = try NotifySocket(isAbstract: isAbstract)
      let program = try coordinator(socket)
      let ready = try socket.wait(for: "READY")
      let url = try url(program)
      // One attempt only.
      let outcome = try RunningProgram(["health", "--ready", "--coordinator", url]).end()
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(socket.notices[ready]["STATUS"] == "\(url): 0 workers, 0 tasks run, 0 wait")
      #expect(ready == 0)
    }

    @Test func `a coordinator that cannot listen is never ready, and the status says why`() throws {
      let socket = try NotifySocket()
      let fleet = try Fleet(workers: 0)
      let port = String(try #require(fleet.url.split(separator: ":").last))
      let program = try coordinator(socket, ["--port", port])
      #expect(try program.end().status == 1)
      try socket.wait("STOPPING") { $0["STOPPING"] == "1" && $0["STATUS"]?.contains("Address already in use") == true }
      #expect(!socket.notices.contains { $0["READY"] != nil })
    }

    @Test func `the status follows the fleet`() throws {
      let socket = try NotifySocket()
      let program = try coordinator(socket)
      let address = try url(program)
      let directory = TemporaryDirectory()
      let worker = try RunningProgram([
        "worker", "--coordinator", address, "--worker-id", "w", "--state-dir", directory.file("state"),
      ])
      try socket.wait("status with a worker") { $0["STATUS"] == "\(address): 1 workers, 0 tasks run, 0 wait" }
      worker.signal(SIGTERM)
      #expect(try worker.end().status == 0)
    }

    @Test func `a reload is announced before it begins and ends with READY`() throws {
      let socket = try NotifySocket()
      let program = try coordinator(socket)
      let ready = try socket.wait(for: "READY")
      let before = MonotonicClock.now().nanoseconds / 1_000
      program.signal(SIGHUP)
      let reloading = try socket.wait(for: "RELOADING", from: ready + 1)
      let time = try #require(socket.notices[reloading]["MONOTONIC_USEC"].flatMap { Int64($0) })
      #expect(time >= before && time <= MonotonicClock.now().nanoseconds / 1_000)
      #expect(try socket.wait(for: "READY", from: reloading) > reloading)
    }

    @Test func `an end is announced with the time it may take`() throws {
      let socket = try NotifySocket()
      let program = try coordinator(socket, ["--drain-timeout", "90"])
      try socket.wait(for: "READY")
      program.signal(SIGTERM)
      #expect(try program.end().status == 0)
      let stopping = try socket.wait(for: "STOPPING")
      let time = try #require(socket.notices[stopping]["EXTEND_TIMEOUT_USEC"].flatMap { Int64($0) })
      // Its drain, its connections and its store, which the unit's limit need not know of.
      #expect(time == 121_000_000)
    }

    @Test func `signs of life go on coming when they are asked for`() throws {
      let socket = try NotifySocket()
      let program = try coordinator(socket, environment: ["WATCHDOG_USEC": "40000"])
      try socket.wait(for: "READY")
      var last = 0
      for _ in 0..<5 { last = try socket.wait(for: "WATCHDOG", from: last) + 1 }
      #expect(!program.hasEnded)
    }

    @Test(arguments: [
      ["WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"], ["WATCHDOG_USEC": "0"], ["WATCHDOG_USEC": "soon"],
    ])
    func `a watchdog of another process, or none, is given no signs`(environment: [String: String]) throws {
      let socket = try NotifySocket()
      let program = try coordinator(socket, environment: environment)
      try socket.wait(for: "READY")
      program.signal(SIGHUP)
      let reloading = try socket.wait(for: "RELOADING")
      try socket.wait(for: "READY", from: reloading)
      #expect(!socket.notices.contains { $0["WATCHDOG"] != nil })
    }

    @Test(arguments: ["vsock:2:1234", "relative", "@", "/" + String(repeating: "x", count: 108), "/nonexistent/notify"])
    func `a socket that cannot be told is a warning, and the coordinator serves`(name: String) throws {
      let program = try RunningProgram(
        ["coordinator", "--port", "0", "--store", "memory"], environment: ["NOTIFY_SOCKET": name])
      try program.wait("warning") { $0.errors.contains("the service manager cannot be told anything") }
      _ = try url(program)
      program.signal(SIGTERM)
      let outcome = try program.end()
      #expect(outcome.status == 0)
      #expect(outcome.errors.split(separator: "\n").count { $0.contains("cannot be told") } == 1)
    }

    @Test func `a worker is ready once it is registered, and says when it leaves`() throws {
      let socket = try NotifySocket()
      let fleet = try Fleet(workers: 0)
      let relay = try FaultRelay(to: try #require(SocketAddress(ip: "127.0.0.1", port: port(of: fleet))))
      defer { relay.stop() }
      relay.setRefusing(true)
      let worker = try RunningProgram(
        [
          "worker", "--coordinator", relay.url, "--worker-id", "w1", "--slots", "3", "--reconnect-delay", "0.05",
          "--max-reconnect-delay", "0.05", "--drain-timeout", "7", "--state-dir", fleet.directory.file("state"),
        ], environment: ["NOTIFY_SOCKET": socket.name])
      try worker.wait("failed attempts") { _ in relay.accepted > 2 }
      socket.receive()
      #expect(socket.notices.isEmpty, "a worker without a coordinator is not ready")
      relay.setRefusing(false)
      let ready = try socket.wait(for: "READY")
      #expect(socket.notices[ready]["STATUS"] == "w1 works for \(relay.url): 0 of 3 slots used")
      worker.signal(SIGTERM)
      #expect(try worker.end().status == 0)
      let stopping = try socket.wait(for: "STOPPING")
      #expect(socket.notices[stopping]["EXTEND_TIMEOUT_USEC"] == "17000000")
    }

    @Test func `a command inherits nothing of it`() throws {
      let socket = try NotifySocket()
      let fleet = try Fleet(workers: 0)
      let worker = try RunningProgram(
        ["worker", "--worker-id", "w1", "--state-dir", fleet.directory.file("state"), "--pass-all-env"],
        environment: fleet.environment.merging(
          ["NOTIFY_SOCKET": socket.name, "WATCHDOG_USEC": "60000000", "KEPT": "yes"]) { $1 })
      try socket.wait(for: "READY")
      let file = fleet.directory.file("environment")
      try fleet.wait(for: fleet.submit("env > \(file)"), "completed")
      let variables = String(decoding: contents(of: file), as: UTF8.self)
      #expect(variables.contains("KEPT=yes"))
      #expect(!variables.contains("NOTIFY_SOCKET") && !variables.contains("WATCHDOG"), "\(variables)")
      worker.signal(SIGTERM)
      #expect(try worker.end().status == 0)
    }

    private func port(of fleet: Fleet) throws -> UInt16 {
      try #require(fleet.url.split(separator: ":").last.flatMap { UInt16($0) })
    }
  }
}
