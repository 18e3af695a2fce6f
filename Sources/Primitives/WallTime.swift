/// A wall-clock reading in milliseconds since 1970-01-01T00:00:00Z, for people and records.
///
/// Never used to decide anything: leases, deadlines and pacing are judged by `Instant` alone, so a stepped wall clock
/// changes what is displayed and nothing else.
public struct WallTime: Comparable, Hashable, Sendable {
  public let milliseconds: Int64

  public init(milliseconds: Int64) {
    self.milliseconds = milliseconds
  }

  public static func < (left: WallTime, right: WallTime) -> Bool { left.milliseconds < right.milliseconds }
}
