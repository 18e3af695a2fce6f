/// A rate with room for bursts: tokens flow in evenly, a limited number is kept, and whoever is let through takes one.
public struct TokenBucket: Sendable, Equatable {
  /// Tokens that flow in each second; above zero.
  public let rate: Double
  /// The most that are kept; at least one.
  public let burst: Double
  private var tokens: Double
  private var filledAt: Instant

  /// Full at `now`. A rate of zero or below counts as one token a day, a burst below one as one.
  public init(rate: Double, burst: Double, at now: Instant) {
    self.rate = rate > 0 ? rate : 1 / 86_400
    self.burst = max(1, burst)
    tokens = self.burst
    filledAt = now
  }

  /// The time from one token to the next.
  public var interval: Duration { .seconds(1 / rate) }

  /// Whether a token is there; nothing is taken.
  public func hasToken(at now: Instant) -> Bool { level(at: now) >= 1 }

  /// Takes a token.
  /// - Returns: `false` when there was none; nothing changes then.
  public mutating func take(at now: Instant) -> Bool {
    tokens = level(at: now)
    filledAt = max(filledAt, now)
    guard tokens >= 1 else { return false }
    tokens -= 1
    return true
  }

  private func level(at now: Instant) -> Double {
    min(burst, tokens + max(0, (now - filledAt).inSeconds) * rate)
  }
}
