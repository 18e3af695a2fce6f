/// What the connections of one loop and one configuration share: the configuration itself, and the memory that a
/// connection needs only in the middle of a message. An idle connection holds a reference to this and little else.
public final class ConnectionContext {
  public let configuration: WebSocketConfiguration
  /// Whether a server raises `resourceRequested` for ordinary GET and HEAD requests, rather than refuse them.
  public let servesResources: Bool
  /// Contexts of permessage-deflate, lent for a message at a time.
  let compressionPool: CompressionPool
  /// The longest message that one plain frame may carry, in bytes.
  let maxWholeMessageBytes: Int
  private var partials: [PartialMessage] = []
  /// Agreements without context takeover, which connections can share.
  private var sharedCompressions: [(DeflateAgreement, Role, MessageCompression)] = []
  /// A compressed message on its way out; valid until the next one.
  public private(set) var compressed: [UInt8] = []
  private var scratch: [UInt8] = []

  /// Connections in the middle of a message whose memory is kept for the next ones.
  private static let maxSparePartials = 64
  /// A scratch buffer that grew further for one large message is freed rather than kept.
  private static let maxScratchBytes = 256 * 1024

  /// A context of its own, or one that shares its contexts of permessage-deflate with others of the same loop.
  public init(
    _ configuration: WebSocketConfiguration, compressionPool: CompressionPool = CompressionPool(),
    servesResources: Bool = false
  ) {
    self.configuration = configuration
    self.servesResources = servesResources
    self.compressionPool = compressionPool
    maxWholeMessageBytes = max(0, min(configuration.maxFrameBytes, configuration.maxMessageBytes))
  }

  func compression(_ agreement: DeflateAgreement, _ role: Role) -> MessageCompression? {
    guard let configuration = configuration.compression else { return nil }
    if let shared = sharedCompressions.first(where: { $0.0 == agreement && $0.1 == role }) { return shared.2 }
    let compression = MessageCompression(agreement, role, configuration, pool: compressionPool)
    if !agreement.outgoing(for: role).takeover && !agreement.incoming(for: role).takeover {
      // Bounded: windows of 8 to 15 bits each way.
      sharedCompressions.append((agreement, role, compression))
    }
    return compression
  }

  func lendPartial(_ role: Role, _ compression: MessageCompression?) -> PartialMessage {
    let partial = partials.popLast() ?? PartialMessage()
    partial.begin(role, configuration, compression)
    return partial
  }

  func takeBack(_ partial: PartialMessage) {
    guard partials.count < Self.maxSparePartials, partial.mayBeReused else { return }
    partials.append(partial)
  }

  /// Compresses into `compressed`; false when the message is better sent as it is.
  func compress(_ message: RawSpan, with compression: MessageCompression) -> Bool {
    if compressed.capacity > Self.maxScratchBytes { compressed = [] }
    compressed.removeAll(keepingCapacity: true)
    return compression.compress(message, into: &compressed)
  }

  /// An empty buffer for a moment; give it back with `takeBack`.
  public func lendScratch() -> [UInt8] {
    var lent: [UInt8] = []
    swap(&lent, &scratch)
    return lent
  }

  /// Takes the buffer away from its borrower, so that nothing shares its memory and it can be used again.
  public func takeBack(scratch returned: inout [UInt8]) {
    scratch = []
    swap(&scratch, &returned)
    if scratch.capacity > Self.maxScratchBytes { scratch = [] } else { scratch.removeAll(keepingCapacity: true) }
  }
}

@available(*, unavailable) extension ConnectionContext: Sendable {}
