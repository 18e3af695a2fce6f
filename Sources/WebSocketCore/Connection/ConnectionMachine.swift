public import Primitives

/// One WebSocket connection as a value: bytes and instants go in, events and bytes to send come out (RFC 6455).
///
///     handshake ──▶ open ──▶ closing ──▶ draining ──▶ closed
///                          (our Close    (client: both Close frames are exchanged,
///                           is out)       the server's end of stream is awaited)
///
/// Every state goes to closed at once when a rule is broken, a deadline passes or the stream ends.
///
/// The shell lends each read to `next` until it says `needsBytes`, sends what is appended to `output` after each call,
/// does what `transport` events say, and calls `timerFired` at `deadline`. A message within one read stays where it
/// lies; nothing is allocated for it. No call here calls back, so the shell's handlers may call anything in between.
public struct ConnectionMachine {
  public enum State: Hashable, Sendable {
    /// Reading the peer's head, or waiting for the application's answer to it.
    case handshake(deadline: Instant)
    case open
    /// Our Close frame is sent, the peer's is awaited. Messages are read over.
    case closing(deadline: Instant)
    /// A client that has exchanged Close frames: what still comes is ignored until the server ends the stream, which
    /// is the server's part so that waiting in TIME_WAIT is too (RFC 6455 §7.1.1).
    case draining(deadline: Instant)
    case closed
  }

  /// What happened in the bytes.
  public enum Event: Hashable, Sendable {
    /// All bytes are used.
    case needsBytes
    /// Server: call `accept` or `reject`, then go on with the same bytes.
    indirect case upgradeRequested(HandshakeRequest)
    /// Client: the server accepted.
    indirect case opened(HandshakeResponse)
    /// In place it is valid until the next read; assembled, take it with `takeMessage` before going on.
    case message(MessageKind, Payload)
    case pong
    case transport(TransportAction)
  }

  /// What to do with the socket, after sending what is in the output.
  public enum TransportAction: Hashable, Sendable {
    /// Send what waits, end our half, and ignore what comes until the peer ends its own, all within `closeTimeout`:
    /// closing with unread input would reset the connection and could destroy our last words.
    case close
    /// Close now: the peer does not listen any more.
    case abort
  }

  /// What the handshake still needs, beside the state because it is large.
  private enum Handshake {
    case readingRequest(HeadReader)
    case awaitingDecision(HandshakeRequest)
    case readingResponse(HeadReader, ClientHandshake)
    case readingRefusal(status: Int, HTTPHeaders, body: [UInt8], bodyBytes: Int)
    case done
  }

  public let role: Role
  public let configuration: WebSocketConfiguration
  public private(set) var state: State
  /// How the connection ended; `nil` while that is open.
  public private(set) var outcome: CloseOutcome?

  private var handshake: Handshake
  private var decoder: FrameDecoder
  private var assembler: MessageAssembler
  private var encoder: FrameEncoder
  private var lastHeard: Instant
  /// When the ping was sent that nothing has followed yet.
  private var pingedAt: Instant?
  private var pongs: PongAllowance

  /// A server's side of a TCP connection accepted at `now`.
  public init(server configuration: WebSocketConfiguration, at now: Instant) {
    self.init(
      .server, configuration, .readingRequest(HeadReader(limit: configuration.maxRequestHeadBytes)), .server, now)
  }

  /// A client's side of a TCP connection established at `now`; appends the request.
  ///
  /// `keys` gives the masking keys and must be unpredictable to others (RFC 6455 §10.3).
  public init(
    client request: ClientHandshake, configuration: WebSocketConfiguration, keys: any RandomNumberGenerator,
    at now: Instant, into output: inout [UInt8]
  ) {
    self.init(
      .client, configuration, .readingResponse(HeadReader(limit: configuration.maxRequestHeadBytes), request),
      .client(keys: keys), now)
    request.encode(into: &output)
  }

