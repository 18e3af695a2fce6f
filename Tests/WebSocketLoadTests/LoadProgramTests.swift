import CoordinationCore
import Reactor
import TestSupport
import Testing

/// The program against real servers, with as little work as shows that it works.
@Suite(.timeLimit(.minutes(5))) struct LoadProgramTests {
  private func withEcho(_ options: [String] = [], _ body: (_ url: String, _ pid: Int32) throws -> Void) throws {
    let server = try TestProcess(TestProcess.built("websocket-echo"), ["--port", "0"] + options)
    let line = try server.output.wait(for: "announcement") { $0.first }
    try body(String(line.dropFirst("listening on ".count)), server.pid)
    server.signal(15)
    #expect(try server.exit() == .exited(0))
  }

  private func load(_ arguments: [String]) throws -> (output: [String], errors: [String], status: Reactor.ExitStatus) {
    let program = try TestProcess(TestProcess.built("ws-load"), arguments)
    let status = try program.exit()
    return (program.output.all, program.errors.all, status)
  }

  private func result(_ arguments: [String]) throws -> JSONObject {
    let (output, errors, status) = try load(arguments + ["--json"])
    try #require(status == .exited(0), "\(errors)")
    return try #require(try JSONParser.parse(output.joined()).object)
  }

  private let briefly = ["--duration", "100ms", "--warmup", "10ms"]

  @Test(arguments: [
    "--connections 3 --size 20 --depth 1", "--connections 2 --size 0 --depth 5",
    "--connections 2 --size 300 --depth 16",
    "--connections 2 --size 70000 --depth 1", "--connections 2 --size 200000 --depth 40",
    "--connections 3 --size 1024 --depth 4 --text",
  ])
  func `an echo server passes, and the figures agree with each other`(load: String) throws {
    try withEcho { url, pid in
      let result = try result(
        ["--url", url, "--server-pid", "\(pid)"] + briefly + load.split(separator: " ").map(String.init))
      let size = try #require(load.split(separator: " ").compactMap { Double($0) }.dropFirst().first)
      let messages = try #require(result["messages"]?.number)
      #expect(messages > 0)
      #expect(result["reply_payload_bytes_per_message"]?.number == size)
      // Of one message per connection, a part may have come before the measured time.
      #expect((result["received_bytes"]?.number ?? 0) >= (messages - 3) * size)
      #expect((result["server_cpu_seconds"]?.number ?? 0) > 0)
      #expect((result["generator_cpu_seconds"]?.number ?? 0) > 0)
      let latency = try #require(result["latency_ns"]?.object)
      let values = ["p50", "p90", "p99", "p99.9", "max"].compactMap { latency[$0]?.number }
      #expect(values.count == 5)
      #expect(values == values.sorted())
      #expect((values.first ?? 0) > 0)
    }
  }

  /// Whether the echo server at hand can compress.
  private static let compresses: Bool = {
    guard let program = try? TestProcess(TestProcess.built("websocket-echo"), ["--help"]),
      (try? program.exit()) == .exited(0)
    else { return false }
    return program.output.all.contains { $0.contains("--compression") }
  }()

  @Test(.enabled(if: compresses), arguments: [("shared", []), ("dedicated", ["--context-takeover"])])
  func `compressed echoes are decompressed and compared`(contexts: String, options: [String]) throws {
    try withEcho(["--compression", contexts]) { url, _ in
      let load = ["--connections", "3", "--size", "1024", "--depth", "4", "--deflate"]
      let result = try result(["--url", url] + briefly + load + options)
      #expect((result["verified"]?.number ?? 0) > 0)
      #expect((result["reply_payload_bytes_per_message"]?.number ?? 1024) < 512)
    }
  }

  @Test func `idle connections are weighed, and opened ones timed`() throws {
    try withEcho { url, pid in
      let server = ["--url", url, "--server-pid", "\(pid)"]
      let idle = try result(server + ["--idle", "--connections", "200", "--exchanges", "1"])
      #expect(idle["connections"]?.number == 200)
      #expect((idle["resident_after"]?.number ?? 0) >= (idle["resident_before"]?.number ?? .infinity))
      let accept = try result(server + briefly + ["--accept", "--connections", "50"])
      #expect((accept["connections"]?.number ?? 0) >= 50)
      #expect((accept["server_us_per_connection"]?.number ?? 0) > 0)
    }
  }

  @Test func `a person sees lines, and who was the bottleneck`() throws {
    try withEcho { url, pid in
      let (output, _, status) = try load(["--url", url, "--server-pid", "\(pid)"] + briefly)
      #expect(status == .exited(0))
      #expect(output.first?.hasPrefix("messages ") == true)
      #expect(output.last?.hasPrefix("bottleneck  ") == true)
    }
  }

  @Test(
    arguments: [
      (.flipsABit, "differs from what was sent"), (.leavesOutAByte, "has 19 bytes, not 20"),
      (.addsAByte, "differs from what was sent"),
    ] as [(Liar.Lie, String)])
  func `a server that answers wrongly is found out`(lie: Liar.Lie, complaint: String) throws {
    let server = try Liar.serve(lie)
    defer { server.stop() }
    let url = "ws://127.0.0.1:\(server.address.port ?? 0)"
    let (output, errors, status) = try load(["--url", url, "--connections", "2"] + briefly)
    #expect(status == .exited(1))
    #expect(output.isEmpty)
    #expect(errors.joined().contains(complaint))
  }

  @Test func `nobody listening ends with status 1 and says so`() throws {
    let server = try Liar.serve(.addsAByte)
    let url = "ws://127.0.0.1:\(server.address.port ?? 0)"
    server.stop()
    let (_, errors, status) = try load(["--url", url] + briefly)
    #expect(status == .exited(1))
    #expect(errors.joined().contains("connect to \(url)"))
  }

  @Test func `a wrong command line ends with status 2`() throws {
    let (_, errors, status) = try load(["--url", "ws://192.0.2.1:9001"])
    #expect(status == .exited(2))
    #expect(errors.joined().contains("--allow-remote"))
  }
}
