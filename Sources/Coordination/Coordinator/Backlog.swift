import CoordinationCore

/// What came in and waits for the store: when it is too much, nothing more is read from anybody until the store has
/// caught up.
struct Backlog {
  /// Writes waiting for the store.
  static let maxWrites = 200_000
  /// The bytes that were received for them.
  static let maxBytes = 256 << 20
  /// Submitted tasks that are looked for in the store.
  static let maxSubmissions = 100_000

  private var bytes = 0
  private(set) var isTooLong = false

  mutating func took(_ bytes: Int) { self.bytes += bytes }

  /// All that was received is in the commit that begins.
  mutating func handedOver() { bytes = 0 }

  /// Looks at the core after a turn.
  /// - Returns: whether it has become too long, or is no longer; `nil` when that is as before.
  mutating func change(_ core: CoordinatorCore) -> Bool? {
    if core.pendingWrites == 0 { bytes = 0 }
    let isTooLong =
      core.pendingWrites > Self.maxWrites || bytes > Self.maxBytes || core.waitingSubmissions > Self.maxSubmissions
    guard isTooLong != self.isTooLong else { return nil }
    self.isTooLong = isTooLong
    return isTooLong
  }
}

@available(*, unavailable) extension Backlog: Sendable {}
