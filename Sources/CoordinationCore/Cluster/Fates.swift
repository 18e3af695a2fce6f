import Primitives

/// What is held against tests, as the store has it: others count there, too.
///
/// It is read when somebody has changed it, now and then besides, and before a task is given out whose test may just have
/// killed a worker. Such a task waits, for a moment, for what is read after it was claimed: it was put into the pool with
/// its kill or behind it, so the count that decides is the store's, as if all workers had died at one coordinator.
struct Fates {
  /// When the store could not be read, and something waits for it.
  static let patience: Duration = .milliseconds(500)

  private let interval: Duration
  private var isReading = false
  private var mustReadAgain = false
  private(set) var nextDeadline: Instant
  /// Tasks that wait for the answer that is under way, and for the one after it.
  private var judged: [UnfinishedTask] = []
  private var waiting: [UnfinishedTask] = []
  /// Commits under way that change something.
  private var batches: Set<BatchID> = []

  init(interval: Duration, at now: Instant) {
    self.interval = interval
    nextDeadline = now + interval
  }

  mutating func committing(_ batch: BatchID, _ writes: [StoreWrite]) {
    if writes.contains(where: { if case .testFate = $0 { true } else { false } }) { batches.insert(batch) }
  }

  mutating func committed(_ batch: BatchID, _ effects: inout [ClusterEffect]) {
    guard batches.remove(batch) != nil else { return }
    effects.append(.send(.testsChanged, to: nil))
    read(&effects)
  }

  /// - Returns: those that may be given out at once.
  mutating func claimed(_ tasks: [UnfinishedTask], _ effects: inout [ClusterEffect]) -> [UnfinishedTask] {
    guard tasks.contains(where: Self.isDoubtful) else { return tasks }
    waiting += tasks.filter(Self.isDoubtful)
    read(&effects)
    return tasks.filter { !Self.isDoubtful($0) }
  }

  private static func isDoubtful(_ task: UnfinishedTask) -> Bool {
    task.task.state.lostAttempts > 0 && task.task.specification.testName != nil
  }

  mutating func read(_ effects: inout [ClusterEffect]) {
    guard !isReading else {
      mustReadAgain = true
      return
    }
    isReading = true
    mustReadAgain = false
    judged += waiting
    waiting = []
    effects.append(.testFates)
  }

  /// - Returns: tasks that waited for it; none when the store could not say.
  mutating func found(
    isKnown: Bool, at now: Instant, _ effects: inout [ClusterEffect]
  ) -> [UnfinishedTask] {
    isReading = false
    nextDeadline = now + interval
    var tasks: [UnfinishedTask] = []
    if isKnown { swap(&tasks, &judged) }
    if mustReadAgain, isKnown {
      read(&effects)
    } else if !isKnown, mustReadAgain || !judged.isEmpty {
      nextDeadline = now + Self.patience
    }
    return tasks
  }

  mutating func tick(at now: Instant, _ effects: inout [ClusterEffect]) {
    guard now >= nextDeadline else { return }
    nextDeadline = now + interval
    read(&effects)
  }
}
