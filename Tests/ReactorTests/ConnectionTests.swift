import Glibc
import Primitives
import TestSupport
import Testing

@testable import Reactor

/// Both ends of one connection on one loop; `body` runs once both are there.
func withPair(
  at address: SocketAddress = .loopback(), server serverOptions: ConnectionOptions = ConnectionOptions(),
  client clientOptions: ConnectionOptions = ConnectionOptions(), sourceLocation: SourceLocation = #_sourceLocation,
  _ body: @escaping (Pair) -> Void
) throws {
  try withLoop(sourceLocation: sourceLocation) { loop in
    let pair = Pair(loop)
    var options = ListenerOptions()
    options.connection = serverOptions
    let listener = try Listener.listen(at: address, on: loop, options: options) { connection in
      connection.delegate = pair.serverSide
      pair.server = connection
    }
    Connection.connect(to: listener.localAddress, on: loop, options: clientOptions) { result in
      guard case .success(let connection) = result else {
        Issue.record("connect: \(result)", sourceLocation: sourceLocation)
        return loop.stop()
      }
      connection.delegate = pair.clientSide
      pair.client = connection
      loop.when({ pair.server != nil }, sourceLocation: sourceLocation) { body(pair) }
    }
  }
}

final class Pair {
  let loop: EventLoop
  let serverSide = Recorder()
  let clientSide = Recorder()
  var server: Connection?
  var client: Connection?

  init(_ loop: EventLoop) { self.loop = loop }

  /// Stops the loop once both sides were told that the connection closed.
  func stopWhenBothClosed() {
    loop.when({ [self] in !serverSide.closes.isEmpty && !clientSide.closes.isEmpty }) { [loop] in loop.stop() }
  }
}

@Suite struct `a connection` {
  @Test(arguments: ["tcp", "unix"])
  func `carries bytes both ways and closes in order`(kind: String) throws {
    let folder = TemporaryDirectory()
    let address = kind == "tcp" ? SocketAddress.loopback() : .unix(path: folder.file("socket"))
    try withPair(at: address) { pair in
      pair.serverSide.onReceive = { $0.send("pong") }
      pair.clientSide.onReceive = { _ in
        if pair.clientSide.text == "pong" { pair.client?.close() }
      }
      pair.client?.send("ping")
      pair.loop.when({ !pair.serverSide.closes.isEmpty && !pair.clientSide.closes.isEmpty }) {
        #expect(pair.serverSide.text == "ping")
        #expect(pair.clientSide.closes == [nil])
        #expect(pair.serverSide.closes == [nil])
        #expect(pair.client?.isOpen == false)
        #expect(pair.loop.resources.elements.allSatisfy { $0 is Listener })
        #expect(pair.loop.connections.count == 0)
        pair.loop.stop()
      }
    }
  }

  @Test func `writes everything of a turn in one call`() throws {
    try withPair { pair in
      pair.loop.schedule(after: .zero) {
        let before = pair.loop.writeCalls
        for _ in 0..<100 { pair.client?.send("0123456789") }
        #expect(pair.loop.writeCalls == before)
        #expect(pair.client?.pendingBytes == 1000)
        pair.loop.when({ pair.serverSide.receivedBytes == 1000 }) {
          #expect(pair.loop.writeCalls == before + 1)
          #expect(pair.client?.pendingBytes == 0)
          pair.loop.stop()
        }
      }
    }
  }

