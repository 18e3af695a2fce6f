import Primitives

/// What is asked here of tasks and workers that are elsewhere.
///
///     request ─▶ not known here ─▶ locate ─┬─ nowhere ─────────────▶ answer
///                      ▲                    ├─ was in the pool ─────▶ ours now: once more
///                      └── not there either ┴─ another holds it ────▶ order ─▶ its answer
struct Orders {
  static let patience: Duration = .seconds(1)
  /// A task may move while it is looked for.
  static let maxTries = 8

  private struct Open {
    let order: ClusterOrder
    var tries = 0
    var number: UInt64 = 0
    /// When it is looked for again, if no answer comes.
    var deadline: Instant = .distantFuture
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
    _ id: RequestID, _ answer: CoordinatorAnswer, others: Bool, knows: (WorkerID) -> Bool, at now: Instant,
    _ effects: inout [ClusterEffect]
  ) {
    if let (member, number) = foreign.removeValue(forKey: id) {
      effects.append(.send(.answer(number, answer), to: member))
      return
    }
    if let order = open[id]?.order {
      if case .notLive(let task) = answer { return locate(id, task, &effects) }
      if case .drainWorker(let worker) = order, case .refused = answer, others, !knows(worker), open[id]?.number == 0 {
        return send(id, to: nil, at: now, &effects)
      }
    }
    finish(id, answer, &effects)
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
    send(id, to: member, at: now, &effects)
  }

  mutating func nowhere(_ id: RequestID, _ effects: inout [ClusterEffect]) {
    guard let task = open[id]?.order.task else { return }
    finish(id, .notLive(task), &effects)
  }

  /// The order to perform here after all.
  func request(_ id: RequestID) -> CoordinatorRequest? { open[id]?.order.request }

  /// Another member has answered.
  mutating func answered(_ number: UInt64, _ answer: CoordinatorAnswer, _ effects: inout [ClusterEffect]) {
    guard let id = sent[number], let order = open[id]?.order else { return }
    switch answer {
    case .notLive(let task):
      open[id]?.deadline = .distantFuture
      locate(id, task, &effects)
    case .refused where order.task == nil:
      // Of a worker everybody is asked, and most do not know it.
      break
    default: finish(id, answer, &effects)
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
      switch open[id]?.order {
      case .drainWorker(let worker): finish(id, .refused("there is no worker \(worker)"), &effects)
      case let order?: if let task = order.task { locate(id, task, &effects) }
      case nil: break
      }
    }
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
    _ id: RequestID, to member: MemberID?, at now: Instant, _ effects: inout [ClusterEffect]
  ) {
    guard let order = open[id]?.order else { return }
    lastNumber += 1
    if let old = open[id]?.number { sent[old] = nil }
    open[id]?.number = lastNumber
    expect(id, by: now + Self.patience)
    sent[lastNumber] = id
    effects.append(.send(.order(lastNumber, order), to: member))
  }

  private mutating func finish(_ id: RequestID, _ answer: CoordinatorAnswer, _ effects: inout [ClusterEffect]) {
    if let number = open.removeValue(forKey: id)?.number { sent[number] = nil }
    effects.append(.coordinator(.answer(id, answer)))
  }
}
