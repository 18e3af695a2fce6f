public import CoordinationCore

/// How much a coordinator lets in, and how long it bears with peers that do not read.
///
/// The defaults admit a fleet of 5,000 in its first second and a larger one at a pace that leaves a core free for those
/// that are connected already. One address may have as many connections as `lifeline fleet` has workers, because a whole
/// site may stand behind one address, and no more than a fifth of all, so that one site cannot lock out the others.
public struct AdmissionSettings: Sendable {
  /// Upgrades admitted; workers and clients are counted apart, so that a herd of workers does not keep out their operator.
  public var upgrades = Admission.Limits()
  /// Of all connections, those in the handshake included; more are answered 503 with `Retry-After`.
  public var maxConnections = 100_000
  /// Of those from one IPv4 address or one IPv6 network of 64 bits; more are answered 429 with `Retry-After`.
  public var maxConnectionsPerAddress = 20_000
  /// How long a peer may leave more unread than its connection's low watermark, and a worker its messages unacknowledged.
  public var slowReaders = SlowReaders<UInt64>.Limits()

  public init() {}

  /// What a coordinator holds for one peer that does not read, in bytes: beyond it the connection is cut at once.
  static let maxUnreadBytes = 32 << 20
  /// Connections beyond the limits that may be there at once, to be told so; beyond these they are cut unheard.
  public static let maxRefusedAtOnce = 256
  /// What somebody who finds all places taken is told to wait: places come free one by one.
  static let fullRetryAfter: Duration = .seconds(10)
}
