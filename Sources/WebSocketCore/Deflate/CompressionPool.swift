/// The deflate contexts of one loop, lent to its connections one message at a time.
///
/// To be used on the loop's thread only.
public final class CompressionPool {
  /// The contexts made since the pool was, for tests and statistics.
  private(set) var createdDeflaters = 0
  private(set) var createdInflaters = 0

  public internal(set) var statistics = CompressionStatistics()

  private var idleDeflaters: [Deflater] = []
  private var idleInflaters: [Inflater] = []

  /// Idle contexts kept of each kind; a further one is freed. Messages within one read need one of each; only messages
  /// in many pieces hold theirs longer.
  static let maxIdle = 8

  public init() {
    idleDeflaters.reserveCapacity(Self.maxIdle)
    idleInflaters.reserveCapacity(Self.maxIdle)
  }

  /// A fresh context; give it back with `takeBack`. `nil` if zlib finds no memory.
  func lendDeflater(windowBits: Int, memoryLevel: Int, level: Int) -> Deflater? {
    let index = idleDeflaters.lastIndex {
      $0.windowBits == windowBits && $0.memoryLevel == memoryLevel && $0.level == level
    }
    if let index { return idleDeflaters.remove(at: index) }
    let deflater = Deflater(windowBits: windowBits, memoryLevel: memoryLevel, level: level)
    if deflater != nil { createdDeflaters += 1 }
    return deflater
  }

  /// A fresh context; give it back with `takeBack`. `nil` if zlib finds no memory.
  func lendInflater(windowBits: Int) -> Inflater? {
    let index = idleInflaters.lastIndex { $0.windowBits == windowBits }
    if let index { return idleInflaters.remove(at: index) }
    let inflater = Inflater(windowBits: windowBits)
    if inflater != nil { createdInflaters += 1 }
    return inflater
  }

  /// Takes a context in whatever state it is.
  func takeBack(_ deflater: Deflater) {
    // The oldest makes way, so that contexts nobody asks for any more do not stay.
    if idleDeflaters.count == Self.maxIdle { idleDeflaters.removeFirst() }
    deflater.reset()
    idleDeflaters.append(deflater)
  }

  /// Takes a context in whatever state it is.
  func takeBack(_ inflater: Inflater) {
    if idleInflaters.count == Self.maxIdle { idleInflaters.removeFirst() }
    inflater.reset()
    idleInflaters.append(inflater)
  }
}

@available(*, unavailable)
extension CompressionPool: Sendable {}
