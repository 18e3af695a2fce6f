/// A point on one machine's monotonic clock, in nanoseconds since an origin that only that machine knows.
///
/// Cores receive it as a value and never read a clock. Two machines' instants must never be compared or exchanged:
/// send a `Duration` instead. Arithmetic saturates, so an instant computed from a peer's number cannot trap.
public struct Instant: Comparable, Hashable, Sendable {
  public let nanoseconds: Int64

  public init(nanoseconds: Int64) {
    self.nanoseconds = nanoseconds
  }

  /// The origin; also the usual first instant of a simulation.
  public static let zero = Instant(nanoseconds: 0)
  /// Later than every other instant: "no deadline".
  public static let distantFuture = Instant(nanoseconds: .max)

  public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

  public static func + (instant: Instant, duration: Duration) -> Instant {
    let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.wholeNanoseconds)
    guard overflow else { return Instant(nanoseconds: sum) }
    return Instant(nanoseconds: duration < .zero ? .min : .max)
  }

  public static func - (instant: Instant, duration: Duration) -> Instant {
    let (difference, overflow) = instant.nanoseconds.subtractingReportingOverflow(duration.wholeNanoseconds)
    guard overflow else { return Instant(nanoseconds: difference) }
    return Instant(nanoseconds: duration < .zero ? .max : .min)
  }

  /// The time from `right` to `left`; negative if `right` is later.
  public static func - (left: Instant, right: Instant) -> Duration {
    let (difference, overflow) = left.nanoseconds.subtractingReportingOverflow(right.nanoseconds)
    guard overflow else { return .nanoseconds(difference) }
    return .nanoseconds(left < right ? Int64.min : Int64.max)
  }

  public static func += (instant: inout Instant, duration: Duration) { instant = instant + duration }
}

extension Duration {
  /// This duration in nanoseconds, rounded toward zero and clamped to what 64 bits hold (about 292 years).
  public var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, sumOverflow) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
    return sumOverflow ? (seconds < 0 ? .min : .max) : sum
  }

  /// This duration in milliseconds, rounded toward zero.
  public var wholeMilliseconds: Int64 { wholeNanoseconds / 1_000_000 }

  /// This duration in seconds.
  public var inSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}
