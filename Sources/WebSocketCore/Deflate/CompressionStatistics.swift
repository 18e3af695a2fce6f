/// What permessage-deflate saved on one loop: message bytes before and after, for those messages that were compressed.
public struct CompressionStatistics: Hashable, Sendable {
  public internal(set) var sent = Volume()
  public internal(set) var received = Volume()

  public struct Volume: Hashable, Sendable {
    /// As the application has them.
    public internal(set) var plainBytes: UInt64 = 0
    /// As they went over the network.
    public internal(set) var compressedBytes: UInt64 = 0

    mutating func add(plain: Int, compressed: Int) {
      plainBytes &+= UInt64(clamping: plain)
      compressedBytes &+= UInt64(clamping: compressed)
    }

    /// Compressed over plain; 1 before there was any.
    public var ratio: Double { plainBytes == 0 ? 1 : Double(compressedBytes) / Double(plainBytes) }
  }

  public init() {}
}
