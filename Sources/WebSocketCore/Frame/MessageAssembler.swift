/// Where a payload is.
public enum Payload: Hashable, Sendable {
  /// In the bytes that were just read, unmasked.
  case inPlace(Range<Int>)
  /// In the connection's own buffer: take it before going on.
  case assembled
}

/// Puts pieces of frames together into messages and control frames, within a bounded buffer; inflates compressed ones.
///
/// A message whose only frame lies wholly within one read, and is not compressed, is never copied.
struct MessageAssembler {
  enum Item: Hashable, Sendable {
    case message(MessageKind, Payload)
    /// Part of a message that is delivered as it comes.
    case piece(MessageKind, Payload, isLast: Bool)
    /// The payload is `control`.
    case ping
    case pong
    case close(CloseCode, reason: String)
  }

  /// The message under way, from its first frame's header on.
  private struct Current {
    let kind: MessageKind
    /// Delivered as it comes rather than whole.
    let inPieces: Bool
    let inflater: Inflater?
    /// Of the payload, as far as the headers so far announce it; compressed ones are counted by the inflater.
    var announcedBytes = 0
  }

  private var maxMessageBytes: Int
  private var compression: MessageCompression?
  private var current: Current?
  /// A compressed piece of which more is to be inflated, and how much of it was used.
  private var unfinished: (piece: FramePiece, used: Int)?
  private var buffer: [UInt8] = []
  private var text = UTF8Validator()
  /// The payload of the control frame at hand; at most 125 bytes, kept apart because it may come inside a message.
  private(set) var control: [UInt8] = []

  /// What is reserved at once for a message; more grows as its bytes come, so a header alone reserves little.
  private static let reserveBytes = 64 * 1024
  /// A buffer that grew further for one large message is freed rather than kept.
  static let maxRetainedBytes = 128 * 1024
  /// The most of a compressed message that is inflated at once when it is delivered in pieces.
  static let inflatedPieceBytes = 64 * 1024

  init(maxMessageBytes: Int) {
    self.maxMessageBytes = max(0, maxMessageBytes)
  }

  mutating func begin(maxMessageBytes: Int, _ compression: MessageCompression?) {
    self.maxMessageBytes = max(0, maxMessageBytes)
    self.compression = compression
    // A message that nobody took must never reach another connection.
    if !buffer.isEmpty { buffer.removeAll(keepingCapacity: true) }
  }

  var isBetweenMessages: Bool { current == nil }

  var hasUnfinishedPiece: Bool { unfinished != nil }

  var retainedBytes: Int { buffer.capacity }

  /// Takes one piece; returns what became complete with it, or what of it can be delivered.
  mutating func take(_ piece: FramePiece, from bytes: RawSpan, inPieces: Bool) throws(ProtocolError) -> Item? {
    if piece.header.opcode.isControl { return try takeControl(piece, from: bytes) }
    if piece.isFirst { try begin(piece.header, inPieces: inPieces) }
    guard let message = current else { return nil }
    if message.inflater != nil {
      unfinished = (piece, used: 0)
      return try inflateUnfinished(from: bytes)
    }
    let part = bytes.extracting(piece.payload)
    let isComplete = piece.isLast && piece.header.isFinal
    if message.kind == .text, !text.accept(part) { throw .textNotUTF8 }
    if isComplete { try end(message) }
    if message.inPieces {
      guard isComplete || !piece.payload.isEmpty else { return nil }
      return .piece(message.kind, .inPlace(piece.payload), isLast: isComplete)
    }
    if isComplete && buffer.isEmpty { return .message(message.kind, .inPlace(piece.payload)) }
    if buffer.isEmpty { buffer.reserveCapacity(min(piece.header.payloadBytes, Self.reserveBytes)) }
    buffer.append(contentsOf: part)
    return isComplete ? .message(message.kind, .assembled) : nil
  }

  /// Goes on with a compressed piece, in the same bytes.
  mutating func inflateUnfinished(from bytes: RawSpan) throws(ProtocolError) -> Item? {
    guard let message = current, let inflater = message.inflater, let compression, let (piece, offset) = unfinished
    else {
      return nil
    }
    var used = offset
    let part = bytes.extracting(piece.payload)
    let isLast = piece.isLast && piece.header.isFinal
    let limit = Inflater.Limit(bytes: maxMessageBytes, ratio: compression.maxInflationRatio)
    let start = buffer.count
    if message.inPieces {
      let progress = try inflater.step(
        part, from: &used, isLast: isLast, into: &buffer, maxBytes: Self.inflatedPieceBytes, limit: limit)
      unfinished = progress == .more ? (piece, used) : nil
    } else {
      unfinished = nil
      try inflater.inflate(part, isLast: isLast, into: &buffer, limit: limit)
      used = part.byteCount
    }
    compression.noteReceived(plain: buffer.count - start, compressed: used - offset)
    let isComplete = isLast && unfinished == nil
    if message.kind == .text {
      var judge = text
      // SAFETY: bytes are initialized whatever they hold.
      guard unsafe judge.accept(buffer.span.bytes.extracting(start...)) else { throw .textNotUTF8 }
      text = judge
    }
    if isComplete { try end(message) }
    if message.inPieces {
      return isComplete || !buffer.isEmpty ? .piece(message.kind, .assembled, isLast: isComplete) : nil
    }
    return isComplete ? .message(message.kind, .assembled) : nil
  }

  /// The assembled message or piece; give it back with `recycle` so that its memory serves the next one.
  mutating func takeMessage() -> [UInt8] {
    var message: [UInt8] = []
    swap(&message, &buffer)
    return message
  }

  /// Drops an assembled message that nobody wants.
  mutating func discardMessage() { buffer.removeAll(keepingCapacity: true) }

  mutating func recycle(_ message: inout [UInt8]) {
    guard buffer.capacity == 0, message.capacity <= Self.maxRetainedBytes else { return }
    swap(&buffer, &message)
    buffer.removeAll(keepingCapacity: true)
  }

  private mutating func begin(_ header: FrameHeader, inPieces: Bool) throws(ProtocolError) {
    let isCompressed = header.reservedBits & FrameHeader.compressedBit != 0
    switch (header.opcode, current == nil) {
    case (.continuation, true): throw .continuationWithoutMessage
    case (.continuation, false):
      // RFC 7692 §6.1: the bit stands in a message's first frame only.
      guard !isCompressed else { throw .reservedBits(bits: FrameHeader.compressedBit) }
    case (.text, true), (.binary, true):
      // The header's rules let the bit through only where compression was agreed on.
      let inflater = isCompressed ? try compression?.lendInflater() : nil
      current = Current(kind: header.opcode == .text ? .text : .binary, inPieces: inPieces, inflater: inflater)
    case (_, false): throw .messageInterrupted(by: header.opcode)
    case (.close, true), (.ping, true), (.pong, true): preconditionFailure("control frames are taken elsewhere")
    }
    guard let message = current, message.inflater == nil else { return }
    let (length, overflow) = message.announcedBytes.addingReportingOverflow(header.payloadBytes)
    guard !overflow, length <= maxMessageBytes else {
      throw .messageTooLong(length: overflow ? .max : UInt64(length), limit: maxMessageBytes)
    }
    current?.announcedBytes = length
  }

  private mutating func end(_ message: Current) throws(ProtocolError) {
    guard text.isBetweenScalars else { throw .textNotUTF8 }
    current = nil
    text = UTF8Validator()
    if let inflater = message.inflater { compression?.takeBack(inflater) }
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
