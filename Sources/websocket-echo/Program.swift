import Glibc
import Reactor
import WebSocket

/// The smallest useful WebSocket server: `websocket-echo --port 9001`; and the client that conformance is tested with.
@main struct Program {
  static func main() {
    do {
      switch try Options.parse(Array(CommandLine.arguments.dropFirst())) {
      case .show(let text): say(text)
      case .serve(let options): try serve(options)
      case .run(let options, let url): try run(options, at: url)
      }
    } catch let error as Options.UsageError {
      fail("\(error.message)\nTry: websocket-echo --help", status: 2)
    } catch {
      fail("\(error)", status: 1)
    }
  }

  private static func serve(_ options: Options) throws {
    guard let address = SocketAddress(ip: options.host, port: options.port ?? 0) else {
      throw Options.UsageError(message: "option --host takes an address such as 127.0.0.1 or ::1, not \(options.host)")
    }
    let loop = try EventLoop()
    let server = try Echo.serve(at: address, on: loop, options)
    let bound = server.localAddress
    // The kernel shares connections out among loops that listen on one port.
    let companions = Companions(options) { error in
      if let error { fail("\(error)", status: 1) }
      say("listening on ws://\(bound)")
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

  private static func run(_ options: Options, at url: WebSocketURL) throws {
    let loop = try EventLoop()
    let client = ConformanceClient(of: url, on: loop, options)
    client.start { error in
      if let error { fail("\(error)", status: 1) }
      loop.stop()
    }
    loop.run()
    say("ran \(client.caseCount) cases of \(url)")
  }

  /// Writes a line to standard output at once, even into a pipe.
  private static func say(_ line: String) { write(line, to: STDOUT_FILENO) }

  private static func fail(_ line: String, status: Int32) -> Never {
    write("websocket-echo: " + line, to: STDERR_FILENO)
    exit(status)
  }

  private static func write(_ line: String, to descriptor: Int32) {
    let bytes = Array((line + "\n").utf8)
    // SAFETY: write reads at most `count` bytes of the array.
    _ = unsafe Glibc.write(descriptor, bytes, bytes.count)
  }
}
