/// A wall-clock reading in milliseconds since 1970-01-01T00:00:00Z, for people and records.
///
/// Leases, deadlines and pacing are judged by `Instant` alone, so a stepped wall clock loses no work and ends no wait. It
/// decides only what no other clock could: whether a signed request is of now, and how long a task has been queued, over
/// restarts too.
public struct WallTime: Comparable, Hashable, Sendable {
  public let milliseconds: Int64

  public init(milliseconds: Int64) {
    self.milliseconds = milliseconds
  }

  public static func < (left: WallTime, right: WallTime) -> Bool { left.milliseconds < right.milliseconds }
}
