import Primitives
public import Reactor

/// One WebSocket connection, of either role, driven by the loop that owns it.
///
/// Not for other threads: every call and every delegate call is on the owning loop. What is sent during a turn leaves
/// in one write at its end, or at once where it is much.
public class WebSocketConnection {
  /// Unique in the process.
  public final var id: UInt64 { transport.id }
  public final var loop: EventLoop { transport.loop }
  public final var remoteAddress: SocketAddress { transport.remoteAddress }
  public final var localAddress: SocketAddress { transport.localAddress }
  /// What both ends of TLS agreed on; `nil` without TLS, and before its handshake is done.
  public final var tlsInfo: TLSInfo? { transport.tlsInfo }

  private final let transport: Connection
  @exclusivity(unchecked)
  private final var uncheckedMachine: ConnectionMachine
  private final var handler: (any WebSocketDelegate)?
  /// The server that it belongs to; `nil` for a client.
  private final let lobby: Lobby?
  /// Where it is in the lobby.
  final var lobbyIndex: Int32 = -1
  /// Whether the delegate was told that the connection is open.
  private(set) final var wasOpened = false
  /// Whether the application is being asked for an answer: whoever asks goes on with the bytes behind the request.
  private final var isServing = false
  /// Made when there is a deadline, so that most connections have none once they are open.
  private final var timer: Timer?
  private final var extras: Extras?

  /// What not every connection has.
  private final class Extras {
    var subprotocol: String?
    var responseHeaders = HTTPHeaders()
    /// An answer of unknown length that has begun and not ended.
    var stream: HTTPStream?
    /// A client's, until it was told.
    var completion: ((Result<WebSocketConnection, WebSocketError>) -> Void)?
  }

  fileprivate init(_ transport: Connection, _ machine: consuming ConnectionMachine, _ lobby: Lobby?) {
    self.transport = transport
    unsafe uncheckedMachine = machine
    self.lobby = lobby
  }

  /// Takes over an accepted TCP connection.
  static func accepted(_ transport: Connection, _ context: ConnectionContext, lobby: Lobby) -> WebSocketConnection {
    let socket = DrivenConnection(transport, ConnectionMachine(server: context, at: transport.loop.now), lobby)
    socket.arm()
    return socket
  }

  /// Takes over an established TCP connection and sends the request.
  static func connected(
    _ transport: Connection, request: ClientHandshake, _ context: ConnectionContext,
    delegate: any WebSocketDelegate, completion: @escaping (Result<WebSocketConnection, WebSocketError>) -> Void
  ) -> WebSocketConnection {
    var output: [UInt8] = []
    let machine = ConnectionMachine(
      client: request, context, keys: Entropy(), at: transport.loop.now, into: &output)
    let socket = DrivenConnection(transport, machine, nil)
    socket.handler = delegate
    let extras = Extras()
    extras.completion = completion
    socket.extras = extras
    socket.arm()
    transport.send(output)
    return socket
  }

  private final var machine: ConnectionMachine {
    // SAFETY: no access overlaps another, because only the loop's thread comes here and no call of the machine calls
    // back. Checking that at run time on every message took a third of the time outside the kernel.
    @inline(__always) _read { yield unsafe uncheckedMachine }
    @inline(__always) _modify { yield unsafe &uncheckedMachine }
  }

  final var role: Role { machine.role }

  /// Hears of messages and of the end; held until the connection is closed.
  public final var delegate: (any WebSocketDelegate)? {
    get { handler }
    set { handler = newValue }
  }

  /// What both ends agreed on; `nil` without agreement.
  public final var subprotocol: String? { extras?.subprotocol }

  /// The fields of the server's answer, for a client; a server finds the request's in `UpgradeRequest`.
  public final var responseHeaders: HTTPHeaders { extras?.responseHeaders ?? [:] }

  /// Whether permessage-deflate was agreed on (RFC 7692).
  public final var isCompressed: Bool { machine.isCompressed }

  /// Whether messages may be sent.
  public final var isOpen: Bool { machine.isOpen && transport.isOpen }

  /// Bytes waiting to be written.
  public final var pendingBytes: Int { transport.pendingBytes }

  // MARK: Sending

  /// Sends a text message, which must be UTF-8; dropped unless the connection is open.
  public final func send(text: RawSpan) { send(text, .text) }

