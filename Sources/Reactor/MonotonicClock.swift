import Glibc
public import Primitives

/// The machine's monotonic clock; shells read it, cores receive the reading.
public struct MonotonicClock {
  /// Reads `CLOCK_MONOTONIC`; callable from any thread.
  public static func now() -> Instant { Instant(nanoseconds: read(CLOCK_MONOTONIC)) }
}

/// The machine's wall clock, for people and records only.
public struct SystemWallClock {
  /// Reads `CLOCK_REALTIME` in whole milliseconds; callable from any thread.
  public static func now() -> WallTime { WallTime(milliseconds: read(CLOCK_REALTIME) / 1_000_000) }
}

private func read(_ clock: clockid_t) -> Int64 {
  var time = timespec()
  // SAFETY: the kernel fills the local it is given; the two clocks exist on every Linux.
  unsafe clock_gettime(clock, &time)
  return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}
