public import CoordinationCore
import Primitives

/// Reads a history, event by event in order of time, and says which rules it breaks.
///
/// The same checker judges simulations, step by step, and runs of real processes, whose histories are read from files
/// afterwards. It believes nobody: each promise (an acknowledgement, an assignment, a forgotten result) is compared with
/// what had become durable by then. Its memory grows with the number of tasks, and not with the length of the history.
public struct HistoryChecker: Sendable {
  public struct Options: Sendable {
    /// Whether attempts at one task must never run at the same time.
    public var exclusiveLeases: Bool
    /// Of several coordinators that share a store: whether `committed` is told at the instant at which the store had it,
    /// as a simulation can. Otherwise at the instant at which its coordinator heard of it, and others may have built upon
    /// it before; then what they took shows what had been committed.
    public var commitsAreExact = false
    /// Violations beyond these are counted and not kept.
    public var maxViolations = 100

    public init(exclusiveLeases: Bool = false, commitsAreExact: Bool = false) {
      self.exclusiveLeases = exclusiveLeases
      self.commitsAreExact = commitsAreExact
    }
  }

  /// How much was read, so that a verdict over nothing is seen as such.
  public struct Statistics: Equatable, Sendable {
    public var events = 0
    public var submitted = 0
    public var attempts = 0
    public var commits = 0
    public var handled = 0
    public var acknowledgedParcels = 0
    public var refusals = 0
    public var coordinatorStarts = 0
    /// Memberships of coordinators that share a store.
    public var joins = 0
    /// Tasks that one of those took over, by how.
    public var taken: [Taking: Int] = [:]
    public var workerStarts = 0
    public var sessions = 0
    public var resumedSessions = 0
  }

  public let options: Options
  public private(set) var violations: [Violation] = []
  public private(set) var violationCount = 0
  public internal(set) var statistics = Statistics()

  var store = StoreModel()
  private var acknowledged: Set<TaskID> = []
  private var cancelled: Set<TaskID> = []
  /// Commits under way, of each coordinator in their order.
  var pending: [MemberID?: PendingCommits] = [:]
  /// The sessions of the coordinators that run now, and how far each was handled.
  private var coordinatorSessions: [MemberID?: [SessionID: UInt64]] = [:]
  /// Members that have ended, or from whom another has taken.
  var ended: Set<MemberID> = []
  private var workers: [WorkerID: WorkerTrace] = [:]
  private var started: [TaskID: Int] = [:]
  /// Where attempts run that nobody has told to stop.
  private var running: [TaskID: [AttemptKey: WorkerID]] = [:]
  /// What workers said that they can do, and what tasks need. Only where either was said is anything judged by it.
  private var offers: [WorkerID: WorkerCapabilities] = [:]
  private var needs: [TaskID: (requirements: Requirements, slots: Int)] = [:]
  private var now: Instant = .zero

  private struct WorkerTrace {
    var session: SessionID?
    var handled: UInt64 = 0
    /// On its disk, and not forgotten.
    var parcels: [AttemptKey: Set<Int>] = [:]
  }

  /// How a result is told from a checkpoint, which are numbered from 1.
  private static let result = Int.max

  public init(_ options: Options = Options()) {
    self.options = options
  }

  mutating func breaks(_ rule: Violation.Rule, _ text: String) {
    violationCount += 1
    if violations.count < options.maxViolations { violations.append(Violation(rule: rule, time: now, text: text)) }
  }

