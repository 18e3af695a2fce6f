import Glibc
import Primitives
import TestSupport
import Testing

@testable import Reactor

@Suite struct `a listener` {
  @Test func `says which address is taken and what to do`() throws {
    try withLoop { loop in
      let first = try Listener.listen(at: .loopback(), on: loop) { _ in }
      let error = #expect(throws: SystemError.self) {
        try Listener.listen(at: first.localAddress, on: loop) { _ in }
      }
      #expect(error?.code == EADDRINUSE)
      #expect(
        error?.description
          == "bind \(first.localAddress): Address already in use (EADDRINUSE); "
          + "another program listens there; choose another port or stop it")
      loop.stop()
    }
  }

  @Test func `shares a port between loops when asked to`() throws {
    try withLoop { loop in
      var options = ListenerOptions()
      options.reusePort = true
      let first = try Listener.listen(at: .loopback(), on: loop, options: options) { _ in }
      let second = try Listener.listen(at: first.localAddress, on: loop, options: options) { _ in }
      #expect(first.localAddress == second.localAddress)
      loop.stop()
    }
  }

  @Test func `replaces a socket file that nobody listens on, and removes its own at the end`() throws {
    let folder = TemporaryDirectory()
    let path = folder.file("socket")
    // What a killed server leaves behind: bound, never removed.
    let stale = try System.streamSocket(for: .unix(path: path))
    #expect(try SocketAddress.unix(path: path).withKernelForm { bind(stale, $0, $1) } == 0)
    System.close(stale)
    #expect(access(path, F_OK) == 0)
    try withLoop { loop in
      let listener = try Listener.listen(at: .unix(path: path), on: loop) { _ in }
      let error = #expect(throws: SystemError.self) {
        try Listener.listen(at: .unix(path: path), on: loop) { _ in }
      }
      #expect(error?.code == EADDRINUSE)
      listener.close()
      #expect(access(path, F_OK) != 0)
      loop.stop()
    }
  }

  @Test func `leaves alone a file that is not a socket`() throws {
    let folder = TemporaryDirectory()
    let path = folder.file("precious")
    System.close(open(path, O_CREAT | O_WRONLY, 0o600))
    try withLoop { loop in
      #expect(throws: SystemError.self) { try Listener.listen(at: .unix(path: path), on: loop) { _ in } }
      #expect(access(path, F_OK) == 0)
      loop.stop()
    }
  }

  @Test func `out of descriptors: sheds, pauses without spinning, and recovers`() throws {
    try withLoop { loop in
      var failing = true
      var calls = 0
      var accepted = 0
      let script: Listener.AcceptCall = { descriptor in
        calls += 1
        // The first call fails; with the reserve given up one client is taken, then the queue is empty again.
        guard failing else { return Listener.accept(descriptor) }
        if calls % 3 == 1 { return .failed(EMFILE) }
        return calls % 3 == 2 ? Listener.accept(descriptor) : .failed(EMFILE)
      }
      let listener = try Listener.listen(
        at: .loopback(), on: loop, options: ListenerOptions(), acceptNext: script
      ) { connection in
        accepted += 1
        connection.delegate = Recorder()
      }
      var turnedAway = 0
      func dial(_ closed: @escaping () -> Void) {
        Connection.connect(to: listener.localAddress, on: loop) { result in
          guard case .success(let connection) = result else { return loop.stop() }
          let recorder = Recorder()
          recorder.onClose = { _ in closed() }
          connection.delegate = recorder
        }
      }
      dial { turnedAway += 1 }
      loop.when({ turnedAway == 1 }) {
        #expect(listener.shedConnections == 1)
        #expect(listener.isPaused)
        let callsWhilePaused = calls
        dial {}
        loop.schedule(after: .milliseconds(30)) {
          #expect(calls == callsWhilePaused)
          failing = false
          loop.when({ accepted == 1 }) {
            #expect(!listener.isPaused)
            loop.stop()
          }
        }
      }
    }
  }

  /// Accepts a connection after the kernel has once refused one with `code`.
  private func accept(after code: Int32) throws {
    try withLoop { loop in
      var calls = 0
      let listener = try Listener.listen(
        at: .loopback(), on: loop, options: ListenerOptions(),
        acceptNext: { descriptor in
          calls += 1
          return calls == 1 ? .failed(code) : Listener.accept(descriptor)
        }
      ) { connection in
        connection.delegate = Recorder()
        #expect(calls == 2)
        loop.stop()
      }
      Connection.connect(to: listener.localAddress, on: loop) { result in
        if case .success(let connection) = result { connection.delegate = Recorder() }
      }
    }
  }

  @Test(arguments: [ENFILE, ENOBUFS, ENOMEM])
  func `a machine out of resources pauses it, too`(code: Int32) throws {
    try accept(after: code)
  }

  @Test func `a connection that failed while waiting does not keep the next from being accepted`() throws {
    try accept(after: ECONNABORTED)
  }

  @Test func `drain lets its connections finish, refuses new ones, and is bounded`() throws {
    try withLoop { loop in
      let serverSide = Recorder()
      var accepted: Connection?
      let listener = try Listener.listen(at: .loopback(), on: loop) { connection in
        connection.delegate = serverSide
        accepted = connection
      }
      let clientSide = Recorder()
      clientSide.keepsBytes = false
      Connection.connect(to: listener.localAddress, on: loop) { result in
        if case .success(let connection) = result { connection.delegate = clientSide }
      }
      loop.when({ accepted != nil }) {
        accepted?.send([UInt8](repeating: 1, count: 5_000_000))
        listener.drain(within: .seconds(5)) {
          #expect(serverSide.closes == [nil])
          #expect(clientSide.receivedBytes == 5_000_000)
          Connection.connect(to: listener.localAddress, on: loop) { result in
            if case .failure(let error) = result { #expect(error.code == ECONNREFUSED) } else { Issue.record("served") }
            loop.stop()
          }
        }
      }
    }
  }

  @Test func `drain of a loop cuts those that do not finish in time`() throws {
    try withLoop { loop in
      let serverSide = Recorder()
      var accepted: Connection?
      let listener = try Listener.listen(at: .loopback(), on: loop) { connection in
        connection.delegate = serverSide
        accepted = connection
      }
      let stubborn = try BlockingSocket(to: listener.localAddress)
      loop.when({ accepted != nil }) {
        accepted?.send([UInt8](repeating: 1, count: 30_000_000))
        loop.drain(within: .milliseconds(50)) {
          #expect(serverSide.closes.first??.code == ETIMEDOUT)
          stubborn.close()
          loop.drain(within: .seconds(1)) { loop.stop() }
        }
      }
    }
  }
}
