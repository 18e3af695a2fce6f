import Primitives

/// How many pongs may wait to be written: a peer that pings and does not read gets only its newest ping answered
/// (RFC 6455 §5.5.3).
struct PongAllowance {
  /// A ping beyond the limit: rare, so it lies apart and an idle connection is smaller.
  private final class Deferred {
    var payload: [UInt8]
    /// When to look again whether there is room.
    var retryAt: Instant

    init(_ payload: [UInt8], retryAt: Instant) {
      self.payload = payload
      self.retryAt = retryAt
    }
  }

  private var waiting: UInt32 = 0
  private var deferred: Deferred?

  private static let retryInterval: Duration = .milliseconds(100)

  /// Whether any pong waits or may wait.
  var isInUse: Bool { waiting > 0 }

  var retryAt: Instant { deferred?.retryAt ?? .distantFuture }

  /// Whether this ping is to be answered now; else it replaces the one remembered.
  mutating func mayAnswer(_ payload: [UInt8], limit: Int, at now: Instant) -> Bool {
    guard waiting < limit else {
      if let deferred {
        deferred.payload = payload
      } else {
        deferred = Deferred(payload, retryAt: now + Self.retryInterval)
        // A limit of zero defers every ping, and this counts as the one that waits.
        waiting = max(waiting, 1)
      }
      return false
    }
    waiting += 1
    return true
  }

  /// Nothing waits any more; returns the payload to answer now, if one was deferred.
  mutating func release() -> [UInt8]? {
    let payload = deferred?.payload
    waiting = payload == nil ? 0 : 1
    deferred = nil
    return payload
  }

  /// Something still waits: look again later.
  mutating func postpone(at now: Instant) {
    if let deferred, now >= deferred.retryAt { deferred.retryAt = now + Self.retryInterval }
  }
}
