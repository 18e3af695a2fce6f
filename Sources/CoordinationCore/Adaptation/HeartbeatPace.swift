import Primitives

/// How often a coordinator has its workers send heartbeats, so that it hears no more of them a second than it wants to.
///
/// The interval grows by steps of a quarter with the number of connections, from the configured one to the longest that
/// finds silence in time, and shrinks again once the fleet would fit the shorter one with a sixth to spare; so a fleet
/// whose size sways around a threshold by less than that does not make it flap.
///
///     interval   5 s ──┐                ┌── 5 s        at 2,000 heartbeats a second:
///                      └── 6.25 s ──────┘              up above 10,000 workers, down below 8,333
struct HeartbeatPace {
  struct Bounds: Equatable {
    /// The configured interval, which is never gone below.
    let min: Duration
    /// Never exceeded unless `min` does.
    let max: Duration
    /// Heartbeats a second, over all workers; 0: as many as come.
    let rateMax: Int
  }

  let bounds: Bounds
  private(set) var interval: Duration

  init(_ bounds: Bounds) {
    self.bounds = bounds
    interval = bounds.min
  }

  /// - Parameter connections: how many there are now.
  /// - Returns: `nil` when the interval stays as it is.
  mutating func observe(connections: Int) -> ParameterChange? {
    guard bounds.rateMax > 0, bounds.min > .zero, bounds.min < bounds.max else { return nil }
    let needed = Duration.nanoseconds(Int64(min(connections, 1_000_000_000)) * 1_000_000_000 / Int64(bounds.rateMax))
    let wanted: Duration
    if needed > interval {
      wanted = step(atLeast: needed)
    } else {
      wanted = step(atLeast: needed * 6 / 5)
      guard wanted < interval else { return nil }
    }
    guard wanted != interval else { return nil }
    defer { interval = wanted }
    let reason = "\(connections) connections; at most \(bounds.rateMax) heartbeats a second are wanted"
    return ParameterChange(parameter: .heartbeatInterval, old: interval, new: wanted, reason: reason)
  }

  private func step(atLeast needed: Duration) -> Duration {
    var step = bounds.min
    while step < needed, step < bounds.max { step = step * 5 / 4 }
    return min(step, bounds.max)
  }
}

extension CoordinatorConfiguration {
  /// Half the timeout: a heartbeat that is late by as much again is still in time, and the detector, which never suspects
  /// before two thirds of the timeout, has a sixth of it to spare.
  var pace: HeartbeatPace {
    HeartbeatPace(
      HeartbeatPace.Bounds(
        min: heartbeatInterval, max: min(heartbeatTimeout / 2, lease / 3),
        rateMax: adaptsParameters ? maxHeartbeatsPerSecond : 0))
  }
}