  public final func send(text: [UInt8]) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe send(text.span.bytes, .text)
  }

  public final func send(text: String) {
    // SAFETY: as above.
    unsafe send(text.utf8Span.span.bytes, .text)
  }

  /// Sends a binary message; dropped unless the connection is open.
  public final func send(binary: RawSpan) { send(binary, .binary) }

  public final func send(binary: [UInt8]) {
    // SAFETY: bytes are initialized whatever they hold.
    unsafe send(binary.span.bytes, .binary)
  }

  /// Sends a message of either kind; dropped unless the connection is open.
  ///
  /// Where permessage-deflate was agreed on it is compressed if that makes it smaller.
  public final func send(_ message: RawSpan, _ kind: MessageKind) {
    switch machine.role {
    case .server:
      guard let frame = machine.frame(of: message, kind) else { return }
      let storage = frame.header.storage
      // SAFETY: every byte of an integer is initialized.
      let header = unsafe storage.span.bytes.extracting(0..<frame.header.count)
      if frame.isCompressed {
        let payload = machine.context.compressed
        // SAFETY: bytes are initialized whatever they hold.
        unsafe transport.send(header, payload.span.bytes)
      } else {
        transport.send(header, message)
      }
    case .client:
      var frame = machine.context.lendScratch()
      if machine.append(message, kind: kind, to: &frame) { transport.send(frame) }
      machine.context.takeBack(scratch: &frame)
    }
  }

  /// Sends a message that was prepared for many connections; dropped unless the connection is open.
  public final func send(_ message: PreparedMessage) {
    var masked: [UInt8] = []
    let frame = machine.frame(of: message, into: &masked)
    transport.send(frame ?? masked)
  }

  /// Sends part of a message that need never be in memory as a whole; dropped unless the connection is open.
  ///
  /// `kind` is the same for all parts of a message; those of a text may cut a character. Until the last part was sent no
  /// other message may be, which traps; pings and the close may. Heed the watermarks: send the next part once the
  /// delegate hears `webSocketDidDrainBelowLowWatermark`.
  ///
  /// A message sent so is compressed only if its first part has `compressing`, because what was sent cannot be taken back
  /// when it does not shrink, or shrinks so much that the peer's `maxInflationRatio` refuses it.
  public final func send(piece: RawSpan, _ kind: MessageKind, isLast: Bool, compressing: Bool = false) {
    var frame = machine.context.lendScratch()
    let isSent = machine.append(piece: piece, kind: kind, isLast: isLast, compressing: compressing, to: &frame)
    if isSent { transport.send(frame) }
    machine.context.takeBack(scratch: &frame)
  }

  /// Whether a message sent piece by piece has begun and not ended.
  public final var isSendingPieces: Bool { machine.isSendingPieces }

  /// Sends a ping with at most 125 bytes of payload; the delegate hears of the pong.
  public final func ping(_ payload: [UInt8] = []) {
    var output: [UInt8] = []
    _ = machine.ping(payload, into: &output)
    transport.send(output)
  }

  /// Starts the close handshake; what was sent before still arrives. A connection that is not open is given up.
  ///
  /// The reason is cut to 123 bytes. A code that may not be sent (1005, 1006, …) sends none.
  public final func close(code: CloseCode = .normal, reason: String = "") {
    var output: [UInt8] = []
    let action = machine.close(code, reason: reason, at: loop.now, into: &output)
    transport.send(output)
    perform(action)
    arm()
  }

  /// Gives the connection up at once: the peer sees a reset.
  public final func abort() { perform(machine.abandon()) }

  /// Reads nothing more until `resumeReading`; messages that were read already are still delivered.
  public final func pauseReading() { transport.pauseReading() }

  public final func resumeReading() { transport.resumeReading() }

  // MARK: Receiving

  /// Whether messages are delivered as they come, by `webSocket(_:didReceivePiece:kind:isLast:)`, rather than whole.
  ///
  /// For messages larger than memory: raise `maxMessageBytes` and `maxFrameBytes`, which hold all the same. Takes effect
  /// with the next message that begins.
  public final var receivesPieces: Bool {
    get { machine.receivesPieces }
    set { machine.receivesPieces = newValue }
  }

  fileprivate final func received(_ bytes: inout MutableRawSpan) {
    if machine.noticesReads { beginRead() }
    var offset = 0
    repeat {
      deliverWholeMessages(in: &bytes, from: &offset)
    } while (offset < bytes.byteCount || machine.hasMore) && deliverNext(in: &bytes, from: &offset)
  }

  private final func beginRead() {
    var output: [UInt8] = []
    machine.beginRead(at: loop.now, outboundIsEmpty: transport.pendingBytes == 0, into: &output)
    if !output.isEmpty { transport.send(output) }
  }

  private final func deliverWholeMessages(in bytes: inout MutableRawSpan, from offset: inout Int) {
    var delegate = handler
    while let message = machine.nextWholeMessage(in: &bytes, from: &offset) {
      delegate?.webSocket(self, didReceive: bytes.bytes.extracting(message.payload), kind: message.kind)
      if delegate !== handler { delegate = handler }
    }
  }

  /// Whatever is no whole message; false once nothing more is to be done with the bytes.
  private final func deliverNext(in bytes: inout MutableRawSpan, from offset: inout Int) -> Bool {
    var output: [UInt8] = []
    let event = machine.next(in: &bytes, from: &offset, at: loop.now, into: &output)
    if !output.isEmpty { transport.send(output) }
    switch event {
    case .needsBytes:
      arm()
      if !wasOpened, machine.hasFullBacklog { transport.pauseReading() }
      return false
    case .message(let kind, .inPlace(let range)):
      handler?.webSocket(self, didReceive: bytes.bytes.extracting(range), kind: kind)
    case .message(let kind, .assembled):
      var message = machine.takeMessage()
      // SAFETY: bytes are initialized whatever they hold.
      unsafe handler?.webSocket(self, didReceive: message.span.bytes, kind: kind)
      machine.recycle(&message)
    case .piece(let kind, .inPlace(let range), let isLast):
      handler?.webSocket(self, didReceivePiece: bytes.bytes.extracting(range), kind: kind, isLast: isLast)
    case .piece(let kind, .assembled, let isLast):
      var piece = machine.takeMessage()
      // SAFETY: bytes are initialized whatever they hold.
      unsafe handler?.webSocket(self, didReceivePiece: piece.span.bytes, kind: kind, isLast: isLast)
      machine.recycle(&piece)
    case .pong: handler?.webSocketDidReceivePong(self)
    case .upgradeRequested(let request): answer(request)
    case .resourceRequested(let request): serve(request)
    case .opened(let response): opened(response)
    case .transport(let action): perform(action)
    }
    return true
  }

  private final func answer(_ handshake: HandshakeRequest) {
    guard let lobby else { return }
    let request = UpgradeRequest(
      handshake: handshake, remoteAddress: remoteAddress,
      subprotocol: handshake.preferredSubprotocol(of: machine.configuration.subprotocols), tls: tlsInfo)
    var output: [UInt8] = []
    switch lobby.decide(request) {
    case .accept(let subprotocol, let headers, let delegate):
      let agreed = machine.accept(subprotocol: subprotocol, headers: headers, into: &output)
      transport.send(output)
      guard isOpen else { return }  // The application gave it up while deciding.
      if let agreed {
        let extras = Extras()
        extras.subprotocol = agreed
        self.extras = extras
      }
      handler = delegate
      didOpen()
      delegate.webSocketDidOpen(self)
    case .reject(let rejection):
      let action = machine.reject(rejection, into: &output)
      transport.send(output)
      perform(action)
    }
  }

  // MARK: Ordinary requests

  private final func serve(_ request: HTTPRequest) {
    isServing = true
    lobby?.serve?(HTTPExchange(request, self))
    isServing = false
    // One peer's requests must not pile up answers that it does not read.
    if !wasOpened, transport.pendingBytes > machine.configuration.highWatermarkBytes { machine.holdBackRequests(true) }
  }

  final func respond(_ response: HTTPResponse) {
    var output: [UInt8] = []
    let action = machine.answer(response, at: loop.now, into: &output)
    answered(output, action)
  }

  final func beginStream(_ response: HTTPResponse, _ stream: HTTPStream) -> Bool {
    var output: [UInt8] = []
    guard machine.beginStream(response, into: &output) else { return false }
    let extras = self.extras ?? Extras()
    extras.stream = stream
    self.extras = extras
    transport.send(output)
    return true
  }

  final func appendToStream(_ bytes: [UInt8]) {
    var output: [UInt8] = []
    machine.appendToStream(bytes, into: &output)
    transport.send(output)
  }

  final func endStream() {
    extras?.stream = nil
    var output: [UInt8] = []
    let action = machine.endStream(at: loop.now, into: &output)
    answered(output, action)
  }

  /// Sends an answer, and goes on with what came behind the request unless whoever reads does so anyway.
  private final func answered(_ output: [UInt8], _ action: ConnectionMachine.TransportAction?) {
    transport.send(output)
    perform(action)
    readBacklog()
  }

  private final func readBacklog() {
    guard !isServing, var bytes = machine.takeBacklog() else { return arm() }
    transport.resumeReading()
    var span = bytes.mutableSpan
    // SAFETY: bytes are initialized whatever is written to them.
    var raw = unsafe span.mutableBytes
    received(&raw)
    // Without bytes there may still be an end.
    var offset = raw.byteCount
    _ = deliverNext(in: &raw, from: &offset)
  }

  private final func opened(_ response: HandshakeResponse) {
    let completion = extras?.completion.take()
    extras?.subprotocol = response.subprotocol
    extras?.responseHeaders = response.headers
    didOpen()
    handler?.webSocketDidOpen(self)
    completion?(.success(self))
  }

  /// The handshake's deadline is met; without pings nothing else is awaited.
  private final func didOpen() {
    wasOpened = true
    guard machine.deadline == .distantFuture else { return arm() }
    timer?.cancel()
    timer = nil
  }

  // MARK: Time and end

  /// How long a refused peer may take to read the refusal and to hang up.
  private static let partingTime: Duration = .milliseconds(500)
  /// A refusal is shorter, and the kernel takes it at once; a longer answer was asked for, and may take its time.
  private static let maxRefusalBytes = 4 << 10

  private final func perform(_ action: ConnectionMachine.TransportAction?) {
    switch action {
    case nil: break
    // Whoever was never let in may take its answer, but not its time.
    case .close where !wasOpened && transport.pendingBytes < Self.maxRefusalBytes:
      transport.close(within: min(machine.configuration.closeTimeout, Self.partingTime))
    case .close: transport.close()
    case .abort: transport.abort()
    }
  }

  /// Sees to it that the timer fires at the machine's deadline or before.
  private final func arm() {
    let deadline = machine.deadline
    guard deadline < timer?.deadline ?? .distantFuture else { return }
    let timer = timer ?? loop.makeTimer { [unowned self] in timerFired() }
    self.timer = timer
    timer.start(after: deadline - loop.now)
  }

  private final func timerFired() {
    var output: [UInt8] = []
    let action = machine.timerFired(at: loop.now, outboundIsEmpty: transport.pendingBytes == 0, into: &output)
    transport.send(output)
    perform(action)
    arm()
  }

  fileprivate final func reachedEndOfStream() { perform(machine.endOfStream()) }

  fileprivate final func roseAboveHighWatermark() {
    if wasOpened { handler?.webSocketDidRiseAboveHighWatermark(self) }
  }

  fileprivate final func drainedBelowLowWatermark() {
    if wasOpened {
      handler?.webSocketDidDrainBelowLowWatermark(self)
    } else {
      extras?.stream?.onDrain?()
      machine.holdBackRequests(false)
      readBacklog()
    }
  }

  fileprivate final func closed(_ error: SystemError?) {
    machine.transportClosed()
    timer?.cancel()
    timer = nil
    let reason = CloseReason(
      outcome: machine.outcome, transport: error, maxPendingBytes: machine.configuration.maxPendingBytes)
    let delegate = handler.take()
    let completion = extras?.completion.take()
    extras?.stream.take()?.closed()
    if wasOpened { delegate?.webSocketDidClose(self, reason: reason) }
    completion?(.failure(reason.error ?? .connection(.abandoned)))
    lobby?.remove(self, reason)
  }
}

