import Primitives

@testable import WebSocketCore

/// Drives a machine as the shell does, and holds it to its promises after every step.
final class MachineDriver {
  /// What the machine said, with payloads copied out of the bytes they were lent in, and the pieces of a message put
  /// together: how it is cut depends on the reads.
  enum Event: Hashable {
    case upgradeRequested(HandshakeRequest)
    case resourceRequested(HTTPRequest)
    case opened(HandshakeResponse)
    case message(MessageKind, [UInt8])
    case pong
    case transport(ConnectionMachine.TransportAction)
  }

  private(set) var machine: ConnectionMachine
  private(set) var output: [UInt8] = []
  private(set) var events: [Event] = []
  private(set) var now = Instant.zero
  /// What was sent up to the end of the handshake; frames follow.
  private(set) var handshakeBytes: Int?
  var outboundIsEmpty = true
  /// Whether whole messages are taken the short way first, and bytes are given up as soon as they are used and `hasMore`
  /// is false, as the shell does.
  var takesShortcuts = true
  /// How a server answers; `nil` accepts the first subprotocol on offer.
  var rejection: Rejection?
  /// How a server that serves resources answers.
  let response: HTTPResponse?

  /// What was agreed on, as the peer understands it.
  private(set) var deflate: DeflateAgreement?
  /// What came behind the handshake, and where in it the reads end.
  private(set) var received: [UInt8] = []
  private(set) var readEnds: [Int] = []
  /// Of the message whose last piece has not come.
  private(set) var unfinished: (kind: MessageKind, bytes: [UInt8])?
  /// All values that `receivesPieces` has had.
  private(set) var waysToReceive: Set<Bool> = [false]

  /// The messages that were sent, and the pieces of one that is not complete.
  private var sentMessages: [Event] = []
  private(set) var sentPieces: (kind: MessageKind, bytes: [UInt8])?

  private var outcome: CloseOutcome?
  private var phase = 0

  static let subprotocols = ["lifeline.v1", "b"]

  init(_ role: Role, _ configuration: WebSocketConfiguration, resources response: HTTPResponse? = nil) {
    self.response = response
    let context = ConnectionContext(configuration, servesResources: response != nil)
    switch role {
    case .server: machine = ConnectionMachine(server: context, at: .zero)
    case .client:
      var generator = Generator(state: 1)
      do {
        let request = try ClientHandshake(
          target: "/fuzz", host: "localhost", subprotocols: Self.subprotocols, using: &generator)
        machine = ConnectionMachine(
          client: request, context, keys: generator, at: .zero, into: &output)
      } catch {
        preconditionFailure("the request is fine: \(error)")
      }
    }
  }

  /// A driver whose handshake with a peer is done, who takes all that is offered and offers what there is.
  static func open(_ role: Role, _ configuration: WebSocketConfiguration) throws(Finding) -> MachineDriver {
    let driver = MachineDriver(role, configuration)
    if let compression = configuration.compression {
      var peerConfiguration = WebSocketConfiguration()
      peerConfiguration.compression = CompressionConfiguration(context: compression.context)
      let peer = MachineDriver(role == .server ? .client : .server, peerConfiguration)
      if role == .client { try peer.read(driver.output) }
      try driver.read(peer.output)
      try require(driver.machine.isCompressed && driver.deflate != nil, "compression is not agreed on")
    } else {
      try driver.read(role == .server ? request : response)
    }
    try require(driver.machine.isOpen, "a plain handshake does not open")
    driver.events = []
    return driver
  }

  /// What a client of this kind sends, and what a server answers it.
  static let request = MachineDriver(.client, .init()).output
  static let response: [UInt8] = {
    let server = MachineDriver(.server, .init())
    try? server.read(request)
    return server.output
  }()

  /// The frames sent so far, as the peer reads them.
  var sentFrames: ReferenceFrames {
    ReferenceFrames(
      Array(output[(handshakeBytes ?? output.count)...]), receivedBy: machine.role == .server ? .client : .server,
      maxFrameBytes: .max, withDeflate: deflate != nil)
  }

  /// What is to be made of the bytes behind the handshake, if nothing but them decides.
  var expected: ReferencePeer {
    let configuration = machine.configuration
    let limits = ReferencePeer.Limits(
      maxMessageBytes: configuration.maxMessageBytes,
      maxInflationRatio: configuration.compression?.maxInflationRatio ?? 1)
    return ReferencePeer(
      ReferenceFrames(
        received, receivedBy: machine.role, maxFrameBytes: configuration.maxFrameBytes, withDeflate: deflate != nil),
      limits: limits, deflate: deflate?.incoming(for: machine.role), readEnds: readEnds)
  }

