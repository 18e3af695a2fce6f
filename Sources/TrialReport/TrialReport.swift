public import Primitives

/// What one run with faults was, measured and found: the content of `report.json` and `report.html`.
///
/// A value without I/O; whoever ran the trial fills it and writes the two texts into its report directory.
public struct TrialReport: Equatable, Sendable {
  /// For people: `end to end`, `stress: coordinator_kill9`.
  public var title: String
  /// The exact command that repeats this run, the seed included.
  public var command: String
  public var seed: UInt64
  public var startedAt: WallTime
  public var duration: Duration
  public var options: [Option]
  public var criteria: [Criterion]
  public var series: [Series]
  public var marks: [Mark]
  public var latencies: [LatencySummary]
  /// What the checker found, one sentence each; any makes the run a failure.
  public var violations: [String]
  /// Log files, relative to the report's directory.
  public var logs: [String]
  /// Remarks that change no verdict.
  public var notes: [String]

  public init(
    title: String, command: String, seed: UInt64, startedAt: WallTime, duration: Duration, options: [Option] = [],
    criteria: [Criterion] = [], series: [Series] = [], marks: [Mark] = [], latencies: [LatencySummary] = [],
    violations: [String] = [], logs: [String] = [], notes: [String] = []
  ) {
    self.title = title
    self.command = command
    self.seed = seed
    self.startedAt = startedAt
    self.duration = duration
    self.options = options
    self.criteria = criteria
    self.series = series
    self.marks = marks
    self.latencies = latencies
    self.violations = violations
    self.logs = logs
    self.notes = notes
  }

  /// All criteria are met and nothing was violated. Without any criterion nothing was proved, so that has not passed.
  public var isPassed: Bool { !criteria.isEmpty && criteria.allSatisfy(\.isMet) && violations.isEmpty }
}

extension TrialReport {
  /// A setting of the run, as text.
  public struct Option: Equatable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// One thing that had to be so.
  public struct Criterion: Equatable, Sendable {
    public var name: String
    /// What was required, in words with units: `at most 15 s`.
    public var expected: String
    /// What was found, in the same words: `11.2 s`.
    public var measured: String
    public var isMet: Bool

    public init(_ name: String, expected: String, measured: String, isMet: Bool) {
      self.name = name
      self.expected = expected
      self.measured = measured
      self.isMet = isMet
    }
  }

  /// A value as it changed over the run.
  public struct Series: Equatable, Sendable {
    public struct Point: Equatable, Sendable {
      /// Since the run's start.
      public var seconds: Double
      public var value: Double

      public init(_ seconds: Double, _ value: Double) {
        self.seconds = seconds
        self.value = value
      }
    }

    public var name: String
    /// `workers`, `1/s`, `ms`; empty for a plain number.
    public var unit: String
    /// The heading of the plot; series of one group share it, so they have one unit.
    public var group: String
    /// In order of time. A point that is not finite is neither drawn nor written.
    public var points: [Point]

    public init(_ name: String, unit: String, group: String, points: [Point] = []) {
      self.name = name
      self.unit = unit
      self.group = group
      self.points = points
    }
  }

  /// A fault, or anything else to see in the plots: a moment, or a span if it has an end.
  public struct Mark: Equatable, Sendable {
    /// Seconds since the run's start.
    public var start: Double
    public var end: Double?
    public var label: String

    public init(at start: Double, until end: Double? = nil, _ label: String) {
      self.start = start
      self.end = end
      self.label = label
    }
  }

  /// How long something took, over the whole run.
  public struct LatencySummary: Equatable, Sendable {
    public struct Percentile: Equatable, Sendable {
      /// 0...100; 100 is the largest value.
      public var percent: Double
      public var value: Double

      public init(_ percent: Double, _ value: Double) {
        self.percent = percent
        self.value = value
      }
    }

    /// What a summary states of a histogram.
    public static let usualPercents: [Double] = [50, 90, 99, 99.9, 100]

    public var name: String
    public var unit: String
    /// How many values were recorded.
    public var count: UInt64
    public var percentiles: [Percentile]

    public init(_ name: String, unit: String, count: UInt64, percentiles: [Percentile]) {
      self.name = name
      self.unit = unit
      self.count = count
      self.percentiles = percentiles
    }

    /// The usual percentiles in milliseconds. All but the largest value are at most 0.79 % too large
    /// (`LatencyHistogram.precision`), and those above 69 s count as 69 s.
    public init(_ name: String, _ histogram: LatencyHistogram) {
      let percentiles = Self.usualPercents.compactMap { percent -> Percentile? in
        guard let value = histogram.percentile(percent / 100) else { return nil }
        return Percentile(percent, Double(percent == 100 ? histogram.maximum : value) / 1e6)
      }
      self.init(name, unit: "ms", count: histogram.count, percentiles: percentiles)
    }
  }
}
