/// How much a worker's outbox may hold that the coordinator has not acknowledged.
public struct OutboxLimits: Equatable, Sendable {
  public var maxEntries: Int
  /// Keys and contents together, in bytes.
  public var maxBytes: Int
  /// The file is compacted when it holds more dead bytes than this, and more than live ones.
  public var minCompactionBytes: Int

  public init(maxEntries: Int = 100_000, maxBytes: Int = 64 * 1024 * 1024, minCompactionBytes: Int = 1024 * 1024) {
    self.maxEntries = maxEntries
    self.maxBytes = maxBytes
    self.minCompactionBytes = minCompactionBytes
  }
}
