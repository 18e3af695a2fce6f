/// How an open connection sends messages: whole, prepared or in pieces, compressed where that was agreed on and helps.
struct MessageSender {
  /// A message that the application sends piece by piece.
  private final class Pieces {
    let kind: MessageKind
    let deflater: Deflater?
    var isBegun = false

    init(_ kind: MessageKind, _ deflater: Deflater?) {
      self.kind = kind
      self.deflater = deflater
    }
  }

  /// What was agreed on with the peer; `nil` for plain messages only.
  var compression: MessageCompression?
  /// `nil` for a server, which masks nothing.
  private let keys: MaskingKeys?
  private var pieces: Pieces?

  init(_ keys: MaskingKeys?) {
    self.keys = keys
  }

  var encoder: FrameEncoder { FrameEncoder(keys: keys) }

  var isSendingPieces: Bool { pieces != nil }

  func append(_ message: RawSpan, _ kind: MessageKind, _ context: ConnectionContext, to output: inout [UInt8]) {
    preconditionBetweenMessages()
    guard compress(message, context) else { return encoder.append(kind.opcode, payload: message, to: &output) }
    let payload = context.compressed
    // SAFETY: bytes are initialized whatever they hold.
    unsafe encoder.append(kind.opcode, isCompressed: true, payload: payload.span.bytes, to: &output)
  }

  /// A server's frame, whose payload is the message or what the context holds compressed.
  @inline(__always)
  func frame(of message: RawSpan, _ kind: MessageKind, _ context: ConnectionContext) -> ConnectionMachine.OutgoingFrame
  {
    precondition(keys == nil, "a client's payload must be masked")
    preconditionBetweenMessages()
    let isCompressed = compression != nil && compress(message, context)
    return ConnectionMachine.OutgoingFrame(
      header: FrameEncoder.unmaskedHeader(
        kind.opcode, isCompressed: isCompressed,
        payloadBytes: isCompressed ? context.compressed.count : message.byteCount), isCompressed: isCompressed)
  }

  /// False when the message is better sent as it is.
  private func compress(_ message: RawSpan, _ context: ConnectionContext) -> Bool {
    guard let compression, compression.wants(message.byteCount) else { return false }
    return context.compress(message, with: compression)
  }

  /// The frame of a prepared message; a client's is masked and appended to `output` instead, and `nil` returned.
  func frame(of message: PreparedMessage, into output: inout [UInt8]) -> [UInt8]? {
    preconditionBetweenMessages()
    var frame = message.plainFrame
    var isCompressed = false
    if let compressed = message.compressedFrame, let compression,
      compression.admitsPrepared(windowBits: message.windowBits)
    {
      frame = compressed
      isCompressed = true
      compression.noteSent(
        plain: message.plainFrame.count - PreparedMessage.headerBytes(of: message.plainFrame),
        compressed: compressed.count - PreparedMessage.headerBytes(of: compressed))
    }
    guard keys != nil else { return frame }
    // SAFETY: bytes are initialized whatever they hold.
    unsafe encoder.append(
      message.kind.opcode, isCompressed: isCompressed,
      payload: frame.span.bytes.extracting(PreparedMessage.headerBytes(of: frame)...), to: &output)
    return nil
  }

  mutating func append(
    piece: RawSpan, _ kind: MessageKind, isLast: Bool, compressing: Bool, _ context: ConnectionContext,
    to output: inout [UInt8]
  ) {
    let message = pieces ?? Pieces(kind, compressing ? compression?.lendDeflater() : nil)
    pieces = isLast ? nil : message
    guard let deflater = message.deflater else { return append(piece, of: message, isLast: isLast, to: &output) }
    var payload = context.lendScratch()
    deflater.append(piece, isLast: isLast, into: &payload)
    compression?.noteSent(plain: piece.byteCount, compressed: payload.count)
    // zlib may keep a piece for later; a frame without payload would tell the peer nothing.
    // SAFETY: bytes are initialized whatever they hold.
    if isLast || !payload.isEmpty { unsafe append(payload.span.bytes, of: message, isLast: isLast, to: &output) }
    context.takeBack(scratch: &payload)
    if isLast { compression?.takeBack(deflater) }
  }

  private func append(_ payload: RawSpan, of message: Pieces, isLast: Bool, to output: inout [UInt8]) {
    encoder.append(
      message.isBegun ? .continuation : message.kind.opcode, isFinal: isLast,
      isCompressed: !message.isBegun && message.deflater != nil, payload: payload, to: &output)
    message.isBegun = true
  }

  /// Nothing more is sent: contexts of a message under way and of the connection are let go of.
  mutating func end() {
    pieces = nil
    compression = nil
  }

  private func preconditionBetweenMessages() {
    precondition(pieces == nil, "a message sent piece by piece has not ended: send its last piece first")
  }
}
