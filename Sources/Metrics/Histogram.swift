public import Primitives

/// How values are spread: an HDR histogram that is shown in few buckets of chosen bounds. Belongs to its loop.
///
/// Recording is one increment in a table of 31 KiB that never grows: no allocation. Percentiles are at most 1/128
/// (0.79 %) above the truth, and so are the bounds of the buckets shown; sum and count are exact.
public final class Histogram {
  public private(set) var values = LatencyHistogram()

  public init() {}

  /// Records a value in the unit that the histogram was registered with; what exceeds 2³⁶ of them counts as that many.
  @inline(__always)
  public func record(_ value: UInt64) { values.record(value) }

  /// Records a duration, for a histogram of nanoseconds; a negative one counts as none.
  @inline(__always)
  public func record(_ duration: Duration) { values.record(duration) }
}

@available(*, unavailable) extension Histogram: Sendable {}

/// In what a histogram counts, and what that is in the base unit in which it is shown.
public enum HistogramUnit: Sendable {
  /// Shown in seconds; up to 69 s.
  case nanoseconds
  /// Shown in seconds; up to two years.
  case milliseconds
  /// Shown as they are: messages, writes, bytes.
  case one

  /// How many there are in one of the base unit.
  var perBaseUnit: Double {
    switch self {
    case .nanoseconds: 1_000_000_000
    case .milliseconds: 1_000
    case .one: 1
    }
  }
}
