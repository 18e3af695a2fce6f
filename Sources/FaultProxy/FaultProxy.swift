import Primitives
public import Reactor

/// A TCP relay that misbehaves on request: what stands between a worker and its coordinator when a fault is wanted.
///
///     worker ──▶ proxy ──▶ coordinator      up
///            ◀──       ◀──                  down
///
/// Everything is called on its loop; hold it until `close()`. What it draws follows from its seed and from the bytes that pass.
public final class FaultProxy {
  public typealias Direction = FaultDirection

  /// One end of a connection through the proxy.
  public enum End: String, CaseIterable, Sendable {
    /// Whoever connected to the proxy.
    case near
    /// The target.
    case far
  }

  public struct Statistics: Equatable, Sendable {
    /// Connections accepted, those refused included.
    public var accepted = 0
    public var refused = 0
    /// Connections that the proxy reset.
    public var resets = 0
    /// Bytes passed on.
    public var bytes: [Direction: Int] = [:]
    public var corruptedBytes: [Direction: Int] = [:]
    public var droppedBytes: [Direction: Int] = [:]

    public init() {}
  }

  /// Of each direction of a connection, so many bytes wait here at most, and one read more; others wait at their sender.
  public static let maxHeldBytes = 256 << 10
  /// So many reads wait at most, however few bytes each of them brought: their bookkeeping is memory too.
  static let maxHeldReads = 4_096
  /// A reset overtakes what the kernel still holds, so the last bytes get a moment to arrive.
  static let resetDelay = Duration.milliseconds(5)

  let target: SocketAddress
  public let loop: EventLoop
  var random: SeededGenerator
  private var listener: Listener?
  var links: [ObjectIdentifier: FaultLink] = [:]
  public internal(set) var statistics = Statistics()
  /// What may still pass before every connection is cut.
  var remaining: [Direction: Int] = [:]
  public private(set) var isBlackHole = false
  /// New connections are reset at once.
  public var isRefusing = false
  /// New connections are made, as the kernel makes them for a process that does not accept, and nothing is read from
  /// them. Afterwards those that still wait go on to the target.
  public var isStalling = false {
    didSet { if !isStalling { for link in Array(links.values) { link.endStall() } } }
  }
  private var cutTimer: Timer?

  /// Relays to `target` from `address`, by default one that the system chooses on 127.0.0.1.
  public init(
    to target: SocketAddress, at address: SocketAddress = .loopback(), seed: UInt64 = 0, on loop: EventLoop
  ) throws(SystemError) {
    self.target = target
    self.loop = loop
    random = SeededGenerator(seed: seed)
    faults = FaultTable()
    listener = try Listener.listen(at: address, on: loop) { [weak self] connection in self?.accept(connection) }
  }

  private func accept(_ connection: Connection) {
    statistics.accepted += 1
    guard !isRefusing else {
      statistics.refused += 1
      return connection.abort()
    }
    let link = FaultLink(connection, proxy: self)
    links[ObjectIdentifier(link)] = link
  }

  public var address: SocketAddress { listener?.localAddress ?? .loopback() }
  /// Connections accepted so far.
  public var accepted: Int { statistics.accepted }
  /// Bytes relayed to the target so far, over all connections.
  public var bytesUp: Int { statistics.bytes[.up] ?? 0 }
  /// Connections that live.
  public var openConnections: Int { links.count }
  /// Bytes that wait here, over all connections.
  public var heldBytes: Int { links.values.reduce(0) { $0 + $1.heldBytes } }

  /// Connections that were reset by one side during a partition, which has kept that from the other one so far.
  public var lostSources: Int { links.values.count { $0.hasLostSource } }

  /// What is wrong with each direction now.
  public var faults: FaultTable {
    didSet {
      guard faults != oldValue else { return }
      for link in Array(links.values) { link.faultsChanged() }
    }
  }

  func passed(_ count: Int, _ direction: Direction, corrupted: Int) {
    statistics.bytes[direction, default: 0] += count
    if corrupted > 0 { statistics.corruptedBytes[direction, default: 0] += corrupted }
    if let left = remaining[direction] { remaining[direction] = left - count }
  }

  /// Resets every connection in a moment.
  func cutSoon() {
    guard cutTimer?.isActive != true else { return }
    cutTimer = loop.schedule(after: Self.resetDelay) { [weak self] in self?.cut() }
  }

  /// Resets every connection.
  public func cut() {
    cutTimer?.cancel()
    remaining = [:]
    for link in Array(links.values) { link.cut() }
  }

  /// Lets `bytes` more pass in one direction, counted over all connections, and then resets every connection: in the
  /// middle of a frame, or of a handshake.
  public func cut(after bytes: Int, _ direction: Direction) { remaining[direction] = max(0, bytes) }

  /// Nothing passes any more, and nobody is told: a firewall that drops packets. The target does not hear of new
  /// connections, which the kernel makes all the same. Connections caught in it stay dead for ever, or until both sides
  /// have ended theirs; those made after it is gone pass.
  public func setBlackHole(_ isOn: Bool) {
    isBlackHole = isOn
    if isOn { for link in links.values { link.isDead = true } }
  }

  /// Resets one end of every connection and tells the other nothing: it stays open, and nothing ever comes of it.
  public func leaveHalfOpen(gone: End) {
    for link in Array(links.values) { link.leaveHalfOpen(gone) }
  }

  /// Ends every fault. Connections that a black hole swallowed, or that are half open, are reset: the world they know is
  /// gone.
  public func heal() {
    isRefusing = false
    isBlackHole = false
    // One that is due has lost bytes already.
    if cutTimer?.isActive == true { cut() }
    remaining = [:]
    for link in Array(links.values) where link.isDead { link.cut() }
    isStalling = false
    faults = FaultTable()
  }

  public func close() {
    listener?.close()
    listener = nil
    cut()
  }
}

@available(*, unavailable) extension FaultProxy: Sendable {}

/// The faults of both directions.
public struct FaultTable: Equatable, Sendable {
  public var up = Faults()
  public var down = Faults()

  public init() {}

  public subscript(_ direction: FaultDirection) -> Faults {
    get { direction == .up ? up : down }
    set { if direction == .up { up = newValue } else { down = newValue } }
  }

  public var isNone: Bool { up.isNone && down.isNone }
}