  public mutating func observe(_ record: HistoryRecord) {
    now = max(now, record.time)
    statistics.events += 1
    let member = record.member
    switch record.event {
    case .submitAsked: break
    case .submitAcknowledged(let ids): submitAcknowledged(ids)
    case .cancelAcknowledged(let id): cancelled.insert(id)
    case .coordinatorStarted(let tasks): coordinatorStarted(tasks)
    case .commitBegun(let batch, let changes):
      let isVoid = member.map(ended.contains) ?? false
      pending[member, default: PendingCommits()].append(batch, changes, isVoid: isVoid)
    case .committed(let batch): committed(batch, by: member)
    case .joined(let joined): join(joined)
    case .membershipEnded(let member): ended.insert(member)
    case .taken(let tasks, let how): taken(tasks, how, by: member)
    case .required(let id, let requirements, let slots): needs[id] = (requirements, slots)
    case .offered(let worker, let capabilities): offers[worker] = capabilities
    case .registered(let worker, let session, let resumed): registered(worker, session, resumed, at: member)
    case .coordinatorHandled(let worker, let session, let sequence, let kind):
      coordinatorHandled(worker, session, sequence, kind, at: member)
    case .staleAttemptRefused: statistics.refusals += 1
    case .workerStarted(let worker, _):
      statistics.workerStarts += 1
      // Its session is judged when it joins one: a second process of the same name may be refused without disturbing it.
      endAttempts(of: worker)
    case .workerEnded(let worker): workerEnded(worker)
    case .sessionJoined(let worker, let session, let resumed): sessionJoined(worker, session, resumed)
    case .workerHandled(let worker, let session, let sequence, let kind):
      workerHandled(worker, session, sequence, kind)
    case .attemptStarted(let key, let worker, let from): attemptStarted(key, worker, from)
    case .attemptStopped(let key, _, _), .attemptEnded(let key, _): running[key.taskID]?[key] = nil
    case .persisted(let key, let checkpoint, let worker):
      workers[worker, default: WorkerTrace()].parcels[key, default: []].insert(checkpoint ?? Self.result)
    case .forgotten(let key, let checkpoint, let worker): forgotten(key, checkpoint, worker)
    case .verdict, .fault, .faultsEnded: break
    case .measured(let name, let owner, let value, let limit):
      if value > limit { breaks(.isBounded, "\(name) of \(owner) held \(value), and may hold \(limit)") }
    }
  }

  // MARK: The store

  private mutating func submitAcknowledged(_ ids: [TaskID]) {
    for id in ids {
      if acknowledged.insert(id).inserted { statistics.submitted += 1 }
      if store[id] == nil { settle(id) { $0 != nil } }
      if store[id] == nil { breaks(.isKept, "submitting task \(id) was acknowledged before it was durable") }
    }
  }

  mutating func apply(_ changes: [StoredChange], by member: MemberID? = nil) {
    statistics.commits += 1
    var problems: [(Violation.Rule, String)] = []
    store.apply(changes, by: member) { problems.append(($0, $1)) }
    for (rule, text) in problems { breaks(rule, text) }
    for case .attempt(let key, .running, let worker, _) in changes { checkFit(key, worker, at: member) }
    // Terminal tasks start no further attempts.
    for case .state(let id, let status, _, _) in changes where status.isTerminal { running[id] = nil }
  }

  private mutating func committed(_ number: UInt64, by member: MemberID?) {
    guard let batch = pending[member]?.takeFirst(number) else {
      return breaks(.isKept, "batch \(number) was committed out of turn")
    }
    guard !batch.isApplied else { return }
    guard let member else { return apply(batch.changes) }
    guard ended.contains(member) else { return apply(batch.changes, by: member) }
    if options.commitsAreExact || batch.isVoid {
      breaks(.oneMember, "member \(member) committed batch \(number), and had ended before")
    } else {
      apply(leaving(batch.changes, of: member), by: member)
    }
  }

  private mutating func coordinatorStarted(_ tasks: [StoredTask]) {
    statistics.coordinatorStarts += 1
    let shown = Dictionary(tasks.map { ($0.id, $0) }) { _, newest in newest }
    let begun = pending.removeValue(forKey: nil)?.batches.map(\.changes) ?? []
    if statistics.coordinatorStarts == 1, begun.isEmpty {
      store.adopt(tasks)
    } else {
      let taken = store.taken(begun, shown: shown) ?? 0
      for batch in begun.prefix(taken) { apply(batch) }
      var problems: [(Violation.Rule, String)] = []
      store.reopen(shown) { problems.append(($0, $1)) }
      for (rule, text) in problems { breaks(rule, text) }
    }
    // Sessions live in memory: those of an earlier process are over.
    coordinatorSessions[nil] = [:]
  }

  private mutating func join(_ member: MemberID) {
    statistics.joins += 1
    if coordinatorSessions.updateValue([:], forKey: member) != nil || ended.contains(member) {
      breaks(.oneMember, "two coordinators joined as member \(member)")
    }
  }

  // MARK: Sessions