  @Test func `writes what a mailbox post and an afterTurn body sent in the same turn`() throws {
    let server = try RunningServer { loop in try serveEcho(at: .loopback(), on: loop).localAddress }
    defer { server.stop() }
    let bound = Exchange<LoopBound<Connection>>()
    let received = Exchange<String>()
    let client = try EventLoopThread(name: "client") { loop in
      Connection.connect(to: server.address, on: loop) { result in
        guard case .success(let connection) = result else { return }
        let recorder = Recorder()
        recorder.onReceive = { _ in
          if recorder.text.hasSuffix(".") { received.put(recorder.text) }
        }
        connection.delegate = recorder
        bound.put(LoopBound(connection, to: loop))
      }
    }
    let connection = bound.take()
    client.mailbox.post { loop in
      let before = loop.writeCalls
      loop.afterTurn { connection.value.send("afterwards.") }
      connection.value.send("posted, ")
      loop.schedule(after: .zero) { #expect(loop.writeCalls == before + 1) }
    }
    #expect(received.take() == "posted, afterwards.")
    client.stop()
    client.join()
  }

  @Test func `flush writes at once`() throws {
    try withPair { pair in
      pair.loop.schedule(after: .zero) {
        pair.client?.send("now")
        pair.client?.flush()
        #expect(pair.client?.pendingBytes == 0)
        pair.loop.stop()
      }
    }
  }

  @Test func `a large body is written at once with what waits, and in order`() throws {
    let small: [UInt8] = Array(1...200)
    let head: [UInt8] = [9, 9, 9]
    let large = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let tail: [UInt8] = [7]
    let expected = small + head + large + tail
    try withPair { pair in
      pair.loop.schedule(after: .zero) {
        guard let client = pair.client else { return }
        let before = pair.loop.writeCalls
        client.send(small)
        #expect(client.pendingBytes == small.count)
        client.send(head.span.bytes, large.span.bytes)
        #expect(pair.loop.writeCalls == before + 1)
        #expect(client.pendingBytes == 0)
        client.send(tail)
        pair.loop.when({ pair.serverSide.receivedBytes == expected.count }) { pair.loop.stop() }
      }
    }
  }

  @Test func `bodies that the kernel does not take are kept, and nothing is lost or reordered`() throws {
    let bodies = (0..<60).map { index in [UInt8](repeating: UInt8(index), count: 9_000 + index * 4_000) }
    let expected = bodies.flatMap { [UInt8(0xAA)] + $0 }
    var options = ConnectionOptions()
    options.sendBufferBytes = 64 * 1024
    try withPair(client: options) { pair in
      guard let client = pair.client else { return }
      for body in bodies { client.send(([0xAA] as [UInt8]).span.bytes, body.span.bytes) }
      #expect(client.pendingBytes > 0)
      pair.loop.when({ pair.serverSide.receivedBytes == expected.count }) {
        let isEqual = pair.serverSide.received == expected
        #expect(isEqual)
        #expect(pair.clientSide.rises == 1 && pair.clientSide.drains == 1)
        pair.loop.stop()
      }
    }
  }

  @Test func `of many connections that send in one turn only so many wait for its end`() throws {
    try withLoop { loop in
      let server = Recorder()
      var accepted: [Connection] = []
      let listener = try Listener.listen(at: .loopback(), on: loop) {
        $0.delegate = server
        accepted.append($0)
      }
      let clients = (0..<50).map { _ in Recorder() }
      var connections: [Connection] = []
      for client in clients {
        Connection.connect(to: listener.localAddress, on: loop) { result in
          guard let connection = try? result.get() else { return }
          connection.delegate = client
          connections.append(connection)
        }
      }
      loop.when({ accepted.count == 50 && connections.count == 50 }) {
        loop.schedule(after: .zero) {
          let before = loop.writeCalls
          for connection in accepted { connection.send("hello") }
          #expect(accepted.count { $0.pendingBytes > 0 } == 50 - 32)
          // Those already written may send again in the same turn.
          accepted[0].send(", again")
          loop.when({
            clients.allSatisfy { $0.text.hasPrefix("hello") } && clients.contains { $0.text == "hello, again" }
          }) {
            #expect(loop.writeCalls == before + 51)
            loop.stop()
          }
        }
      }
    }
  }

  @Test func `many slow peers of one turn are each told of once, and lose nothing`() throws {
    try withLoop { loop in
      let servers = (0..<70).map { _ in Recorder() }
      var accepted: [Connection] = []
      var options = ListenerOptions()
      options.connection.highWatermarkBytes = 1_000
      options.connection.lowWatermarkBytes = 100
      let listener = try Listener.listen(at: .loopback(), on: loop, options: options) {
        $0.delegate = servers[accepted.count]
        accepted.append($0)
      }
      let clients = (0..<70).map { _ in Recorder() }
      for client in clients {
        Connection.connect(to: listener.localAddress, on: loop) { result in
          (try? result.get())?.delegate = client
        }
      }
      loop.when({ accepted.count == 70 }) {
        loop.schedule(after: .zero) {
          for connection in accepted { for _ in 0..<2 { connection.send([UInt8](repeating: 1, count: 900)) } }
          for connection in accepted { connection.send([UInt8](repeating: 2, count: 900)) }
          loop.when({ clients.allSatisfy { $0.receivedBytes == 2_700 } && servers.allSatisfy { $0.drains == 1 } }) {
            #expect(servers.allSatisfy { $0.rises == 1 })
            loop.stop()
          }
        }
      }
    }
  }

  @Test func `tells of a slow peer once and of its recovery once, and loses nothing`() throws {
    var options = ConnectionOptions()
    options.sendBufferBytes = 65_536
    options.highWatermarkBytes = 100_000
    options.lowWatermarkBytes = 10_000
    try withPair(client: options) { pair in
      let total = 8_000_000
      pair.serverSide.keepsBytes = false
      pair.server?.pauseReading()
      var sent = 0
      func produce() {
        while sent < total, let client = pair.client, client.pendingBytes <= options.highWatermarkBytes {
          client.send([UInt8](repeating: 7, count: 50_000))
          sent += 50_000
        }
      }
      pair.clientSide.onRise = { _ in
        if pair.clientSide.rises == 1 {
          #expect(pair.clientSide.drains == 0)
          pair.server?.resumeReading()
        }
      }
      pair.clientSide.onDrain = { connection in
        #expect(connection.pendingBytes <= options.lowWatermarkBytes)
        #expect(pair.clientSide.drains == pair.clientSide.rises)
        produce()
      }
      // Fills the kernel's buffers first: it takes several turns until more than the watermark stays here.
      func fill() {
        produce()
        if pair.clientSide.rises == 0, sent < total { pair.loop.schedule(after: .zero) { fill() } }
      }
      fill()
      pair.loop.when({ pair.serverSide.receivedBytes == total }) {
        #expect(pair.clientSide.rises >= 1)
        #expect(pair.clientSide.drains == pair.clientSide.rises)
        pair.loop.stop()
      }
    }
  }

  @Test func `fails with ENOBUFS rather than queue more than maxPendingBytes`() throws {
    var options = ConnectionOptions()
    options.maxPendingBytes = 1_000_000
    options.sendBufferBytes = 4096
    try withPair(client: options) { pair in
      pair.server?.pauseReading()
      for _ in 0..<200 { pair.client?.send([UInt8](repeating: 1, count: 50_000)) }
      #expect(pair.client?.isOpen == false)
      #expect(pair.clientSide.closes.isEmpty, "never from within send")
      pair.loop.when({ !pair.clientSide.closes.isEmpty }) {
        #expect(pair.clientSide.closes.first??.code == ENOBUFS)
        #expect(pair.clientSide.closes.first??.description.contains("maxPendingBytes 1000000") ?? false)
        pair.server?.resumeReading()
        pair.loop.when({ !pair.serverSide.closes.isEmpty }) { pair.loop.stop() }
      }
    }
  }

  @Test func `holds the sender back while reading is paused`() throws {
    try withPair { pair in
      pair.server?.pauseReading()
      pair.client?.send("held")
      pair.loop.schedule(after: .milliseconds(20)) {
        #expect(pair.serverSide.receivedBytes == 0)
        pair.server?.resumeReading()
        pair.loop.when({ pair.serverSide.text == "held" }) { pair.loop.stop() }
      }
    }
  }

  @Test func `stops delivering within a readable event when its delegate pauses`() throws {
    try withPair { pair in
      let total = 3 * EventLoop.receiveBufferBytes
      pair.serverSide.keepsBytes = false
      var deliveries = 0
      pair.serverSide.onReceive = { connection in
        deliveries += 1
        connection.pauseReading()
        pair.loop.schedule(after: .milliseconds(1)) { connection.resumeReading() }
      }
      pair.client?.send([UInt8](repeating: 1, count: total))
      pair.loop.when({ pair.serverSide.receivedBytes == total }) {
        #expect(deliveries >= 3)
        pair.loop.stop()
      }
    }
  }

  @Test func `half close by us: the peer sees the end and can still answer`() throws {
    try withPair { pair in
      pair.serverSide.onEnd = { connection in
        #expect(pair.serverSide.text == "request")
        connection.send("answer")
        connection.close()
      }
      pair.client?.send("request")
      pair.client?.shutdownWrite()
      pair.client?.send("dropped")
      pair.loop.when({ !pair.serverSide.closes.isEmpty && !pair.clientSide.closes.isEmpty }) {
        #expect(pair.clientSide.text == "answer")
        #expect(pair.clientSide.sawEnd)
        #expect(pair.clientSide.closes == [nil])
        #expect(pair.serverSide.closes == [nil])
        pair.loop.stop()
      }
    }
  }

  @Test func `closes by itself once both directions have ended`() throws {
    try withPair { pair in
      pair.serverSide.onEnd = { _ in }
      pair.clientSide.onEnd = { _ in }
      pair.client?.shutdownWrite()
      pair.loop.when({ pair.serverSide.sawEnd }) {
        #expect(pair.server?.isOpen == true)
        pair.server?.shutdownWrite()
        pair.stopWhenBothClosed()
      }
    }
  }

  @Test func `abort shows as ECONNRESET at the peer`() throws {
    try withPair { pair in
      pair.server?.abort()
      #expect(pair.serverSide.closes.isEmpty, "never from within abort")
      pair.loop.when({ !pair.serverSide.closes.isEmpty && !pair.clientSide.closes.isEmpty }) {
        #expect(pair.serverSide.closes == [nil])
        #expect(pair.clientSide.closes.first??.code == ECONNRESET)
        #expect(pair.clientSide.closes.count == 1)
        pair.loop.stop()
      }
    }
  }

  @Test func `delivers what the peer said before it reset a connection that was being written`() throws {
    let server = try RunningServer { loop in try serveEcho(at: .loopback(), on: loop).localAddress }
    defer { server.stop() }
    let listening = Exchange<SocketAddress>()
    let outcome = Exchange<(String, Int32)>()
    let thread = try EventLoopThread(name: "writer") { loop in
      let recorder = Recorder()
      recorder.onClose = { _ in outcome.put((recorder.text, (recorder.closes.first ?? nil)?.code ?? 0)) }
      let listener = try? Listener.listen(at: .loopback(), on: loop) { connection in
        // Reading starts only after the peer is gone, so that the failed write comes first.
        loop.schedule(after: .milliseconds(50)) { connection.send("into the void") }
        loop.schedule(after: .milliseconds(60)) { connection.send("again") }
        connection.delegate = recorder
      }
      if let listener { listening.put(listener.localAddress) }
    }
    let peer = try BlockingSocket(to: listening.take())
    try peer.send("last words")
    peer.close()
    let (text, _) = outcome.take()
    #expect(text == "last words")
    thread.stop()
    thread.join()
  }

  @Test func `reports a reset by the peer once`() throws {
    let codes = Exchange<[Int32?]>()
    let server = try RunningServer { loop in
      try Listener.listen(at: .loopback(), on: loop) { connection in
        let recorder = Recorder()
        recorder.onClose = { _ in
          loop.schedule(after: .milliseconds(5)) { codes.put(recorder.closes.map { $0?.code }) }
        }
        connection.delegate = recorder
      }.localAddress
    }
    defer { server.stop() }
    let peer = try BlockingSocket(to: server.address)
    try peer.send("x")
    peer.reset()
    #expect(codes.take() == [ECONNRESET])
  }

  @Test func `close flushes everything to a slow reader first`() throws {
    let total = 3_000_000
    let server = try RunningServer { loop in
      var options = ListenerOptions()
      options.connection.sendBufferBytes = 4096
      return try Listener.listen(at: .loopback(), on: loop, options: options) { connection in
        connection.delegate = Recorder()
        connection.send([UInt8](repeating: 9, count: total))
        connection.close()
        connection.send("too late")
      }.localAddress
    }
    defer { server.stop() }
    let peer = try BlockingSocket(to: server.address, receiveBufferBytes: 4096)
    try peer.send("ignored, and must not turn the close into a reset")
    #expect(try peer.receiveToEnd() == [UInt8](repeating: 9, count: total))
  }

  @Test func `close gives up at the drain deadline when the peer does not read`() throws {
    var options = ConnectionOptions()
    options.drainTimeout = .milliseconds(50)
    options.sendBufferBytes = 4096
    try withPair(client: options) { pair in
      pair.server?.pauseReading()
      pair.client?.send([UInt8](repeating: 1, count: 20_000_000))
      pair.client?.close()
      pair.loop.when({ !pair.clientSide.closes.isEmpty }) {
        #expect(pair.clientSide.closes.first??.code == ETIMEDOUT)
        #expect(pair.clientSide.closes.first??.detail.contains("unsent") ?? false)
        pair.loop.stop()
      }
    }
  }

  @Test func `close ends at the drain deadline when the peer never ends its side`() throws {
    var options = ConnectionOptions()
    options.drainTimeout = .milliseconds(30)
    try withPair(client: options) { pair in
      pair.serverSide.onEnd = { _ in }
      pair.client?.close()
      pair.loop.when({ !pair.clientSide.closes.isEmpty }) {
        #expect(pair.clientSide.closes == [nil])
        pair.loop.stop()
      }
    }
  }

  @Test func `a unix peer that vanishes with data unread fails the next write, not the process`() throws {
    let folder = TemporaryDirectory()
    try withPair(at: .unix(path: folder.file("s"))) { pair in
      pair.server?.pauseReading()
      pair.client?.send("unread")
      pair.loop.schedule(after: .milliseconds(5)) {
        pair.client?.pauseReading()
        pair.server?.abort()
        pair.loop.schedule(after: .milliseconds(5)) {
          pair.client?.send("to nobody")
          pair.stopWhenBothClosed()
        }
      }
    }
  }

  @Test func `releases connection and delegate after the close`() throws {
    weak var connection: Connection?
    weak var delegate: Recorder?
    try withLoop { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop) { $0.delegate = Recorder() }
      Connection.connect(to: listener.localAddress, on: loop) { result in
        guard case .success(let connected) = result else { return loop.stop() }
        let recorder = Recorder()
        recorder.onClose = { _ in loop.schedule(after: .milliseconds(1)) { loop.stop() } }
        connected.delegate = recorder
        connection = connected
        delegate = recorder
        loop.schedule(after: .milliseconds(5)) { [unowned connected] in connected.close() }
      }
    }
    #expect(connection == nil)
    #expect(delegate == nil)
  }

