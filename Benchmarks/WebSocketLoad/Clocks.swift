import Glibc

/// Readings in nanoseconds.
enum Clocks {
  @inline(__always)
  static func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: time.tv_nsec)
  }

  @inline(__always)
  static var monotonic: UInt64 { read(CLOCK_MONOTONIC) }

  /// Processor time of this process.
  static var processor: UInt64 { read(CLOCK_PROCESS_CPUTIME_ID) }
}
