import CoordinationCore
import History
import Primitives

/// A store that several coordinators share, as `SharedTaskStore` promises it, without a database: each question takes
/// effect at one instant between asking and answering, and nothing is ever half done.
///
/// Leases are by the true clock, which no coordinator sees. What a member sends to others comes late, in another order
/// than it was sent, or not at all.
final class SimulatedSharedStore {
  struct MemberEntry {
    let member: Member
    var leaseEnds: Instant
    var isEnded = false
  }

  unowned let fleet: SimulatedFleet
  /// The tasks themselves.
  let tasks: SimulatedStore
  private(set) var members: [MemberID: MemberEntry] = [:]
  /// Whose each task is that has not ended; one that is nobody's is in the pool.
  private(set) var owners: [TaskID: MemberID] = [:]
  /// How many of a hundred messages between members are lost.
  var lossPercent = 0
  /// Operations that took effect, by kind.
  private(set) var operations: [String: RateCount] = [:]
  private var pool = SimulatedPool()
  private var lastMember: Int64 = 0
  private var listeners: [MemberID: (StoreSignal) -> Void] = [:]
  /// Of messages and places to be, so that nothing else draws otherwise for them.
  private var random: SeededGenerator

  enum StoreSignal {
    case message(ClusterMessage, from: MemberID)
    case poolChanged, memberLeft, mayHaveMissed
  }

  init(_ tasks: SimulatedStore, seed: UInt64, _ fleet: SimulatedFleet) {
    self.tasks = tasks
    self.fleet = fleet
    random = SeededGenerator(seed: seed ^ 0x73_68_61_72_65_64)
  }

  /// In microseconds.
  func draw(_ range: ClosedRange<Int64>) -> Duration { .microseconds(Int64.random(in: range, using: &random)) }

  func isMember(_ id: MemberID) -> Bool { members[id].map { !$0.isEnded } ?? false }

  private func count(_ kind: String) { operations[kind, default: RateCount()].count(at: fleet.now) }

  // MARK: Members

  func join(name: String, lease: Duration) -> MemberID {
    count("join")
    for id in members.keys.sorted() where members[id]?.member.name == name { end(id) }
    lastMember += 1
    let id = MemberID(lastMember)
    members[id] = MemberEntry(
      member: Member(id: id, name: name, address: "sim://\(name)"), leaseEnds: fleet.now + lease)
    fleet.record(.joined(id), by: id)
    return id
  }

  /// From `join` on.
  func listen(_ id: MemberID, _ body: @escaping (StoreSignal) -> Void) { listeners[id] = body }
  /// The process is gone, or asks somebody else.
  func stopListening(_ id: MemberID) { listeners[id] = nil }

  private func end(_ id: MemberID) {
    guard members[id]?.isEnded == false else { return }
    members[id]?.isEnded = true
    fleet.record(.membershipEnded(id), by: id)
  }

  func leave(_ id: MemberID) {
    count("leave")
    guard isMember(id) else { return }
    end(id)
    signalAll(.memberLeft, except: id)
  }

  /// - Returns: `nil`: fenced.
  func renew(_ id: MemberID, lease: Duration) -> MembershipRenewal? {
    count("renew")
    guard isMember(id) else { return nil }
    members[id]?.leaseEnds = fleet.now + lease
    for other in members.keys.sorted() where members[other].map({ $0.leaseEnds <= fleet.now }) == true { end(other) }
    var takenOver: [UnfinishedTask] = []
    let dead = Set(members.filter { $0.value.isEnded }.keys)
    if !dead.isEmpty, owners.values.contains(where: dead.contains) {
      var isPoolChanged = false
      for task in tasks.order where owners[task].map(dead.contains) == true {
        guard let entry = tasks[task] else { continue }
        if entry.record.state.status.isHeld {
          owners[task] = id
          takenOver.append(entry.unfinished)
        } else {
          putIntoPool(task)
          isPoolChanged = true
        }
      }
      if isPoolChanged { signalAll(.poolChanged, except: nil) }
    }
    record(takenOver, .takenOver, id)
    let living = members.values.filter { !$0.isEnded }.map(\.member).sorted { $0.id < $1.id }
    return MembershipRenewal(members: living, takenOver: takenOver)
  }

  private func record(_ tasks: [UnfinishedTask], _ how: Taking, _ id: MemberID) {
    if !tasks.isEmpty { fleet.record(.taken(tasks.map(StoredTask.init), how), by: id) }
  }

