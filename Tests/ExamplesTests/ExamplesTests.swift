import Coordination
import CoordinationCore
import Glibc
import Reactor
import TestSupport
import Testing
import WebSocket

/// The examples, as the processes that a reader would start.
@Suite(.timeLimit(.minutes(5))) struct ExamplesTests {
  @Test(
    arguments: [
      ("first-service", []), ("tcp-echo", []), ("tcp-echo", ["65536"]), ("chat-room", ["0", "ignore"]),
      ("websocket-client", ["ws://x"]),
      ("supervisor", ["0", "true"]), ("timers-and-signals", ["10"]), ("message-handler", ["port"]),
    ] as [(String, [String])])
  func `wrong usage ends with status 2 and one line`(name: String, arguments: [String]) throws {
    let program = try TestProcess(TestProcess.built("example-\(name)"), arguments)
    #expect(try program.exit() == .exited(2))
    try program.errors.wait(for: "usage") { $0.isEmpty ? nil : true }
    #expect(program.errors.count == 1)
    #expect(program.errors.all.first?.hasPrefix("usage: example-\(name) ") == true)
    #expect(program.output.all.isEmpty)
  }

  @Test func `the TCP echo answers byte for byte and drains when told to end`() throws {
    let program = try TestProcess(TestProcess.built("example-tcp-echo"), ["0"])
    let client = try BlockingSocket(to: try address(of: program, after: "listening on "))
    let message = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try client.send(Array(message[..<100_000]))
    #expect(try client.receive(exactly: 100_000) == Array(message[..<100_000]))
    program.signal(SIGTERM)
    #expect(try client.receiveToEnd() == [])
    client.close()
    #expect(try program.exit() == .exited(0))
  }

  @Test func `the first service answers texts in capitals`() throws {
    let program = try TestProcess(TestProcess.built("example-first-service"), ["0"])
    let client = try ChatClient(to: try address(of: program, after: "listening on ws://"), path: "/")
    try client.say("hello, wörld")
    #expect(try client.line() == "HELLO, WÖRLD")
    program.signal(SIGTERM)
    #expect(try client.line() == nil)
    try client.sendClose()
    client.close()
    #expect(try program.exit() == .exited(0))
  }

  @Test func `the client prints the answers to its messages`() throws {
    let server = try echoServer()
    defer { server.stop() }
    let url = "ws://\(server.address)/path"
    let program = try TestProcess(TestProcess.built("example-websocket-client"), [url, "hello", "wörld"])
    #expect(try program.exit() == .exited(0))
    #expect(program.output.all == ["hello", "wörld"])
  }

  @Test func `the client refuses what is no WebSocket address and says why, and names what it cannot reach`() throws {
    let foreign = try TestProcess(TestProcess.built("example-websocket-client"), ["http://127.0.0.1/", "hello"])
    #expect(try foreign.exit() == .exited(2))
    try foreign.errors.first("reason") { $0.contains("not ws or wss") }
    let server = try echoServer()
    let url = "ws://\(server.address)"
    server.stop()
    let refused = try TestProcess(TestProcess.built("example-websocket-client"), [url, "hello"])
    #expect(try refused.exit() == .exited(1))
    #expect(refused.errors.all.contains { $0.contains("ECONNREFUSED") })
  }

  @Test func `the chat room sends everyone what one says, and says who comes and goes`() throws {
    let program = try TestProcess(TestProcess.built("example-chat-room"), ["0"])
    let address = try address(of: program, after: "listening on ws://")
    let refused = try ChatClient(to: address, path: "/", isRefused: true)
    #expect(refused.head.hasPrefix("HTTP/1.1 404 "))
    refused.close()
    let ada = try ChatClient(to: address, path: "/ada")
    #expect(try ada.line() == "ada is here")
    let alan = try ChatClient(to: address, path: "/alan")
    #expect(try alan.line() == "alan is here")
    #expect(try ada.line() == "alan is here")
    try ada.say("hello")
    #expect(try ada.line() == "ada: hello")
    #expect(try alan.line() == "ada: hello")
    try alan.sendClose()
    #expect(try alan.line() == nil)
    alan.close()
    #expect(try ada.line() == "alan left")
    program.signal(SIGTERM)
    #expect(try ada.line() == nil)
    try ada.sendClose()
    ada.close()
    #expect(try program.exit() == .exited(0))
  }

  @Test(arguments: ["drop", "skip"])
  func `a member that does not read is dealt with, and the others miss nothing`(policy: String) throws {
    let program = try TestProcess(TestProcess.built("example-chat-room"), ["0", policy])
    let address = try address(of: program, after: "listening on ws://")
    let ada = try ChatClient(to: address, path: "/ada")
    let alan = try ChatClient(to: address, path: "/alan")
    #expect(try ada.line() == "ada is here")
    #expect(try ada.line() == "alan is here")
    #expect(try alan.line() == "alan is here")
    let slow = try ChatClient(to: address, path: "/slow", receiveBufferBytes: 8192)
    #expect(try ada.line() == "slow is here")
    #expect(try alan.line() == "slow is here")
    // Four times what the kernel, the connection and the outbox may hold for one member.
    let text = String(repeating: "x", count: 32_768)
    var dropped = false
    for number in 0..<1500 where !dropped {
      try ada.say("\(number) \(text)")
      for client in [ada, alan] {
        var line = try client.line()
        if line == "slow was too slow" {
          dropped = true
          line = try client.line()
        }
        #expect(line == "ada: \(number) \(text)")
      }
    }
    #expect(dropped == (policy == "drop"))
    if policy == "drop" {
      // It is left with what was on its way to it, the last of it a Close frame.
      var bytes = 0
      while let line = try slow.line() { bytes += line.utf8.count }
      #expect(bytes < 1500 * 32_768)
      try slow.sendClose()
    } else {
      // Once it reads there is room again, and what is said next tells it how much it missed.
      var notice: String?
      while notice == nil {
        try ada.say("anyone?")
        for client in [ada, alan] { #expect(try client.line() == "ada: anyone?") }
        for _ in 0..<10 where notice == nil {
          guard let line = try slow.line() else { throw TimedOut("the slow member was sent away") }
          if line.hasPrefix("(you missed ") { notice = line }
        }
      }
    }
    for client in [ada, alan, slow] { client.close() }
    program.signal(SIGTERM)
    #expect(try program.exit() == .exited(0))
  }

  @Test func `the supervisor tries again until its command succeeds`() throws {
    let folder = TemporaryDirectory()
    let script = "echo try; echo x >>\(folder.file("tries")); test $(wc -l <\(folder.file("tries"))) -ge 3 || exit 4"
    let program = try TestProcess(TestProcess.built("example-supervisor"), ["5", "sh", "-c", script])
    #expect(try program.exit() == .exited(0))
    let lines = program.output.all.filter { !$0.hasPrefix("started, pid ") }
    #expect(lines.count { $0 == "| try" } == 3)
    #expect(
      lines.filter { $0.hasPrefix("ended") }
        == ["ended, exit status 4", "ended, exit status 4", "ended, exit status 0"])
  }

  @Test func `the supervisor gives up in the end, and at once on a program that is not there`() throws {
    let failing = try TestProcess(TestProcess.built("example-supervisor"), ["2", "false"])
    #expect(try failing.exit() == .exited(1))
    #expect(failing.output.all.last == "giving up after 2 failures")
    let missing = try TestProcess(TestProcess.built("example-supervisor"), ["2", "no-such-program"])
    #expect(try missing.exit() == .exited(1))
    #expect(missing.output.all.contains { $0.contains("ENOENT") })
  }

  @Test func `the supervisor takes its command's group with it`() throws {
    let program = try TestProcess(
      TestProcess.built("example-supervisor"), ["9", "sh", "-c", "sleep 1000 & echo $!; wait"])
    let line = try program.output.first("process number of the grandchild") { $0.hasPrefix("| ") }
    let grandchild = try #require(Int32(line.dropFirst(2)))
    #expect(kill(grandchild, 0) == 0)
    program.signal(SIGTERM)
    #expect(try program.exit() == .exited(1))
    #expect(program.output.all.last == "ended, signal \(SIGTERM)")
    try eventually("end of the grandchild") { kill(grandchild, 0) != 0 || isZombie(grandchild) ? true : nil }
  }

  @Test func `timers tick, a hangup starts anew, a signal ends`() throws {
    let program = try TestProcess(TestProcess.built("example-timers-and-signals"), ["5", "60000"])
    try program.output.first("second tick") { $0 == "tick 2" }
    program.signal(SIGHUP)
    try program.output.first("reset") { $0 == "reset" }
    let start = try #require(program.output.all.firstIndex(of: "reset"))
    try program.output.first("tick", from: start + 1) { $0 == "tick 1" }
    program.signal(SIGTERM)
    #expect(try program.exit() == .exited(0))
    #expect(program.output.all.last?.hasPrefix("stopped after ") == true)
  }

  @Test func `nobody's interest ends the ticking`() throws {
    let program = try TestProcess(TestProcess.built("example-timers-and-signals"), ["60000", "10"])
    #expect(try program.exit() == .exited(0))
    #expect(program.output.all.last == "nobody cares")
  }

  @Test func `the handler counts votes and refuses what is none`() async throws {
    let program = try TestProcess(TestProcess.built("example-message-handler"), ["0"])
    let url = try program.output.first("address") { $0.hasPrefix("listening on ws://") }.dropFirst(13)
    let (replies, reply) = AsyncStream.makeStream(of: Message.self)
    var settings = WorkerSettings()
    settings.coordinator = String(url)
    settings.onMessage = { reply.yield($0) }
    let worker = try await Worker(settings) { _, _ in nil }
    worker.send(Message("vote", ["choice": "tea"]))
    worker.send(Message("vote", ["choice": 7]))
    worker.send(Message("vote", ["choice": "tea"]))
    var votes: [JSONValue?] = []
    for await message in replies where message.kind == "vote_count" {
      #expect(message.fields["choice"] == "tea")
      votes.append(message.fields["votes"])
      if votes.count == 2 { break }
    }
    #expect(votes == [1, 2])
    await worker.stop()
    program.signal(SIGTERM)
    #expect(try program.exit() == .exited(0))
  }

  /// Where a program says that it listens.
  private func address(of program: TestProcess, after prefix: String) throws -> SocketAddress {
    let line = try program.output.first("address") { $0.hasPrefix(prefix) }
    let port = try #require(line.split(separator: ":").last.flatMap { UInt16($0) })
    return .loopback(port: port)
  }

  private func echoServer() throws -> RunningServer {
    final class Echo: WebSocketDelegate {
      func webSocket(_ socket: WebSocketConnection, didReceive message: RawSpan, kind: WebSocket.MessageKind) {
        socket.send(message, kind)
      }
      func webSocketDidClose(_ socket: WebSocketConnection, reason: CloseReason) {}
    }
    return try RunningServer { loop in
      try WebSocketServer.listen(at: .loopback(), on: loop) { _ in .accept(subprotocol: nil, delegate: Echo()) }
        .localAddress
    }
  }

  private func isZombie(_ pid: Int32) -> Bool {
    let status = String(decoding: TestProcess.contents(of: "/proc/\(pid)/stat"), as: UTF8.self)
    return status.split(separator: ")").last?.hasPrefix(" Z") ?? true
  }
}

