public import Reactor

/// A TCP relay that misbehaves on request: what stands between a worker and its coordinator when a fault is wanted.
///
///     worker ──▶ proxy ──▶ coordinator      up
///            ◀──       ◀──                  down
///
/// Everything is called on its loop.
public final class FaultProxy {
  let target: SocketAddress
  public let loop: EventLoop
  private var listener: Listener?
  var links: [ObjectIdentifier: FaultLink] = [:]
  /// Connections accepted so far.
  public private(set) var accepted = 0
  /// Bytes relayed to the target so far, over all connections.
  public internal(set) var bytesUp = 0
  /// What may still pass before every connection is cut.
  var remaining: [Direction: Int] = [:]
  public private(set) var isBlackHole = false
  /// New connections are reset at once.
  public var isRefusing = false

  public enum Direction: Sendable {
    /// Towards the target.
    case up
    /// From the target.
    case down
  }

  /// Relays to `target` from an address that the system chooses on 127.0.0.1.
  public init(to target: SocketAddress, on loop: EventLoop) throws(SystemError) {
    self.target = target
    self.loop = loop
    listener = try Listener.listen(at: .loopback(), on: loop) { [weak self] connection in
      guard let self, !isRefusing else { return connection.abort() }
      accepted += 1
      let link = FaultLink(connection, proxy: self)
      links[ObjectIdentifier(link)] = link
    }
  }

  public var address: SocketAddress { listener?.localAddress ?? .loopback() }

  /// Resets every connection.
  public func cut() {
    remaining = [:]
    for link in Array(links.values) { link.cut() }
  }

  /// Lets `bytes` more pass in one direction, counted over all connections, and then resets every connection: in the
  /// middle of a frame, or of a handshake.
  public func cut(after bytes: Int, _ direction: Direction) { remaining[direction] = max(0, bytes) }

  /// Nothing passes any more, and nobody is told: a firewall that drops packets. Connections caught in it stay dead for
  /// ever; those made after it is gone pass.
  public func setBlackHole(_ isOn: Bool) {
    isBlackHole = isOn
    if isOn { for link in links.values { link.isDead = true } }
  }

  public func close() {
    listener?.close()
    listener = nil
    cut()
  }
}

@available(*, unavailable) extension FaultProxy: Sendable {}