  /// Whether the peer may look back no further than zlib can, which keeps to smaller windows only between calls.
  var mayReceiveFullWindow: Bool { deflate.map { $0.incoming(for: machine.role).windowBits == 15 } ?? true }

  func setReceivesPieces(_ receivesPieces: Bool) {
    if events.isEmpty && received.isEmpty { waysToReceive = [] }
    waysToReceive.insert(receivesPieces)
    machine.receivesPieces = receivesPieces
  }

  // MARK: Steps

  func read(_ bytes: [UInt8]) throws(Finding) {
    guard !bytes.isEmpty else { return }
    if handshakeBytes != nil { noteReceived(bytes[...]) }
    var bytes = bytes
    let original = bytes
    var span = bytes.mutableSpan
    var raw = span.mutableBytes
    machine.beginRead(at: now, outboundIsEmpty: outboundIsEmpty, into: &output)
    var offset = 0
    loop: repeat {
      let before = offset
      if takesShortcuts, let message = machine.nextWholeMessage(in: &raw, from: &offset) {
        try require(
          message.payload.lowerBound >= before && message.payload.upperBound == offset && offset <= raw.byteCount,
          "a message outside the read: \(message.payload)")
        try note(message.kind, message.payload.map { raw.bytes.byte(at: $0) })
        continue
      }
      let event = machine.next(in: &raw, from: &offset, at: now, into: &output)
      try require(offset >= before && offset <= raw.byteCount, "the offset moves from \(before) to \(offset)")
      switch event {
      case .needsBytes:
        try require(offset == raw.byteCount, "the machine wants more with \(raw.byteCount - offset) bytes unused")
        break loop
      case .upgradeRequested(let request):
        events.append(.upgradeRequested(request))
        try answer(request)
        if handshakeBytes != nil { noteReceived(original[offset...]) }
      case .resourceRequested(let request):
        events.append(.resourceRequested(request))
        guard let response else { throw Finding(description: "a resource is asked for where none is served") }
        if let action = machine.answer(response, at: now, into: &output) { events.append(.transport(action)) }
      case .opened(let response):
        events.append(.opened(response))
        try opened(response.headers.values("Sec-WebSocket-Extensions"))
        noteReceived(original[offset...])
      case .message(let kind, let payload): try note(kind, take(payload, from: raw.bytes))
      case .piece(let kind, let payload, let isLast): try note(kind, take(payload, from: raw.bytes), isLast: isLast)
      case .pong: events.append(.pong)
      case .transport(let action): events.append(.transport(action))
      }
    } while !takesShortcuts || offset < raw.byteCount || machine.hasMore
    try checkPromises()
  }

  private func noteReceived(_ bytes: ArraySlice<UInt8>) {
    received += bytes
    readEnds.append(received.count)
  }

  private func take(_ payload: Payload, from bytes: RawSpan) throws(Finding) -> [UInt8] {
    switch payload {
    case .inPlace(let range):
      try require(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount, "a payload outside the read: \(range)")
      return range.map { bytes.byte(at: $0) }
    case .assembled:
      var message = machine.takeMessage()
      // A copy, so that the memory given back is the machine's alone.
      let copy = message.map(\.self)
      machine.recycle(&message)
      return copy
    }
  }

  private func note(_ kind: MessageKind, _ message: [UInt8]) throws(Finding) {
    try require(waysToReceive.contains(false), "a whole message, where pieces were asked for")
    try require(unfinished == nil, "a whole message before another one's last piece")
    events.append(.message(kind, message))
  }

  private func note(_ kind: MessageKind, _ piece: [UInt8], isLast: Bool) throws(Finding) {
    try require(waysToReceive.contains(true), "a piece that was not asked for")
    try require(isLast || !piece.isEmpty, "an empty piece that is not the last")
    var message = unfinished ?? (kind, [])
    try require(message.kind == kind, "a message begins as \(message.kind) and goes on as \(kind)")
    unfinished = nil
    message.bytes += piece
    if isLast { events.append(.message(kind, message.bytes)) } else { unfinished = message }
  }

  private func answer(_ request: HandshakeRequest) throws(Finding) {
    if let rejection {
      if let action = machine.reject(rejection, into: &output) { events.append(.transport(action)) }
    } else {
      let start = output.count
      machine.accept(subprotocol: request.subprotocols.first, into: &output)
      let head = String(decoding: output[start...], as: UTF8.self).split(separator: "\r\n")
      let field = "sec-websocket-extensions: "
      try opened(head.filter { $0.lowercased().hasPrefix(field) }.map { String($0.dropFirst(field.count)) })
    }
  }

