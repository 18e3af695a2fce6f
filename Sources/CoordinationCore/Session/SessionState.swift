/// One side of a session: what it has sent and not had acknowledged, and what it has handled of the other side's.
///
/// Both directions number their reliable messages from 1 and acknowledge cumulatively, as XEP-0198 counts stanzas;
/// unlike there, an acknowledgement also promises that the effects are durable.
public struct SessionState: Sendable {
  public enum Arrival: Equatable, Sendable {
    case new
    /// Handled before: a replay after a connection was lost. Dropped.
    case duplicate
    /// Numbers are missing. One connection delivers in order, so the peer is at fault and the connection ends.
    case gap(expected: UInt64)
  }

  public let id: SessionID
  public var outbox: Outbox
  /// Everything up to here was handled; nothing up to here is handled again.
  public private(set) var handled: UInt64 = 0
  /// Everything up to here is durable and may be acknowledged; never more than `handled`.
  public private(set) var durable: UInt64 = 0
  /// What the peer was last told.
  public private(set) var announced: UInt64 = 0

  public init(id: SessionID, limits: Outbox.Limits = Outbox.Limits()) {
    self.id = id
    outbox = Outbox(limits: limits)
  }

  public mutating func arrive(_ sequence: UInt64) -> Arrival {
    if sequence <= handled { return .duplicate }
    guard sequence == handled + 1 else { return .gap(expected: handled + 1) }
    handled = sequence
    return .new
  }

  /// What was handled up to `sequence` has been committed.
  public mutating func markDurable(upTo sequence: UInt64) {
    durable = max(durable, min(sequence, handled))
  }

  /// Whether the peer waits for an acknowledgement it has not been told.
  public var owesAcknowledgement: Bool { durable > announced }

  /// Wraps a body for the wire with the newest acknowledgement, and remembers that it was told.
  public mutating func seal(_ body: [UInt8], sequence: UInt64?) -> [UInt8] { seal(body, sequence: sequence, nil) }

  mutating func seal(_ body: [UInt8], sequence: UInt64?, _ authenticator: MessageAuthenticator?) -> [UInt8] {
    announced = durable
    return Envelope.seal(body, sequence: sequence, acknowledgement: durable, authenticator)
  }

  /// What must be sent again over a new connection.
  public mutating func replay() -> [[UInt8]] { replay(nil) }

  mutating func replay(_ authenticator: MessageAuthenticator?) -> [[UInt8]] {
    outbox.entries.map { seal($0.body, sequence: $0.sequence, authenticator) }
  }
}
