/// One connection's side of permessage-deflate: what was agreed on, and its own contexts where they survive messages.
///
/// Without context takeover a context is borrowed from the loop's pool for each message, and this has no state: all
/// connections of the same agreement share one.
final class MessageCompression {
  private let configuration: CompressionConfiguration
  private let pool: CompressionPool
  private let outgoing: (windowBits: Int, takeover: Bool)
  private let incoming: (windowBits: Int, takeover: Bool)
  private var ownDeflater: Deflater?
  private var ownInflater: Inflater?

  init(_ agreement: DeflateAgreement, _ role: Role, _ configuration: CompressionConfiguration, pool: CompressionPool) {
    self.configuration = configuration
    self.pool = pool
    outgoing = agreement.outgoing(for: role)
    incoming = agreement.incoming(for: role)
  }

  var maxInflationRatio: Int { configuration.maxInflationRatio }

  // MARK: Sending

  /// Whether a message of this size is worth the try.
  func wants(_ byteCount: Int) -> Bool { byteCount >= configuration.thresholdBytes && byteCount > 1 && canDeflate }

  private var canDeflate: Bool { outgoing.windowBits >= 9 }

  /// A context for one outgoing message; `nil` if there is no memory or the window is too small for zlib.
  func lendDeflater() -> Deflater? {
    guard canDeflate else { return nil }
    if let own = ownDeflater { return own }
    let memoryLevel =
      outgoing.takeover
      ? configuration.dedicatedMemoryLevel(windowBits: outgoing.windowBits) : configuration.memoryLevel
    let deflater = pool.lendDeflater(
      windowBits: outgoing.windowBits, memoryLevel: memoryLevel, level: configuration.level)
    if outgoing.takeover { ownDeflater = deflater }
    return deflater
  }

  func takeBack(_ deflater: Deflater) {
    if !outgoing.takeover { pool.takeBack(deflater) }
  }

  /// Appends the compressed message; false, and nothing is appended, when it does not become smaller, or so much smaller
  /// that it looks like an attack.
  func compress(_ message: RawSpan, into output: inout [UInt8]) -> Bool {
    guard let deflater = lendDeflater() else { return false }
    defer { takeBack(deflater) }
    let start = output.count
    if deflater.compress(message, into: &output, limit: message.byteCount - 1),
      // A peer configured as we are would refuse it.
      configuration.allowsInflating(output.count - start, to: message.byteCount)
    {
      noteSent(plain: message.byteCount, compressed: output.count - start)
      return true
    }
    output.removeLast(output.count - start)
    // The peer will not see these bytes in its window, so ours must forget them too.
    deflater.reset()
    return false
  }

  /// Whether a message compressed elsewhere with this window can go out; the own context then forgets, because the
  /// peer's window moves on without it.
  func admitsPrepared(windowBits: Int) -> Bool {
    guard windowBits <= outgoing.windowBits else { return false }
    ownDeflater?.reset()
    return true
  }

  func noteSent(plain: Int, compressed: Int) { pool.statistics.sent.add(plain: plain, compressed: compressed) }

  // MARK: Receiving

  func noteReceived(plain: Int, compressed: Int) { pool.statistics.received.add(plain: plain, compressed: compressed) }

  /// A context for one incoming message.
  func lendInflater() throws(ProtocolError) -> Inflater {
    if let own = ownInflater { return own }
    guard let inflater = pool.lendInflater(windowBits: incoming.windowBits) else { throw .noMemoryToInflate }
    if incoming.takeover { ownInflater = inflater }
    return inflater
  }

  func takeBack(_ inflater: Inflater) {
    if !incoming.takeover { pool.takeBack(inflater) }
  }
}