/// A chat member that reads only when asked to.
private final class ChatClient {
  let head: String
  private let socket: BlockingSocket
  private var received: [UInt8] = []

  init(to address: SocketAddress, path: String, receiveBufferBytes: Int32? = nil, isRefused: Bool = false) throws {
    socket = try BlockingSocket(to: address, receiveBufferBytes: receiveBufferBytes)
    try socket.send(
      """
      GET \(path) HTTP/1.1\r
      Host: test\r
      Upgrade: websocket\r
      Connection: Upgrade\r
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
      Sec-WebSocket-Version: 13\r
      \r

      """)
    var head = ""
    while !head.hasSuffix("\r\n\r\n") { head += String(decoding: try socket.receive(exactly: 1), as: UTF8.self) }
    self.head = head
    guard !isRefused, !head.hasPrefix("HTTP/1.1 101 ") else { return }
    throw TimedOut("the server answered \(head)")
  }

  /// Sends a text of less than 64 KiB, masked with zeros so that it stands as it is.
  func say(_ text: String) throws {
    let payload = Array(text.utf8)
    let length: [UInt8] =
      payload.count < 126
      ? [0x80 | UInt8(payload.count)] : [0xFE, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    try socket.send([0x81] + length + [0, 0, 0, 0] + payload)
  }

  func sendClose() throws { try socket.send([0x88, 0x80, 0, 0, 0, 0]) }

  func close() { socket.close() }

  /// The next text; nil for a Close frame.
  func line() throws -> String? {
    var header = try socket.receive(exactly: 2)
    guard header.count == 2 else { throw TimedOut("the connection ended without a Close frame") }
    guard header[0] == 0x81 else { return nil }
    var count = Int(header[1])
    if count == 126 {
      header = try socket.receive(exactly: 2)
      count = Int(header[0]) << 8 | Int(header[1])
    }
    return String(decoding: try socket.receive(exactly: count), as: UTF8.self)
  }
}
