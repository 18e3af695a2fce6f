import Primitives

/// Which workers somebody wants to see.
public struct RollCall: Equatable, Sendable {
  /// `nil`: all.
  public var worker: WorkerID?
  /// With what each last said about itself.
  public var withTelemetry: Bool

  public init(worker: WorkerID? = nil, withTelemetry: Bool = false) {
    self.worker = worker
    self.withTelemetry = withTelemetry
  }
}

/// Asks all members for the workers that they know, for whoever wants to see the whole fleet.
///
///     call ─▶ every other member ─▶ its workers, in as many messages as it takes, the last of which says how many
///                   ▲                       │ some are missing, or nothing came for a while
///                   └───────────────────────┘
struct RollCalls {
  /// A message may have been lost.
  static let repetition: Duration = .milliseconds(300)
  /// Who says nothing for so long is left out.
  static let patience: Duration = .seconds(1)
  /// Whoever is not done by then is left out in part.
  static let longest: Duration = .seconds(5)

  private struct Answer {
    var workers: Set<String> = []
    var askedAt: Instant
    var heardAt: Instant
  }

  private struct Open {
    let id: RequestID
    let call: RollCall
    var workers: [String: JSONObject] = [:]
    /// Of those that are not done.
    var answers: [MemberID: Answer]
    let endsAt: Instant
  }

  private var open: [UInt64: Open] = [:]
  private var lastNumber: UInt64 = 0

  var nextDeadline: Instant {
    var deadline = Instant.distantFuture
    for roll in open.values {
      deadline = min(deadline, roll.endsAt)
      for answer in roll.answers.values {
        deadline = min(deadline, min(answer.askedAt + Self.repetition, answer.heardAt + Self.patience))
      }
    }
    return deadline
  }

  /// - Parameter own: the workers that are known here.
  mutating func call(
    _ call: RollCall, for id: RequestID, own: [JSONObject], others: Set<MemberID>, at now: Instant,
    _ effects: inout [ClusterEffect]
  ) {
    lastNumber += 1
    var roll = Open(id: id, call: call, answers: [:], endsAt: now + Self.longest)
    for member in others { roll.answers[member] = Answer(askedAt: now, heardAt: now) }
    Self.add(own, to: &roll)
    open[lastNumber] = roll
    guard !others.isEmpty else { return end(lastNumber, &effects) }
    effects.append(.send(.roll(lastNumber, call), to: nil))
  }

  /// - Parameter total: how many the member has sent, where these are the last of them; `nil` from a program that does
  ///   not count them.
  mutating func heard(
    _ number: UInt64, _ workers: [JSONObject], isLast: Bool, total: Int?, by member: MemberID, at now: Instant,
    _ effects: inout [ClusterEffect]
  ) {
    guard var roll = open[number], var answer = roll.answers[member] else { return }
    Self.add(workers, to: &roll)
    for worker in workers { if let id = worker["worker_id"]?.string { answer.workers.insert(id) } }
    answer.heardAt = now
    answer.askedAt = now
    roll.answers[member] = isLast && total.map { $0 <= answer.workers.count } ?? true ? nil : answer
    open[number] = roll
    if roll.answers.isEmpty { end(number, &effects) }
  }

  private static func add(_ workers: [JSONObject], to roll: inout Open) {
    for worker in workers {
      guard let id = worker["worker_id"]?.string, roll.call.worker.map({ $0.text == id }) ?? true else { continue }
      // One that went from one coordinator to another is known to both for a while.
      if let known = roll.workers[id], isThere(known) || !isThere(worker) { continue }
      roll.workers[id] = worker
    }
  }

  private static func isThere(_ worker: JSONObject) -> Bool {
    let state = worker["state"]?.string.flatMap(WorkerSummary.State.init(rawValue:))
    return state == .connected || state == .draining
  }

  /// From those that are members no more nothing comes.
  mutating func membersChanged(_ others: Set<MemberID>, _ effects: inout [ClusterEffect]) {
    for number in open.keys.sorted() {
      guard var roll = open[number] else { continue }
      roll.answers = roll.answers.filter { others.contains($0.key) }
      open[number] = roll
      if roll.answers.isEmpty { end(number, &effects) }
    }
  }

  mutating func tick(at now: Instant, _ effects: inout [ClusterEffect]) {
    guard now >= nextDeadline else { return }
    for number in open.keys.sorted() {
      guard var roll = open[number] else { continue }
      roll.answers = roll.answers.filter { now < $0.value.heardAt + Self.patience }
      for (member, answer) in roll.answers.sorted(by: { $0.key < $1.key })
      where now >= answer.askedAt + Self.repetition && now < roll.endsAt {
        roll.answers[member]?.askedAt = now
        effects.append(.send(.roll(number, roll.call), to: member))
      }
      open[number] = roll
      if roll.answers.isEmpty || now >= roll.endsAt { end(number, &effects) }
    }
  }

  private mutating func end(_ number: UInt64, _ effects: inout [ClusterEffect]) {
    guard let roll = open.removeValue(forKey: number) else { return }
    effects.append(.rolled(roll.id, roll.workers.sorted { $0.key < $1.key }.map(\.value)))
  }
}