  @Test func `is closed with ECANCELED when its loop ends`() throws {
    var codes: [Int32?] = []
    try withPair { pair in
      pair.clientSide.onClose = { _ in codes = pair.clientSide.closes.map { $0?.code } }
      pair.loop.stop()
    }
    #expect(codes == [ECANCELED])
  }

  @Test func `is aborted when nobody takes it over`() throws {
    try withLoop { loop in
      let listener = try Listener.listen(at: .loopback(), on: loop) { _ in }
      Connection.connect(to: listener.localAddress, on: loop) { result in
        guard case .success(let connection) = result else { return loop.stop() }
        let recorder = Recorder()
        recorder.onClose = { _ in loop.stop() }
        connection.delegate = recorder
      }
    }
  }

  @Test func `a descriptor number reused within a turn does not receive its predecessor's events`() throws {
    let folder = TemporaryDirectory()
    try withLoop { loop in
      let listener = try Listener.listen(at: .unix(path: folder.file("s")), on: loop) { connection in
        let recorder = Recorder()
        connection.delegate = recorder
      }
      var ends: (Int32, Int32) = (-1, -1)
      var pair: [Int32] = [0, 0]
      #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0o2004000, 0, &pair) == 0)
      // Far above the numbers of tests that run at the same time, so that nobody else takes it.
      ends = (fcntl(pair[0], F_DUPFD_CLOEXEC, 900), pair[1])
      _ = close(pair[0])
      let old = Connection(
        descriptor: ends.0, remoteAddress: .unix(path: ""), profile: ConnectionProfile(ConnectionOptions()), on: loop)
      let oldSide = Recorder()
      old.delegate = oldSide
      let newSide = Recorder()
      loop.schedule(after: .zero) {
        // The old connection becomes readable and is cut before the poll; its number goes to the next socket at once.
        _ = write(ends.1, "stale", 5)
        old.abort()
        var next: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0o2004000, 0, &next) == 0)
        let reused = fcntl(next[0], F_DUPFD_CLOEXEC, ends.0)
        _ = close(next[0])
        #expect(reused == ends.0)
        let new = Connection(
          descriptor: reused, remoteAddress: .unix(path: ""), profile: ConnectionProfile(ConnectionOptions()), on: loop)
        new.delegate = newSide
        loop.schedule(after: .milliseconds(10)) {
          #expect(newSide.receivedBytes == 0)
          #expect(newSide.closes.isEmpty)
          _ = write(next[1], "fresh", 5)
          loop.when({ newSide.text == "fresh" }) {
            #expect(oldSide.receivedBytes == 0)
            #expect(oldSide.closes.count == 1)
            _ = close(ends.1)
            _ = close(next[1])
            listener.close()
            loop.stop()
          }
        }
      }
    }
  }

  @Test func `lets others read while one peer floods`() throws {
    let server = try RunningServer { loop in try serveEcho(at: .loopback(), on: loop).localAddress }
    defer { server.stop() }
    let flood = try EventLoopThread(name: "flood") { loop in
      Connection.connect(to: server.address, on: loop) { result in
        guard case .success(let connection) = result else { return }
        let recorder = Recorder()
        recorder.keepsBytes = false
        recorder.onDrain = { $0.send([UInt8](repeating: 1, count: 1_000_000)) }
        connection.delegate = recorder
        connection.send([UInt8](repeating: 1, count: 8_000_000))
      }
    }
    let polite = try BlockingSocket(to: server.address)
    for number in 0..<100 {
      try polite.send("\(number % 10)")
      #expect(try polite.receive(exactly: 1) == Array("\(number % 10)".utf8))
    }
    flood.stop()
    flood.join()
  }

  @Test func `switches off Nagle's delay on both sides`() throws {
    try withPair { pair in
      for connection in [pair.client, pair.server] {
        #expect(connection?.isDelayFree == true)
      }
      pair.loop.stop()
    }
  }
}
