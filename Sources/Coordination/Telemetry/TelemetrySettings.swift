/// What a worker says about itself, and how often.
public struct TelemetrySettings: Sendable {
  /// How often telemetry goes to the coordinator, beside when it is asked for; zero: only then.
  public var interval: Duration = .seconds(300)
  /// How often the worker logs its figures, one entry at level info; zero: never.
  public var logInterval: Duration = .seconds(60)

  public init() {}
}