  private init(
    _ role: Role, _ configuration: WebSocketConfiguration, _ handshake: Handshake, _ encoder: FrameEncoder,
    _ now: Instant
  ) {
    self.role = role
    self.configuration = configuration
    self.handshake = handshake
    self.encoder = encoder
    state = .handshake(deadline: now + configuration.handshakeTimeout)
    decoder = FrameDecoder(role: role, maxFrameBytes: configuration.maxFrameBytes)
    assembler = MessageAssembler(maxMessageBytes: configuration.maxMessageBytes)
    pongs = PongAllowance(limit: configuration.maxPendingPongs)
    lastHeard = now
  }

  /// Whether messages may be sent.
  public var isOpen: Bool { state == .open }

  /// When `timerFired` wants to be called; it may move later without notice, so a timer that fires early asks again.
  public var deadline: Instant {
    switch state {
    case .handshake(let deadline), .closing(let deadline), .draining(let deadline): deadline
    case .closed: .distantFuture
    case .open: min(livenessDeadline, pongs.retryAt)
    }
  }

  private var livenessDeadline: Instant {
    guard let interval = configuration.pingInterval else { return .distantFuture }
    return pingedAt.map { $0 + configuration.pingTimeout } ?? lastHeard + interval
  }

  // MARK: Receiving

  /// To be called once for each read, before `next`; `outboundIsEmpty` says that no sent bytes wait any more.
  public mutating func beginRead(at now: Instant, outboundIsEmpty: Bool, into output: inout [UInt8]) {
    lastHeard = now
    pingedAt = nil
    if outboundIsEmpty { releasePongs(into: &output) }
  }

  private mutating func releasePongs(into output: inout [UInt8]) {
    guard let payload = pongs.release(), isOpen else { return }
    encoder.append(.pong, payload: payload, to: &output)
  }

  /// The next event in `bytes` from `offset` on; `offset` moves behind what it used.
  public mutating func next(
    in bytes: inout MutableRawSpan, from offset: inout Int, at now: Instant, into output: inout [UInt8]
  ) -> Event {
    while true {
      switch state {
      case .handshake:
        guard let event = nextOfHandshake(in: bytes.bytes, from: &offset, into: &output) else { continue }
        return event
      case .open, .closing:
        guard let event = nextOfFrames(in: &bytes, from: &offset, at: now, into: &output) else { continue }
        return event
      case .draining, .closed:
        offset = bytes.byteCount
        return .needsBytes
      }
    }
  }

  /// The message that was announced as assembled; give it back with `recycle`.
  public mutating func takeMessage() -> [UInt8] { assembler.takeMessage() }

  /// Returns a taken message's memory for the next one.
  public mutating func recycle(_ message: consuming [UInt8]) { assembler.recycle(message) }

  private mutating func nextOfFrames(
    in bytes: inout MutableRawSpan, from offset: inout Int, at now: Instant, into output: inout [UInt8]
  ) -> Event? {
    do throws(ProtocolError) {
      while let piece = try decoder.next(in: &bytes, from: &offset) {
        guard let item = try assembler.take(piece, from: bytes.bytes) else { continue }
        switch (item, state) {
        case (.message(let kind, let payload), .open): return .message(kind, payload)
        case (.message, _): assembler.discardMessage()
        case (.ping, .open):
          guard pongs.mayAnswer(assembler.control, at: now) else { continue }
          encoder.append(.pong, payload: assembler.control, to: &output)
        case (.ping, _): break  // No frame may follow our Close (RFC 6455 §5.5.1).
        case (.pong, .open): return .pong
        case (.pong, _): break
        case (.close(let code, let reason), _): return peerClosed(code, reason, at: now, into: &output)
        }
      }
      return .needsBytes
    } catch {
      return fail(error, into: &output)
    }
  }

  /// RFC 6455 §5.5.1: a Close is answered with a Close; §7.1.1: the server ends the TCP connection first.
  private mutating func peerClosed(
    _ code: CloseCode, _ reason: String, at now: Instant, into output: inout [UInt8]
  ) -> Event? {
    if state == .open { encoder.appendClose(code, reason: "", to: &output) }
    outcome = CloseOutcome(code: code, text: reason, failure: nil)
    switch role {
    case .server:
      state = .closed
      return .transport(.close)
    case .client:
      state = .draining(deadline: now + configuration.closeTimeout)
      return nil
    }
  }

