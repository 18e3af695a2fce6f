import Primitives

/// How many pongs may wait to be written: a peer that pings and does not read gets only its newest ping answered
/// (RFC 6455 §5.5.3).
struct PongAllowance: Sendable {
  private let limit: Int
  private var waiting = 0
  /// The payload of the newest ping beyond the limit.
  private var deferred: [UInt8]?
  /// When to look again whether there is room for the deferred pong.
  private(set) var retryAt = Instant.distantFuture

  private static let retryInterval: Duration = .milliseconds(100)

  init(limit: Int) {
    self.limit = limit
  }

  /// Whether this ping is to be answered now; else it replaces the one remembered.
  mutating func mayAnswer(_ payload: [UInt8], at now: Instant) -> Bool {
    guard waiting < limit else {
      if deferred == nil { retryAt = now + Self.retryInterval }
      deferred = payload
      return false
    }
    waiting += 1
    return true
  }

  /// Nothing waits any more; returns the payload to answer now, if one was deferred.
  mutating func release() -> [UInt8]? {
    let payload = deferred
    waiting = payload == nil ? 0 : 1
    deferred = nil
    retryAt = .distantFuture
    return payload
  }

  /// Something still waits: look again later.
  mutating func postpone(at now: Instant) {
    if now >= retryAt { retryAt = now + Self.retryInterval }
  }
}
