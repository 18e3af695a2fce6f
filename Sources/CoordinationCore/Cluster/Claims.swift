import Primitives

/// When to ask the pool for work, and for which.
///
/// Asked is only what connected workers have room for, and only one question is open. What the pool has is learnt when this
/// member puts something there, when others say that they did, and by asking now and then.
struct Claims {
  /// Tasks that were claimed in vain show that room was counted too high: their kind rests for a moment.
  static let rest: Duration = .milliseconds(200)

  private let pollInterval: Duration
  /// What may be in the pool, in order of hearing of it.
  private var known: [TaskNeeds] = []
  private var isKnown: Set<TaskNeeds> = []
  private var resting: [TaskNeeds: Instant] = [:]
  private var isClaiming = false
  private var isLooking = false
  /// Whether there may be kinds of needs in the pool that are not known.
  private var mustLook = true
  private var looksAt: Instant
  private var asked: (wishes: [ClaimWish], limit: Int)?

  init(pollInterval: Duration, at now: Instant) {
    self.pollInterval = pollInterval
    looksAt = now
  }

  /// When there is something to do although nothing happens.
  var nextDeadline: Instant { min(looksAt, resting.values.min() ?? .distantFuture) }

  mutating func learn(_ needs: some Sequence<TaskNeeds>) {
    for need in needs where isKnown.insert(need).inserted { known.append(need) }
  }

  mutating func poolChanged() { mustLook = true }

  /// What was claimed came back to the pool at once.
  mutating func cameBack(_ needs: Set<TaskNeeds>, at now: Instant) {
    for need in needs { resting[need] = now + Self.rest }
    learn(needs.sorted { $0.text < $1.text })
  }

  mutating func found(_ needs: [TaskNeeds]) {
    isLooking = false
    known = []
    isKnown = []
    learn(needs)
  }

  mutating func claimed(_ tasks: [UnfinishedTask]) {
    isClaiming = false
    guard let asked else { return }
    self.asked = nil
    guard tasks.count < asked.limit else { return }
    var counts: [TaskNeeds: Int] = [:]
    for task in tasks { counts[TaskNeeds(task.task.specification), default: 0] += 1 }
    // Nothing is left of what there were fewer of than asked for.
    let gone = Set(asked.wishes.filter { counts[$0.needs, default: 0] < $0.count }.map(\.needs))
    known.removeAll(where: gone.contains)
    isKnown.subtract(gone)
  }

  mutating func step(_ core: CoordinatorCore, at now: Instant, wall: WallTime, _ effects: inout [ClusterEffect]) {
    resting = resting.filter { $0.value > now }
    if now >= looksAt {
      mustLook = true
      looksAt = now + pollInterval
    }
    guard !isClaiming, !core.isDraining else { return }
    // Counting room takes a look at each worker that has some: only where there is something to fill it with.
    let (wishes, limit) =
      known.isEmpty ? ([], 0) : core.wishes(for: known.lazy.filter { [resting] in resting[$0] == nil })
    if !wishes.isEmpty, limit > 0 {
      isClaiming = true
      asked = (wishes, limit)
      effects.append(.claim(wishes, limit: limit, overdueBefore: core.overdueBefore(wall)))
    } else if mustLook, !isLooking, core.hasRoomForTasks {
      isLooking = true
      mustLook = false
      effects.append(.poolNeeds)
    }
  }
}
