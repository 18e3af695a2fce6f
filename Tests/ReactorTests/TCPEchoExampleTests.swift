import Glibc
import Reactor
import TestSupport
import Testing

@Suite struct `the echo example of the README` {
  @Test func `answers what it is sent, byte for byte`() throws {
    let server = try RunningServer { loop in try serveEcho(at: .loopback(), on: loop).localAddress }
    defer { server.stop() }
    let client = try BlockingSocket(to: server.address)
    let message = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try client.send("hello")
    #expect(try client.receive(exactly: 5) == Array("hello".utf8))
    try client.send(message)
    #expect(try client.receive(exactly: message.count) == message)
    client.shutdownWrite()
    #expect(try client.receiveToEnd() == [])
  }
}
