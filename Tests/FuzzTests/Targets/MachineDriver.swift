import Primitives

@testable import WebSocketCore

/// Drives a machine as the shell does, and holds it to its promises after every step.
final class MachineDriver {
  /// What the machine said, with payloads copied out of the bytes they were lent in.
  enum Event: Hashable {
    case upgradeRequested(HandshakeRequest)
    case opened(HandshakeResponse)
    case message(MessageKind, [UInt8])
    case piece(MessageKind, [UInt8], isLast: Bool)
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
  /// Whether whole messages are taken the short way first, as the shell does.
  var usesFastPath = true
  /// How a server answers; `nil` accepts the first subprotocol on offer.
  var rejection: Rejection?

  private var outcome: CloseOutcome?
  private var phase = 0

  static let subprotocols = ["lifeline.v1", "b"]

  init(_ role: Role, _ configuration: WebSocketConfiguration) {
    let context = ConnectionContext(configuration)
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

  /// A driver whose handshake is done.
  static func open(_ role: Role, _ configuration: WebSocketConfiguration) throws(Finding) -> MachineDriver {
    let driver = MachineDriver(role, configuration)
    try driver.read(role == .server ? request : response)
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
      maxFrameBytes: .max)
  }

  // MARK: Steps

  func read(_ bytes: [UInt8]) throws(Finding) {
    guard !bytes.isEmpty else { return }
    var bytes = bytes
    var span = bytes.mutableSpan
    var raw = span.mutableBytes
    machine.beginRead(at: now, outboundIsEmpty: outboundIsEmpty, into: &output)
    var offset = 0
    loop: while true {
      let before = offset
      if usesFastPath, let message = machine.nextWholeMessage(in: &raw, from: &offset) {
        try require(
          message.payload.lowerBound >= before && message.payload.upperBound == offset && offset <= raw.byteCount,
          "a message outside the read: \(message.payload)")
        events.append(.message(message.kind, message.payload.map { raw.bytes.byte(at: $0) }))
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
        answer(request)
      case .opened(let response):
        events.append(.opened(response))
        handshakeBytes = output.count
      case .message(let kind, .inPlace(let range)):
        try require(range.lowerBound >= 0 && range.upperBound <= raw.byteCount, "a message outside the read: \(range)")
        events.append(.message(kind, range.map { raw.bytes.byte(at: $0) }))
      case .message(let kind, .assembled):
        var message = machine.takeMessage()
        events.append(.message(kind, message))
        machine.recycle(&message)
      case .piece(let kind, .inPlace(let range), let isLast):
        try require(range.lowerBound >= 0 && range.upperBound <= raw.byteCount, "a piece outside the read: \(range)")
        events.append(.piece(kind, range.map { raw.bytes.byte(at: $0) }, isLast: isLast))
      case .piece(let kind, .assembled, let isLast):
        var piece = machine.takeMessage()
        events.append(.piece(kind, piece, isLast: isLast))
        machine.recycle(&piece)
      case .pong: events.append(.pong)
      case .transport(let action): events.append(.transport(action))
      }
    }
    try checkPromises()
  }

  private func answer(_ request: HandshakeRequest) {
    if let rejection {
      if let action = machine.reject(rejection, into: &output) { events.append(.transport(action)) }
    } else {
      machine.accept(subprotocol: request.subprotocols.first, into: &output)
      handshakeBytes = output.count
    }
  }

  func send(_ message: [UInt8], _ kind: MessageKind) throws(Finding) {
    let before = output.count
    let isSent = machine.append(message.span.bytes, kind: kind, to: &output)
    try require(isSent == machine.isOpen, "a message is sent exactly when the connection is open")
    try require(isSent || output.count == before, "a message that is not sent leaves bytes behind")
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

  /// To be asked at the end: everything sent is what a peer may be sent.
  func checkOutput() throws(Finding) {
    guard handshakeBytes != nil else { return }
    let sent = sentFrames
    try require(sent.fault == nil, "a frame was sent that its receiver must refuse")
    try require(sent.frames.last?.isComplete ?? true, "half a frame was sent")
    for (index, frame) in sent.frames.enumerated() {
      try require(frame.isFinal && frame.opcode != 0, "a fragment was sent")
      guard frame.opcode == 8 else { continue }
      try require(index == sent.frames.count - 1, "something was sent after the close frame")
      if case .failed = ReferencePeer(sent, maxMessageBytes: .max).end {
        throw Finding(description: "the close frame's payload \(frame.payload) is not allowed")
      }
    }
    // Text is the application's; the targets send only UTF-8.
    if case .failed = ReferencePeer(sent, maxMessageBytes: .max).end {
      throw Finding(description: "what was sent breaks the peer's rules")
    }
  }

  /// Throws unless both saw and did the same, but for pongs, whose number may depend on the reads.
  func requireSame(as other: MachineDriver, pongsToo: Bool) throws(Finding) {
    try require(events == other.events, "events depend on the reads:\n  \(events)\n  \(other.events)")
    try require(machine.state == other.machine.state, "the state depends on the reads")
    try require(machine.outcome == other.machine.outcome, "the outcome depends on the reads")
    try require(handshakeBytes == other.handshakeBytes, "the handshake's length depends on the reads")
    guard let count = handshakeBytes else {
      return try require(output == other.output, "the answer depends on the reads")
    }
    try require(output.prefix(count) == other.output.prefix(count), "the handshake depends on the reads")
    let (mine, others) = (sentFrames.frames, other.sentFrames.frames)
    let isKept = { (frame: ReferenceFrames.Frame) in pongsToo || frame.opcode != 10 }
    try require(mine.filter(isKept) == others.filter(isKept), "what is sent depends on the reads")
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
