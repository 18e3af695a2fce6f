import ExampleSupport
import Glibc
import Reactor

/// Sends back whatever it receives: the callback style, which costs least.
final class Echo: ConnectionDelegate {
  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    connection.send(bytes.bytes)
  }

  // A client that sends and does not read is not read from either; else its echoes would pile up here.
  func connectionDidRiseAboveHighWatermark(_ connection: Connection) { connection.pauseReading() }
  func connectionDidDrainBelowLowWatermark(_ connection: Connection) { connection.resumeReading() }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {
    if let error { ExampleProgram.say("\(connection.remoteAddress) \(error)") }
  }
}

@main struct TCPEcho {
  static func main() {
    let arguments = ExampleProgram.arguments
    guard arguments.count == 1, let port = UInt16(arguments[0]) else {
      ExampleProgram.usage("example-tcp-echo PORT (0 to 65535; 0 lets the system choose)")
    }
    ExampleProgram.run {
      let loop = try EventLoop()
      let listener = try Listener.listen(at: .loopback(port: port), on: loop) { $0.delegate = Echo() }
      for signal in [SIGINT, SIGTERM] {
        try loop.onSignal(signal) { loop.drain(within: .seconds(5)) { loop.stop() } }
      }
      ExampleProgram.say("listening on \(listener.localAddress)")
      loop.run()
    }
  }
}
