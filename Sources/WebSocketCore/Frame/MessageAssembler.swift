/// Where a payload is.
public enum Payload: Hashable, Sendable {
  /// In the bytes that were just read, unmasked.
  case inPlace(Range<Int>)
  /// In the connection's own buffer: take it before going on.
  case assembled
}

/// Puts pieces of frames together into messages and control frames, within a bounded buffer.
///
/// A message whose only frame lies wholly within one read is never copied.
struct MessageAssembler: Sendable {
  enum Item: Hashable, Sendable {
    case message(MessageKind, Payload)
    /// The payload is `control`.
    case ping
    case pong
    case close(CloseCode, reason: String)
  }

  private let maxMessageBytes: Int
  /// The message being assembled: its kind from the first frame on, `nil` between messages.
  private var kind: MessageKind?
  private var buffer: [UInt8] = []
  private var text = UTF8Validator()
  /// The payload of the control frame at hand; at most 125 bytes, kept apart because it may come inside a message.
  private(set) var control: [UInt8] = []

  /// What is reserved at once for a message; more grows as its bytes come, so a header alone reserves little.
  private static let reserveBytes = 64 * 1024

  init(maxMessageBytes: Int) {
    self.maxMessageBytes = max(0, maxMessageBytes)
  }

  var isBetweenMessages: Bool { kind == nil }

  /// Takes one piece; returns what became complete with it.
  mutating func take(_ piece: FramePiece, from bytes: RawSpan) throws(ProtocolError) -> Item? {
    if piece.header.opcode.isControl { return try takeControl(piece, from: bytes) }
    if piece.isFirst { try begin(piece.header) }
    guard let kind else { return nil }
    let part = bytes.extracting(piece.payload)
    if kind == .text {
      guard text.accept(part) else { throw .textNotUTF8 }
    }
    let isComplete = piece.isLast && piece.header.isFinal
    if isComplete && buffer.isEmpty {
      try end(kind)
      return .message(kind, .inPlace(piece.payload))
    }
    if buffer.isEmpty { buffer.reserveCapacity(min(piece.header.payloadBytes, Self.reserveBytes)) }
    buffer.append(contentsOf: part)
    guard isComplete else { return nil }
    try end(kind)
    return .message(kind, .assembled)
  }

  /// The assembled message; give it back with `recycle` so that its memory serves the next one.
  mutating func takeMessage() -> [UInt8] {
    var message: [UInt8] = []
    swap(&message, &buffer)
    return message
  }

  /// Drops an assembled message that nobody wants.
  mutating func discardMessage() { buffer.removeAll(keepingCapacity: true) }

  mutating func recycle(_ message: consuming [UInt8]) {
    guard buffer.capacity == 0, message.capacity <= Self.reserveBytes * 2 else { return }
    message.removeAll(keepingCapacity: true)
    buffer = message
  }

  private mutating func begin(_ header: FrameHeader) throws(ProtocolError) {
    switch (header.opcode, kind) {
    case (.continuation, nil): throw .continuationWithoutMessage
    case (.continuation, _): break
    case (.text, nil): kind = .text
    case (.binary, nil): kind = .binary
    case (_, _?): throw .messageInterrupted(by: header.opcode)
    case (.close, nil), (.ping, nil), (.pong, nil): preconditionFailure("control frames are taken elsewhere")
    }
    let (length, overflow) = buffer.count.addingReportingOverflow(header.payloadBytes)
    guard !overflow, length <= maxMessageBytes else {
      throw .messageTooLong(length: overflow ? .max : UInt64(length), limit: maxMessageBytes)
    }
  }

  private mutating func end(_ ended: MessageKind) throws(ProtocolError) {
    kind = nil
    guard ended == .text else { return }
    guard text.isBetweenScalars else { throw .textNotUTF8 }
    text = UTF8Validator()
  }

  private mutating func takeControl(_ piece: FramePiece, from bytes: RawSpan) throws(ProtocolError) -> Item? {
    if piece.isFirst { control.removeAll(keepingCapacity: true) }
    control.append(contentsOf: bytes.extracting(piece.payload))
    guard piece.isLast else { return nil }
    switch piece.header.opcode {
    case .ping: return .ping
    case .pong: return .pong
    case .close: return try closeItem()
    case .continuation, .text, .binary: preconditionFailure("data frames are taken elsewhere")
    }
  }

  private func closeItem() throws(ProtocolError) -> Item {
    if control.isEmpty { return .close(.noStatus, reason: "") }
    guard control.count >= 2 else { throw .closePayloadOfOneByte }
    let code = CloseCode(rawValue: UInt16(control[0]) << 8 | UInt16(control[1]))
    guard code.mayBeSent else { throw .closeCodeNotAllowed(code.rawValue) }
    guard let reason = String(validating: control[2...], as: UTF8.self) else { throw .closeReasonNotUTF8 }
    return .close(code, reason: reason)
  }
}
