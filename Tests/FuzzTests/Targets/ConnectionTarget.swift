@testable import WebSocketCore

/// A whole connection: reads with operations between them.
///
/// Flags: 0 as a client, 1 with the handshake, 2 few pongs may wait, 3 pings are sent when it is quiet.
///
/// What follows is a script. A byte below 0xC0 is the number of bytes to receive, less one, which come behind it; any
/// other is an operation, with its arguments behind it.
enum ConnectionTarget {
  enum Step: Equatable {
    case receive([UInt8])
    case send(MessageKind, [UInt8])
    case ping([UInt8])
    case close(UInt16)
    /// In tenths of a second.
    case advance(Int)
    case endStream
    case abandon
    case setOutboundIsEmpty(Bool)
  }

  private static let maxMessageBytes = 1000

  static func run(_ input: inout FuzzInput) throws(Finding) {
    let steps = parse(&input)
    let whole = try drive(steps, input, isCut: false)
    let cut = try drive(steps, input, isCut: true)
    try whole.checkOutput()
    try cut.checkOutput()
    try cut.requireSame(as: whole, pongsToo: !input.has(2))
    try compareWithReference(whole, steps, input)
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
      default: break
      }
    }
    flush()
    return steps
  }

  private static func drive(_ steps: [Step], _ input: FuzzInput, isCut: Bool) throws(Finding) -> MachineDriver {
    var configuration = WebSocketConfiguration()
    configuration.maxFrameBytes = 700
    configuration.maxMessageBytes = maxMessageBytes
    configuration.maxPendingPongs = input.has(2) ? 2 : .max
    configuration.pingInterval = input.has(3) ? .seconds(5) : nil
    let role: Role = input.has(0) ? .client : .server
    let driver = input.has(1) ? MachineDriver(role, configuration) : try MachineDriver.open(role, configuration)
    // The long way is the oracle of the short one.
    driver.usesFastPath = isCut
    for step in steps {
      switch step {
      case .receive(let bytes): for read in isCut ? input.cut(bytes) : [bytes] { try driver.read(read) }
      case .send(let kind, let message): try driver.send(message, kind)
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
    guard !input.has(1) else { return }
    var bytes: [UInt8] = []
    for step in steps {
      switch step {
      case .receive(let more): bytes += more
      case .send, .ping, .setOutboundIsEmpty: break
      case .close, .advance, .endStream, .abandon: return
      }
    }
    let frames = ReferenceFrames(bytes, receivedBy: driver.machine.role, maxFrameBytes: 700)
    let expected = ReferencePeer(frames, maxMessageBytes: maxMessageBytes)
    let heard = driver.events.filter { if case .transport = $0 { false } else { true } }
    try require(heard == expected.messages, "messages differ:\n  \(heard)\n  \(expected.messages)")
    let outcome = driver.machine.outcome
    switch expected.end {
    case .stillOpen: try require(driver.machine.isOpen, "closed without a reason: \(String(describing: outcome))")
    case .closed(let code, let reason):
      try require(
        outcome?.code.rawValue == code && outcome?.failure == nil && outcome.map { Array($0.text.utf8) } == reason,
        "a close with \(code) ends in \(String(describing: outcome))")
    case .failed(let code):
      try require(
        outcome?.code.rawValue == code && outcome?.failure != nil,
        "a fault of \(code) ends in \(String(describing: outcome))")
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