@available(*, unavailable) extension WebSocketConnection: Sendable {}

/// The class that the transport talks to, so that its callbacks are no part of the public one and need no object between.
private final class DrivenConnection: WebSocketConnection, ConnectionDelegate {
  override init(_ transport: Connection, _ machine: consuming ConnectionMachine, _ lobby: Lobby?) {
    super.init(transport, machine, lobby)
    transport.delegate = self
  }

  func connection(_ connection: Connection, didReceive bytes: inout MutableRawSpan) { received(&bytes) }
  func connectionDidReachEndOfStream(_ connection: Connection) { reachedEndOfStream() }
  func connectionDidRiseAboveHighWatermark(_ connection: Connection) { roseAboveHighWatermark() }
  func connectionDidDrainBelowLowWatermark(_ connection: Connection) { drainedBelowLowWatermark() }
  func connectionDidClose(_ connection: Connection, error: SystemError?) { closed(error) }
}

extension WebSocketConfiguration {
  /// What the reactor needs to know of this.
  var transportOptions: ConnectionOptions {
    var options = ConnectionOptions()
    options.highWatermarkBytes = highWatermarkBytes
    options.lowWatermarkBytes = lowWatermarkBytes
    options.maxPendingBytes = maxPendingBytes
    options.drainTimeout = closeTimeout
    options.maxUnsentKernelBytes = maxUnsentKernelBytes.map { Int32(clamping: $0) }
    return options
  }
}
