import CLibEv
import Glibc
import Primitives

/// One try to reach a peer; its completion is called exactly once unless cancelled first.
///
/// Held by the loop until it is decided.
@safe
public final class ConnectAttempt {
  typealias Completion = (Result<Connection, SystemError>) -> Void

  private let loop: EventLoop
  private let options: ConnectionOptions
  private let tls: TLSTarget?
  /// What was asked for, for error texts: an address or `host:port`.
  private let target: String
  private let deadline: Instant
  private let timeout: Duration
  private var completion: Completion?
  private var remaining: ArraySlice<SocketAddress> = []
  private var descriptor: Int32 = -1
  private var address = SocketAddress.unix(path: "")
  private var watcher: IOWatcher?
  private var timer: Timer?
  private var slot: Int?
  private var lastError: SystemError?
  /// Connected, and shaking hands.
  private var securing: Connection?

  /// With whom TLS is to be spoken.
  struct TLSTarget {
    let context: TLSClientContext
    let host: String
    let port: UInt16
  }

  /// How soon a Unix-domain socket with a full backlog is tried again: the kernel has no wait for it.
  private static let backlogRetry = Duration.milliseconds(10)

  init(
    target: String, on loop: EventLoop, timeout: Duration, options: ConnectionOptions, tls: TLSTarget? = nil,
    completion: @escaping Completion
  ) {
    loop.preconditionOnLoop()
    self.loop = loop
    self.options = options
    self.tls = tls
    self.target = target
    self.timeout = timeout
    self.completion = completion
    deadline = loop.now + timeout
    slot = loop.resources.insert(self)
  }

  /// Gives up: the completion will not be called. Harmless once decided. Call on the loop.
  public func cancel() {
    loop.preconditionOnLoop()
    let dropped = completion.take()
    release()
    withExtendedLifetime(dropped) {}
  }

  /// Tries each address in turn; the time left is shared evenly among those not tried yet.
  func begin(with addresses: [SocketAddress]) {
    guard completion != nil else { return }
    guard !loop.hasEnded else { return fail(ECANCELED, "the loop has ended") }
    remaining = addresses[...]
    tryNext()
  }

  func fail(_ error: SystemError) {
    // Never from within the call that started the attempt.
    loop.afterTurn { [self] in decide(.failure(error)) }
    stopTrying()
  }

  private func fail(_ code: Int32, _ detail: String) {
    fail(SystemError(call: "connect", subject: target, code: code, detail: detail))
  }

  private func tryNext() {
    stopTrying()
    guard let next = remaining.popFirst() else {
      return fail(
        lastError ?? SystemError(call: "connect", subject: target, code: EADDRNOTAVAIL, detail: "no address to try"))
    }
    address = next
    let left = deadline - loop.now
    guard left > .zero else { return timedOut() }
    startTimer(after: remaining.isEmpty ? left : left / (remaining.count + 1))
    attempt()
  }

  private func attempt() {
    do {
      if descriptor < 0 { descriptor = try System.streamSocket(for: address) }
      // SAFETY: the kernel reads the form during the call.
      let code = try unsafe address.withKernelForm { unsafe Glibc.connect(descriptor, $0, $1) == 0 ? 0 : errno }
      switch code {
      case 0:
        // Also an immediate success is reported at the end of the turn, never from within connect().
        loop.afterTurn { [self] in settle() }
      case EINPROGRESS, EINTR: waitUntilWritable()
      case EAGAIN:
        loop.schedule(after: Self.backlogRetry) { [weak self] in
          guard let self, completion != nil, descriptor >= 0, watcher == nil else { return }
          attempt()
        }
      default: failed(code)
      }
    } catch {
      lastError = error
      loop.afterTurn { [self] in tryNext() }
    }
  }

  private func waitUntilWritable() {
    let watcher = unsafe IOWatcher(.write, of: descriptor, on: loop, owner: self) { _, watcher, _ in
      unsafe IOWatcher.withOwner(watcher, as: ConnectAttempt.self) { $0.settle() }
    }
    self.watcher = watcher
    watcher.start()
  }

  private func settle() {
    guard completion != nil, descriptor >= 0 else { return }
    let code = System.option(descriptor, SOL_SOCKET, SO_ERROR) ?? EBADF
    guard code == 0 else { return failed(code) }
    // A loopback port of the ephemeral range that nobody listens on can be given to this very socket, which then
    // talks to itself and keeps the port from its rightful server.
    if address.isInternet, SocketAddress.local(of: descriptor) == address {
      System.setAbortOnClose(descriptor)
      return failed(ECONNREFUSED)
    }
    watcher?.stop()
    watcher = nil
    let connected = descriptor
    descriptor = -1
    if let tls { return secure(connected, tls) }
    let connection = Connection(
      descriptor: connected, remoteAddress: address, profile: ConnectionProfile(options), on: loop)
    decide(.success(connection))
    connection.abortIfUnclaimed()
  }

  private func secure(_ connected: Int32, _ tls: TLSTarget) {
    guard let session = tls.context.makeSession(host: tls.host, port: tls.port) else {
      System.close(connected)
      return fail(ENOMEM, "no memory is left for TLS")
    }
    let connection = Connection(
      descriptor: connected, remoteAddress: address, profile: ConnectionProfile(options), on: loop, tls: session)
    securing = connection
    connection.delegate = HandshakeWatcher { [weak self] error in self?.handshakeFailed(error) }
    connection.startTLS { [self, unowned connection] in
      securing = nil
      connection.delegate = nil
      decide(.success(connection))
      connection.abortIfUnclaimed()
    }
  }

