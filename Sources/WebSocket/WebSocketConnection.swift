import Primitives
public import Reactor

/// One WebSocket connection, of either role, driven by the loop that owns it.
///
/// Not for other threads: every call and every delegate call is on the owning loop. What is sent during a turn leaves
/// in one write at its end.
public final class WebSocketConnection {
  /// Unique in the process.
  public var id: UInt64 { transport.id }
  public var loop: EventLoop { transport.loop }
  public var remoteAddress: SocketAddress { transport.remoteAddress }
  public var localAddress: SocketAddress { transport.localAddress }

  /// What both ends agreed on; `nil` without agreement.
  public private(set) var subprotocol: String?
  /// The request's path and query.
  public private(set) var requestTarget: String
  /// The fields that came from the peer: a server sees the request's, a client the response's.
  public private(set) var peerHeaders = HTTPHeaders()

  /// Hears of messages and of the end; held until the connection is closed.
  public var delegate: (any WebSocketDelegate)?

  /// How a role begins: what it does with the handshake's end.
  enum Origin {
    case accepted((UpgradeRequest) -> UpgradeDecision)
    case connecting((Result<WebSocketConnection, WebSocketError>) -> Void)
  }

  let role: Role
  private let transport: Connection
  private let configuration: WebSocketConfiguration
  private var machine: ConnectionMachine
  private var origin: Origin?
  /// Whether the delegate was told that the connection is open.
  private(set) var wasOpened = false
  private var timer: Timer?
  private var timerDeadline = Instant.distantFuture
  /// Told of the end after the delegate: the server's book-keeping.
  private let onEnd: (WebSocketConnection, CloseReason) -> Void

  private init(
    _ transport: Connection, _ role: Role, _ machine: ConnectionMachine, _ origin: Origin, target: String,
    _ onEnd: @escaping (WebSocketConnection, CloseReason) -> Void
  ) {
    self.transport = transport
    self.role = role
    self.machine = machine
    self.origin = origin
    configuration = machine.configuration
    requestTarget = target
    self.onEnd = onEnd
    transport.delegate = Link(self)
    arm()
  }

  /// Takes over an accepted TCP connection.
  static func accepted(
    _ transport: Connection, configuration: WebSocketConfiguration,
    decide: @escaping (UpgradeRequest) -> UpgradeDecision,
    onEnd: @escaping (WebSocketConnection, CloseReason) -> Void
  ) -> WebSocketConnection {
    WebSocketConnection(
      transport, .server, ConnectionMachine(server: configuration, at: transport.loop.now), .accepted(decide),
      target: "", onEnd)
  }

  /// Takes over an established TCP connection and sends the request.
  static func connected(
    _ transport: Connection, request: ClientHandshake, configuration: WebSocketConfiguration,
    delegate: any WebSocketDelegate, completion: @escaping (Result<WebSocketConnection, WebSocketError>) -> Void
  ) -> WebSocketConnection {
    var output: [UInt8] = []
    let machine = ConnectionMachine(
      client: request, configuration: configuration, keys: Entropy(), at: transport.loop.now, into: &output)
    let socket = WebSocketConnection(transport, .client, machine, .connecting(completion), target: request.target) {
      _, _ in
    }
    socket.delegate = delegate
    transport.send(output)
    return socket
  }

  /// Whether messages may be sent.
  public var isOpen: Bool { machine.isOpen && transport.isOpen }

  /// Bytes waiting to be written.
  public var pendingBytes: Int { transport.pendingBytes }

  // MARK: Sending

  /// Sends a text message, which must be UTF-8; dropped unless the connection is open.
  public func send(text: RawSpan) { send(text, .text) }

