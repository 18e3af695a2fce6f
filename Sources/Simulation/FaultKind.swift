/// What a seed may draw, by the names that `lifeline simulate --faults` takes.
public enum FaultKind: String, CaseIterable, Sendable {
  /// A connection is reset, in the middle of whatever it carried.
  case cut
  /// A connection carries nothing any more, and nobody is told.
  case blackHole = "black-hole"
  /// The same in one direction only.
  case oneWay = "one-way"
  /// One end hears that the connection has ended, the other never does.
  case halfOpen = "half-open"
  /// A partition, of both ways or one, that the connection outlives: everything arrives late.
  case hold
  /// A line that takes its time.
  case slow
  /// A connection takes no more than it has for a while, in either direction: what is sent waits at its sender.
  case congested
  /// A bit of a message changes, in either direction.
  case corrupt
  /// A worker's process dies, or its whole machine.
  case killWorker = "kill-worker"
  /// The coordinator's process dies, with commits under way; one of them, where there are several.
  case killCoordinator = "kill-coordinator"
  /// Both die, in either order.
  case killBoth = "kill-both"
  /// A worker's process stands still, often for longer than its lease.
  case freezeWorker = "freeze-worker"
  /// The coordinator's process does.
  case freezeCoordinator = "freeze-coordinator"
  /// Nobody reaches the coordinator.
  case unreachable
  /// Everyone is cut off, and told to come back later.
  case refuse
  /// A worker is asked to leave, hands back what it does not finish in time, and is started again.
  case drainWorker = "drain-worker"
  /// The coordinator sends everyone away, one after the other, and ends in order; another follows.
  case drainCoordinator = "drain-coordinator"
  /// The wall clock steps by an hour, back or forth.
  case clock
  /// Of several coordinators one loses the store that they share, or all do.
  case store
  /// What several coordinators tell each other is often lost.
  case messages
  /// A worker does not reach one of several coordinators any more, and does reach the others.
  case partition
  /// A worker's machine is gone for good, and its disk with it; another one comes, under another name.
  case loseWorker = "lose-worker"

  /// Those that are drawn with one coordinator as well.
  public static let ofOne = allCases.filter { !$0.isOfSeveral }
  public var isOfSeveral: Bool {
    switch self {
    case .store, .messages, .partition, .loseWorker: true
    default: false
    }
  }
}
