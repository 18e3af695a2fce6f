import Glibc
import Primitives
import TestSupport
import Testing

@testable import Reactor

@Suite struct `a connect attempt` {
  /// The error of one attempt; nil when it connected.
  private func error(
    _ connect: @escaping (EventLoop, @escaping (Result<Connection, SystemError>) -> Void) -> Void
  ) throws -> SystemError? {
    var error: SystemError?
    try withLoop { loop in
      var inCall = true
      connect(loop) { result in
        #expect(!inCall, "the completion came from within the call")
        if case .failure(let failure) = result { error = failure }
        loop.stop()
      }
      inCall = false
    }
    return error
  }

  private func unusedPort() throws -> SocketAddress {
    let loop = try EventLoop()
    let listener = try Listener.listen(at: .loopback(), on: loop) { _ in }
    defer { listener.close() }
    return listener.localAddress
  }

  @Test func `is refused with the address in the text`() throws {
    let address = try unusedPort()
    let error = try error { loop, done in Connection.connect(to: address, on: loop, done) }
    #expect(error?.description == "connect \(address): Connection refused (ECONNREFUSED); nobody listens there")
  }

  @Test func `says that a socket file is missing`() throws {
    let folder = TemporaryDirectory()
    let error = try error { loop, done in
      Connection.connect(to: .unix(path: folder.file("none")), on: loop, done)
    }
    #expect(error?.code == ENOENT)
  }

  @Test func `says that a path is too long`() throws {
    let error = try error { loop, done in
      Connection.connect(to: .unix(path: String(repeating: "x", count: 200)), on: loop, done)
    }
    #expect(error?.code == ENAMETOOLONG)
  }

  @Test func `times out when a full backlog leaves it unanswered`() throws {
    let folder = TemporaryDirectory()
    let address = SocketAddress.unix(path: folder.file("full"))
    let listening = try System.streamSocket(for: address)
    defer { System.close(listening) }
    #expect(try address.withKernelForm { bind(listening, $0, $1) } == 0)
    #expect(listen(listening, 0) == 0)
    let waiting = try BlockingSocket(to: address)
    let error = try error { loop, done in
      Connection.connect(to: address, on: loop, timeout: .milliseconds(60), done)
    }
    #expect(error?.code == ETIMEDOUT)
    waiting.close()
  }

  @Test func `times out over TCP when the peer's queue is full`() throws {
    // Nobody accepts; a backlog of zero holds one connection and drops further handshakes.
    let listening = try System.streamSocket(for: .loopback())
    defer { System.close(listening) }
    #expect(try SocketAddress.loopback().withKernelForm { bind(listening, $0, $1) } == 0)
    #expect(listen(listening, 0) == 0)
    let address = try #require(SocketAddress.local(of: listening))
    let waiting = try BlockingSocket(to: address)
    let error = try error { loop, done in
      Connection.connect(to: address, on: loop, timeout: .milliseconds(80), done)
    }
    #expect(error?.code == ETIMEDOUT)
    #expect(error?.description.contains("\(address)") ?? false)
    waiting.close()
  }

  @Test func `is not reported after cancel`() throws {
    let address = try unusedPort()
    try withLoop { loop in
      let attempt = Connection.connect(to: address, on: loop) { _ in Issue.record("reported after cancel") }
      attempt.cancel()
      attempt.cancel()
      loop.schedule(after: .milliseconds(20)) {
        #expect(loop.resources.count == 0)
        loop.stop()
      }
    }
  }

  @Test func `names a host that does not resolve`() throws {
    let error = try error { loop, done in
      Connection.connect(host: "no-such-host.invalid", port: 80, on: loop, done)
    }
    #expect((error?.code ?? 0) < 0)
    #expect(error?.description.hasPrefix("resolve no-such-host.invalid: ") ?? false)
  }

  @Test func `finds localhost by name`() throws {
    try withLoop { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop) { $0.delegate = Recorder() }
      Connection.connect(host: "localhost", port: listener.localAddress.port ?? 0, on: loop) { result in
        if case .failure(let error) = result { Issue.record("\(error)") }
        loop.stop()
      }
    }
  }

  @Test func `tries the next address when one refuses`() throws {
    let dead = try unusedPort()
    try withLoop { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop) { $0.delegate = Recorder() }
      let attempt = ConnectAttempt(
        target: "twins:1", on: loop, timeout: .seconds(5), options: ConnectionOptions()
      ) { result in
        guard case .success(let connection) = result else {
          Issue.record("\(result)")
          return loop.stop()
        }
        #expect(connection.remoteAddress == listener.localAddress)
        loop.stop()
      }
      attempt.begin(with: [dead, listener.localAddress])
    }
  }

  @Test func `resolves numbers without a thread, and refuses nonsense`() throws {
    try withLoop { loop in
      Resolver.resolve(host: "[::1]", port: 5, on: loop) { result in
        #expect(result == .success([.ipv6(.init(high: 0, low: 1), port: 5)]))
        Resolver.resolve(host: "", port: 5, on: loop) { result in
          if case .failure(let error) = result { #expect(error.code == EAI_NONAME) } else { Issue.record("resolved") }
          loop.stop()
        }
      }
    }
  }

  @Test func `many lookups at once are all answered`() throws {
    try withLoop { loop in
      var answers = 0
      for _ in 0..<50 {
        Resolver.resolve(host: "localhost", port: 1, on: loop) { result in
          if case .success(let addresses) = result { #expect(!addresses.isEmpty) } else { Issue.record("\(result)") }
          answers += 1
          if answers == 50 { loop.stop() }
        }
      }
    }
  }

  @Test func `fails with ECANCELED when its loop ends first`() throws {
    var code: Int32?
    let address = try unusedPort()
    try withLoop { loop in
      Connection.connect(to: address, on: loop) { result in
        if case .failure(let error) = result { code = error.code }
      }
      loop.stop()
    }
    #expect(code == ECANCELED || code == ECONNREFUSED)
  }
}
