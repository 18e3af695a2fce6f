/// What a connection holds only while it is in the middle of a frame or a message; lent by its context.
final class PartialMessage {
  var decoder = FrameDecoder(role: .server, maxFrameBytes: 0)
  var assembler = MessageAssembler(maxMessageBytes: 0)

  /// Makes this one connection's.
  func begin(_ role: Role, _ configuration: WebSocketConfiguration, _ compression: MessageCompression?) {
    decoder.rules = FrameHeader.Rules(
      role: role, allowedReservedBits: compression == nil ? 0 : FrameHeader.compressedBit,
      maxFrameBytes: max(0, configuration.maxFrameBytes))
    assembler.begin(maxMessageBytes: configuration.maxMessageBytes, compression)
  }

  /// Whether nothing is under way: the connection needs it no more.
  var isIdle: Bool { decoder.isBetweenFrames && assembler.isBetweenMessages && !assembler.hasUnfinishedPiece }

  /// Whether its memory is worth keeping, and nothing of the last message is left in it.
  var mayBeReused: Bool { isIdle && assembler.retainedBytes <= MessageAssembler.maxRetainedBytes }
}