  private mutating func registered(
    _ worker: WorkerID, _ session: SessionID, _ resumed: Bool, at member: MemberID?
  ) {
    statistics.sessions += 1
    if resumed {
      statistics.resumedSessions += 1
      if coordinatorSessions[member]?[session] == nil {
        breaks(.inOrder, "session \(session) of \(worker) was resumed by a coordinator that does not know it")
      }
    } else if coordinatorSessions[member, default: [:]].updateValue(0, forKey: session) != nil {
      breaks(.inOrder, "session \(session) of \(worker) was opened twice")
    }
  }

  private mutating func coordinatorHandled(
    _ worker: WorkerID, _ session: SessionID, _ sequence: UInt64, _ kind: MessageKind, at member: MemberID?
  ) {
    statistics.handled += 1
    let last = coordinatorSessions[member]?[session] ?? 0
    if sequence != last + 1 {
      breaks(.inOrder, "the coordinator handled \(kind) \(sequence) of \(worker) after \(last) in session \(session)")
    }
    coordinatorSessions[member, default: [:]][session] = max(last, sequence)
  }

  private mutating func sessionJoined(_ worker: WorkerID, _ session: SessionID, _ resumed: Bool) {
    var trace = workers[worker] ?? WorkerTrace()
    if resumed {
      if trace.session != session {
        breaks(.inOrder, "\(worker) resumed session \(session), which was not its own")
      }
    } else {
      trace.handled = 0
    }
    trace.session = session
    workers[worker] = trace
  }

  private mutating func workerHandled(
    _ worker: WorkerID, _ session: SessionID, _ sequence: UInt64, _ kind: MessageKind
  ) {
    statistics.handled += 1
    let trace = workers[worker] ?? WorkerTrace()
    if trace.session != session || sequence != trace.handled + 1 {
      breaks(.inOrder, "\(worker) handled \(kind) \(sequence) after \(trace.handled) in session \(session)")
    }
    workers[worker, default: WorkerTrace()].handled = max(trace.handled, sequence)
  }

  // MARK: Attempts

  private mutating func workerEnded(_ worker: WorkerID) {
    workers[worker]?.session = nil
    workers[worker]?.handled = 0
    endAttempts(of: worker)
  }

  private mutating func endAttempts(of worker: WorkerID) {
    for (id, attempts) in running where attempts.values.contains(worker) {
      running[id] = attempts.filter { $0.value != worker }
    }
  }

  private mutating func attemptStarted(_ key: AttemptKey, _ worker: WorkerID, _ from: CheckpointKey?) {
    statistics.attempts += 1
    if let last = started[key.taskID], last == key.attempt {
      breaks(.newestAttemptWrites, "attempt \(key) was started twice, the second time by \(worker)")
    }
    started[key.taskID] = max(started[key.taskID] ?? 0, key.attempt)
    guard let entry = store[key.taskID], entry.recordedAttempt >= key.attempt else {
      return breaks(.isKept, "attempt \(key) was started by \(worker) before it was durable")
    }
    if entry.recordedAttempt == key.attempt, from != entry.resumedFrom {
      let (said, stored) = (StoreModel.text(from), StoreModel.text(entry.resumedFrom))
      breaks(.resumesFromNewest, "\(worker) started attempt \(key) from \(said), and was to from \(stored)")
    }
    if options.exclusiveLeases {
      for (other, owner) in running[key.taskID] ?? [:] where other != key {
        breaks(.runsAlone, "attempt \(key) was started by \(worker) while \(other) ran at \(owner)")
      }
    }
    checkRunning(key, worker)
    if !entry.status.isTerminal { running[key.taskID, default: [:]][key] = worker }
  }

  /// What the coordinator gives out, it gives to a worker that can do it and has the room.
  private mutating func checkFit(_ key: AttemptKey, _ worker: WorkerID, at member: MemberID?) {
    guard let offer = offers[worker], !needs.isEmpty else { return }
    if let need = needs[key.taskID], !need.requirements.isMet(by: offer.labels) {
      breaks(.fits, "attempt \(key) was given to \(worker), which does not have \(need.requirements)")
    }
    // A coordinator that the worker has just left may not know it yet; and what this one took over from such a one meets
    // it unawares, and is given to others with its next commit.
    let held = store.unfinished.filter {
      store[$0]?.worker == worker && store[$0]?.status.isHeld == true && store[$0]?.owner == member
        && store[$0]?.takenAs == nil
    }
    let slots = held.reduce(0) { $0 + (needs[$1]?.slots ?? 1) }
    if slots > offer.slots { breaks(.fits, "\(worker) was given tasks of \(slots) slots, and has \(offer.slots)") }
  }