  // MARK: Commits

  /// - Returns: `false`: fenced, and nothing happened.
  func commit(_ id: MemberID, _ writes: [StoreWrite]) -> Bool {
    count("commit")
    guard isMember(id) else { return false }
    var isPoolChanged = false
    for write in writes {
      switch write {
      case .submit(let record):
        guard tasks[record.id] == nil else { continue }
        tasks.apply([write])
        if !record.state.status.isTerminal {
          putIntoPool(record.id)
          isPoolChanged = true
        }
      case .release(let task):
        guard owners[task] == id else { continue }
        putIntoPool(task)
        isPoolChanged = true
      case .transfer(let task, let other):
        // A member that has ended meanwhile is taken over from like any.
        if owners[task] == id { owners[task] = other }
      default:
        tasks.apply([write])
        if case .update(let task, let state) = write, state.status.isTerminal { owners[task] = nil }
      }
    }
    if isPoolChanged { signalAll(.poolChanged, except: id) }
    return true
  }

  private func putIntoPool(_ id: TaskID) {
    owners[id] = nil
    guard let record = tasks[id]?.record, !record.state.status.isTerminal else { return }
    pool.insert(record, number: tasks[id]?.number ?? 0)
  }

  // MARK: The pool

  func poolNeeds(_ id: MemberID) -> [TaskNeeds]? {
    count("poolNeeds")
    return isMember(id) ? pool.needs : nil
  }

  func claim(
    _ id: MemberID, _ wishes: [ClaimWish], limit: Int, overdueBefore: WallTime?
  ) -> [UnfinishedTask]? {
    count("claim")
    guard isMember(id) else { return nil }
    let claimed = pool.claim(wishes, limit: limit, overdueBefore: overdueBefore).compactMap { tasks[$0]?.unfinished }
    for task in claimed { owners[task.task.id] = id }
    record(claimed, .claimed, id)
    return claimed
  }

  func locate(_ id: MemberID, _ task: TaskID) -> TaskPlace? {
    count("locate")
    guard isMember(id) else { return nil }
    guard let entry = tasks[task], !entry.record.state.status.isTerminal else { return .nowhere }
    if let owner = owners[task], owner != id { return .held(by: owner) }
    if owners[task] == nil {
      pool.remove(entry.record, number: entry.number)
      owners[task] = id
      record([entry.unfinished], .located, id)
    }
    return .here(entry.unfinished)
  }

  func gather(_ id: MemberID, _ worker: WorkerID) -> Gathering? {
    count("gather")
    guard isMember(id) else { return nil }
    var gathering = Gathering()
    for task in tasks.lastHeld(by: worker) {
      guard let entry = tasks[task], !entry.record.state.status.isTerminal, entry.record.state.workerID == worker else {
        continue
      }
      if let owner = owners[task] {
        if owner == id {
          gathering.tasks.append(entry.unfinished)
        } else {
          gathering.heldBy.insert(owner)
        }
      } else if [.running, .lost].contains(entry.attempts[entry.record.state.attempt]?.outcome) {
        pool.remove(entry.record, number: entry.number)
        owners[task] = id
        gathering.tasks.append(entry.unfinished)
      }
    }
    record(gathering.tasks, .gathered, id)
    return gathering
  }

  // MARK: Messages

  func send(_ message: ClusterMessage, from id: MemberID, to other: MemberID?) {
    count("message")
    // As a database carries it.
    let text = message.text
    guard let message = try? ClusterMessage(text: text) else { preconditionFailure("unreadable: \(text)") }
    for receiver in other.map({ [$0] }) ?? listeners.keys.sorted().filter({ $0 != id }) {
      deliver(.message(message, from: id), to: receiver)
    }
  }

  private func signalAll(_ signal: StoreSignal, except id: MemberID?) {
    for receiver in listeners.keys.sorted() where receiver != id { deliver(signal, to: receiver) }
  }

  private func deliver(_ signal: StoreSignal, to receiver: MemberID) {
    if lossPercent > 0, Int.random(in: 0..<100, using: &random) < lossPercent { return }
    // Mostly at once, and now and then so late that others overtake it.
    let delay = Int.random(in: 0..<10, using: &random) == 0 ? draw(1_000...400_000) : draw(300...5_000)
    fleet.schedule(at: fleet.now + delay) { [unowned self] in listeners[receiver]?(signal) }
  }
}
