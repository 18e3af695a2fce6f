import Glibc
import Reactor
import TestSupport
import Testing
import WebSocket

@Suite(.timeLimit(.minutes(5))) struct EchoProgramTests {
  /// The program, beside the bundle that holds this test.
  private static let program: String = {
    // An executable or a bundle, and as much of its path as the system tells: the folder is the build's.
    var path = [UInt8](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &path, path.count)
    var candidates = [String(decoding: path.prefix(max(0, count)), as: UTF8.self)] + CommandLine.arguments
    candidates = candidates.compactMap { candidate in
      candidate.lastIndex(of: "/").map { candidate[..<$0] + "/websocket-echo" }
    }
    return candidates.first { access($0, X_OK) == 0 } ?? "websocket-echo"
  }()

  /// Runs the program to its end; what it wrote and how it ended.
  private func run(_ arguments: [String]) throws -> (output: String, errors: String, status: Reactor.ExitStatus?) {
    var output: [UInt8] = []
    var errors: [UInt8] = []
    var status: Reactor.ExitStatus?
    var ends = 0
    try withLoop { loop in
      var configuration = ChildProcess.Configuration(executable: Self.program, arguments: arguments)
      configuration.standardOutput = .pipe(
        onBytes: { output += $0.withUnsafeBytes { Array($0) } }, onEnd: { ends += 1 })
      configuration.standardError = .pipe(
        onBytes: { errors += $0.withUnsafeBytes { Array($0) } }, onEnd: { ends += 1 })
      _ = try ChildProcess.spawn(configuration, on: loop) { status = $0 }
      loop.when({ ends == 2 && status != nil }) { loop.stop() }
    }
    return (String(decoding: output, as: UTF8.self), String(decoding: errors, as: UTF8.self), status)
  }

  @Test(
    arguments: [
      (SIGTERM, 1, "callback"), (SIGINT, 3, "callback"), (SIGTERM, 3, "async"), (SIGINT, 1, "async"),
    ])
  func `it says where it listens, echoes, and drains on a signal`(signal: Int32, loops: Int, style: String) throws {
    var output: [UInt8] = []
    var status: Reactor.ExitStatus?
    let clients = (0..<8).map { _ in Recorder() }
    try withLoop(limit: .seconds(30)) { loop in
      var configuration = ChildProcess.Configuration(
        executable: Self.program, arguments: ["--port=0", "--loops", "\(loops)", "--style", style])
      configuration.standardOutput = .pipe(onBytes: { output += $0.withUnsafeBytes { Array($0) } })
      let child = try ChildProcess.spawn(configuration, on: loop) { status = $0 }
      loop.when({ output.last == UInt8(ascii: "\n") }) {
        let line = String(decoding: output, as: UTF8.self).dropLast()
        #expect(line.hasPrefix("listening on ws://127.0.0.1:"))
        guard let url = try? WebSocketURL(String(line.dropFirst("listening on ".count))) else {
          Issue.record("no URL in \(line)")
          return loop.stop()
        }
        for client in clients {
          WebSocketClient.connect(to: url, on: loop, delegate: client) { result in
            guard let socket = try? result.get() else { return }
            socket.send(text: "hällo")
            socket.send(binary: [0, 255])
          }
        }
        loop.when({ clients.allSatisfy { $0.heard == [.open, .text("hällo"), .binary([0, 255])] } }) {
          #expect(child.signal(signal))
          loop.when({ status != nil && clients.allSatisfy { !$0.closes.isEmpty } }) { loop.stop() }
        }
      }
    }
    #expect(status == .exited(0))
    for client in clients { #expect(client.closes.map(\.code) == [.goingAway]) }
  }

  @Test(
    arguments: [
      (["--prot", "1"], "unknown option --prot; did you mean --port?"), (["--port"], "--port needs a value"),
      (["--port", "65536"], "--port: 65536 is not valid; expected a whole number, 0 to 65535"),
      ([], "--port is missing"),
      (["--port", "0", "--loops", "0"], "--loops: 0 is not valid; expected a whole number, 1 to 64"),
      (["--port", "0", "--style", "fast"], "--style: fast is not valid; expected one of callback, async"),
      (["--port", "0", "--compression", "some"], "--compression: some is not valid; expected one of off, shared"),
      (["--port", "0", "--host", "nowhere"], "--host: expected an address"),
      (["--client", "http://a"], "--client: expected a URL such as ws://127.0.0.1:9001"),
      (["--client", "ws://a", "--port", "0"], "--port and --client exclude each other"),
      (["--client", "ws://a", "--agent", "a b"], "--agent: expected letters, digits and -._~"),
    ] as [([String], String)])
  func `a wrong option ends with status 2 and says what is right`(arguments: [String], message: String) throws {
    let (output, errors, status) = try run(arguments)
    #expect(status == .exited(2))
    #expect(output.isEmpty)
    #expect(errors.hasPrefix("websocket-echo: \(message)"))
  }

  @Test func `help and version go to standard output`() throws {
    let help = try run(["--help"])
    #expect(help.status == .exited(0))
    #expect(help.output.hasPrefix("Usage: websocket-echo [OPTION…]"))
    let version = try run(["--version"])
    #expect(version.status == .exited(0))
    #expect(version.output.hasPrefix("websocket-echo "))
  }

  @Test func `a port that is taken ends with status 1 and names it`() throws {
    var port: UInt16?
    let server = try serve()
    defer { server.stop() }
    port = server.address.port
    let (_, errors, status) = try run(["--port", "\(port ?? 0)"])
    #expect(status == .exited(1))
    #expect(errors.contains("bind 127.0.0.1:\(port ?? 0)"))
  }

  /// What a fuzzing server would see: the targets that were asked for, and what came back on the cases.
  private final class FakeFuzzingServer {
    var targets: [String] = []
    var echoed: [Recorder.Heard] = []
    let caseCount: String

    init(caseCount: String) {
      self.caseCount = caseCount
    }

    func listen(on loop: EventLoop) throws -> WebSocketServer {
      try WebSocketServer.listen(at: .loopback(), on: loop) { [self] request in
        targets.append(request.target)
        switch request.path {
        case "/getCaseCount":
          return .accept(
            subprotocol: nil,
            delegate: Recorder { [caseCount] socket, event in
              guard event == .open else { return }
              socket.send(text: caseCount)
              socket.close()
            })
        // A case may end in a refused handshake, in a reset, or properly after an echo.
        case "/runCase" where request.target.contains("case=1&"): return .reject(status: 400, message: "no")
        case "/runCase" where request.target.contains("case=2&"):
          return .accept(subprotocol: nil, delegate: Recorder { socket, event in if event == .open { socket.abort() } })
        case "/runCase":
          return .accept(
            subprotocol: nil,
            delegate: Recorder { [self] socket, event in
              switch event {
              case .open: socket.send(text: "hällo")
              case .text:
                echoed.append(event)
                socket.close()
              default: break
              }
            })
        default:
          return .accept(subprotocol: nil, delegate: Recorder { socket, event in if event == .open { socket.close() } })
        }
      }
    }
  }

  /// Runs the program as the client of a fake fuzzing server.
  private func runClient(of fake: FakeFuzzingServer) throws -> Reactor.ExitStatus? {
    var status: Reactor.ExitStatus?
    try withLoop { loop in
      let server = try fake.listen(on: loop)
      let configuration = ChildProcess.Configuration(
        executable: Self.program,
        arguments: ["--client", "ws://127.0.0.1:\(server.localAddress.port ?? 0)", "--agent", "a-1"])
      _ = try ChildProcess.spawn(configuration, on: loop) {
        status = $0
        loop.stop()
      }
    }
    return status
  }

  @Test func `as a client it runs every case, however one ends, and asks for the report`() throws {
    let fake = FakeFuzzingServer(caseCount: "3")
    #expect(try runClient(of: fake) == .exited(0))
    #expect(
      fake.targets == [
        "/getCaseCount", "/runCase?case=1&agent=a-1", "/runCase?case=2&agent=a-1", "/runCase?case=3&agent=a-1",
        "/updateReports?agent=a-1",
      ])
    #expect(fake.echoed == [.text("hällo")])
  }

  @Test func `as a client it ends with status 1 where there is no fuzzing server`() throws {
    let fake = FakeFuzzingServer(caseCount: "many")
    #expect(try runClient(of: fake) == .exited(1))
    #expect(fake.targets == ["/getCaseCount"])
    // A port that was just given back: nobody listens there.
    var url = ""
    try withLoop { loop in
      let server = try fake.listen(on: loop)
      url = "ws://127.0.0.1:\(server.localAddress.port ?? 0)"
      server.close { loop.stop() }
    }
    let (_, errors, status) = try run(["--client", url])
    #expect(status == .exited(1))
    #expect(errors.contains("cannot reach \(url)/getCaseCount"))
  }
}
