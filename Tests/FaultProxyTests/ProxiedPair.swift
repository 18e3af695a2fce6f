import FaultProxy
import Primitives
import Reactor
import TestSupport
import Testing

/// One end of a connection, which writes down what it hears.
final class Ear: ConnectionDelegate {
  var bytes: [UInt8] = []
  /// How much came with each read.
  var reads: [Int] = []
  var sawEnd = false
  var close: (SystemError?)?
  var closesOnEnd = true

  var isClosed: Bool { close != nil }
  var wasReset: Bool { (close ?? nil) != nil }

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    let copy = bytes.bytes.withUnsafeBytes { Array($0) }
    self.bytes += copy
    reads.append(copy.count)
  }

  func connectionDidReachEndOfStream(_ connection: Connection) {
    sawEnd = true
    if closesOnEnd { connection.close() }
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) { close = .some(error) }
}

/// A client and its server, with a proxy between them, all on one loop.
final class ProxiedPair {
  let loop: EventLoop
  let proxy: FaultProxy
  let client: Connection
  let server: Connection
  let clientEar: Ear
  let serverEar: Ear
  /// Connections that the target accepted.
  var accepted: Int { count() }
  private let count: () -> Int

  private init(
    _ loop: EventLoop, _ proxy: FaultProxy, client: Connection, server: Connection, clientEar: Ear, serverEar: Ear,
    count: @escaping () -> Int
  ) {
    self.loop = loop
    self.proxy = proxy
    self.client = client
    self.server = server
    self.clientEar = clientEar
    self.serverEar = serverEar
    self.count = count
  }

  /// Runs `body` once both ends are connected through the proxy; something in it must stop the loop.
  static func run(
    seed: UInt64 = 1, limit: Duration = .seconds(60), prepare: @escaping (FaultProxy) -> Void = { _ in },
    sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping (ProxiedPair) -> Void
  ) throws {
    var kept: [AnyObject] = []
    try withLoop(limit: limit, sourceLocation: sourceLocation) { loop in
      let (clientEar, serverEar) = (Ear(), Ear())
      var server: Connection?
      var accepted = 0
      let listener = try Listener.listen(at: .loopback(), on: loop) { connection in
        connection.delegate = serverEar
        server = connection
        accepted += 1
      }
      let proxy = try FaultProxy(to: listener.localAddress, seed: seed, on: loop)
      prepare(proxy)
      kept = [listener, proxy]
      Connection.connect(to: proxy.address, on: loop) { result in
        guard case .success(let client) = result else {
          Issue.record("\(result)", sourceLocation: sourceLocation)
          return loop.stop()
        }
        client.delegate = clientEar
        loop.when({ server != nil }, sourceLocation: sourceLocation) {
          guard let server else { return }
          let pair = ProxiedPair(
            loop, proxy, client: client, server: server, clientEar: clientEar, serverEar: serverEar,
            count: { accepted })
          kept.append(pair)
          body(pair)
        }
      }
    }
    kept = []
  }

  /// The end that sends in a direction, and the one that hears.
  func sender(_ direction: FaultDirection) -> Connection { direction == .up ? client : server }
  func receiver(_ direction: FaultDirection) -> Connection { direction == .up ? server : client }
  func ear(_ direction: FaultDirection) -> Ear { direction == .up ? serverEar : clientEar }

  /// Calls `body` once `condition` holds; the test fails if that takes too long.
  func after(_ condition: @escaping () -> Bool, _ body: @escaping () -> Void) { loop.when(condition, body) }
}
