import Primitives

/// What a fleet costs its coordinator: counted, second by second.
struct FleetLoad {
  /// Messages in and out, by the simulated second.
  private(set) var messages: [Int64: Int] = [:]
  private(set) var total = 0
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
    messages[now.nanoseconds / 1_000_000_000, default: 0] += 1
  }

  var peakPerSecond: Int { messages.values.max() ?? 0 }
}
