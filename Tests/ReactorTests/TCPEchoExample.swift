// README: begin
import Reactor

final class Echo: ConnectionDelegate {
  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    connection.send(bytes.bytes)
  }
  func connectionDidClose(_ connection: Connection, error: SystemError?) {}
}

func serveEcho(at address: SocketAddress, on loop: EventLoop) throws -> Listener {
  try Listener.listen(at: address, on: loop) { $0.delegate = Echo() }
}
// let loop = try EventLoop(); _ = try serveEcho(at: .loopback(port: 7000), on: loop); loop.run()
// README: end
