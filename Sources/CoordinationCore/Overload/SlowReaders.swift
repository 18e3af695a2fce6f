public import Primitives

/// Connections whose peers do not read what is sent to them, from the high watermark to the low one.
///
///     rose ──▶ held back: no work, no requests ──┬── drained: as if nothing had been
///                                                ├── less than `minBytes` read within `timeout`: dropped
///                                                └── all together hold too much: the largest is dropped
///
/// One that reads slowly and steadily is left alone. A value: the shell says how much waits for each, how much it has
/// read, and when it is.
public struct SlowReaders<ID: Hashable & Comparable & Sendable>: Sendable {
  public struct Limits: Equatable, Sendable {
    /// How long a peer may stay above the low watermark without having read `minBytes`.
    public var timeout: Duration
    /// What counts as reading, in bytes each `timeout`.
    public var minBytes: Int
    /// What may wait for all of them together, in bytes.
    public var maxBytes: Int

    public init(timeout: Duration = .seconds(30), minBytes: Int = 64 << 10, maxBytes: Int = 256 << 20) {
      self.timeout = timeout
      self.minBytes = minBytes
      self.maxBytes = maxBytes
    }
  }

  /// What is known of a peer's buffer, in bytes.
  public struct Reading: Equatable, Sendable {
    /// What waits to be written.
    public var pending: Int
    /// What was taken out of the buffer since some moment before it became slow.
    public var taken: Int

    public init(pending: Int, taken: Int) {
      self.pending = pending
      self.taken = taken
    }
  }

  /// Why one is dropped.
  public enum Cause: Equatable, Sendable, CustomStringConvertible {
    case time(Duration, bytes: Int)
    case memory(bytes: Int, ofAll: Int)

    public var description: String {
      switch self {
      case .time(let duration, let bytes): "\(bytes) bytes were not read for \(duration.wholeMilliseconds) ms"
      case .memory(let bytes, let all): "\(bytes) of \(all) bytes that were not read are its own"
      }
    }
  }

  public let limits: Limits
  /// When each last had read enough, and how much it had read by then.
  private var since: [ID: (time: Instant, taken: Int)] = [:]

  public init(_ limits: Limits = Limits()) {
    self.limits = limits
  }

  public var isEmpty: Bool { since.isEmpty }
  public var count: Int { since.count }

  /// More waits for it than the high watermark.
  /// - Parameter taken: as in `Reading`.
  public mutating func rose(_ id: ID, taken: Int, at now: Instant) {
    if since[id] == nil { since[id] = (time: now, taken: taken) }
  }

  /// It has caught up, or is gone.
  public mutating func drained(_ id: ID) { since[id] = nil }

  /// Those that are to be dropped, which are forgotten here: at least once a second is early enough.
  public mutating func due(at now: Instant, reading: (ID) -> Reading) -> [(id: ID, cause: Cause)] {
    var dropped: [(id: ID, cause: Cause)] = []
    var rest: [(id: ID, bytes: Int)] = []
    for (id, start) in since.sorted(by: { $0.key < $1.key }) {
      let reading = reading(id)
      if reading.taken - start.taken >= limits.minBytes {
        since[id] = (time: now, taken: reading.taken)
      } else if now - start.time >= limits.timeout {
        dropped.append((id: id, cause: .time(now - start.time, bytes: reading.pending)))
        continue
      }
      rest.append((id: id, bytes: reading.pending))
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
