public import Primitives

/// How many may come in each second, and when those who may not are to come back.
///
/// Whoever is refused gets a place of its own in the time to come, one after the other at the admitted rate:
///
///     now ──┬──admitted at once──┬── 1st refused ── 2nd ── 3rd ── … ── maxRetryAfter
///           └─ tokens that are there
///
/// So a herd comes back spread, and the delay grows with the number of those who wait. A place is a wish, not a right:
/// whoever comes back takes a token like anyone else, and those who do not come back cost nobody anything.
public struct Admission: Sendable {
  public struct Limits: Equatable, Sendable {
    /// Upgrades admitted each second once the burst is used up.
    public var rate: Double
    /// Upgrades admitted at once after a quiet time.
    public var burst: Int
    /// The longest delay that anyone is told.
    public var maxRetryAfter: Duration

    public init(rate: Double = 2_000, burst: Int = 4_000, maxRetryAfter: Duration = .seconds(60)) {
      self.rate = rate
      self.burst = burst
      self.maxRetryAfter = maxRetryAfter
    }
  }

  public let limits: Limits
  private var bucket: TokenBucket
  /// The last place given to somebody who was refused.
  private var lastPlace: Instant
  public private(set) var admitted = 0
  public private(set) var refused = 0

  public init(_ limits: Limits = Limits(), at now: Instant) {
    self.limits = limits
    bucket = TokenBucket(rate: limits.rate, burst: Double(limits.burst), at: now)
    lastPlace = now
  }

  /// Judges one who asks to come in. Being let through takes nothing yet: that is `admit`'s part, once everything else
  /// has been judged as well.
  /// - Returns: `nil` when there is room, or the delay after which to ask again.
  public mutating func refusal(at now: Instant) -> Duration? {
    guard !bucket.hasToken(at: now) else { return nil }
    refused += 1
    lastPlace = min(max(lastPlace, now) + bucket.interval, now + max(.zero, limits.maxRetryAfter))
    return lastPlace - now
  }

  /// One came in.
  public mutating func admit(at now: Instant) {
    admitted += 1
    _ = bucket.take(at: now)
  }
}
