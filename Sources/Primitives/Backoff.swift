/// How long to wait before the next attempt to connect: exponential growth with full jitter.
///
/// Each delay is uniform in [0, min(cap, base·2ⁿ)], n being the failures in a row, so a restarted coordinator is not met
/// by a herd. The count does not start over when a socket opens, only when a session was useful: a peer that accepts
/// and then drops us at once must not be called every `base`.
public struct Backoff: Sendable, Equatable {
  /// The settings of a `Backoff`. Negative durations count as zero.
  public struct Configuration: Sendable, Equatable {
    /// The largest delay before the second attempt in a row.
    public var base: Duration
    /// The largest delay of all, a server's wish aside.
    public var cap: Duration
    /// How many delays are granted in a row before giving up; 0 means no limit.
    public var maxAttempts: Int
    /// How long a registered session must last to count as useful work.
    public var usefulSession: Duration
    /// The most a server may ask for; a larger wish is cut to this.
    public var serverDelayMax: Duration

    public init(
      base: Duration = .milliseconds(500), cap: Duration = .seconds(30), maxAttempts: Int = 0,
      usefulSession: Duration = .seconds(5), serverDelayMax: Duration = .seconds(300)
    ) {
      self.base = base
      self.cap = cap
      self.maxAttempts = maxAttempts
      self.usefulSession = usefulSession
      self.serverDelayMax = serverDelayMax
    }
  }

  public private(set) var configuration: Configuration
  /// Delays granted since the last useful session.
  public private(set) var failures = 0
  private var serverDelay = Duration.zero

  public init(_ configuration: Configuration = Configuration()) {
    self.configuration = configuration
  }

  /// Whether `maxAttempts` delays in a row have been used up.
  public var isExhausted: Bool {
    configuration.maxAttempts > 0 && failures >= configuration.maxAttempts
  }

  /// The upper bound of the next delay's random part.
  public var ceiling: Duration {
    let base = max(0, configuration.base.wholeNanoseconds)
    let cap = max(0, configuration.cap.wholeNanoseconds)
    // The sign bit is one of the leading zeros, hence `<`: base·2ⁿ that fits 63 bits is shifted, anything larger is over the cap.
    let grown = failures < base.leadingZeroBitCount ? base << Int64(failures) : Int64.max
    return .nanoseconds(min(cap, base == 0 ? 0 : grown))
  }

  /// Counts a failure and returns how long to wait before the next attempt, or `nil` when no attempt is left.
  ///
  /// - Parameter limit: another upper bound of the random part; negative counts as zero. Bounding what is drawn keeps it
  ///   spread, where cutting what was drawn would gather those above the bound in one moment.
  public mutating func nextDelay(
    using random: inout some RandomNumberGenerator, atMost limit: Duration? = nil
  ) -> Duration? {
    guard !isExhausted else { return nil }
    let highest = max(.zero, min(ceiling, limit ?? ceiling))
    let jitter = Int64.random(in: 0...highest.wholeNanoseconds, using: &random)
    // Added, not maximised: a thousand workers told "five seconds" would otherwise return in the same instant.
    let delay = serverDelay + .nanoseconds(jitter)
    serverDelay = .zero
    if failures < Int.max { failures += 1 }
    return delay
  }

  /// The largest delay before the second attempt in a row is another one from now on.
  public mutating func setBase(_ base: Duration) { configuration.base = base }

  /// The server asked not to be called again for `delay`; it counts once, for the next delay, under `serverDelayMax`.
  public mutating func serverAsked(toWait delay: Duration) {
    serverDelay = max(.zero, min(delay, configuration.serverDelayMax))
  }

  /// A registered session ended after `duration`; starts over if it lasted long enough to be useful.
  public mutating func sessionLasted(_ duration: Duration) {
    if duration >= configuration.usefulSession { reset() }
  }

  /// Starts over: call after useful work, never because a connection opened.
  public mutating func reset() {
    failures = 0
    serverDelay = .zero
  }
}
