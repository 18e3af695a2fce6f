/// A number that only grows, from 0.
///
/// It belongs to the loop that records into it, as everything here: no lock, no atomic, no other thread. A number from
/// another thread (a store's, say) comes to the loop with the message that reports the work, and is recorded there.
public final class Counter {
  public private(set) var value: UInt64 = 0

  public init() {}

  /// Adds `amount`; after 2⁶⁴ it starts over, which readers of counters expect of a restart as well.
  @inline(__always)
  public func add(_ amount: UInt64 = 1) { value &+= amount }

  /// Adds a count; a negative one, which only a mistake could make, adds nothing.
  @inline(__always)
  public func add(_ amount: Int) { value &+= UInt64(clamping: amount) }
}

@available(*, unavailable) extension Counter: Sendable {}