  /// `answer` is the server's choice of extensions.
  private func opened(_ answer: [String]) throws(Finding) {
    handshakeBytes = output.count
    // Who offers all there is accepts whatever a server of ours may choose.
    let offered =
      machine.role == .server ? CompressionConfiguration(context: .dedicated) : machine.configuration.compression
    do throws(HandshakeError) {
      deflate = try Extensions.confirmed(by: ExtensionOffer.parse(answer), offered: offered).deflate
    } catch {
      throw Finding(description: "the choice of extensions is not understood: \(error)")
    }
    try require((deflate != nil) == machine.isCompressed, "the two ends differ about compression")
  }

  /// Nothing happens while a message is sent piece by piece, because none may be sent between them.
  func send(_ message: [UInt8], _ kind: MessageKind) throws(Finding) {
    guard !machine.isSendingPieces else { return }
    let before = output.count
    let isSent: Bool
    if takesShortcuts, machine.role == .server {
      let frame = machine.frame(of: message.span.bytes, kind)
      isSent = frame != nil
      if let frame {
        output.append(frame.header)
        output += frame.isCompressed ? machine.context.compressed : message
      }
    } else {
      isSent = machine.append(message.span.bytes, kind: kind, to: &output)
    }
    try require(isSent == machine.isOpen, "a message is sent exactly when the connection is open")
    try require(isSent || output.count == before, "a message that is not sent leaves bytes behind")
    if isSent { sentMessages.append(.message(kind, message)) }
    try checkPromises()
  }

  func send(piece: [UInt8], _ kind: MessageKind, isLast: Bool, compressing: Bool) throws(Finding) {
    let before = output.count
    let isSent = machine.append(
      piece: piece.span.bytes, kind: kind, isLast: isLast, compressing: compressing, to: &output)
    try require(isSent == machine.isOpen, "a piece is sent exactly when the connection is open")
    try require(isSent || output.count == before, "a piece that is not sent leaves bytes behind")
    if isSent {
      var message = sentPieces ?? (kind, [])
      message.bytes += piece
      sentPieces = isLast ? nil : message
      if isLast { sentMessages.append(.message(message.kind, message.bytes)) }
      try require(machine.isSendingPieces == !isLast, "a message ends exactly with its last piece")
    }
    try checkPromises()
  }

  /// Sends nothing while a message is sent piece by piece.
  func send(_ message: PreparedMessage, of bytes: [UInt8]) throws(Finding) {
    guard !machine.isSendingPieces else { return }
    let before = output.count
    let frame = machine.frame(of: message, into: &output)
    if let frame { output += frame }
    try require(
      machine.role == .client || output.count - before == frame?.count ?? 0, "a prepared message goes out twice")
    try require((output.count > before) == machine.isOpen, "a prepared message is sent exactly when it may be")
    if machine.isOpen { sentMessages.append(.message(message.kind, bytes)) }
    try checkPromises()
  }

  func ping(_ payload: [UInt8]) throws(Finding) {
    let isSent = machine.ping(payload, into: &output)
    try require(isSent == machine.isOpen, "a ping is sent exactly when the connection is open")
    try checkPromises()
  }

  func close(_ code: UInt16, _ reason: String) throws(Finding) {
    note(machine.close(CloseCode(rawValue: code), reason: reason, at: now, into: &output))
    try checkPromises()
  }

  func advance(by duration: Duration) throws(Finding) {
    now = now + duration
    note(machine.timerFired(at: now, outboundIsEmpty: outboundIsEmpty, into: &output))
    if machine.isOpen { try require(machine.deadline > now, "the timer fired and is due again at once") }
    try checkPromises()
  }

  func endStream() throws(Finding) {
    note(machine.endOfStream())
    try require(machine.state == .closed, "the stream has ended and the connection has not")
    try checkPromises()
  }

  func abandon() throws(Finding) {
    note(machine.abandon())
    try require(machine.state == .closed, "the connection was given up and goes on")
    try checkPromises()
  }

  private func note(_ action: ConnectionMachine.TransportAction?) {
    if let action { events.append(.transport(action)) }
  }

  // MARK: Promises

