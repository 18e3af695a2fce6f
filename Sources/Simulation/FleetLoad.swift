import Primitives

/// What a fleet costs its coordinator: counted, second by second.
struct FleetLoad {
  /// Messages in and out.
  private(set) var total = 0
  /// The most of them within one simulated second.
  private(set) var peakPerSecond = 0
  private var second: Int64 = 0
  private var countInSecond = 0
  private var startedAt: Instant = .zero
  /// Since the newest coordinator's start, in milliseconds: when each worker was registered.
  private(set) var registrations: [Int64] = []

  mutating func coordinatorStarted(at now: Instant) {
    startedAt = now
    registrations = []
  }

  mutating func registered(at now: Instant) { registrations.append((now - startedAt).wholeMilliseconds) }
  mutating func received(at now: Instant) { count(now) }
  mutating func sent(at now: Instant) { count(now) }

  private mutating func count(_ now: Instant) {
    total += 1
    // Time never goes back, so that a second that has passed is complete.
    if now.nanoseconds / 1_000_000_000 != second {
      second = now.nanoseconds / 1_000_000_000
      countInSecond = 0
    }
    countInSecond += 1
    peakPerSecond = max(peakPerSecond, countInSecond)
  }
}
