import Primitives

/// How often an address may fail to prove who it is: a few times at once, and then now and then.
struct FailedTries {
  private struct Bucket {
    var tokens: Double
    var filledAt: Instant
  }

  private var buckets: [String: Bucket] = [:]
  /// In the order of their first failure; who is full again is let go of from here.
  private var order: [String] = []
  let burst: Double
  let perSecond: Double
  let capacity: Int

  init(burst: Double = 20, perSecond: Double = 0.5, capacity: Int = 65_536) {
    self.burst = burst
    self.perSecond = perSecond
    self.capacity = capacity
  }

  /// How long the address must wait before it may try again; `nil`: it may now.
  func wait(of address: String, at now: Instant) -> Duration? {
    guard let bucket = buckets[address] else { return nil }
    let tokens = filled(bucket, now)
    return tokens >= 1 ? nil : .seconds((1 - tokens) / perSecond)
  }

  mutating func failed(_ address: String, at now: Instant) {
    if let bucket = buckets[address] {
      buckets[address] = Bucket(tokens: max(0, filled(bucket, now) - 1), filledAt: now)
      return
    }
    letGo(at: now)
    // A table that is full of others' failures must not lock anybody else out, nor grow.
    guard buckets.count < capacity else { return }
    buckets[address] = Bucket(tokens: burst - 1, filledAt: now)
    order.append(address)
  }

  private func filled(_ bucket: Bucket, _ now: Instant) -> Double {
    min(burst, bucket.tokens + max(0, (now - bucket.filledAt).inSeconds) * perSecond)
  }

  private mutating func letGo(at now: Instant) {
    guard buckets.count >= capacity else { return }
    let full = order.filter { address in buckets[address].map { filled($0, now) >= burst } ?? true }
    for address in full { buckets[address] = nil }
    let gone = Set(full)
    order.removeAll { gone.contains($0) }
  }
}
