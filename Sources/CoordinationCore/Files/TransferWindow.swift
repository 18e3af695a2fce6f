public import Primitives

/// How much of files may be on its way at once over one connection, in one direction.
///
/// What is on its way delays whatever else has to go the same way, heartbeats first of all. So it begins with one small
/// piece, grows while answers come quickly, and shrinks when they take long: on a line of half a megabit a heartbeat
/// waits a second, and on a fast one the window never matters.
public struct TransferWindow: Equatable, Sendable {
  public static let minBytes = 64 << 10
  public static let maxBytes = 2 << 20
  /// Answers that take less let it grow, by what was answered.
  static let quick: Duration = .milliseconds(100)
  /// Answers that take more halve it.
  static let slow: Duration = .milliseconds(400)

  public private(set) var bytes = Self.minBytes
  /// A piece sent before it was halved says nothing about what it is now.
  private var changedAt: Instant = .zero

  public init() {}

  /// The size of one piece: several are on their way at once, so that neither end waits for the other.
  public var chunkBytes: Int { min(max(bytes / 4, Self.minBytes), FileLimits.maxChunkBytes) }

  public mutating func answered(_ count: Int, askedAt: Instant, at now: Instant) {
    let time = now - askedAt
    if time < Self.quick {
      bytes = min(bytes + count, Self.maxBytes)
    } else if time > Self.slow, askedAt >= changedAt {
      bytes = max(bytes / 2, Self.minBytes)
      changedAt = now
    }
  }

  /// A new connection may be another line.
  public mutating func restart() { self = TransferWindow() }
}
