/// The smoothed round-trip time to a peer, and how long to wait for its answer before asking again: RFC 6298.
///
/// An answer to something that was sent twice must not be measured, for nobody knows which one it answers (Karn,
/// RFC 6298 §3); the owner leaves such samples out.
public struct RoundTripEstimator: Sendable, Equatable {
  public struct Configuration: Sendable, Equatable {
    /// The time-out before anything was measured (§2.1).
    public var timeoutInitial: Duration
    /// The shortest time-out (§2.4).
    public var timeoutMin: Duration
    /// The longest time-out (§2.5); a longer sample counts as this long.
    public var timeoutMax: Duration
    /// The clock's step G, the least that is added for variation (§2.2).
    public var granularity: Duration

    public init(
      timeoutInitial: Duration = .seconds(1), timeoutMin: Duration = .milliseconds(200),
      timeoutMax: Duration = .seconds(60), granularity: Duration = .milliseconds(1)
    ) {
      self.timeoutMax = max(timeoutMax, .zero)
      self.timeoutMin = min(max(timeoutMin, .zero), self.timeoutMax)
      self.timeoutInitial = min(max(timeoutInitial, self.timeoutMin), self.timeoutMax)
      self.granularity = max(granularity, .zero)
    }
  }

  public let configuration: Configuration
  /// SRTT; `nil` until a sample was measured.
  public private(set) var smoothed: Duration?
  /// RTTVAR; zero until a sample was measured.
  public private(set) var variation = Duration.zero
  /// RTO, how long to wait for an answer.
  public private(set) var timeout: Duration

  public init(_ configuration: Configuration = Configuration()) {
    self.configuration = configuration
    timeout = configuration.timeoutInitial
  }

  /// Takes in one measured round trip; a negative one counts as zero.
  public mutating func measured(_ sample: Duration) {
    let sample = min(max(sample, .zero), configuration.timeoutMax)
    let average: Duration
    if let smoothed {
      // §2.3, α = 1/8 and β = 1/4; the variation is measured against the average before this sample.
      let distance = smoothed > sample ? smoothed - sample : sample - smoothed
      variation = variation * 3 / 4 + distance / 4
      average = smoothed * 7 / 8 + sample / 8
    } else {
      variation = sample / 2
      average = sample
    }
    smoothed = average
    timeout = bounded(average + max(configuration.granularity, variation * 4))
  }

  /// No answer came within `timeout`: doubles it (§5.5). The next sample sets it anew.
  public mutating func timedOut() {
    timeout = bounded(timeout * 2)
  }

  private func bounded(_ timeout: Duration) -> Duration {
    min(max(timeout, configuration.timeoutMin), configuration.timeoutMax)
  }
}
