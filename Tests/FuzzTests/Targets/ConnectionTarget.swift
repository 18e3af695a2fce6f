@testable import WebSocketCore

/// A whole connection: reads with operations between them.
///
/// Flags: 0 as a client, 1 with the handshake, 2 few pongs may wait, 3 pings are sent when it is quiet, 4 with
/// permessage-deflate, 5 in contexts of its own, 6 receiving in pieces, 7 with long messages and a large window.
///
/// What follows is a script. A byte below 0xC0 is the number of bytes to receive, less one, which come behind it; any
/// other is an operation, with its arguments behind it.
enum ConnectionTarget {
  enum Step: Equatable {
    case receive([UInt8])
    case send(MessageKind, [UInt8])
    case sendPiece(MessageKind, [UInt8], isLast: Bool, compressing: Bool)
    case sendPrepared(MessageKind, [UInt8], compressing: Bool)
    case setReceivesPieces(Bool)
    case ping([UInt8])
    case close(UInt16)
    /// In tenths of a second.
    case advance(Int)
    case endStream
    case abandon
    case setOutboundIsEmpty(Bool)
  }

  static func run(_ input: inout FuzzInput) throws(Finding) {
    let steps = parse(&input)
    let whole = try drive(steps, input, isCut: false)
    let cut = try drive(steps, input, isCut: true)
    try whole.checkOutput()
    try cut.checkOutput()
    try cut.requireSame(as: whole, pongsToo: !input.has(2))
    for driver in [whole, cut] { try compareWithReference(driver, steps, input) }
  }

  /// The script; bytes received one after the other are one step.
  private static func parse(_ input: inout FuzzInput) -> [Step] {
    var steps: [Step] = []
    var received: [UInt8] = []
    func flush() {
      if !received.isEmpty { steps.append(.receive(received)) }
      received = []
    }
    while let byte = input.next() {
      if byte < 0xC0 {
        received += input.take(Int(byte) + 1)
        continue
      }
      flush()
      switch byte & 0x0F {
      case 0: steps.append(.send(.text, Array(repeating: 0x61, count: Int(input.next() ?? 0))))
      case 1: steps.append(.send(.binary, Array(repeating: 0xFF, count: Int(input.next() ?? 0) * 3)))
      case 2: steps.append(.ping(input.take(Int(input.next() ?? 0))))
      case 3: steps.append(.close(UInt16(input.next() ?? 0) << 8 | UInt16(input.next() ?? 0)))
      case 4: steps.append(.advance(Int(input.next() ?? 0)))
      case 5: steps.append(.endStream)
      case 6: steps.append(.abandon)
      case 7: steps.append(.setOutboundIsEmpty(byte & 0x10 != 0))
      case 8:
        let (kind, piece) = content(&input)
        steps.append(.sendPiece(kind, piece, isLast: byte & 0x10 != 0, compressing: byte & 0x20 != 0))
      case 9:
        let (kind, message) = content(&input)
        steps.append(.sendPrepared(kind, message, compressing: byte & 0x10 != 0))
      case 10:
        let (kind, message) = content(&input)
        steps.append(.send(kind, message))
      case 11: steps.append(.setReceivesPieces(byte & 0x10 != 0))
      default: break
      }
    }
    flush()
    return steps
  }