  /// What runs at a worker, and was not told to stop, is what it meets the requirements of.
  private mutating func checkRunning(_ key: AttemptKey, _ worker: WorkerID) {
    guard let offer = offers[worker], let need = needs[key.taskID] else { return }
    guard need.requirements.isMet(by: offer.labels), need.slots <= offer.slots else {
      return breaks(.fits, "attempt \(key) was started by \(worker), which it does not fit")
    }
    var slots = need.slots
    for (id, attempts) in running where id != key.taskID && attempts.values.contains(worker) {
      slots += needs[id]?.slots ?? 1
    }
    if slots > offer.slots { breaks(.fits, "\(worker) runs tasks of \(slots) slots, and has \(offer.slots)") }
  }

  /// A worker forgets a result or a checkpoint only once the coordinator has it, or something newer.
  private mutating func forgotten(_ key: AttemptKey, _ checkpoint: Int?, _ worker: WorkerID) {
    statistics.acknowledgedParcels += 1
    workers[worker]?.parcels[key]?.remove(checkpoint ?? Self.result)
    let kept = workers[worker]?.parcels[key] ?? []
    if kept.isEmpty { workers[worker]?.parcels[key] = nil }
    guard let entry = store[key.taskID] else {
      return breaks(.isKept, "\(worker) forgot what attempt \(key) left, a task that was never stored")
    }
    if entry.status.isTerminal || entry.attempt > key.attempt { return }
    // A coordinator that took over may have found that it had ended; nobody but the store had heard of it.
    if checkpoint == nil, entry.outcome == .running { settle(key.taskID) { $0?.status.isTerminal == true } }
    if store[key.taskID]?.status.isTerminal == true { return }
    // Of a lost attempt a coordinator takes what comes while the task is its own; in the pool it is nobody's to write.
    if entry.outcome == .lost, coordinatorSessions.keys.contains(where: { $0 != nil }) { return }
    if let checkpoint {
      let isStored = entry.checkpoint.map { $0 >= CheckpointKey(attempt: key.attempt, number: checkpoint) } ?? false
      let isSuperseded = kept.contains { $0 > checkpoint }
      if !isStored, !isSuperseded {
        breaks(.isKept, "\(worker) forgot checkpoint \(checkpoint) of attempt \(key), which is not durable")
      }
    } else if entry.outcome == .running {
      breaks(.isKept, "\(worker) forgot the result of attempt \(key), which is not durable")
    }
  }

  // MARK: The end

  /// What was submitted with an acknowledgement and has not ended, in order of the names.
  public var unfinished: [TaskID] { acknowledged.filter { store[$0]?.status.isTerminal != true }.sorted() }

  /// Says that the run is over: all that was acknowledged must have ended.
  /// - Parameter final: every task as the store has it now, read behind the coordinator's back; `nil` if there is no store
  ///   to look into.
  public mutating func finish(final: [StoredTask]? = nil) {
    for id in acknowledged where store[id]?.status.isTerminal != true { settle(id) { $0?.status.isTerminal == true } }
    let shown = final.map { Dictionary($0.map { ($0.id, $0) }) { _, newest in newest } }
    for id in acknowledged.sorted() {
      if let shown {
        guard let stored = shown[id] else {
          breaks(.isKept, "task \(id) was acknowledged, and the store has it not")
          continue
        }
        if let entry = store[id], entry.status.isTerminal, entry.status != stored.status {
          breaks(
            .endsOnce, "task \(id) ended as \(entry.status.rawValue), and is \(stored.status.rawValue) in the store")
        } else if !stored.status.isTerminal {
          breaks(.ends, "task \(id) has not ended: \(stored.status.rawValue), attempt \(stored.attempt)")
        }
      } else if let entry = store[id], !entry.status.isTerminal {
        breaks(.ends, "task \(id) has not ended: \(entry.status.rawValue), attempt \(entry.attempt)")
      }
    }
  }
}
