import Reactor
import TestSupport
import Testing

@testable import WebSocket

@Suite(.timeLimit(.minutes(5))) struct ConnectionLimitsTests {
  private func limits(_ total: Int = .max, perAddress: Int = .max) -> ConnectionLimits {
    var limits = ConnectionLimits()
    limits.maxConnections = total
    limits.maxConnectionsPerAddress = perAddress
    return limits
  }

  private func address(_ text: String, _ port: UInt16 = 1) throws -> SocketAddress {
    try #require(SocketAddress(ip: text, port: port))
  }

  @Test func `an address is counted whatever its port, and an IPv6 one by its network`() throws {
    var census = ConnectionCensus()
    census.add(try address("10.0.0.1", 1))
    census.add(try address("10.0.0.1", 2))
    census.add(try address("::ffff:10.0.0.1", 3))
    census.add(try address("10.0.0.2"))
    census.add(try address("2001:db8::1"))
    census.add(try address("2001:db8::ffff:1"))
    census.add(try address("2001:db8:0:1::1"))
    census.add(.unix(path: "/tmp/a"))
    #expect(census.count(from: try address("10.0.0.1", 9)) == 3)
    #expect(census.count(from: try address("10.0.0.2")) == 1)
    #expect(census.count(from: try address("2001:db8::2")) == 2)
    #expect(census.count(from: try address("::1")) == 0)
    #expect(census.total == 8)
    #expect(!census.hasRoom(for: try address("10.0.0.1"), limits(perAddress: 3)))
    #expect(census.hasRoom(for: try address("10.0.0.2"), limits(perAddress: 3)))
    #expect(!census.hasRoom(for: try address("10.0.0.2"), limits(8)))
  }

  @Test func `who leaves makes room, and nothing is kept of an address without connections`() throws {
    var census = ConnectionCensus()
    for _ in 0..<3 { census.add(try address("10.0.0.1")) }
    for _ in 0..<5 { census.remove(try address("10.0.0.1")) }
    #expect(census.total == 0)
    #expect(census.count(from: try address("10.0.0.1")) == 0)
  }

  @Test(arguments: [true, false])
  func `a connection beyond the limits is cut, those in the handshake count, and their end makes room`(
    perAddress: Bool
  ) throws {
    let limits = perAddress ? limits(perAddress: 2) : limits(2)
    let gone = Exchange<Bool>()
    let counts = Exchange<[Int]>()
    let server = try RunningServer { loop in
      let server = try WebSocketServer.listen(at: .loopback(), on: loop, limits: limits) { _ in
        .accept(subprotocol: nil, delegate: Echo())
      }
      server.onHandshakeFailure = { address, _ in
        counts.put([server.connectionCount(from: address), server.cutConnections])
        gone.put(true)
        // One is all that is waited for; the server would keep itself through what it keeps.
        server.onHandshakeFailure = nil
      }
      return server.localAddress
    }
    defer { server.stop() }
    let open = try RawPeer(to: server.address)
    try open.open()
    let half = try RawPeer(to: server.address)
    try half.socket.send("GET / HT")
    let third = try RawPeer(to: server.address)
    // Cut, it sees a reset or the end.
    #expect((try? third.socket.receiveToEnd()) ?? [] == [])
    half.socket.close()
    #expect(gone.take())
    #expect(counts.take() == [1, 1])
    let fourth = try RawPeer(to: server.address)
    try fourth.open()
  }

  @Test func `a refused peer that does not hang up is gone soon after its refusal`() throws {
    var configuration = WebSocketConfiguration()
    configuration.handshakeTimeout = .milliseconds(50)
    // Otherwise it would be patient.
    configuration.closeTimeout = .seconds(3_600)
    let failures = Exchange<CloseReason>()
    let server = try serve(configuration, onHandshakeFailure: { failures.put($0) })
    defer { server.stop() }
    let peer = try RawPeer(to: server.address)
    try peer.socket.send("GET / HT")
    #expect(String(decoding: try peer.socket.receiveToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 408 "))
    // Its socket is still open.
    #expect(failures.take().error == .connection(.handshake(.timedOut(after: .milliseconds(50)))))
  }
}
