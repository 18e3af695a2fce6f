// README: begin
import Reactor

final class Echo: ConnectionDelegate {
  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    connection.send(bytes.bytes)
  }
  func connectionDidClose(_ connection: Connection, error: SystemError?) {}
}

func runEchoServer(at address: SocketAddress, whenListening: (EventLoop, SocketAddress) -> Void) throws {
  let loop = try EventLoop()
  let listener = try Listener.listen(at: address, on: loop) { $0.delegate = Echo() }
  whenListening(loop, listener.localAddress)
  loop.run()
}
// README: end
