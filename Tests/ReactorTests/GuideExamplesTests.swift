import Reactor
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct `the examples of Reactor's guides` {
  @Test func `a post reaches a connection of another thread`() throws {
    let accepted = Exchange<LoopBound<Connection>>()
    let server = try RunningServer { loop in
      try Listener.listen(at: .loopback(), on: loop) { connection in
        connection.delegate = Recorder()
        accepted.put(LoopBound(connection, to: loop))
      }.localAddress
    }
    defer { server.stop() }
    let client = try BlockingSocket(to: server.address)
    greet(server.thread, accepted.take())
    #expect(try client.receive(exactly: 26) == Array("hello from another thread\n".utf8))
  }

  @Test func `an actor on a loop keeps score`() async throws {
    #expect(try await keepScore() == ["ada": 2, "alan": 11])
  }

  @Test func `a producer that heeds the watermarks sends everything`() throws {
    let server = try RunningServer { loop in
      try Listener.listen(at: .loopback(), on: loop) { connection in
        let countdown = Countdown(from: 300_000)
        connection.delegate = countdown
        countdown.produce(into: connection)
      }.localAddress
    }
    defer { server.stop() }
    let client = try BlockingSocket(to: server.address)
    let lines = try client.receiveToEnd().split(separator: UInt8(ascii: "\n"))
    #expect(lines.count == 300_000)
    #expect(lines.last.map { String(decoding: $0, as: UTF8.self) } == "1")
  }
}
