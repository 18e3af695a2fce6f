/// The nonces seen within the window in which a request is believed: each counts once.
struct NonceCache {
  private var seen: Set<String> = []
  /// In the order of their coming.
  private var order: [(nonce: String, milliseconds: Int64)] = []
  private var head = 0
  let window: Int64
  let capacity: Int

  enum Verdict { case fresh, replayed, full }

  /// - Parameter window: how far from now a believed request's time may be, in milliseconds. A nonce is kept for twice as
  ///   long, since a request of the near future stays good until that has passed.
  init(window: Int64, capacity: Int) {
    self.window = window
    self.capacity = capacity
  }

  mutating func take(_ nonce: String, at now: Int64) -> Verdict {
    while head < order.count, now.subtractingReportingOverflow(order[head].milliseconds).partialValue > 2 * window {
      seen.remove(order[head].nonce)
      head += 1
    }
    if head * 2 > order.count {
      order.removeFirst(head)
      head = 0
    }
    guard !seen.contains(nonce) else { return .replayed }
    // Forgetting one would let it be replayed.
    guard seen.count < capacity else { return .full }
    seen.insert(nonce)
    order.append((nonce: nonce, milliseconds: now))
    return .fresh
  }
}
