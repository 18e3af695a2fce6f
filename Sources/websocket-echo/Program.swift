import ArgumentParsing
import Glibc
import Reactor
import Terminal
import WebSocket

/// The smallest useful WebSocket server: `websocket-echo --port 9001`; and the client that conformance is tested with.
@main struct Program {
  static func main() {
    do throws(UsageError) {
      let parser = ArgumentParser(Options.command, version: "0.1.0")
      switch try parser.parse(Array(CommandLine.arguments.dropFirst())) {
      case .help(let page): say(page.text(columns: TerminalDevice.columns(STDOUT_FILENO) ?? 80))
      case .version(let text): say(text)
      case .run(let invocation): run(try Options(invocation))
      }
    } catch {
      fail("\(error)", status: UsageError.exitStatus)
    }
  }

  private static func run(_ options: Options) {
    do {
      switch (options.job, options.style) {
      case (.serve(let address), .callback): try serveByCallbacks(at: address, options)
      case (.serve(let address), .async): try serveByTasks(at: address, options)
      case (.runCases(let url, let agent), _): try runCases(of: url, as: agent, options)
      }
    } catch {
      fail("websocket-echo: \(error)", status: 1)
    }
  }

  private static func serveByTasks(at address: SocketAddress, _ options: Options) throws {
    try EventLoop.run(cancelledBy: [SIGTERM, SIGINT]) { _ in
      try await WebSocketServer.serve(
        at: address, loops: options.loops, configuration: options.configuration, tls: options.serverTLS,
        onListening: { say("listening on \(options.scheme)://\($0)") }
      ) { socket, _ in
        for try await message in socket { try await socket.send(message) }
      }
    }
  }

  private static func serveByCallbacks(at address: SocketAddress, _ options: Options) throws {
    let loop = try EventLoop()
    let server = try Echo.serve(at: address, on: loop, options)
    let bound = server.localAddress
    // The kernel shares connections out among loops that listen on one port.
    let companions = Companions(options) { error in
      if let error { fail("websocket-echo: \(error)", status: 1) }
      say("listening on \(options.scheme)://\(bound)")
    }
    try companions.start(at: bound, from: loop)
    var isDraining = false
    for signal in [SIGTERM, SIGINT] {
      try loop.onSignal(signal) {
        if isDraining { exit(1) }
        isDraining = true
        companions.drain()
        server.close { loop.stop() }
      }
    }
    loop.run()
    companions.join()
  }

  private static func runCases(of url: WebSocketURL, as agent: String, _ options: Options) throws {
    let loop = try EventLoop()
    let client = ConformanceClient(of: url, as: agent, options.configuration, tls: options.clientTLS, on: loop)
    client.start { error in
      if let error { fail("websocket-echo: \(error)", status: 1) }
      loop.stop()
    }
    loop.run()
    say("ran \(client.caseCount) cases of \(url)")
  }

  private static func say(_ text: String) { _ = DescriptorWriter.standardOutput.write(text + "\n") }

  private static func fail(_ text: String, status: Int32) -> Never {
    _ = DescriptorWriter.standardError.write(text + "\n")
    exit(status)
  }
}