  /// RFC 6455 §7.1.7: the peer is told why, and nothing more of it is read.
  private mutating func fail(_ error: ProtocolError, into output: inout [UInt8]) -> Event {
    if state == .open { encoder.appendClose(error.closeCode, reason: error.summary, to: &output) }
    outcome = CloseOutcome(code: error.closeCode, text: error.summary, failure: .protocolViolation(error))
    state = .closed
    return .transport(.close)
  }

  /// The peer ended its half of the TCP connection.
  public mutating func endOfStream() -> TransportAction? {
    switch state {
    case .handshake:
      if case .readingRefusal(let status, let headers, let body, _) = handshake {
        return end(.handshake(.refused(.init(status: status, headers: headers, body: body))), .close)
      }
      return end(.endOfStream(during: .handshake), .close)
    case .open:
      let phase: ConnectionFailure.Phase =
        !decoder.isBetweenFrames ? .frame : assembler.isBetweenMessages ? .betweenMessages : .message
      return end(.endOfStream(during: phase), .close)
    case .closing:
      return end(.endOfStream(during: .closeHandshake), .close)
    case .draining:
      state = .closed
      return .close
    case .closed:
      return nil
    }
  }

  private mutating func end(_ failure: ConnectionFailure, _ action: TransportAction) -> TransportAction {
    outcome = .failed(failure)
    state = .closed
    handshake = .done  // A decision about the upgrade that comes now is too late.
    return action
  }

  /// The socket is gone: whatever was under way is over.
  public mutating func transportClosed() {
    state = .closed
    handshake = .done
  }

  // MARK: Handshake

  private mutating func nextOfHandshake(
    in bytes: RawSpan, from offset: inout Int, into output: inout [UInt8]
  ) -> Event? {
    do throws(HandshakeError) {
      switch handshake {
      case .readingRequest(var reader):
        handshake = .done  // The reader has one owner, so that it grows in place.
        guard try reader.take(bytes, from: &offset) else {
          handshake = .readingRequest(reader)
          return .needsBytes
        }
        let request = try HandshakeRequest(reader.bytes, maxFields: configuration.maxHeaderFields)
        handshake = .awaitingDecision(request)
        return .upgradeRequested(request)
      case .awaitingDecision:
        return .needsBytes
      case .readingResponse(var reader, let request):
        handshake = .done
        guard try reader.take(bytes, from: &offset) else {
          handshake = .readingResponse(reader, request)
          return .needsBytes
        }
        switch try request.answer(in: reader.bytes, maxFields: configuration.maxHeaderFields) {
        case .accepted(let response, let extensions):
          open(extensions)
          return .opened(response)
        case .refused(let status, let headers, let bodyBytes):
          handshake = .readingRefusal(status: status, headers, body: [], bodyBytes: bodyBytes)
          return nil
        }
      case .readingRefusal(let status, let headers, var body, let bodyBytes):
        let end = min(bytes.byteCount, offset + bodyBytes - body.count)
        body.append(contentsOf: bytes.extracting(offset..<end))
        offset = end
        guard body.count < bodyBytes else {
          throw .refused(.init(status: status, headers: headers, body: body))
        }
        handshake = .readingRefusal(status: status, headers, body: body, bodyBytes: bodyBytes)
        return .needsBytes
      case .done:
        preconditionFailure("the handshake is over")
      }
    } catch {
      return .transport(failHandshake(error, into: &output))
    }
  }

  private mutating func failHandshake(_ error: HandshakeError, into output: inout [UInt8]) -> TransportAction {
    handshake = .done
    outcome = .failed(.handshake(error))
    state = .closed
    // A client has nothing left to say, and waiting for a silent server to hang up would only delay the next attempt.
    guard role == .server else { return .abort }
    error.rejection.encode(into: &output)
    return .close
  }

  private mutating func open(_ extensions: Extensions) {
    handshake = .done
    state = .open
    decoder = FrameDecoder(role: role, extensions: extensions, maxFrameBytes: configuration.maxFrameBytes)
  }

