import Primitives

/// What a worker is told about how often the fleet sends heartbeats.
struct Pacing: Equatable {
  var interval: Duration
  /// The interval is longer than configured, because the fleet is large: the worker is to send no more, whatever it was
  /// configured with itself.
  var isPaced: Bool
  /// Connections of the coordinator; it matters to workers only when they are thousands.
  var fleet: Int

  /// Fewer make no difference to how a worker reconnects.
  static let smallFleet = 1_000

  /// Whether a worker that was told this must hear of something newer.
  func isOutdated(by newer: Pacing) -> Bool {
    if interval != newer.interval || isPaced != newer.isPaced { return true }
    guard max(fleet, newer.fleet) > Self.smallFleet else { return false }
    return newer.fleet / 3 >= fleet / 2 || newer.fleet <= fleet / 2
  }

  var fields: JSONObject {
    var fields: JSONObject = ["heartbeat_interval_s": .duration(interval)]
    if isPaced { fields.append("paced", true) }
    if fleet > Self.smallFleet { fields.append("fleet", .integer(Int64(fleet))) }
    return fields
  }
}

extension CoordinatorCore {
  /// What workers are told now.
  var pacing: Pacing {
    Pacing(
      interval: pace.interval, isPaced: pace.interval > pace.bounds.min,
      fleet: configuration.adaptsParameters ? connectionCount : 0)
  }

  /// What a worker must be told that it was not told yet; empty, nearly always.
  func newPacing(for worker: WorkerEntry) -> JSONObject {
    let pacing = pacing
    guard let told = worker.told, told.isOutdated(by: pacing) else { return JSONObject() }
    return tell(worker, pacing)
  }

  func tell(_ worker: WorkerEntry, _ pacing: Pacing) -> JSONObject {
    // It has learnt another rhythm.
    if let told = worker.told, told.interval != pacing.interval { worker.detector = inForce.detector(at: now) }
    worker.told = pacing
    return pacing.fields
  }
}
