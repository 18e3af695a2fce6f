import Primitives

/// How long a worker has spoken without acknowledging the oldest message that it was sent.
///
/// Only time in which it was heard counts: while the coordinator itself reads from nobody, because its store is slow,
/// acknowledgements lie unread as well.
struct UnreadTime {
  private(set) var total: Duration = .zero
  private var oldest: UInt64?

  /// - Parameters:
  ///   - gap: since the worker was last heard.
  ///   - bound: more than this is not its silence but our own.
  ///   - oldestUnacknowledged: the number of the first message that waits for its acknowledgement; `nil` when none does.
  mutating func heard(after gap: Duration, atMost bound: Duration, oldestUnacknowledged: UInt64?) {
    guard let oldestUnacknowledged, oldestUnacknowledged == oldest else {
      oldest = oldestUnacknowledged
      total = .zero
      return
    }
    total += min(gap, bound)
  }

  mutating func reset() { self = UnreadTime() }
}
