import Primitives
public import Reactor
import Synchronization

/// A TCP relay between a worker and its coordinator that misbehaves on request.
///
///     worker ──▶ relay ──▶ coordinator
///            ◀──       ◀──
public final class FaultRelay: Sendable {
  private let server: RunningServer
  private let state: LoopBound<Relay>

  /// Relays to `target` from an address of its own.
  public init(to target: SocketAddress) throws {
    let made = Exchange<LoopBound<Relay>>()
    server = try RunningServer { loop in
      let relay = Relay(to: target, on: loop)
      let address = try relay.listen()
      made.put(LoopBound(relay, to: loop))
      return address
    }
    state = made.take()
  }

  public var address: SocketAddress { server.address }
  public var url: String { "ws://127.0.0.1:\(server.address.port ?? 0)" }

  private func onLoop<Value: Sendable>(_ body: @escaping @Sendable (Relay) -> Value) -> Value {
    let state = self.state
    return server.onLoop { _ in body(state.value) }
  }

  /// Connections accepted so far.
  public var accepted: Int { onLoop { $0.accepted } }
  /// Bytes relayed towards the coordinator so far, over all connections.
  public var bytesUp: Int { onLoop { $0.bytesUp } }

  /// Resets every connection now.
  public func cut() { onLoop { $0.cut() } }

  /// Relays `bytes` more towards the coordinator (`up`) or the worker, and then resets every connection: in the middle of
  /// a frame, or of a handshake.
  public func cutAfter(bytes: Int, up: Bool) { onLoop { up ? ($0.upLeft = bytes) : ($0.downLeft = bytes) } }

  /// From now on nothing passes, in either direction, and nobody is told: a firewall that drops packets.
  public func setBlackHole(_ on: Bool) { onLoop { $0.setBlackHole(on) } }

  /// New connections are reset at once.
  public func setRefusing(_ on: Bool) { onLoop { $0.isRefusing = on } }

  public func stop() { server.stop() }
}

private final class Relay {
  let target: SocketAddress
  let loop: EventLoop
  var listener: Listener?
  var pairs: [ObjectIdentifier: RelayPair] = [:]
  var accepted = 0
  var bytesUp = 0
  var upLeft: Int?
  var downLeft: Int?
  var isBlackHole = false
  var isRefusing = false

  init(to target: SocketAddress, on loop: EventLoop) {
    self.target = target
    self.loop = loop
  }

  func listen() throws -> SocketAddress {
    let listener = try Listener.listen(at: .loopback(), on: loop) { [unowned self] connection in
      guard !isRefusing else { return connection.abort() }
      accepted += 1
      let pair = RelayPair(connection, relay: self)
      pairs[ObjectIdentifier(pair)] = pair
    }
    self.listener = listener
    return listener.localAddress
  }

  func cut() {
    upLeft = nil
    downLeft = nil
    for pair in pairs.values { pair.cut() }
  }

  /// Connections caught in the hole stay dead for ever; those made afterwards pass once it is gone.
  func setBlackHole(_ on: Bool) {
    isBlackHole = on
    if on { for pair in pairs.values { pair.isDead = true } }
  }
}

private final class RelayPair: ConnectionDelegate {
  private unowned let relay: Relay
  private let near: Connection
  private var far: Connection?
  private var waiting: [UInt8] = []
  var isDead = false

  init(_ near: Connection, relay: Relay) {
    self.near = near
    self.relay = relay
    isDead = relay.isBlackHole
    near.delegate = self
    _ = Connection.connect(to: relay.target, on: relay.loop, timeout: .seconds(5)) { [self] result in
      guard case .success(let far) = result else { return near.abort() }
      far.delegate = self
      self.far = far
      if !waiting.isEmpty { far.send(waiting) }
      waiting = []
    }
  }

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {
    guard !isDead else { return }
    var copy = bytes.bytes.withUnsafeBytes { Array($0) }
    let isUp = connection === near
    let left = isUp ? relay.upLeft : relay.downLeft
    if let left {
      copy = Array(copy.prefix(left))
      if isUp { relay.upLeft = left - copy.count } else { relay.downLeft = left - copy.count }
    }
    if isUp { relay.bytesUp += copy.count }
    if let destination = isUp ? far : near {
      destination.send(copy)
      destination.flush()
    } else {
      waiting += copy
    }
    // One more turn lets the last bytes leave before the reset would overtake them.
    if let left, left == copy.count { relay.loop.schedule(after: .milliseconds(5)) { [relay] in relay.cut() } }
  }

  func connectionDidReachEndOfStream(_ connection: Connection) {
    if isDead { return }
    near.close()
    far?.close()
  }

  func connectionDidClose(_ connection: Connection, error: SystemError?) {
    // In a black hole nobody hears that the other side has gone.
    guard !isDead || relay.isBlackHole == false else { return }
    cut()
  }

  func cut() {
    near.abort()
    far?.abort()
    relay.pairs[ObjectIdentifier(self)] = nil
  }
}