  /// Answers `upgradeRequested` with 101; returns the subprotocol, `nil` unless the client offered it.
  @discardableResult
  public mutating func accept(
    subprotocol: String? = nil, headers: HTTPHeaders = [:], into output: inout [UInt8]
  ) -> String? {
    guard case .awaitingDecision(let request) = handshake else { return nil }
    let extensions = Extensions.negotiated(from: request.extensions, nil)
    let selected = subprotocol.flatMap { request.subprotocols.contains($0) ? $0 : nil }
    request.encodeAcceptance(subprotocol: selected, extensions: extensions, headers: headers, into: &output)
    open(extensions)
    return selected
  }

  /// Answers `upgradeRequested` with an HTTP status; what to do with the socket is returned.
  public mutating func reject(
    _ rejection: Rejection, into output: inout [UInt8]
  ) -> TransportAction? {
    guard case .awaitingDecision = handshake else { return nil }
    handshake = .done
    rejection.encode(into: &output)
    outcome = .failed(.handshake(.rejected(status: rejection.status)))
    state = .closed
    return .close
  }

  // MARK: Sending

  /// Appends a message; false, and nothing is appended, unless the connection is open.
  public mutating func append(_ message: RawSpan, kind: MessageKind, to output: inout [UInt8]) -> Bool {
    guard isOpen else { return false }
    encoder.append(kind.opcode, payload: message, to: &output)
    return true
  }

  /// The header to send before a server's message, whose payload then needs no copy here; `nil` unless open.
  public func messageHeader(_ kind: MessageKind, payloadBytes: Int) -> EncodedFrameHeader? {
    precondition(role == .server, "a client's payload must be masked")
    guard isOpen else { return nil }
    return FrameEncoder.unmaskedHeader(kind.opcode, payloadBytes: payloadBytes)
  }

  /// Appends a ping with at most 125 bytes of payload; false unless the connection is open.
  public mutating func ping(_ payload: [UInt8] = [], into output: inout [UInt8]) -> Bool {
    guard isOpen else { return false }
    encoder.append(.ping, payload: Array(payload.prefix(125)), to: &output)
    return true
  }

  /// Starts the close handshake; during the HTTP handshake, gives it up. What to do with the socket is returned.
  ///
  /// The reason is cut to 123 bytes. A code that may not be sent gives a Close frame without one.
  public mutating func close(
    _ code: CloseCode, reason: String = "", at now: Instant, into output: inout [UInt8]
  ) -> TransportAction? {
    switch state {
    case .open:
      encoder.appendClose(code, reason: reason, to: &output)
      state = .closing(deadline: now + configuration.closeTimeout)
      return nil
    case .handshake:
      return end(.abandoned, .abort)
    case .closing, .draining, .closed:
      return nil
    }
  }

  /// Gives the connection up without a word.
  public mutating func abandon() -> TransportAction? {
    guard state != .closed else { return nil }
    guard outcome == nil else {
      state = .closed
      return .abort
    }
    return end(.abandoned, .abort)
  }

  // MARK: Time

  /// To be called at `deadline` or later; what to do with the socket is returned.
  public mutating func timerFired(
    at now: Instant, outboundIsEmpty: Bool, into output: inout [UInt8]
  ) -> TransportAction? {
    guard now >= deadline else { return nil }
    switch state {
    case .handshake:
      return failHandshake(.timedOut(after: configuration.handshakeTimeout), into: &output)
    case .open:
      if outboundIsEmpty { releasePongs(into: &output) } else { pongs.postpone(at: now) }
      guard now >= livenessDeadline else { return nil }
      guard pingedAt == nil else { return end(.pingTimedOut(after: configuration.pingTimeout), .abort) }
      pingedAt = now
      _ = ping(into: &output)
      return nil
    case .closing:
      return end(.closeTimedOut(after: configuration.closeTimeout), .abort)
    case .draining:
      state = .closed
      return .abort
    case .closed:
      return nil
    }
  }
}
