import CLibEv
import Glibc

/// How a listener accepts.
public struct ListenerOptions: Sendable, Equatable {
  /// Connections the kernel holds for us before it refuses more.
  public var backlog: Int32 = 1024
  /// Lets several loops listen at one TCP address; the kernel spreads connections over them (`SO_REUSEPORT`).
  public var reusePort = false
  /// Connections accepted in one turn, so that a herd does not starve those already here.
  public var maxAcceptsPerTurn = 64
  /// The bounds of each accepted connection.
  public var connection = ConnectionOptions()

  public init() {}
}

/// Accepts stream connections at one address until closed; held by its loop meanwhile.
///
/// When the process runs out of descriptors it turns away what waits (each such client sees its connection closed),
/// pauses, and tries again a little later; it never spins.
@safe
public final class Listener {
  /// Where it listens, with the port that the system chose if port 0 was asked for.
  public let localAddress: SocketAddress
  /// Connections closed unserved for want of descriptors or memory.
  public var shedConnections: Int { shed }
  /// True while accepting rests because the process or system is out of descriptors or memory.
  public var isPaused: Bool { pauseTimer?.isActive ?? false }

  private let loop: EventLoop
  private let options: ListenerOptions
  private let tls: TLSServerContext?
  private lazy var profile = ConnectionProfile(options.connection, origin: ObjectIdentifier(self))
  private let onAccept: (Connection) -> Void
  private let acceptNext: AcceptCall
  private var descriptor: Int32
  private var watcher: IOWatcher?
  private var pauseTimer: Timer?
  private var slot: Int?
  private var shed = 0
  /// Given up for a moment when no descriptor is left, so that a waiting client can be accepted and told to go.
  private var reserve: Int32
  /// Which file a Unix-domain listener made, so that it removes no other's.
  private let socketFile: SocketFile?

  /// How long accepting rests after running out.
  static let pause = Duration.milliseconds(100)

  enum Accepted {
    case descriptor(Int32, from: SocketAddress?)
    case failed(Int32)
  }

  typealias AcceptCall = (Int32) -> Accepted

  /// Listens at `address` and hands each connection to `onAccept`, which sets its delegate; call on the loop.
  ///
  /// A Unix-domain socket file that nobody listens on is replaced. Fails with `EADDRINUSE` when somebody does,
  /// `EACCES`, `EADDRNOTAVAIL`, `EMFILE`, or `ENAMETOOLONG` for a long path.
  ///
  /// With `tls` each connection's delegate hears of plaintext only, once the handshake is done; one that fails closes the
  /// connection with an error whose `tls` says why. How long a handshake may take is for the delegate to say.
  public static func listen(
    at address: SocketAddress, on loop: EventLoop, options: ListenerOptions = ListenerOptions(),
    tls: TLSServerContext? = nil, onAccept: @escaping (Connection) -> Void
  ) throws(SystemError) -> Listener {
    try listen(at: address, on: loop, options: options, tls: tls, acceptNext: Self.accept, onAccept: onAccept)
  }

  static func listen(
    at address: SocketAddress, on loop: EventLoop, options: ListenerOptions, tls: TLSServerContext? = nil,
    acceptNext: @escaping AcceptCall, onAccept: @escaping (Connection) -> Void
  ) throws(SystemError) -> Listener {
    loop.preconditionOnLoop()
    guard !loop.hasEnded else {
      throw SystemError(call: "listen", subject: "\(address)", code: ECANCELED, detail: "the loop has ended")
    }
    let descriptor = try bound(to: address, options)
    var socketFile: SocketFile?
    if case .unix(let path) = address { socketFile = SocketFile(path: path) }
    guard Glibc.listen(descriptor, options.backlog) == 0 else {
      let code = errno
      System.close(descriptor)
      throw SystemError(call: "listen", subject: "\(address)", code: code, detail: System.advice(for: code))
    }
    return Listener(
      descriptor, SocketAddress.local(of: descriptor) ?? address, socketFile, loop, options, tls, acceptNext,
      onAccept)
  }

  private init(
    _ descriptor: Int32, _ localAddress: SocketAddress, _ socketFile: SocketFile?, _ loop: EventLoop,
    _ options: ListenerOptions, _ tls: TLSServerContext?, _ acceptNext: @escaping AcceptCall,
    _ onAccept: @escaping (Connection) -> Void
  ) {
    self.descriptor = descriptor
    self.localAddress = localAddress
    self.socketFile = socketFile
    self.loop = loop
    self.options = options
    self.tls = tls
    self.acceptNext = acceptNext
    self.onAccept = onAccept
    reserve = Self.openReserve()
    slot = loop.resources.insert(self)
    watcher = unsafe IOWatcher(.read, of: descriptor, on: loop, owner: self) { _, watcher, _ in
      unsafe IOWatcher.withOwner(watcher, as: Listener.self) { $0.readable() }
    }
    watcher?.start()
  }

