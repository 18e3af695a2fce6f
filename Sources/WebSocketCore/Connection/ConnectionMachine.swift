public import Primitives

/// One WebSocket connection as a value: bytes and instants go in, events and bytes to send come out (RFC 6455).
///
///     handshake ──▶ open ──▶ closing ──▶ draining ──▶ closed
///                          (our Close    (client: both Close frames are exchanged,
///                           is out)       the server's end of stream is awaited)
///
/// Every state goes to closed at once when a rule is broken, a deadline passes or the stream ends.
///
/// The shell lends each read to `next` until it says `needsBytes`, or until every byte is used and it has no more to say;
/// it sends what is appended to `output` after each call, does what `transport` events say, and calls `timerFired` at
/// `deadline`. A message within one read stays where it lies; nothing is allocated for it. No call here calls back, so the
/// shell's handlers may call anything in between.
///
/// It cannot be copied, because it owns the contexts of permessage-deflate. An idle one is small: what a connection needs
/// only in the middle of a message lies in a `PartialMessage` that its `ConnectionContext` lends.
public struct ConnectionMachine: ~Copyable {
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
    /// Server whose context serves resources: call `answer` or `beginStream`, now or later, within `answerTimeout`.
    indirect case resourceRequested(HTTPRequest)
    /// Client: the server accepted.
    indirect case opened(HandshakeResponse)
    /// In place it is valid until the next read; assembled, take it with `takeMessage` before going on.
    case message(MessageKind, Payload)
    /// Part of a message, while `receivesPieces`; to be used as a message is. Only the last part may be empty.
    case piece(MessageKind, Payload, isLast: Bool)
    case pong
    case transport(TransportAction)
  }

  /// A message that lies within one read: its kind, and where its unmasked payload is.
  public struct WholeMessage: Hashable, Sendable {
    public let kind: MessageKind
    public let payload: Range<Int>
  }

  /// What to do with the socket, after sending what is in the output.
  public enum TransportAction: Hashable, Sendable {
    /// Send what waits, end our half, and ignore what comes until the peer ends its own, all within `closeTimeout`:
    /// closing with unread input would reset the connection and could destroy our last words.
    case close
    /// Close now: the peer does not listen any more.
    case abort
  }

  /// What a stage of the connection needs, beside the state because it is large and only the first and last have any.
  private indirect enum Stage {
    /// The conversation once there was an ordinary request before.
    case readingRequest(HeadReader, HTTPConversation?)
    case readingBody(HTTPConversation)
    case answering(HTTPConversation)
    case awaitingDecision(HandshakeRequest)
    case readingResponse(HeadReader, ClientHandshake)
    case readingRefusal(status: Int, HTTPHeaders, body: [UInt8], bodyBytes: Int)
    case upgraded
    case ended(CloseOutcome)
  }

  public let context: ConnectionContext
  public private(set) var state: State
  public let role: Role
  /// Whether messages are delivered as they come, as `piece` events, so that they may be larger than memory; those that
  /// begin after it was set. `maxMessageBytes` and `maxFrameBytes` hold all the same: raise them.
  public var receivesPieces = false
  /// Whether time matters on every read.
  private let watchesSilence: Bool
  private var stage: Stage
  private var partial: PartialMessage?
  private var sender: MessageSender
  private var lastHeard: Instant
  /// When the ping was sent that nothing has followed yet; `distantFuture` if none was.
  private var pingedAt = Instant.distantFuture
  private var pongs = PongAllowance()

  /// A server's side of a TCP connection accepted at `now`.
  public init(server context: ConnectionContext, at now: Instant) {
    self.init(
      .server, context, .readingRequest(HeadReader(limit: context.configuration.maxRequestHeadBytes), nil), nil, now)
  }

  /// A client's side of a TCP connection established at `now`; appends the request.
  ///
  /// `keys` gives the masking keys and must be unpredictable to others (RFC 6455 §10.3).
  public init(
    client request: ClientHandshake, _ context: ConnectionContext, keys: any RandomNumberGenerator, at now: Instant,
    into output: inout [UInt8]
  ) {
    self.init(
      .client, context, .readingResponse(HeadReader(limit: context.configuration.maxRequestHeadBytes), request),
      MaskingKeys(keys), now)
    request.encode(offering: context.configuration.compression, into: &output)
  }

  private init(_ role: Role, _ context: ConnectionContext, _ stage: Stage, _ keys: MaskingKeys?, _ now: Instant) {
    self.role = role
    self.context = context
    self.stage = stage
    sender = MessageSender(keys)
    watchesSilence = context.configuration.pingInterval != nil
    state = .handshake(deadline: now + context.configuration.handshakeTimeout)
    lastHeard = now
  }

  public var configuration: WebSocketConfiguration { context.configuration }

  /// How the connection ended; `nil` while that is open.
  public var outcome: CloseOutcome? {
    if case .ended(let outcome) = stage { outcome } else { nil }
  }

  /// Whether messages are compressed in either direction (RFC 7692).
  public var isCompressed: Bool { sender.compression != nil }

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
    return pingedAt == .distantFuture ? lastHeard + interval : pingedAt + configuration.pingTimeout
  }

  // MARK: Receiving

  /// Whether `beginRead` has anything to do: most connections are spared the question what time it is.
  public var noticesReads: Bool { watchesSilence || pongs.isInUse }

  /// To be called once for each read, before `next`; `outboundIsEmpty` says that no sent bytes wait any more.
  public mutating func beginRead(at now: Instant, outboundIsEmpty: Bool, into output: inout [UInt8]) {
    lastHeard = now
    pingedAt = .distantFuture
    if outboundIsEmpty { releasePongs(into: &output) }
  }

  private mutating func releasePongs(into output: inout [UInt8]) {
    guard let payload = pongs.release(), isOpen else { return }
    encoder.append(.pong, payload: payload, to: &output)
  }

  private var encoder: FrameEncoder { sender.encoder }

  /// The next message if it is one plain frame that lies within `bytes` from `offset` on, and the connection is between
  /// messages; `nil`, and nothing is changed, for everything else, which is for `next`.
  ///
  /// This is the fast path: it only takes what `next` would take, and gives what `next` would give.
  @inline(__always)
  public mutating func nextWholeMessage(in bytes: inout MutableRawSpan, from offset: inout Int) -> WholeMessage? {
    guard case .open = state, partial == nil, !receivesPieces else { return nil }
    guard
      let frame = FrameHeader.decodeUsual(
        bytes.bytes, at: offset, role: role, maxPayloadBytes: context.maxWholeMessageBytes)
    else { return nil }
    if let key = frame.maskingKey { key.apply(to: &bytes, in: frame.payload, position: 0) }
    if frame.kind == .text, !UTF8Validator.isValid(bytes.bytes.extracting(frame.payload)) {
      // Masked again, it is as it came, and `next` finds out what is wrong.
      if let key = frame.maskingKey { key.apply(to: &bytes, in: frame.payload, position: 0) }
      return nil
    }
    offset = frame.payload.upperBound
    return WholeMessage(kind: frame.kind, payload: frame.payload)
  }

  /// The next event in `bytes` from `offset` on; `offset` moves behind what it used.
  public mutating func next(
    in bytes: inout MutableRawSpan, from offset: inout Int, at now: Instant, into output: inout [UInt8]
  ) -> Event {
    while true {
      switch state {
      case .handshake:
        guard let event = nextOfHandshake(in: bytes.bytes, from: &offset, at: now, into: &output) else { continue }
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

  /// Whether `next` has more to say although every byte is used: a compressed message inflates to several pieces.
  @inline(__always)
  public var hasMore: Bool {
    guard let partial else { return false }
    return partial.assembler.hasUnfinishedPiece
  }

  /// The message, or piece of one, that was announced as assembled; give it back with `recycle`.
  public mutating func takeMessage() -> [UInt8] { partial?.assembler.takeMessage() ?? [] }

  /// Takes a taken message's memory back for the next one.
  public mutating func recycle(_ message: inout [UInt8]) {
    partial?.assembler.recycle(&message)
    returnIdlePartial()
  }

  private mutating func returnIdlePartial() {
    guard let idle = partial, idle.isIdle else { return }
    partial = nil
    context.takeBack(idle)
  }

  private mutating func nextOfFrames(
    in bytes: inout MutableRawSpan, from offset: inout Int, at now: Instant, into output: inout [UInt8]
  ) -> Event? {
    let partial = self.partial ?? context.lendPartial(role, sender.compression)
    self.partial = partial
    do throws(ProtocolError) {
      while let item = try nextItem(of: partial, in: &bytes, from: &offset) {
        switch (item, state) {
        case (.message(let kind, .inPlace(let range)), .open):
          returnIdlePartial()
          return .message(kind, .inPlace(range))
        case (.message(let kind, .assembled), .open): return .message(kind, .assembled)
        case (.piece(let kind, let payload, let isLast), .open): return .piece(kind, payload, isLast: isLast)
        case (.message, _), (.piece, _): partial.assembler.discardMessage()
        case (.ping, .open):
          guard pongs.mayAnswer(partial.assembler.control, limit: configuration.maxPendingPongs, at: now) else {
            continue
          }
          encoder.append(.pong, payload: partial.assembler.control, to: &output)
        case (.ping, _): break  // No frame may follow our Close (RFC 6455 §5.5.1).
        case (.pong, .open): return .pong
        case (.pong, _): break
        case (.close(let code, let reason), _): return peerClosed(code, reason, at: now, into: &output)
        }
      }
      returnIdlePartial()
      return .needsBytes
    } catch {
      return fail(error, into: &output)
    }
  }

  /// What the next pieces of frames make complete; `nil` when every byte is used.
  private func nextItem(
    of partial: PartialMessage, in bytes: inout MutableRawSpan, from offset: inout Int
  ) throws(ProtocolError) -> MessageAssembler.Item? {
    while true {
      if partial.assembler.hasUnfinishedPiece {
        if let item = try partial.assembler.inflateUnfinished(from: bytes.bytes) { return item }
      } else {
        guard let piece = try partial.decoder.next(in: &bytes, from: &offset) else { return nil }
        if let item = try partial.assembler.take(piece, from: bytes.bytes, inPieces: receivesPieces) { return item }
      }
    }
  }

  /// RFC 6455 §5.5.1: a Close is answered with a Close; §7.1.1: the server ends the TCP connection first.
  private mutating func peerClosed(
    _ code: CloseCode, _ reason: String, at now: Instant, into output: inout [UInt8]
  ) -> Event? {
    if state == .open { encoder.appendClose(code, reason: "", to: &output) }
    stage = .ended(CloseOutcome(code: code, text: reason, failure: nil))
    switch role {
    case .server:
      close()
      return .transport(.close)
    case .client:
      state = .draining(deadline: now + configuration.closeTimeout)
      return nil
    }
  }

  /// RFC 6455 §7.1.7: the peer is told why, and nothing more of it is read.
  private mutating func fail(_ error: ProtocolError, into output: inout [UInt8]) -> Event {
    if state == .open { encoder.appendClose(error.closeCode, reason: error.summary, to: &output) }
    stage = .ended(CloseOutcome(code: error.closeCode, text: error.summary, failure: .protocolViolation(error)))
    close()
    return .transport(.close)
  }

  /// Nothing more is read or sent: what a message under way held is let go of.
  private mutating func close() {
    state = .closed
    partial = nil
    sender.end()
  }

  /// The peer ended its half of the TCP connection.
  public mutating func endOfStream() -> TransportAction? {
    switch state {
    case .handshake:
      if case .readingRefusal(let status, let headers, let body, _) = stage {
        return end(.handshake(.refused(.init(status: status, headers: headers, body: body))), .close)
      }
      switch stage {
      case .answering(let conversation) where conversation.isStreaming:
        return endProperly()
      case .answering(let conversation):
        // A client that has sent all of its requests may say so and still read the answers.
        conversation.reachedEndOfStream = true
        return nil
      case .readingRequest(let reader, let conversation?):
        guard conversation.isHeldBack else { return endOfRequests(reader) }
        conversation.reachedEndOfStream = true
        return nil
      default: break
      }
      return end(.endOfStream(during: .handshake), .close)
    case .open:
      let phase: ConnectionFailure.Phase =
        switch partial {
        case let partial? where !partial.decoder.isBetweenFrames: .frame
        case let partial? where !partial.assembler.isBetweenMessages: .message
        default: .betweenMessages
        }
      return end(.endOfStream(during: phase), .close)
    case .closing:
      return end(.endOfStream(during: .closeHandshake), .close)
    case .draining:
      close()
      return .close
    case .closed:
      return nil
    }
  }

  private mutating func end(_ failure: ConnectionFailure, _ action: TransportAction) -> TransportAction {
    stage = .ended(.failed(failure))  // A decision about the upgrade that comes now is too late.
    close()
    return action
  }

  /// The socket is gone: whatever was under way is over.
  public mutating func transportClosed() {
    close()
    if outcome == nil { stage = .upgraded }
  }

  // MARK: Handshake

  private mutating func nextOfHandshake(
    in bytes: RawSpan, from offset: inout Int, at now: Instant, into output: inout [UInt8]
  ) -> Event? {
    do throws(HandshakeError) {
      switch stage {
      case .readingRequest(var reader, let conversation):
        if let conversation {
          if conversation.isHeldBack {
            conversation.keep(bytes, from: &offset)
            return .needsBytes
          }
          // A following request's time begins with its first byte.
          if reader.isEmpty, offset < bytes.byteCount {
            state = .handshake(deadline: now + configuration.requestTimeout)
          }
        }
        stage = .upgraded  // The reader has one owner, so that it grows in place.
        guard try reader.take(bytes, from: &offset) else {
          stage = .readingRequest(reader, conversation)
          if let conversation, conversation.reachedEndOfStream { return .transport(endOfRequests(reader)) }
          return .needsBytes
        }
        let head = try MessageHead(
          reader.bytes, maxFields: configuration.maxHeaderFields, startLineFault: .requestLine)
        if context.servesResources, let request = try HTTPRequest(head) {
          let conversation = conversation ?? HTTPConversation(request)
          if try conversation.begin(request, configuration, into: &output) {
            stage = .readingBody(conversation)
            state = .handshake(deadline: now + configuration.requestTimeout)
            return nil
          }
          return awaitAnswer(to: request, conversation, at: now)
        }
        let request = try HandshakeRequest(head)
        stage = .awaitingDecision(request)
        return .upgradeRequested(request)
      case .awaitingDecision:
        return .needsBytes
      case .readingBody(let conversation):
        guard let request = try conversation.readBody(bytes, from: &offset) else { return .needsBytes }
        return awaitAnswer(to: request, conversation, at: now)
      case .answering(let conversation):
        conversation.keep(bytes, from: &offset)
        return .needsBytes
      case .readingResponse(var reader, let request):
        stage = .upgraded
        guard try reader.take(bytes, from: &offset) else {
          stage = .readingResponse(reader, request)
          return .needsBytes
        }
        switch try request.answer(
          in: reader.bytes, maxFields: configuration.maxHeaderFields, offered: configuration.compression)
        {
        case .accepted(let response, let extensions):
          open(extensions)
          return .opened(response)
        case .refused(let status, let headers, let bodyBytes):
          stage = .readingRefusal(status: status, headers, body: [], bodyBytes: bodyBytes)
          return nil
        }
      case .readingRefusal(let status, let headers, var body, let bodyBytes):
        let end = min(bytes.byteCount, offset + bodyBytes - body.count)
        body.append(contentsOf: bytes.extracting(offset..<end))
        offset = end
        guard body.count < bodyBytes else {
          throw .refused(.init(status: status, headers: headers, body: body))
        }
        stage = .readingRefusal(status: status, headers, body: body, bodyBytes: bodyBytes)
        return .needsBytes
      case .upgraded, .ended:
        preconditionFailure("the handshake is over")
      }
    } catch {
      return .transport(failHandshake(error, into: &output))
    }
  }

  private mutating func failHandshake(_ error: HandshakeError, into output: inout [UInt8]) -> TransportAction {
    stage = .ended(.failed(.handshake(error)))
    close()
    // A client has nothing left to say, and waiting for a silent server to hang up would only delay the next attempt.
    guard role == .server else { return .abort }
    var rejection = error.rejection
    if case .methodNotAllowed = error, context.servesResources { rejection.headers = ["Allow": Self.methods] }
    rejection.encode(into: &output)
    return .close
  }

  private mutating func open(_ extensions: Extensions) {
    stage = .upgraded
    state = .open
    if let agreement = extensions.deflate { sender.compression = context.compression(agreement, role) }
  }

  /// Answers `upgradeRequested` with 101; returns the subprotocol, `nil` unless the client offered it.
  @discardableResult
  public mutating func accept(
    subprotocol: String? = nil, headers: HTTPHeaders = [:], into output: inout [UInt8]
  ) -> String? {
    guard case .awaitingDecision(let request) = stage else { return nil }
    let extensions = Extensions.negotiated(from: request.extensions, configuration.compression)
    let selected = subprotocol.flatMap { request.subprotocols.contains($0) ? $0 : nil }
    request.encodeAcceptance(subprotocol: selected, extensions: extensions, headers: headers, into: &output)
    open(extensions)
    return selected
  }

  /// Answers `upgradeRequested` with an HTTP status; what to do with the socket is returned.
  public mutating func reject(
    _ rejection: Rejection, into output: inout [UInt8]
  ) -> TransportAction? {
    guard case .awaitingDecision = stage else { return nil }
    rejection.encode(into: &output)
    stage = .ended(.failed(.handshake(.rejected(status: rejection.status))))
    close()
    return .close
  }

  // MARK: Ordinary requests

  /// For a method that nobody serves.
  private static let methods = HTTPRequest.Method.allCases.map(\.rawValue).joined(separator: ", ")

  private mutating func awaitAnswer(
    to request: HTTPRequest, _ conversation: HTTPConversation, at now: Instant
  ) -> Event {
    stage = .answering(conversation)
    state = .handshake(deadline: now + configuration.answerTimeout)
    return .resourceRequested(request)
  }

  /// What is being answered, or streamed if `streaming`; `nil` if nothing is.
  private func answered(streaming: Bool) -> HTTPConversation? {
    guard case .answering(let conversation) = stage, conversation.isStreaming == streaming else { return nil }
    return conversation
  }

  /// Answers `resourceRequested`; what to do with the socket is returned. Go on with `takeBacklog`.
  public mutating func answer(
    _ response: HTTPResponse, at now: Instant, into output: inout [UInt8]
  ) -> TransportAction? {
    guard let conversation = answered(streaming: false) else { return nil }
    conversation.answer(response, into: &output)
    return readNextRequest(conversation, at: now)
  }

  /// Begins an answer of unknown length to `resourceRequested`; false if there is nothing to answer.
  public mutating func beginStream(_ response: HTTPResponse, into output: inout [UInt8]) -> Bool {
    guard let conversation = answered(streaming: false) else { return false }
    conversation.beginStream(response, into: &output)
    state = .handshake(deadline: .distantFuture)
    return true
  }

  /// Appends to the answer that was begun; without effect if there is none.
  public mutating func appendToStream(_ bytes: [UInt8], into output: inout [UInt8]) {
    answered(streaming: true)?.append(bytes, into: &output)
  }

  /// Ends the answer that was begun; what to do with the socket is returned. Go on with `takeBacklog`.
  public mutating func endStream(at now: Instant, into output: inout [UInt8]) -> TransportAction? {
    guard let conversation = answered(streaming: true) else { return nil }
    conversation.endStream(into: &output)
    return readNextRequest(conversation, at: now)
  }

  private mutating func readNextRequest(_ conversation: HTTPConversation, at now: Instant) -> TransportAction? {
    guard conversation.keepsAlive else { return endProperly() }
    stage = .readingRequest(HeadReader(limit: configuration.maxRequestHeadBytes), conversation)
    state = .handshake(deadline: now + configuration.keepAliveTimeout)
    return nil
  }

  /// What came behind a request while that was answered, to be given to `next` again as bytes of a read, even if there
  /// are none; `nil` when there is nothing to go on with.
  public mutating func takeBacklog() -> [UInt8]? {
    guard case .readingRequest(_, let conversation?) = stage, !conversation.isHeldBack else { return nil }
    let bytes = conversation.takeBacklog()
    return bytes.isEmpty && !conversation.reachedEndOfStream ? nil : bytes
  }

  /// Whether so much came behind a request that nothing should be read until that is answered.
  public var hasFullBacklog: Bool {
    switch stage {
    case .answering(let conversation), .readingRequest(_, let conversation?): conversation.hasFullBacklog
    default: false
    }
  }

  /// Whether no more requests are to be read because answers wait to be written. Then go on with `takeBacklog`.
  public mutating func holdBackRequests(_ isHeldBack: Bool) {
    switch stage {
    case .answering(let conversation), .readingRequest(_, let conversation?), .readingBody(let conversation):
      conversation.isHeldBack = isHeldBack
    default: break
    }
  }

  /// The client ended its half, and everything before was answered.
  private mutating func endOfRequests(_ reader: HeadReader) -> TransportAction {
    reader.isEmpty ? endProperly() : end(.endOfStream(during: .handshake), .close)
  }

  private mutating func endProperly() -> TransportAction {
    stage = .ended(CloseOutcome(code: .normal, text: "", failure: nil))
    close()
    return .close
  }

  // MARK: Sending

  /// Appends a message; false, and nothing is appended, unless the connection is open.
  public mutating func append(_ message: RawSpan, kind: MessageKind, to output: inout [UInt8]) -> Bool {
    guard isOpen else { return false }
    sender.append(message, kind, context, to: &output)
    return true
  }

  /// What a server sends for a message: the header, and behind it the message itself or, if `isCompressed`, what
  /// `context.compressed` holds until the next one.
  public struct OutgoingFrame: Sendable {
    public let header: EncodedFrameHeader
    public let isCompressed: Bool
  }

  /// The frame of a server's message, whose payload needs no copy here; `nil` unless open.
  @inline(__always)
  public mutating func frame(of message: RawSpan, _ kind: MessageKind) -> OutgoingFrame? {
    isOpen ? sender.frame(of: message, kind, context) : nil
  }

  /// The frame to send for a message that was prepared for many connections; `nil` unless open.
  ///
  /// A client masks it: it is appended to `output` then, and `nil` is returned too.
  public mutating func frame(of message: PreparedMessage, into output: inout [UInt8]) -> [UInt8]? {
    isOpen ? sender.frame(of: message, into: &output) : nil
  }

  /// Appends a part of a message that is sent piece by piece, as a frame of its own; `kind` is that of its first piece.
  /// False, and nothing is appended, unless the connection is open.
  ///
  /// No other message may be sent before the last piece; pings and the close may. Whether the message is compressed, if
  /// that was agreed on, is settled by `compressing` of its first piece: what was sent cannot be taken back when it turns
  /// out not to shrink, or to shrink so much that the peer's `maxInflationRatio` refuses it.
  public mutating func append(
    piece: RawSpan, kind: MessageKind, isLast: Bool, compressing: Bool = false, to output: inout [UInt8]
  ) -> Bool {
    guard isOpen else { return false }
    sender.append(piece: piece, kind, isLast: isLast, compressing: compressing, context, to: &output)
    return true
  }

  /// Whether a message sent piece by piece has not ended: no other may be sent before.
  public var isSendingPieces: Bool { sender.isSendingPieces }

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
      switch stage {
      case .readingRequest(let reader, _?) where reader.isEmpty: return endProperly()
      // A body that stops before its last chunk is known to be cut.
      case .answering(let conversation) where conversation.isStreaming: return endProperly()
      case .answering(let conversation):
        conversation.endAfterAnswer()
        state = .handshake(deadline: min(deadline, now + configuration.closeTimeout))
        return nil
      default: return end(.abandoned, .abort)
      }
    case .closing, .draining, .closed:
      return nil
    }
  }

  /// Gives the connection up without a word.
  public mutating func abandon() -> TransportAction? {
    guard state != .closed else { return nil }
    guard outcome == nil else {
      close()
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
      switch stage {
      case .readingRequest(let reader, _?) where reader.isEmpty: return endProperly()
      case .readingRequest(_, _?), .readingBody:
        return failHandshake(.requestTimedOut(after: configuration.requestTimeout), into: &output)
      case .answering: return failHandshake(.answerTimedOut(after: configuration.answerTimeout), into: &output)
      default: return failHandshake(.timedOut(after: configuration.handshakeTimeout), into: &output)
      }
    case .open:
      if outboundIsEmpty { releasePongs(into: &output) } else { pongs.postpone(at: now) }
      guard now >= livenessDeadline else { return nil }
      guard pingedAt == .distantFuture else { return end(.pingTimedOut(after: configuration.pingTimeout), .abort) }
      pingedAt = now
      _ = ping(into: &output)
      return nil
    case .closing:
      return end(.closeTimedOut(after: configuration.closeTimeout), .abort)
    case .draining:
      close()
      return .abort
    case .closed:
      return nil
    }
  }
}
