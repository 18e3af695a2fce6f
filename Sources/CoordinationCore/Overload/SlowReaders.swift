public import Primitives

/// Connections whose peers do not read what is sent to them, from the high watermark to the low one.
///
///     rose ──▶ held back: no work, no requests ──┬── drained: as if nothing had been
///                                                ├── `timeout` later: dropped
///                                                └── all together hold too much: the largest is dropped
///
/// A value: the shell says how much waits for each, and when it is.
public struct SlowReaders<ID: Hashable & Comparable & Sendable>: Sendable {
  public struct Limits: Equatable, Sendable {
    /// How long a peer may stay above the low watermark.
    public var timeout: Duration
    /// What may wait for all of them together, in bytes.
    public var maxBytes: Int

    public init(timeout: Duration = .seconds(30), maxBytes: Int = 256 << 20) {
      self.timeout = timeout
      self.maxBytes = maxBytes
    }
  }

  /// Why one is dropped.
  public enum Cause: Equatable, Sendable, CustomStringConvertible {
    case time(Duration, bytes: Int)
    case memory(bytes: Int, ofAll: Int)

    public var description: String {
      switch self {
      case .time(let duration, let bytes): "\(bytes) bytes were not read for \(duration.wholeMilliseconds / 1_000) s"
      case .memory(let bytes, let all): "\(bytes) of \(all) bytes that were not read are its own"
      }
    }
  }

  public let limits: Limits
  private var since: [ID: Instant] = [:]

  public init(_ limits: Limits = Limits()) {
    self.limits = limits
  }

  public var isEmpty: Bool { since.isEmpty }
  public var count: Int { since.count }

  /// More waits for it than the high watermark.
  public mutating func rose(_ id: ID, at now: Instant) { if since[id] == nil { since[id] = now } }

  /// It has caught up, or is gone.
  public mutating func drained(_ id: ID) { since[id] = nil }

  /// Those that are to be dropped, which are forgotten here: at least once a second is early enough.
  /// - Parameter pending: how many bytes wait for one.
  public mutating func due(at now: Instant, pending: (ID) -> Int) -> [(id: ID, cause: Cause)] {
    var dropped: [(id: ID, cause: Cause)] = []
    var rest: [(id: ID, bytes: Int)] = []
    for (id, start) in since.sorted(by: { $0.key < $1.key }) {
      let bytes = pending(id)
      if now - start >= limits.timeout {
        dropped.append((id: id, cause: .time(now - start, bytes: bytes)))
      } else {
        rest.append((id: id, bytes: bytes))
      }
    }
    var all = rest.reduce(0) { $0 &+ $1.bytes }
    if all > limits.maxBytes {
      for entry in rest.sorted(by: { ($1.bytes, $0.id) < ($0.bytes, $1.id) }) {
        guard all > limits.maxBytes else { break }
        dropped.append((id: entry.id, cause: .memory(bytes: entry.bytes, ofAll: all)))
        all -= entry.bytes
      }
    }
    for drop in dropped { since[drop.id] = nil }
    return dropped
  }
}
