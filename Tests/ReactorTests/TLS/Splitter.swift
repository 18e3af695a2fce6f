import Primitives
import Reactor

/// Stands between two ends of TCP on their own loop, and hands on what it hears in pieces of the test's choosing, one a
/// turn, so that the pieces are read one by one.
final class Splitter {
  /// The most that the next piece may have.
  var pieceBytes: () -> Int
  /// Called with each piece; may change it.
  var onPiece: (inout [UInt8], Bool) -> Void = { _, _ in }
  private(set) var address: SocketAddress
  private let near: Side
  private let far: Side
  private let loop: EventLoop

  /// One end, and what it is to be sent.
  private final class Side: ConnectionDelegate {
    var connection: Connection?
    var queue: [UInt8] = []
    var offset = 0
    var isPumping = false
    var endsWhenEmpty = false
    let received: (RawSpan) -> Void
    let ended: () -> Void

    init(received: @escaping (RawSpan) -> Void, ended: @escaping () -> Void) {
      self.received = received
      self.ended = ended
    }

    func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) { received(bytes.bytes) }
    func connectionDidReachEndOfStream(_ connection: Connection) { ended() }
    func connectionDidClose(_ connection: Connection, error: SystemError?) { self.connection = nil }
  }

  /// Relays the one connection that is made to its address to `target`.
  init(to target: SocketAddress, on loop: EventLoop, pieceBytes: @escaping () -> Int) throws {
    self.loop = loop
    self.pieceBytes = pieceBytes
    address = target
    weak var splitter: Splitter?
    near = Side(received: { splitter?.take($0, towardsServer: true) }, ended: { splitter?.end(towardsServer: true) })
    far = Side(received: { splitter?.take($0, towardsServer: false) }, ended: { splitter?.end(towardsServer: false) })
    let (near, far) = (near, far)
    let listener = try Listener.listen(at: .loopback(), on: loop) { connection in
      near.connection = connection
      connection.delegate = near
      Connection.connect(to: target, on: loop) { result in
        guard case .success(let connection) = result else { return }
        far.connection = connection
        connection.delegate = far
        splitter?.pump(far, towardsServer: true)
      }
    }
    address = listener.localAddress
    splitter = self
  }

  private func side(_ towardsServer: Bool) -> Side { towardsServer ? far : near }

  private func take(_ bytes: RawSpan, towardsServer: Bool) {
    let side = side(towardsServer)
    bytes.withUnsafeBytes { side.queue += $0 }
    pump(side, towardsServer: towardsServer)
  }

  private func end(towardsServer: Bool) {
    let side = side(towardsServer)
    side.endsWhenEmpty = true
    pump(side, towardsServer: towardsServer)
  }

  /// Ends the stream to one end as if the other had, without a word of TLS.
  func cut(towardsServer: Bool) { side(towardsServer).connection?.shutdownWrite() }

  private func pump(_ side: Side, towardsServer: Bool) {
    guard let connection = side.connection, !side.isPumping else { return }
    guard side.offset < side.queue.count else {
      side.queue.removeAll(keepingCapacity: true)
      side.offset = 0
      if side.endsWhenEmpty { connection.shutdownWrite() }
      return
    }
    side.isPumping = true
    loop.schedule(after: .zero) { [self] in
      side.isPumping = false
      let count = min(max(1, pieceBytes()), side.queue.count - side.offset)
      var piece = Array(side.queue[side.offset..<side.offset + count])
      side.offset += count
      onPiece(&piece, towardsServer)
      connection.send(piece)
      connection.flush()
      pump(side, towardsServer: towardsServer)
    }
  }
}
