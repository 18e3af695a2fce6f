import Primitives

/// What a draining worker does about attempts that are still running.
///
///     drain ── timeout ──▶ checkpoints are asked for ── checkpointGrace ──▶ asked to end ── stopGrace ──▶ ended
///                                                                                     ── deliveryGrace ──▶ the worker leaves
///
/// Without a timeout it waits for their ends.
struct Handover {
  enum Step: Equatable { case askForCheckpoints, askToEnd, end, leave }

  /// How long attempts may take to write the checkpoint they were asked for.
  static let checkpointGrace: Duration = .seconds(1)
  /// How long attempts may take to end by themselves when asked to.
  static let stopGrace: Duration = .seconds(2)
  /// How long the coordinator may take to acknowledge what is left.
  static let deliveryGrace: Duration = .seconds(1)

  private var steps: [(step: Step, at: Instant)] = []
  private var taken = 0
  /// Whether the worker still hopes to deliver what it owes, even over a new connection.
  private(set) var mayDeliver = false
  /// Whether attempts have been asked for the checkpoint that they are handed back with.
  private(set) var hasAskedForCheckpoints = false

  /// Whether the worker leaves whatever is left.
  var isOver: Bool { !steps.isEmpty && taken == steps.count && !mayDeliver }
  /// When the next step is due.
  var deadline: Instant { taken < steps.count ? steps[taken].at : .distantFuture }

  mutating func begin(at now: Instant, timeout: Duration?) {
    guard let timeout, steps.isEmpty else { return }
    mayDeliver = true
    let asking = now + max(.zero, timeout)
    let stopping = asking + Self.checkpointGrace
    let ending = stopping + Self.stopGrace
    steps = [
      (step: .askForCheckpoints, at: asking), (step: .askToEnd, at: stopping), (step: .end, at: ending),
      (step: .leave, at: ending + Self.deliveryGrace),
    ]
  }

  /// The next step, if its time has come.
  mutating func next(at now: Instant) -> Step? {
    guard now >= deadline else { return nil }
    defer { taken += 1 }
    switch steps[taken].step {
    case .askForCheckpoints: hasAskedForCheckpoints = true
    case .leave: mayDeliver = false
    case .askToEnd, .end: break
    }
    return steps[taken].step
  }

  /// The worker is told to end at once: nothing is waited for any more.
  mutating func abandon() {
    mayDeliver = false
    steps = []
    taken = 0
  }
}
