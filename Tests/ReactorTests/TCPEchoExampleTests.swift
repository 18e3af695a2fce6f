import Reactor
import TestSupport
import Testing

/// The example's listener on a loop that runs already.
func serveEcho(at address: SocketAddress, on loop: EventLoop) throws -> Listener {
  try Listener.listen(at: address, on: loop) { $0.delegate = Echo() }
}

@Suite struct `the echo example of the README` {
  @Test func `answers what it is sent, byte for byte`() throws {
    let listening = Exchange<(Mailbox, SocketAddress)>()
    let thread = try EventLoopThread(name: "example") { outer in
      do {
        try runEchoServer(at: .loopback()) { loop, address in listening.put((loop.mailbox, address)) }
      } catch {
        Issue.record(error)
      }
      outer.stop()
    }
    let (mailbox, address) = listening.take()
    let client = try BlockingSocket(to: address)
    let message = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try client.send("hello")
    #expect(try client.receive(exactly: 5) == Array("hello".utf8))
    try client.send(message)
    #expect(try client.receive(exactly: message.count) == message)
    client.shutdownWrite()
    #expect(try client.receiveToEnd() == [])
    mailbox.post { loop in loop.stop() }
    thread.join()
  }
}
