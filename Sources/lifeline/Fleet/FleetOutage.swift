import CoordinationCore
import Primitives

/// A time in which most workers of a fleet were not registered, and how they came back. The start is one as well.
struct FleetOutage {
  /// When the port was last seen closed.
  var notOpenBefore: Instant
  /// When the port was first seen open.
  var opened: Instant?
  var registrations: [Instant] = []

  init(notOpenBefore: Instant) { self.notOpenBefore = notOpenBefore }

  /// From the port's opening to each registration, the shortest first.
  var delays: [Duration] {
    // A worker may have been let in before the port was looked at again.
    let start = min(opened ?? notOpenBefore, registrations.first ?? notOpenBefore)
    return registrations.map { $0 - start }.sorted()
  }

  /// - Parameter workers: how many there are in all.
  func json(_ workers: Int) -> JSONObject {
    let delays = delays
    var object: JSONObject = ["is_over": .bool(false), "registrations": .integer(Int64(delays.count))]
    object["is_over"] = .bool(delays.count >= workers)
    guard let last = delays.last else { return object }
    // The nearest-rank percentile.
    func rank(_ percent: Int) -> JSONValue { .duration(delays[max(0, (delays.count * percent + 99) / 100 - 1)]) }
    object["registered_after_s"] = ["p50": rank(50), "p90": rank(90), "p99": rank(99), "max": .duration(last)]
    return object
  }
}