  /// Something to send: a byte says what, and one how much.
  private static func content(_ input: inout FuzzInput) -> (MessageKind, [UInt8]) {
    let what = input.next() ?? 0
    let size = Int(input.next() ?? 0)
    // Up to 4,064 bytes, and short ones as well.
    let count = size < 32 ? size : size * size / 16
    let kind: MessageKind = what & 0x80 == 0 ? .text : .binary
    var random = MachineDriver.Generator(state: UInt64(what >> 2 & 0x0F))
    // Text is ASCII, so that a piece may end anywhere.
    func noise(_ count: Int) -> [UInt8] {
      (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) & (kind == .text ? 0x7F : 0xFF) }
    }
    switch what & 3 {
    case 0: return (kind, Array(repeating: 0x61 + (what >> 2 & 0x0F), count: count))
    case 1: return (kind, noise(count))
    case 2:
      // Repeats within itself and, if that was sent before, the noise of the same seed.
      let half = noise(count / 2)
      return (kind, half + half)
    default:
      let words = ["worker ", "task ", "progress ", "done ", "0.5, ", "lease ", "{id: ", "} "].map { Array($0.utf8) }
      var text: [UInt8] = []
      while text.count < count { text += words[Int(random.next() % 8)] }
      return (kind, Array(text.prefix(count)))
    }
  }

  private static func configuration(_ input: FuzzInput) -> WebSocketConfiguration {
    var configuration = WebSocketConfiguration()
    configuration.maxFrameBytes = 700
    configuration.maxMessageBytes = input.has(7) ? 100_000 : 1000
    configuration.maxPendingPongs = input.has(2) ? 2 : .max
    configuration.pingInterval = input.has(3) ? .seconds(5) : nil
    if input.has(4) {
      var compression = CompressionConfiguration(context: input.has(5) ? .dedicated : .shared)
      compression.thresholdBytes = 16
      compression.maxInflationRatio = 300
      // Blocks end soon, so that pieces do not wait for the last one.
      compression.memoryLevel = 1
      compression.maxOutgoingWindowBits = input.has(7) ? 15 : 9
      configuration.compression = compression
    }
    return configuration
  }

  private static func drive(_ steps: [Step], _ input: FuzzInput, isCut: Bool) throws(Finding) -> MachineDriver {
    let role: Role = input.has(0) ? .client : .server
    let driver =
      input.has(1) ? MachineDriver(role, configuration(input)) : try MachineDriver.open(role, configuration(input))
    // The long way is the oracle of the short one.
    driver.takesShortcuts = isCut
    driver.setReceivesPieces(input.has(6))
    for step in steps {
      switch step {
      case .receive(let bytes): for read in isCut ? input.cut(bytes) : [bytes] { try driver.read(read) }
      case .send(let kind, let message): try driver.send(message, kind)
      case .sendPiece(let kind, let piece, let isLast, let compressing):
        // What began as text goes on as ASCII.
        let isText = (driver.sentPieces?.kind ?? kind) == .text
        let bytes = isText ? piece.map { $0 & 0x7F } : piece
        try driver.send(piece: bytes, kind, isLast: isLast, compressing: compressing)
      case .sendPrepared(let kind, let message, let compressing):
        // For windows of any size: it is the connection's part to know which one was agreed on.
        var compression = driver.machine.configuration.compression ?? CompressionConfiguration()
        compression.maxOutgoingWindowBits = 15
        try driver.send(
          PreparedMessage(message.span.bytes, kind, compression: compressing ? compression : nil), of: message)
      case .setReceivesPieces(let receivesPieces): driver.setReceivesPieces(receivesPieces)
      case .ping(let payload): try driver.ping(payload)
      case .close(let code): try driver.close(code, "reason of \(code)")
      case .advance(let tenths): try driver.advance(by: .milliseconds(100 * tenths))
      case .endStream: try driver.endStream()
      case .abandon: try driver.abandon()
      case .setOutboundIsEmpty(let isEmpty): driver.outboundIsEmpty = isEmpty
      }
    }
    return driver
  }

  /// Where nothing but the peer's bytes decides, the messages and the end are those of the reference.
  private static func compareWithReference(
    _ driver: MachineDriver, _ steps: [Step], _ input: FuzzInput
  ) throws(Finding) {
    guard driver.handshakeBytes != nil, driver.mayReceiveFullWindow else { return }
    for step in steps {
      switch step {
      case .receive, .send, .sendPiece, .sendPrepared, .ping, .setOutboundIsEmpty, .setReceivesPieces: break
      case .close, .advance, .endStream, .abandon: return
      }
    }
    let expected = driver.expected
    let heard = driver.events.filter {
      switch $0 {
      case .message, .pong: true
      case .transport, .upgradeRequested, .resourceRequested, .opened: false
      }
    }
    try require(heard == expected.messages, "messages differ:\n  \(heard)\n  \(expected.messages)")
    let delivered = driver.unfinished?.bytes ?? []
    try require(
      expected.unfinished.starts(with: delivered), "pieces differ:\n  \(delivered)\n  \(expected.unfinished)")
    let outcome = driver.machine.outcome
    switch expected.end {
    case .stillOpen:
      try require(driver.machine.isOpen, "closed without a reason: \(String(describing: outcome))")
      try require(
        driver.waysToReceive.contains(false) || delivered == expected.unfinished,
        "\(delivered.count) of \(expected.unfinished.count) bytes of a message are delivered")
    case .closed(let code, let reason):
      try require(
        outcome?.code.rawValue == code && outcome?.failure == nil && outcome.map { Array($0.text.utf8) } == reason,
        "a close with \(code) ends in \(String(describing: outcome))")
    case .failed(let codes):
      try require(
        outcome.map { codes.contains($0.code.rawValue) && $0.failure != nil } == true,
        "a fault of \(codes) ends in \(String(describing: outcome))")
    }
    let sent = driver.sentFrames.frames
    let pongs = sent.filter { $0.opcode == 10 }.map(\.payload)
    if input.has(2) {
      try require(pongs.count <= expected.pings.count, "more pongs than pings")
    } else {
      try require(pongs == expected.pings, "pings are not answered in order")
    }
    try require((sent.last?.opcode == 8) == (expected.end != .stillOpen), "the end and the close frame do not fit")
  }
}
