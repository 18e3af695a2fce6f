import Primitives

/// Follows a worker's conditions and says when a parameter changes.
///
/// A parameter changes when the conditions make it differ by a fifth, or when they no longer make it differ from what is
/// configured; what sways by less changes nothing. A connection is unstable from the fifth loss within five minutes on,
/// until at most two lie within the last five minutes.
struct WorkerAdaptation {
  static let memory: Duration = .seconds(300)
  static let lossesUntilUnstable = 5
  static let lossesUntilStable = 2

  private let bounds: WorkerBounds
  private let isOn: Bool
  private var conditions = ConnectionConditions()
  /// When the connection was lost within the last five minutes; the newest `lossesUntilUnstable`.
  private var losses: [Instant] = []
  private(set) var parameters: WorkerParameters

  init(_ bounds: WorkerBounds, isOn: Bool) {
    self.bounds = bounds
    self.isOn = isOn
    conditions.lease = .seconds(86_400)
    parameters = WorkerParameters(fixed: bounds, conditions)
  }

  /// What the coordinator said when it registered the worker; it says nothing of pace then unless its fleet is large.
  mutating func registered(lease: Duration, askedInterval: Duration?, isPaced: Bool, fleet: Int) {
    conditions.lease = lease
    told(askedInterval: askedInterval, isPaced: isPaced, fleet: fleet)
  }

  mutating func told(askedInterval: Duration?, isPaced: Bool, fleet: Int?) {
    conditions.askedInterval = askedInterval
    conditions.isPaced = isPaced && isOn
    if let fleet { conditions.fleet = max(0, fleet) }
  }

  mutating func connectionLost(at now: Instant) {
    losses.append(now)
    if losses.count > Self.lossesUntilUnstable { losses.removeFirst() }
  }

  mutating func measured(_ estimator: RoundTripEstimator) {
    conditions.roundTrip = estimator.smoothed
    conditions.roundTripVariation = estimator.variation
  }

  /// - Returns: what has changed, in a fixed order.
  mutating func update(at now: Instant) -> [ParameterChange] {
    losses.removeAll { now - $0 > Self.memory }
    if losses.count >= Self.lossesUntilUnstable { conditions.isUnstable = true }
    if losses.count <= Self.lossesUntilStable { conditions.isUnstable = false }
    let usual = WorkerParameters(fixed: bounds, conditions)
    guard isOn else {
      parameters = usual
      return []
    }
    let wanted = WorkerParameters(bounds, conditions)
    var changes: [ParameterChange] = []
    adopt(.heartbeatInterval, \.heartbeatInterval, wanted, usual, &changes)
    adopt(.patience, \.patience, wanted, usual, &changes)
    adopt(.reconnectDelay, \.reconnectDelay, wanted, usual, &changes)
    return changes
  }

  private mutating func adopt(
    _ parameter: ParameterChange.Parameter, _ path: WritableKeyPath<WorkerParameters, Duration>,
    _ wanted: WorkerParameters, _ usual: WorkerParameters, _ changes: inout [ParameterChange]
  ) {
    let (old, new) = (parameters[keyPath: path], wanted[keyPath: path])
    let isDue =
      (max(old, new) - min(old, new)) * 5 >= old || new == usual[keyPath: path]
      // A limit is not for hysteresis to exceed.
      || (parameter == .heartbeatInterval && old > conditions.lease / 3)
    guard new != old, isDue else { return }
    parameters[keyPath: path] = new
    changes.append(ParameterChange(parameter: parameter, old: old, new: new, reason: reason(parameter)))
  }

  private func reason(_ parameter: ParameterChange.Parameter) -> String {
    var facts: [String] = []
    if conditions.isUnstable { facts.append("\(losses.count) connections were lost within five minutes") }
    switch parameter {
    case .heartbeatInterval:
      if let asked = conditions.askedInterval {
        let who = conditions.isPaced ? "the coordinator, with many workers, asks" : "the coordinator asks"
        facts.append("\(who) for one every \(asked.wholeMilliseconds) ms")
      }
      facts.append("the lease is \(conditions.lease.wholeMilliseconds) ms")
    case .patience:
      facts.append("a heartbeat is sent every \(parameters.heartbeatInterval.wholeMilliseconds) ms")
    case .reconnectDelay:
      if conditions.fleet > 0 { facts.append("the coordinator has \(conditions.fleet) connections") }
    }
    if let roundTrip = conditions.roundTrip {
      let variation = conditions.roundTripVariation.wholeMilliseconds
      facts.append("a round trip takes \(roundTrip.wholeMilliseconds) ms, give or take \(variation) ms")
    }
    return facts.isEmpty ? "conditions are as usual again" : facts.joined(separator: "; ")
  }
}
