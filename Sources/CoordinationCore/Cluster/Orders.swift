import Primitives

/// What is asked here of tasks and workers that are elsewhere.
///
///     request ─▶ not known here ─▶ locate ─┬─ nowhere ─────────────▶ answer
///                      ▲                    ├─ was in the pool ─────▶ ours now: once more
///                      └── not there either ┴─ another holds it ────▶ order ─▶ its answer
///
/// Of a worker that is not known here all others are asked, and of all workers, each for its own.
struct Orders {
  static let patience: Duration = .seconds(1)
  /// What all others are asked is asked again within that patience.
  static let repetition: Duration = .milliseconds(300)
  /// A task may move while it is looked for.
  static let maxTries = 8

  private struct Open {
    let order: ClusterOrder
    var tries = 0
    var number: UInt64 = 0
    /// When it is looked for again, if no answer comes.
    var deadline: Instant = .distantFuture
    /// Of those that were asked for their own workers, who has not answered.
    var awaited: Set<MemberID> = []
    /// When nobody is asked again.
    var givenUpAt: Instant = .distantFuture
  }

  private var open: [RequestID: Open] = [:]
  /// By the number that the order carried.
  private var sent: [UInt64: RequestID] = [:]
  private var lastNumber: UInt64 = 0
  /// Orders of others, by the request that performs each here.
  private var foreign: [RequestID: (member: MemberID, number: UInt64)] = [:]
  private var lastForeign: UInt64 = 0

  /// Those are never the shell's.
  private static let foreignBit: UInt64 = 1 << 63

  /// No later than the first of them.
  private(set) var nextDeadline: Instant = .distantFuture

  mutating func asked(_ id: RequestID, _ request: CoordinatorRequest) {
    if let order = ClusterOrder(request) { open[id] = Open(order: order) }
  }

  /// Another member asks: the request that performs it.
  mutating func ordered(_ number: UInt64, by member: MemberID) -> RequestID {
    lastForeign += 1
    let id = RequestID(Self.foreignBit | lastForeign)
    foreign[id] = (member, number)
    return id
  }

  /// The coordinator has answered.
  /// - Parameter knows: whether a worker is known here.
  mutating func answered(
    _ id: RequestID, _ answer: CoordinatorAnswer, others: Set<MemberID>, knows: (WorkerID) -> Bool, at now: Instant,
    _ effects: inout [ClusterEffect]
  ) {
    if let (member, number) = foreign.removeValue(forKey: id) {
      effects.append(.send(.answer(number, answer), to: member))
      return
    }
    if let order = open[id]?.order {
      if case .notLive(let task) = answer { return locate(id, task, &effects) }
      if !others.isEmpty, open[id]?.number == 0, isOthers(order, answer, knows) {
        open[id]?.awaited = others
        open[id]?.givenUpAt = now + Self.patience
        return send(id, to: nil, by: now + Self.repetition, &effects)
      }
    }
    finish(id, answer, &effects)
  }

  /// Whether others have a part in it, whatever the answer is here.
  private func isOthers(_ order: ClusterOrder, _ answer: CoordinatorAnswer, _ knows: (WorkerID) -> Bool) -> Bool {
    if case .telemetry(nil) = order { return true }
    guard let worker = order.worker, case .refused = answer else { return false }
    return !knows(worker)
  }

  mutating func located(
    _ id: RequestID, heldBy member: MemberID, isMember: Bool, at now: Instant, _ effects: inout [ClusterEffect]
  ) {
    guard open[id] != nil else { return }
    // One that is on its way between two, or whose member has died, is found elsewhere in a moment.
    guard isMember else {
      expect(id, by: now + Self.patience / 5)
      return
    }
    send(id, to: member, by: now + Self.patience, &effects)
  }

  mutating func nowhere(_ id: RequestID, _ effects: inout [ClusterEffect]) {
    guard let task = open[id]?.order.task else { return }
    finish(id, .notLive(task), &effects)
  }

  /// The order to perform here after all.
  func request(_ id: RequestID) -> CoordinatorRequest? { open[id]?.order.request }

  /// Another member has answered.
  mutating func answered(
    _ number: UInt64, _ answer: CoordinatorAnswer, by member: MemberID, _ effects: inout [ClusterEffect]
  ) {
    guard let id = sent[number], let order = open[id]?.order else { return }
    switch answer {
    case .notLive(let task):
      open[id]?.deadline = .distantFuture
      locate(id, task, &effects)
    case .refused where order.task == nil:
      // Of a worker everybody is asked, and most do not know it.
      break
    default:
      open[id]?.awaited.remove(member)
      if case .telemetry(nil) = order, open[id]?.awaited.isEmpty == false { return }
      finish(id, answer, &effects)
    }
  }

  private mutating func expect(_ id: RequestID, by deadline: Instant) {
    open[id]?.deadline = deadline
    nextDeadline = min(nextDeadline, deadline)
  }

  mutating func tick(at now: Instant, _ effects: inout [ClusterEffect]) {
    guard now >= nextDeadline else { return }
    defer { nextDeadline = open.values.lazy.map(\.deadline).min() ?? .distantFuture }
    for id in open.filter({ $0.value.deadline <= now }).keys.sorted(by: { $0.number < $1.number }) {
      open[id]?.deadline = .distantFuture
      guard let order = open[id]?.order else { continue }
      if let task = order.task { locate(id, task, &effects) } else { askAgain(id, order, at: now, &effects) }
    }
  }

  /// All others were asked, and not all have answered.
  private mutating func askAgain(
    _ id: RequestID, _ order: ClusterOrder, at now: Instant, _ effects: inout [ClusterEffect]
  ) {
    guard let entry = open[id], now < entry.givenUpAt else {
      switch order {
      case .telemetry(nil): return finish(id, .done, &effects)
      case .telemetry(let worker?):
        let text = "worker \(worker) is not connected, or cannot be asked for telemetry"
        return finish(id, .refused(text), &effects)
      default: return finish(id, .refused(order.worker.map { "there is no worker \($0)" } ?? "no answer"), &effects)
      }
    }
    for member in entry.awaited.sorted() { effects.append(.send(.order(entry.number, order), to: member)) }
    expect(id, by: min(now + Self.repetition, entry.givenUpAt))
  }

  private mutating func locate(_ id: RequestID, _ task: TaskID, _ effects: inout [ClusterEffect]) {
    guard let tries = open[id]?.tries, tries < Self.maxTries else {
      return finish(
        id, .refused("the coordinator that holds task \(task) did not answer; try again in a moment"), &effects)
    }
    open[id]?.tries += 1
    effects.append(.locate(id, task))
  }

  private mutating func send(
    _ id: RequestID, to member: MemberID?, by deadline: Instant, _ effects: inout [ClusterEffect]
  ) {
    guard let order = open[id]?.order else { return }
    lastNumber += 1
    if let old = open[id]?.number { sent[old] = nil }
    open[id]?.number = lastNumber
    expect(id, by: deadline)
    sent[lastNumber] = id
    effects.append(.send(.order(lastNumber, order), to: member))
  }

  private mutating func finish(_ id: RequestID, _ answer: CoordinatorAnswer, _ effects: inout [ClusterEffect]) {
    if let number = open.removeValue(forKey: id)?.number { sent[number] = nil }
    effects.append(.coordinator(.answer(id, answer)))
  }
}
