/// How strongly a peer's silence suggests that it is gone, learnt from the rhythm of its own heartbeats.
///
/// φ = −log₁₀ P(the next heartbeat is merely late), gaps taken as normally distributed over a sliding window, so φ = 8
/// is one wrong suspicion in 10⁸ gaps. Silence shorter than `minimum` is never suspect and silence of `maximum` always
/// is, whatever was learnt: a very regular peer is not condemned for one hiccup, nor an irregular one waited for
/// forever. Source: Hayashibara, Défago, Yared, Katayama, "The φ Accrual Failure Detector", 2004.
public struct PhiAccrualDetector: Sendable, Equatable {
  public struct Configuration: Sendable, Equatable {
    /// The φ at which a peer is suspected. Between 0.5 and 300.
    public var threshold: Double
    /// Silence shorter than this is never suspect.
    public var minimum: Duration
    /// Silence of this length is always suspect.
    public var maximum: Duration
    /// The gap to expect before any was seen: the configured heartbeat interval.
    public var expectedGap: Duration
    /// The smallest standard deviation assumed; without it a perfectly regular peer is suspected at the first tremor.
    public var deviationMin: Duration
    /// How many gaps are remembered. Between 2 and 1 000.
    public var windowCount: Int

    /// Values out of range are brought to the nearest that is in range; `maximum` wins over `minimum`.
    public init(
      threshold: Double = 8, minimum: Duration, maximum: Duration, expectedGap: Duration,
      deviationMin: Duration = .milliseconds(50), windowCount: Int = 100
    ) {
      self.threshold = threshold.isNaN ? 8 : min(max(threshold, 0.5), 300)
      self.maximum = max(maximum, .milliseconds(1))
      self.minimum = min(max(minimum, .zero), self.maximum)
      self.expectedGap = min(max(expectedGap, .zero), self.maximum)
      self.deviationMin = max(deviationMin, .microseconds(1))
      self.windowCount = min(max(windowCount, 2), 1000)
    }
  }

  public private(set) var configuration: Configuration
  public private(set) var lastHeartbeat: Instant
  /// The mean of the remembered gaps, in seconds.
  private var mean = 0.0
  /// The standard deviation of the remembered gaps, in seconds, at least `deviationMin`.
  private var deviation = 0.0
  /// The remembered gaps in seconds, a ring once full.
  private var gaps: [Double]
  private var oldest = 0
  /// The number of standard deviations above the mean at which φ reaches the threshold.
  private let deviationsAllowed: Double

  /// For the usual threshold: a fleet makes very many detectors, and looking for the point is most of making one.
  private static let deviationsAtEight = NormalTail.point(whereNegativeLog10Is: 8)

  /// Starts watching at `now`, as if a heartbeat had just arrived.
  public init(_ configuration: Configuration, at now: Instant) {
    self.configuration = configuration
    lastHeartbeat = now
    deviationsAllowed =
      configuration.threshold == 8
      ? Self.deviationsAtEight : NormalTail.point(whereNegativeLog10Is: configuration.threshold)
    // Two made-up gaps with the expected mean and a quarter of it as deviation; real ones push them out.
    let expected = configuration.expectedGap.inSeconds
    gaps = [expected * 0.75, expected * 1.25]
    learn()
  }

  /// A heartbeat arrived at `now`. One that is earlier than the last is taken as simultaneous with it.
  public mutating func heartbeat(at now: Instant) {
    // A gap across an outage says nothing about the rhythm; uncut it would blind the detector for a whole window.
    let gap = min(max(now - lastHeartbeat, .zero), configuration.maximum).inSeconds
    lastHeartbeat = max(now, lastHeartbeat)
    if gaps.count < configuration.windowCount {
      gaps.append(gap)
    } else {
      gaps[oldest] = gap
      oldest = (oldest + 1) % gaps.count
    }
    learn()
  }

  /// The peer is back after a disconnection: watching goes on from `now`, and the gap is not learnt.
  public mutating func resumed(at now: Instant) {
    lastHeartbeat = max(now, lastHeartbeat)
  }

  /// Silence shorter than this is never suspect from now on; what was learnt stays. Brought under `maximum`.
  public mutating func setMinimum(_ minimum: Duration) {
    configuration.minimum = min(max(minimum, .zero), configuration.maximum)
  }

  /// φ for the silence so far, not bounded by `minimum` and `maximum`; finite and never negative.
  public func phi(at now: Instant) -> Double {
    let silence = max(now - lastHeartbeat, .zero).inSeconds
    return max(0, NormalTail.negativeLog10((silence - mean) / deviation))
  }

  /// When the peer becomes suspect if no further heartbeat arrives: arm one timer for this instant.
  public var suspectAt: Instant {
    let learnt = mean + deviationsAllowed * deviation
    let bounded = min(max(learnt, configuration.minimum.inSeconds), configuration.maximum.inSeconds)
    // Seconds went through a Double, which may round past the exact bounds.
    let silence = min(max(Duration.seconds(bounded), configuration.minimum), configuration.maximum)
    return lastHeartbeat + silence
  }

  public func isSuspect(at now: Instant) -> Bool { now >= suspectAt }

  /// Recomputed in full: running sums would drift over months, and the window is at most 1 000 numbers.
  private mutating func learn() {
    let count = Double(gaps.count)
    mean = gaps.reduce(0, +) / count
    let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
    deviation = max(variance.squareRoot(), configuration.deviationMin.inSeconds)
  }
}
