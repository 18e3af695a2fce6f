import ArgumentParsing
import Testing
import WebSocket
import WebSocketLoad

@Suite struct LoadOptionsTests {
  private func parse(_ words: String) throws -> LoadOptions {
    let parser = ArgumentParser(LoadOptions.command, version: "test")
    let outcome = try parser.parse(words.split(separator: " ").map(String.init))
    guard case .run(let invocation) = outcome else { throw UnexpectedOutcome() }
    return try LoadOptions(invocation)
  }

  private struct UnexpectedOutcome: Error {}

  @Test func `a URL alone measures small binary messages, one in flight on each of 100 connections`() throws {
    let options = try parse("--url ws://127.0.0.1:9001")
    #expect(options.target.url.description == "ws://127.0.0.1:9001/")
    #expect(options.mode == .echo)
    #expect(options.connections == 100)
    #expect(options.size == 20)
    #expect(options.depth == 1)
    #expect(options.kind == .binary)
    #expect(!options.deflates)
    #expect(options.serverPID == nil)
  }

  @Test func `every option arrives`() throws {
    let options = try parse(
      "--url ws://[::1]:1/x --connections 7 --size 99 --depth 3 --text --deflate --context-takeover --duration 2m "
        + "--warmup 20ms --idle --exchanges 2 --server-pid 4711 --server-cores 2 --json")
    #expect(options.target.isLoopback)
    #expect(options.mode == .idle)
    #expect((options.connections, options.size, options.depth, options.exchanges) == (7, 99, 3, 2))
    #expect(options.kind == .text && options.deflates && options.keepsContext && options.printsJSON)
    #expect((options.duration, options.warmUp) == (.seconds(120), .milliseconds(20)))
    #expect((options.serverPID, options.serverCores) == (4711, 2))
  }

  @Test(arguments: [
    ("", LoadPayload.Kind.binary), ("--text", .text), ("--deflate", .text), ("--deflate --binary", .binary),
  ])
  func `compression makes messages text unless binary is asked for`(words: String, kind: LoadPayload.Kind) throws {
    #expect(try parse("--url ws://localhost:9001 \(words)").kind == kind)
  }

  @Test(arguments: [
    ("127.0.0.1", true), ("127.9.8.7", true), ("localhost", true), ("[::1]", true), ("10.0.0.1", false),
    ("128.0.0.1", false), ("0.0.0.0", false), ("[::2]", false), ("[::]", false), ("[::ffff:10.0.0.1]", false),
  ])
  func `only this machine is put under load without being asked twice`(host: String, isLoopback: Bool) throws {
    if isLoopback {
      #expect(try parse("--url ws://\(host):9001").target.isLoopback)
    } else {
      #expect(throws: UsageError.self) { try parse("--url ws://\(host):9001") }
      #expect(try !parse("--url ws://\(host):9001 --allow-remote").target.isLoopback)
    }
  }

  @Test(arguments: [
    ("", "--url"), ("--url wss://127.0.0.1", "only ws:// is measured"), ("--url ws://example.test", "is no address"),
    ("--url ws://192.0.2.1", "--allow-remote"), ("--url ws://127.0.0.1 --text --binary", "exclude each other"),
    ("--url ws://127.0.0.1 --idle --accept --server-pid 1", "exclude each other"),
    ("--url ws://127.0.0.1 --idle", "--server-pid"), ("--url ws://127.0.0.1 --accept", "--server-pid"),
    ("--url ws://127.0.0.1 --exchanges 1", "needs --idle"), ("--url ws://127.0.0.1 --depth 0", "--depth"),
    ("--url ws://127.0.0.1 --connections 0", "--connections"), ("--url ws://127.0.0.1 --size -1", "--size"),
    ("--url ws://127.0.0.1 --context-takeover", "needs --deflate"), ("--url ws://127.0.0.1 --duration 0", "--duration"),
  ])
  func `what cannot be followed is refused and explained`(words: String, explanation: String) {
    let error = #expect(throws: UsageError.self) { try parse(words) }
    #expect("\(error.map { "\($0)" } ?? "")".contains(explanation))
  }
}
