public import Primitives

/// One thing that must hold, and what was found.
public struct TrialCriterion: Equatable, Sendable {
  public let name: String
  public let expected: String
  public let measured: String
  public let isMet: Bool

  public init(_ name: String, expected: String, measured: String, isMet: Bool) {
    self.name = name
    self.expected = expected
    self.measured = measured
    self.isMet = isMet
  }
}

/// A quantity over the run's time.
public struct TrialSeries: Equatable, Sendable {
  public let name: String
  public let unit: String
  public let group: String
  public var points: [Point] = []

  public struct Point: Equatable, Sendable {
    /// Seconds since the fleet was complete.
    public let seconds: Double
    public let value: Double
  }
}

/// A fault: when, and what.
public struct TrialMark: Equatable, Sendable {
  public let seconds: Double
  public let label: String
}

/// What became of a trial.
public struct TrialResult: Sendable {
  public var title: String
  public var options: TrialOptions
  public var startedAt: WallTime
  public var took: Duration = .zero
  public var criteria: [TrialCriterion] = []
  public var series: [TrialSeries] = []
  public var marks: [TrialMark] = []
  /// Seconds from asking for a task to hearing of its end.
  public var latencies: [Double] = []
  public var violations: [String] = []
  public var notes: [String] = []
  public var logs: [String] = []
  public var submitted = 0

  /// Every criterion is met, there is at least one, and no rule was broken.
  public var isPassed: Bool { !criteria.isEmpty && criteria.allSatisfy(\.isMet) && violations.isEmpty }
}