  private func handshakeFailed(_ error: SystemError?) {
    guard completion != nil else { return }
    securing = nil
    let subject = "\(address)" == target ? target : "\(target) (\(address))"
    guard let error else { return fail(ECONNRESET, "the connection ended during the TLS handshake") }
    let about = SystemError(
      call: error.call, subject: subject, code: error.code, detail: error.detail, tls: error.tls)
    // Whoever answered there is the one that was meant: another address would not make it more trustworthy.
    fail(about)
  }

  /// Hears of a connection until its handshake is done.
  private final class HandshakeWatcher: ConnectionDelegate {
    private let failed: (SystemError?) -> Void
    init(_ failed: @escaping (SystemError?) -> Void) { self.failed = failed }
    func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) {}
    func connectionDidClose(_ connection: Connection, error: SystemError?) { failed(error) }
  }

  private func failed(_ code: Int32) {
    let subject = "\(address)" == target ? target : "\(target) (\(address))"
    lastError = SystemError(call: "connect", subject: subject, code: code, detail: System.advice(for: code))
    closeDescriptor()
    if remaining.isEmpty, let lastError { fail(lastError) } else { loop.afterTurn { [self] in tryNext() } }
  }

  func startTimer(after wait: Duration) {
    let timer = timer ?? loop.makeTimer { [unowned self] in timedOut() }
    self.timer = timer
    timer.start(after: wait)
  }

  private func timedOut() {
    guard completion != nil else { return }
    let subject = descriptor < 0 || "\(address)" == target ? target : "\(target) (\(address))"
    lastError = SystemError(call: "connect", subject: subject, code: ETIMEDOUT, detail: "no answer within \(timeout)")
    if remaining.isEmpty || loop.now >= deadline, let lastError { fail(lastError) } else { tryNext() }
  }

  private func decide(_ result: Result<Connection, SystemError>) {
    let completion = completion.take()
    release()
    completion?(result)
  }

  private func stopTrying() {
    if let securing = securing.take() {
      securing.delegate = nil
      securing.abort()
    }
    watcher?.stop()
    watcher = nil
    timer?.cancel()
    closeDescriptor()
  }

  private func closeDescriptor() {
    watcher?.stop()
    watcher = nil
    guard descriptor >= 0 else { return }
    System.close(descriptor)
    descriptor = -1
  }

  private func release() {
    stopTrying()
    if let slot = slot.take() { loop.letGo(resource: slot) }
  }
}

extension ConnectAttempt: LoopResource {
  func loopDidEnd() {
    decide(
      .failure(SystemError(call: "connect", subject: target, code: ECANCELED, detail: "the loop ended meanwhile")))
  }
}

@available(*, unavailable) extension ConnectAttempt: Sendable {}

extension Connection {
  /// Connects to one address; call on the loop.
  ///
  /// `completion` comes once, never from within this call, and sets the connection's delegate. Fails for instance with
  /// `ECONNREFUSED`, `ETIMEDOUT` after `timeout`, or `ENOENT` for a Unix-domain path that is not there. With `tls` it comes
  /// after the handshake, in which the peer must prove to be `host`, by default the address itself; otherwise it fails with
  /// an error whose `tls` says why.
  @discardableResult
  public static func connect(
    to address: SocketAddress, on loop: EventLoop, timeout: Duration = .seconds(10),
    options: ConnectionOptions = ConnectionOptions(), tls: TLSClientContext? = nil, as host: String? = nil,
    _ completion: @escaping (Result<Connection, SystemError>) -> Void
  ) -> ConnectAttempt {
    let attempt = ConnectAttempt(
      target: "\(address)", on: loop, timeout: timeout, options: options,
      tls: tls.map { ConnectAttempt.TLSTarget(context: $0, host: host ?? address.host, port: address.port ?? 0) },
      completion: completion)
    attempt.begin(with: [address])
    return attempt
  }

  /// Resolves `host` off the loop and connects to the first of its addresses that answers; call on the loop.
  ///
  /// `timeout` covers resolution too, and so it does the handshake of TLS, which proves that the peer is `host`. Besides `connect(to:)`'s errors, fails with an `EAI_` code naming the host.
  @discardableResult
  public static func connect(
    host: String, port: UInt16, on loop: EventLoop, timeout: Duration = .seconds(10),
    options: ConnectionOptions = ConnectionOptions(), tls: TLSClientContext? = nil,
    _ completion: @escaping (Result<Connection, SystemError>) -> Void
  ) -> ConnectAttempt {
    let attempt = ConnectAttempt(
      target: "\(host):\(port)", on: loop, timeout: timeout, options: options,
      tls: tls.map { ConnectAttempt.TLSTarget(context: $0, host: host, port: port) }, completion: completion)
    attempt.startTimer(after: timeout)
    Resolver.resolve(host: host, port: port, on: loop) { result in
      switch result {
      case .success(let addresses): attempt.begin(with: addresses)
      case .failure(let error): attempt.fail(SystemError(error))
      }
    }
    return attempt
  }
}