  public func send(text: [UInt8]) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe send(text.span.bytes, .text)
  }

  public func send(text: String) {
    // SAFETY: as above.
    unsafe send(text.utf8Span.span.bytes, .text)
  }

  /// Sends a binary message; dropped unless the connection is open.
  public func send(binary: RawSpan) { send(binary, .binary) }

  public func send(binary: [UInt8]) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe send(binary.span.bytes, .binary)
  }

  /// Sends a message of either kind; dropped unless the connection is open.
  public func send(_ message: RawSpan, _ kind: MessageKind) {
    switch role {
    case .server:
      guard let header = machine.messageHeader(kind, payloadBytes: message.byteCount) else { return }
      // SAFETY: bytes are initialized whatever they hold.
      unsafe transport.send(header.storage.span.extracting(0..<header.count).bytes)
      transport.send(message)
    case .client:
      var frame: [UInt8] = []
      frame.reserveCapacity(message.byteCount + FrameHeader.maxBytes)
      guard machine.append(message, kind: kind, to: &frame) else { return }
      transport.send(frame)
    }
  }

  /// Sends a ping with at most 125 bytes of payload; the delegate hears of the pong.
  public func ping(_ payload: [UInt8] = []) {
    var output: [UInt8] = []
    _ = machine.ping(payload, into: &output)
    transport.send(output)
  }

  /// Starts the close handshake; what was sent before still arrives. A connection that is not open is given up.
  ///
  /// The reason is cut to 123 bytes. A code that may not be sent (1005, 1006, …) sends none.
  public func close(code: CloseCode = .normal, reason: String = "") {
    var output: [UInt8] = []
    let action = machine.close(code, reason: reason, at: loop.now, into: &output)
    transport.send(output)
    perform(action)
    arm()
  }

  /// Gives the connection up at once: the peer sees a reset.
  public func abort() { perform(machine.abandon()) }

  /// Reads nothing more until `resumeReading`; messages that were read already are still delivered.
  public func pauseReading() { transport.pauseReading() }

  public func resumeReading() { transport.resumeReading() }

  // MARK: Receiving

  fileprivate func received(_ bytes: inout MutableRawSpan) {
    let now = loop.now
    var output: [UInt8] = []
    machine.beginRead(at: now, outboundIsEmpty: transport.pendingBytes == 0, into: &output)
    var offset = 0
    while true {
      let event = machine.next(in: &bytes, from: &offset, at: now, into: &output)
      if !output.isEmpty {
        transport.send(output)
        output.removeAll(keepingCapacity: true)
      }
      switch event {
      case .needsBytes:
        arm()
        return
      case .message(let kind, .inPlace(let range)):
        delegate?.webSocket(self, didReceive: bytes.bytes.extracting(range), kind: kind)
      case .message(let kind, .assembled):
        let message = machine.takeMessage()
        // SAFETY: bytes are initialized whatever they hold.
        unsafe delegate?.webSocket(self, didReceive: message.span.bytes, kind: kind)
        machine.recycle(message)
      case .pong: delegate?.webSocketDidReceivePong(self)
      case .upgradeRequested(let request): answer(request)
      case .opened(let response): opened(response)
      case .transport(let action): perform(action)
      }
    }
  }

  private func answer(_ handshake: HandshakeRequest) {
    guard case .accepted(let decide)? = origin else { return }
    origin = nil
    let request = UpgradeRequest(
      handshake: handshake, remoteAddress: remoteAddress,
      subprotocol: handshake.preferredSubprotocol(of: configuration.subprotocols))
    requestTarget = handshake.target
    peerHeaders = handshake.headers
    var output: [UInt8] = []
    switch decide(request) {
    case .accept(let subprotocol, let headers, let delegate):
      self.subprotocol = machine.accept(subprotocol: subprotocol, headers: headers, into: &output)
      transport.send(output)
      guard isOpen else { return }  // The application gave it up while deciding.
      self.delegate = delegate
      wasOpened = true
      delegate.webSocketDidOpen(self)
    case .reject(let rejection):
      let action = machine.reject(rejection, into: &output)
      transport.send(output)
      perform(action)
    }
  }

  private func opened(_ response: HandshakeResponse) {
    subprotocol = response.subprotocol
    peerHeaders = response.headers
    wasOpened = true
    delegate?.webSocketDidOpen(self)
    if case .connecting(let completion)? = origin.take() { completion(.success(self)) }
  }

  // MARK: Time and end

  private func perform(_ action: ConnectionMachine.TransportAction?) {
    switch action {
    case nil: break
    case .close: transport.close()
    case .abort: transport.abort()
    }
  }

  /// Sees to it that the timer fires at the machine's deadline or before.
  private func arm() {
    let deadline = machine.deadline
    guard deadline < timerDeadline else { return }
    timerDeadline = deadline
    if timer == nil { timer = loop.makeTimer { [weak self] in self?.timerFired() } }
    timer?.start(after: deadline - loop.now)
  }

  private func timerFired() {
    timerDeadline = .distantFuture
    var output: [UInt8] = []
    let action = machine.timerFired(at: loop.now, outboundIsEmpty: transport.pendingBytes == 0, into: &output)
    transport.send(output)
    perform(action)
    arm()
  }

  fileprivate func reachedEndOfStream() { perform(machine.endOfStream()) }

  fileprivate func roseAboveHighWatermark() {
    if wasOpened { delegate?.webSocketDidRiseAboveHighWatermark(self) }
  }

  fileprivate func drainedBelowLowWatermark() {
    if wasOpened { delegate?.webSocketDidDrainBelowLowWatermark(self) }
  }

  fileprivate func closed(_ error: SystemError?) {
    machine.transportClosed()
    timer?.cancel()
    timer = nil
    let reason = CloseReason(
      outcome: machine.outcome, transport: error, maxPendingBytes: configuration.maxPendingBytes)
    let delegate = delegate.take()
    if wasOpened {
      delegate?.webSocketDidClose(self, reason: reason)
    } else if case .connecting(let completion)? = origin {
      completion(.failure(reason.error ?? .connection(.abandoned)))
    }
    origin = nil
    onEnd(self, reason)
  }
}

@available(*, unavailable) extension WebSocketConnection: Sendable {}

/// What the transport talks to, so that its callbacks are no part of the public class.
private final class Link: ConnectionDelegate {
  private let socket: WebSocketConnection

  init(_ socket: WebSocketConnection) {
    self.socket = socket
  }

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) { socket.received(&bytes) }
  func connectionDidReachEndOfStream(_ connection: Connection) { socket.reachedEndOfStream() }
  func connectionDidRiseAboveHighWatermark(_ connection: Connection) { socket.roseAboveHighWatermark() }
  func connectionDidDrainBelowLowWatermark(_ connection: Connection) { socket.drainedBelowLowWatermark() }
  func connectionDidClose(_ connection: Connection, error: SystemError?) { socket.closed(error) }
}

extension WebSocketConfiguration {
  /// What the reactor needs to know of this.
  var transportOptions: ConnectionOptions {
    var options = ConnectionOptions()
    options.highWatermarkBytes = highWatermarkBytes
    options.lowWatermarkBytes = lowWatermarkBytes
    options.maxPendingBytes = maxPendingBytes
    options.drainTimeout = closeTimeout
    return options
  }
}
