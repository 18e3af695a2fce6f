import Primitives

/// What a worker was configured with, and what its parameters never leave.
struct WorkerBounds: Equatable {
  var heartbeatInterval: Duration
  var heartbeatTimeout: Duration
  var reconnectDelay: Duration
  var maxReconnectDelay: Duration
}

/// How a worker's connection fares, as far as its parameters depend on it.
struct ConnectionConditions: Equatable {
  /// The interval that the coordinator asks for; `nil`: it asks for none.
  var askedInterval: Duration?
  /// Whether it asks for no more heartbeats than that, for its fleet is large.
  var isPaced = false
  var lease: Duration = .seconds(30)
  /// How many connections the coordinator has, when it says so.
  var fleet = 0
  /// RFC 6298's SRTT and RTTVAR; `nil` before anything was measured.
  var roundTrip: Duration?
  var roundTripVariation: Duration = .zero
  /// Whether the connection was lost so often lately that it will most likely be lost again soon.
  var isUnstable = false
}

/// A worker's parameters as functions of conditions, within configured bounds.
///
/// | | usually | follows |
/// | --- | --- | --- |
/// | heartbeat interval | the configured one, or the coordinator's if that is shorter | half while the connection is unstable, so that losing it is noticed sooner; no shorter than two round trips; the coordinator's, when its fleet is large |
/// | patience | half of the timeout | the interval, and what two answers may take over this line |
/// | reconnect delay | the configured one | no shorter than two round trips; twice it while the connection is unstable; a fleet's worth of connections at 2,000 a second |
///
/// An interval is never longer than a third of the lease, nor is one made longer than half of the timeout; patience never
/// exceeds the timeout, at which silence is found whatever was measured; a delay never exceeds the configured longest.
/// A small fleet over a fast line is in the middle column, always.
struct WorkerParameters: Equatable {
  /// Connections that a coordinator is taken to admit in a second.
  static let connectionsPerSecond = 2_000

  var heartbeatInterval: Duration
  var patience: Duration
  var reconnectDelay: Duration

  /// Without any adaptation: three chances within a lease, whoever was told what.
  init(fixed bounds: WorkerBounds, _ conditions: ConnectionConditions) {
    heartbeatInterval = min(
      bounds.heartbeatInterval, conditions.askedInterval ?? bounds.heartbeatInterval, conditions.lease / 3)
    patience = bounds.heartbeatTimeout / 2
    reconnectDelay = bounds.reconnectDelay
  }

  init(_ bounds: WorkerBounds, _ conditions: ConnectionConditions) {
    self.init(fixed: bounds, conditions)
    let roundTrip = conditions.roundTrip ?? .zero
    if conditions.isPaced, let asked = conditions.askedInterval {
      heartbeatInterval = max(heartbeatInterval, asked)
    } else if conditions.isUnstable {
      heartbeatInterval = heartbeatInterval / 2
    }
    heartbeatInterval = max(heartbeatInterval, roundTrip * 2)
    let unadapted = min(bounds.heartbeatInterval, conditions.askedInterval ?? bounds.heartbeatInterval)
    heartbeatInterval = min(heartbeatInterval, max(unadapted, bounds.heartbeatTimeout / 2), conditions.lease / 3)
    let answers = (roundTrip + conditions.roundTripVariation * 4) * 2
    patience = min(max(patience, heartbeatInterval + answers), bounds.heartbeatTimeout)
    let fleet = Duration.milliseconds(Int64(clamping: conditions.fleet) / Int64(Self.connectionsPerSecond / 1_000))
    var delay = max(reconnectDelay, roundTrip * 2, fleet)
    if conditions.isUnstable { delay = delay * 2 }
    reconnectDelay = min(delay, max(bounds.reconnectDelay, bounds.maxReconnectDelay))
  }
}
