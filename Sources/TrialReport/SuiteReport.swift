public import Primitives

/// Several trials in sequence and one verdict: what `lifeline test` leaves behind.
public struct SuiteReport: Equatable, Sendable {
  public struct Entry: Equatable, Sendable {
    /// The folder with the trial's own `report.html` and `report.json`, relative to the suite's.
    public var directory: String
    public var report: TrialReport

    public init(directory: String, report: TrialReport) {
      self.directory = directory
      self.report = report
    }
  }

  public var title: String
  /// The exact command that repeats the suite.
  public var command: String
  public var startedAt: WallTime
  public var duration: Duration
  /// In the order in which they ran.
  public var entries: [Entry]
  /// What went wrong outside any trial: one that could not start, say. Any makes the suite a failure.
  public var violations: [String]

  public init(
    title: String, command: String, startedAt: WallTime, duration: Duration, entries: [Entry] = [],
    violations: [String] = []
  ) {
    self.title = title
    self.command = command
    self.startedAt = startedAt
    self.duration = duration
    self.entries = entries
    self.violations = violations
  }

  /// Every trial has passed, and there was at least one.
  public var isPassed: Bool { !entries.isEmpty && entries.allSatisfy(\.report.isPassed) && violations.isEmpty }
}
