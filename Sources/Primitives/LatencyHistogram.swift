/// Counts latencies in buckets that grow with the value: log-linear, as in HDR histograms.
///
/// Values below 256 ns have a bucket each; above, each power of two is split into 128 buckets of equal width, so a
/// value read back is at most 1/128 (0.79 %) above the one recorded. Memory is fixed: 31 KiB. Recording allocates nothing.
///
/// Nothing here depends on the unit: whoever counts milliseconds, messages or bytes reads "nanoseconds" as those.
public struct LatencyHistogram: Sendable, Equatable {
  /// How much larger than the recorded value a percentile may be, as a fraction of it.
  public static let precision = 1.0 / 128

  /// Everything above counts as this, 2³⁶ ns or 69 s; `maximum` stays exact.
  static let largestTracked: UInt64 = (1 << 36) - 1

  private static let subBits: UInt64 = 7
  private static let bucketCount = index(of: largestTracked) + 1

  private var counts = [UInt64](repeating: 0, count: bucketCount)
  public private(set) var count: UInt64 = 0
  /// The largest value recorded, exactly; 0 if there is none.
  public private(set) var maximum: UInt64 = 0
  /// The sum of all values recorded, exactly; it wraps around after 2⁶⁴ ns, some 584 years of waiting.
  public private(set) var sum: UInt64 = 0

  public init() {}

  @inline(__always)
  static func index(of nanoseconds: UInt64) -> Int {
    guard nanoseconds >= 2 << subBits else { return Int(truncatingIfNeeded: nanoseconds) }
    let shift = UInt64(63 - nanoseconds.leadingZeroBitCount) &- subBits
    return Int(truncatingIfNeeded: (shift << subBits) &+ (nanoseconds >> shift))
  }

  /// The largest value that falls into a bucket.
  static func upperBound(of index: Int) -> UInt64 {
    let index = UInt64(index)
    guard index >= 2 << subBits else { return index }
    let shift = (index >> subBits) - 1
    let top = (index & ((1 << subBits) - 1)) + (1 << subBits)
    return ((top + 1) << shift) - 1
  }

  @inline(__always)
  public mutating func record(_ nanoseconds: UInt64) {
    counts[Self.index(of: min(nanoseconds, Self.largestTracked))] &+= 1
    count &+= 1
    sum &+= nanoseconds
    if nanoseconds > maximum { maximum = nanoseconds }
  }

  /// The value, in nanoseconds, that `fraction` (0...1) of those recorded do not exceed; `nil` if there are none.
  public func percentile(_ fraction: Double) -> UInt64? {
    guard count > 0 else { return nil }
    let wanted = max(1, UInt64((Double(count) * min(1, max(0, fraction))).rounded(.up)))
    var seen: UInt64 = 0
    for (index, bucket) in counts.enumerated() {
      seen += bucket
      if seen >= wanted { return min(Self.upperBound(of: index), maximum) }
    }
    return maximum
  }

  /// How many of the values recorded are at most `bound`. Those that share its bucket count as well, so a value up to
  /// 1/128 above it may be among them.
  public func count(atMost bound: UInt64) -> UInt64 {
    guard bound < Self.largestTracked else { return count }
    return counts[0...Self.index(of: bound)].reduce(0, &+)
  }

  /// Adds what `other` recorded, as if it had been recorded here.
  public mutating func add(_ other: LatencyHistogram) {
    for index in counts.indices { counts[index] &+= other.counts[index] }
    count &+= other.count
    sum &+= other.sum
    maximum = max(maximum, other.maximum)
  }
}

extension LatencyHistogram {
  /// Records a duration; a negative one counts as none.
  public mutating func record(_ duration: Duration) {
    record(UInt64(clamping: duration.wholeNanoseconds))
  }
}
