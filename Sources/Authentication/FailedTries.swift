import Primitives

/// How often an address may fail to prove who it is: a few times at once, and then now and then. A success gives nothing
/// back, or whoever has one key could try others without end.
struct FailedTries {
  let burst: Int
  /// After this long one more failure is borne.
  let interval: Duration
  let capacity: Int
  /// When each address's bucket will be full again.
  private var fullAt: [String: Instant] = [:]

  init(burst: Int = 20, interval: Duration = .seconds(2), capacity: Int = 10_000) {
    self.burst = max(1, burst)
    self.interval = interval
    self.capacity = max(1, capacity)
  }

  var count: Int { fullAt.count }

  /// How long the address must wait before it may try again; `nil`: it may now.
  func wait(of address: String, at now: Instant) -> Duration? {
    guard let fullAt = fullAt[address] else { return nil }
    let excess = fullAt - now - interval * (burst - 1)
    return excess > .zero ? excess : nil
  }

  mutating func failed(_ address: String, at now: Instant) {
    if fullAt[address] == nil, fullAt.count >= capacity { makeRoom(at: now) }
    fullAt[address] = max(fullAt[address] ?? now, now) + interval
  }

  /// Whoever failed least is forgotten first, so a flood of addresses cannot free one that failed often. A tenth at a time,
  /// so that it cannot make us look through all of them for each of its own either.
  private mutating func makeRoom(at now: Instant) {
    fullAt = fullAt.filter { $0.value > now }
    guard fullAt.count >= capacity else { return }
    let kept = fullAt.sorted { $0.value > $1.value }.prefix(capacity - max(1, capacity / 10))
    fullAt = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
  }
}
