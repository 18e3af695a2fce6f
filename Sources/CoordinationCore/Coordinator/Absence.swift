import Primitives

/// Why and since when a worker is not there.
///
/// How long its tasks wait for it depends on what its going away says about it:
///
/// | | found by | its tasks may go to others |
/// | --- | --- | --- |
/// | `closed` | the end of the connection: its process most likely died | after `closedGrace` |
/// | `silent` | nothing heard for longer than its own rhythm explains: it hangs, or its machine is gone | half a heartbeat later |
/// | `restored` | the store says that it held tasks, and this coordinator never met it | after `heartbeatTimeout` |
/// | `legacy` | either; its words about an attempt carry no number that could be refused | at its lease's end |
///
/// When most of the fleet is away at once, the network is at fault and not the workers; then the tasks of silent ones
/// wait for the lease, and those of closed ones for `heartbeatTimeout`. With `exclusiveLeases` all wait for the lease.
struct Absence {
  enum Kind { case closed, silent, restored, legacy }

  let kind: Kind
  let since: Instant
  /// Most of the fleet went away with it: its tasks wait for it longer.
  var isOutage = false

  /// When others may be given its tasks; the lease's end comes before everything.
  func ends(_ configuration: CoordinatorConfiguration) -> Instant {
    guard !configuration.exclusiveLeases else { return .distantFuture }
    switch kind {
    case .closed:
      let grace = configuration.closedGrace
      return since + (isOutage ? max(grace, configuration.heartbeatTimeout) : grace)
    // Half a heartbeat more: time for the silence of the others to show, if it is not this worker's alone.
    case .silent: return isOutage ? .distantFuture : since + configuration.heartbeatInterval / 2
    case .restored: return isOutage ? .distantFuture : since + configuration.heartbeatTimeout
    case .legacy: return .distantFuture
    }
  }
}

extension CoordinatorConfiguration {
  /// Silence that an undisturbed worker does not show.
  private var lateness: Duration { heartbeatInterval + heartbeatInterval / 4 }

  /// Whether so much of the fleet is away that the network must be at fault: more than half of those not given up
  /// yet, and at least two.
  func isOutage(_ workers: some Sequence<WorkerEntry>, at now: Instant) -> Bool {
    var (all, away) = (0, 0)
    for worker in workers where worker.link != nil || worker.absence != nil {
      all += 1
      if worker.link == nil || now - worker.lastHeard > lateness { away += 1 }
    }
    return away >= 2 && away * 2 > all
  }

  /// Watches one worker's heartbeats. A short window: it is kept for each of a hundred thousand workers.
  func detector(at now: Instant) -> PhiAccrualDetector {
    PhiAccrualDetector(
      PhiAccrualDetector.Configuration(
        minimum: heartbeatTimeout * 2 / 3, maximum: heartbeatTimeout, expectedGap: heartbeatInterval,
        deviationMin: heartbeatInterval / 10, windowCount: 8), at: now)
  }

  /// A legacy worker counts down no lease of its own, so ours need not be as long as a session's.
  func lease(_ mode: ConnectionMode?) -> Duration { mode == .legacy ? min(lease, heartbeatTimeout * 2) : lease }

  /// How often absences and leases are looked at: often enough to matter little beside the times they are compared with.
  var sweepInterval: Duration {
    min(max(min(heartbeatTimeout / 30, lease / 20), .milliseconds(20)), .milliseconds(500))
  }
}
