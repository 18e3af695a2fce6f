import Primitives

/// What a fleet costs its coordinator: counted, second by second.
struct FleetLoad {
  private var messages = RateCount()
  private var startedAt: Instant = .zero
  /// Since the newest coordinator's start, in milliseconds: when each worker was registered.
  private(set) var registrations: [Int64] = []

  mutating func coordinatorStarted(at now: Instant) {
    startedAt = now
    registrations = []
  }

  mutating func registered(at now: Instant) { registrations.append((now - startedAt).wholeMilliseconds) }
  mutating func received(at now: Instant) { messages.count(at: now) }
  mutating func sent(at now: Instant) { messages.count(at: now) }
  /// Messages in and out.
  var total: Int { messages.total }
  /// The most of them within one simulated second.
  var peakPerSecond: Int { messages.peakPerSecond }
}

/// How often something happened, and the most of it within one simulated second.
public struct RateCount: Equatable, Sendable {
  public private(set) var total = 0
  public private(set) var peakPerSecond = 0
  private var second: Int64 = 0
  private var countInSecond = 0

  mutating func count(at now: Instant) {
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