  /// Stops accepting; connections already accepted live on. Harmless when repeated. Call on the loop.
  public func close() {
    loop.preconditionOnLoop()
    guard let slot = slot.take() else { return }
    watcher?.stop()
    pauseTimer?.cancel()
    System.close(descriptor)
    descriptor = -1
    if reserve >= 0 { System.close(reserve) }
    reserve = -1
    socketFile?.remove()
    loop.letGo(resource: slot)
  }

  /// Stops accepting, closes the accepted connections gracefully, then calls `completion` once; call on the loop.
  ///
  /// Connections still there when `timeout` passes are cut.
  public func drain(within timeout: Duration, _ completion: @escaping () -> Void) {
    close()
    let me = ObjectIdentifier(self)
    // The identity stays ours while the completion holds this object.
    loop.drain(within: timeout, where: { $0.origin == me }) { [self] in
      _ = self
      completion()
    }
  }

  private func readable() {
    for _ in 0..<max(options.maxAcceptsPerTurn, 1) {
      guard slot != nil else { return }
      switch acceptNext(descriptor) {
      case .descriptor(let accepted, let peer): take(accepted, from: peer)
      case .failed(EAGAIN): return
      case .failed(EMFILE):
        shedWaiting()
        return rest()
      case .failed(ENFILE), .failed(ENOBUFS), .failed(ENOMEM): return rest()
      case .failed(EBADF), .failed(EINVAL), .failed(ENOTSOCK), .failed(EOPNOTSUPP): return rest()
      // The rest are the waiting connection's own troubles (accept(2)): the next one may be fine.
      case .failed: continue
      }
    }
  }

  private func take(_ accepted: Int32, from peer: SocketAddress?) {
    var session: TLSSession?
    if let tls {
      guard let made = tls.makeSession() else {
        // No memory is left for another one.
        System.close(accepted)
        shed += 1
        return
      }
      session = made
    }
    // TCP_NODELAY is inherited from the listening socket.
    let connection = Connection(
      descriptor: accepted, remoteAddress: peer ?? .unix(path: ""), profile: profile, on: loop, tls: session)
    onAccept(connection)
    connection.abortIfUnclaimed()
  }

  private func shedWaiting() {
    guard reserve >= 0 else { return }
    System.close(reserve)
    for _ in 0..<max(options.maxAcceptsPerTurn, 1) {
      guard case .descriptor(let accepted, _) = acceptNext(descriptor) else { break }
      System.close(accepted)
      shed += 1
    }
    reserve = Self.openReserve()
  }

  private func rest() {
    watcher?.stop()
    let timer =
      pauseTimer
      ?? loop.makeTimer { [unowned self] in
        guard slot != nil else { return }
        if reserve < 0 { reserve = Self.openReserve() }
        watcher?.start()
      }
    pauseTimer = timer
    timer.start(after: Self.pause)
  }

  static func accept(_ descriptor: Int32) -> Accepted {
    while true {
      var accepted: Int32 = -1
      let peer = unsafe SocketAddress.filled { address, length in
        // SAFETY: filled() lends storage of the length it says.
        accepted = unsafe lifeline_accept(descriptor, address, length)
        return accepted >= 0
      }
      if accepted >= 0 { return .descriptor(accepted, from: peer) }
      if errno != EINTR { return .failed(errno) }
    }
  }

  private static func openReserve() -> Int32 {
    // SAFETY: a constant path.
    unsafe open("/dev/null", O_RDONLY | Int32(LIFELINE_O_CLOEXEC))
  }

  private static func bound(to address: SocketAddress, _ options: ListenerOptions) throws(SystemError) -> Int32 {
    let descriptor = try System.streamSocket(for: address)
    if address.isInternet {
      System.setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
      if options.reusePort { System.setOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
    }
    do {
      try bind(descriptor, to: address)
    } catch {
      guard error.code == EADDRINUSE, case .unix(let path) = address, SocketFile.removeIfStale(path: path) else {
        System.close(descriptor)
        throw error
      }
      do {
        try bind(descriptor, to: address)
      } catch {
        System.close(descriptor)
        throw error
      }
    }
    return descriptor
  }

  private static func bind(_ descriptor: Int32, to address: SocketAddress) throws(SystemError) {
    // SAFETY: the kernel reads the form during the call.
    let code = try unsafe address.withKernelForm { unsafe Glibc.bind(descriptor, $0, $1) == 0 ? 0 : errno }
    guard code != 0 else { return }
    throw SystemError(call: "bind", subject: "\(address)", code: code, detail: System.advice(for: code))
  }
}

extension Listener: LoopResource {
  func loopDidEnd() { close() }
}

@available(*, unavailable) extension Listener: Sendable {}
