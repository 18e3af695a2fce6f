import Authentication
import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport

/// A coordinator process that lets in by a key file, which `lifeline keys` made.
final class KeyedCoordinator {
  let directory = TemporaryDirectory()
  let process: TestProcess
  let port: UInt16
  private var others: [TestProcess] = []
  /// The keys by their names, which are their roles.
  private(set) var keys: [String: String] = [:]

  var url: String { "ws://127.0.0.1:\(port)" }
  var keysFile: String { directory.file("keys") }

  /// - Parameter options: more of the coordinator's.
  init(roles: [String] = ["worker", "submitter", "read-only", "admin"], options: [String] = []) throws {
    for role in roles { keys[role] = try Self.keys(directory, ["add", role, "--role", role]) }
    process = try TestProcess(
      Fleet.program,
      [
        "coordinator", "--host", "127.0.0.1", "--port", "0", "--store", "memory", "--log-level", "DEBUG",
        "--heartbeat-interval", Fleet.heartbeatInterval, "--heartbeat-timeout", "5s",
      ] + (roles.isEmpty ? [] : ["--keys", directory.file("keys")]) + options)
    let line = try process.output.first("address") { $0.hasPrefix("listening on ws://127.0.0.1:") }
    guard let port = line.split(separator: ":").last.flatMap({ UInt16($0) }) else {
      throw TimedOut("no port in \(line)")
    }
    self.port = port
  }

  deinit { for process in others + [process] { process.signal(SIGKILL) } }

  private static func keys(_ directory: TemporaryDirectory, _ arguments: [String]) throws -> String {
    let process = try TestProcess(Fleet.program, ["keys"] + arguments + ["--keys", directory.file("keys")])
    let status = try process.exit()
    guard status == .exited(0) else { throw TimedOut("lifeline keys \(arguments): \(status) \(process.errors.all)") }
    return process.output.all.joined(separator: "\n")
  }

  /// `lifeline keys` on the coordinator's file; what it printed.
  @discardableResult
  func keys(_ arguments: String...) throws -> String { try Self.keys(directory, arguments) }

  /// Makes the coordinator read its key file again, and waits until it has.
  func reload() throws {
    let before = process.errors.all.count { $0.contains("keys reloaded") }
    process.signal(SIGHUP)
    try process.errors.wait(for: "keys reloaded") { lines in
      lines.count { $0.contains("keys reloaded") } > before ? true : nil
    }
  }

  /// Starts a worker, or any other command, with a key.
  func start(_ arguments: [String], key: String?) throws -> TestProcess {
    var environment = ["LIFELINE_COORDINATOR": url]
    environment["LIFELINE_API_KEY"] = key
    let process = try TestProcess(Fleet.program, arguments, environment: environment)
    others.append(process)
    return process
  }

  func startWorker(_ name: String, key: String?, options: [String] = []) throws -> TestProcess {
    try start(
      [
        "worker", "--worker-id", name, "--slots", "1", "--state-dir", directory.file("state"), "--heartbeat-timeout",
        "5s",
        "--reconnect-delay", "50ms", "--max-reconnect-delay", "200ms", "--log-level", "DEBUG",
      ] + options, key: key)
  }

  /// The whole answer to a request for an upgrade; of an accepted one, its head.
  func answer(_ target: String, _ fields: [(name: String, value: String)], offering subprotocol: String? = nil) throws
    -> String
  {
    let socket = try BlockingSocket(to: .loopback(port: port))
    var head = "GET \(target) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    if let subprotocol { head += "Sec-WebSocket-Protocol: \(subprotocol)\r\n" }
    for field in fields { head += "\(field.name): \(field.value)\r\n" }
    try socket.send(head + "\r\n")
    var answer: [UInt8] = []
    while !String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 101") {
      let part = try socket.receive()
      if part.isEmpty { break }
      answer += part
    }
    socket.close()
    return String(decoding: answer, as: UTF8.self)
  }

  /// A request's fields, proved with a key by a client whose clock is so many seconds ahead.
  func proof(_ role: String, _ target: String, offering subprotocol: String = "", ahead: Int64 = 0) throws -> [(
    name: String, value: String
  )] {
    let time = WallTime(milliseconds: SystemWallClock.now().milliseconds + ahead * 1_000)
    let nonce = (0..<16).map { _ in UInt8.random(in: 0...255) }
    return UpgradeProof(
      try APIKey(keys[role] ?? ""), target: target, subprotocol: subprotocol, time: time, nonce: nonce
    ).fields
  }
}