  private func checkPromises() throws(Finding) {
    if let outcome {
      try require(machine.outcome == outcome, "the outcome \(outcome) became \(String(describing: machine.outcome))")
    }
    outcome = machine.outcome
    let reached = Self.phase(of: machine.state)
    try require(reached >= phase, "the state goes back to \(machine.state)")
    phase = reached
    try require(reached < 3 || outcome != nil, "\(machine.state) without an outcome")
    try require(reached >= 3 || outcome == nil, "\(machine.state) with the outcome \(String(describing: outcome))")
  }

  private static func phase(of state: ConnectionMachine.State) -> Int {
    switch state {
    case .handshake: 0
    case .open: 1
    case .closing: 2
    case .draining: 3
    case .closed: 4
    }
  }

  /// To be asked at the end: everything sent is what a peer may be sent, and means what was given to send.
  func checkOutput() throws(Finding) {
    guard handshakeBytes != nil else { return }
    let sent = sentFrames
    try require(sent.fault == nil, "a frame was sent that its receiver must refuse")
    try require(sent.frames.last?.isComplete ?? true, "half a frame was sent")
    if let close = sent.frames.firstIndex(where: { $0.opcode == 8 }) {
      try require(close == sent.frames.count - 1, "something was sent after the close frame")
    }
    // Text is the application's; the targets send only UTF-8.
    let understood = ReferencePeer(sent, deflate: deflate?.outgoing(for: machine.role))
    if case .failed(let codes) = understood.end {
      throw Finding(description: "what was sent breaks the peer's rules: \(codes)")
    }
    let messages = understood.messages.filter { $0 != .pong }
    try require(messages == sentMessages, "what was sent means\n  \(messages)\n  and not \(sentMessages)")
    let pieces = sentPieces?.bytes ?? []
    try require(
      pieces.starts(with: understood.unfinished), "the pieces sent mean \(understood.unfinished), not \(pieces)")
  }

  /// Throws unless both saw and did the same, but for pongs, whose number may depend on the reads.
  func requireSame(as other: MachineDriver, pongsToo: Bool) throws(Finding) {
    guard isSettled(with: other) else { return }
    try require(events == other.events, "events depend on the reads:\n  \(events)\n  \(other.events)")
    try require(machine.state == other.machine.state, "the state depends on the reads")
    let isBadPayload =
      deflate != nil && Self.isBadPayload(machine.outcome) && Self.isBadPayload(other.machine.outcome)
    try require(
      isBadPayload || machine.outcome == other.machine.outcome,
      "the outcome depends on the reads:\n  \(String(describing: machine.outcome))\n  \(String(describing: other.machine.outcome))"
    )
    try require(handshakeBytes == other.handshakeBytes, "the handshake's length depends on the reads")
    let (mine, others) = (unfinished?.bytes ?? [], other.unfinished?.bytes ?? [])
    // How much is delivered of a message that turns out bad depends on how it comes.
    try require(
      mine == others || machine.outcome != nil && (mine.starts(with: others) || others.starts(with: mine)),
      "the unfinished message depends on the reads:\n  \(mine)\n  \(others)")
    guard let count = handshakeBytes else {
      return try require(output == other.output, "the answer depends on the reads")
    }
    try require(output.prefix(count) == other.output.prefix(count), "the handshake depends on the reads")
    let isKept = { (frame: ReferenceFrames.Frame) in
      // The code is the reference's to judge; the Close frame names one of the faults.
      (pongsToo || frame.opcode != 10) && !(isBadPayload && frame.opcode == 8)
    }
    try require(
      sentFrames.frames.filter(isKept) == other.sentFrames.frames.filter(isKept), "what is sent depends on the reads")
  }

  /// Whether a message was no deflate stream or, as far as it was one, no text: what is found first depends on the reads
  /// and on how many bits zlib looks ahead, the code does not.
  private static func isBadPayload(_ outcome: CloseOutcome?) -> Bool {
    switch outcome?.failure {
    case .protocolViolation(.compressedDataInvalid), .protocolViolation(.compressedDataTruncated),
      .protocolViolation(.textNotUTF8):
      true
    default: false
    }
  }

  /// Whether the reads make no difference: they may where more than one rule is broken, or a promise of a window that
  /// zlib cannot hold the peer to.
  private func isSettled(with other: MachineDriver) -> Bool {
    guard deflate != nil else { return true }
    let (mine, others) = (expected.end, other.expected.end)
    if case .failed(let codes) = mine, codes.count > 1 { return false }
    return mine == others && mayReceiveFullWindow
  }

  /// Random numbers that a seed repeats (Steele, Lea, Flood 2014).
  struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }
}
