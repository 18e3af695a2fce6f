import Primitives

/// What the workers of all members together can do, as far as somebody here wants to know.
///
///     needs ─▶ a worker here meets them ────────────────────────────────▶ known
///          └─▶ all others are asked ─▶ who does not answer, once more ─▶ known, or given up: nothing is said of them
///
/// What is known is good for a moment, so that a page that shows the same tasks again and again asks once a second.
struct Abilities {
  /// What is older is asked for anew.
  static let age: Duration = .seconds(1)
  /// A message may have been lost.
  static let repetition: Duration = .milliseconds(250)
  /// Whoever has not answered by then does not.
  static let patience: Duration = .seconds(1)
  /// Different needs that one request may be about; of others nothing is said.
  static let maxNeeds = 200
  /// Needs of which something is known, and questions that are open.
  static let maxKnown = 2_000
  static let maxOpen = 100
  /// Of the needs in one message, in bytes; more go into several.
  static let maxBytes = 6_000

  private struct Question {
    let needs: [TaskNeeds]
    var found: [Ability]
    /// Those that were asked, and of them those that have not answered.
    var members: Set<MemberID>
    var awaited: Set<MemberID>
    var repeatsAt: Instant
    let givenUpAt: Instant
  }

  private struct Request {
    let needs: [TaskNeeds]
    var missing: Set<TaskNeeds>
    var found: [TaskNeeds: Ability] = [:]
  }

  /// `nil`: not to be found out just now.
  private var known: [TaskNeeds: (ability: Ability?, at: Instant)] = [:]
  private var open: [UInt64: Question] = [:]
  private var asked: Set<TaskNeeds> = []
  private var requests: [RequestID: Request] = [:]
  private var lastNumber: UInt64 = 0

  var nextDeadline: Instant {
    open.values.lazy.map { min($0.repeatsAt, $0.givenUpAt) }.min() ?? .distantFuture
  }

  /// Somebody wants to know.
  /// - Parameters:
  ///   - others: the other members; `nil` while they are not known.
  ///   - own: what the workers here can do.
  mutating func want(
    _ needs: [TaskNeeds], for id: RequestID, others: Set<MemberID>?, at now: Instant,
    own: (TaskNeeds) -> Ability, _ effects: inout [ClusterEffect]
  ) {
    guard let others else { return effects.append(.abilities(id, [:])) }
    var request = Request(needs: Array(needs.prefix(Self.maxNeeds)), missing: [])
    var unasked: [(needs: TaskNeeds, own: Ability)] = []
    for need in request.needs where request.found[need] == nil && !request.missing.contains(need) {
      let own = own(need)
      if own.contains(.everything) || others.isEmpty {
        request.found[need] = own
      } else if let known = known[need], now - known.at < Self.age {
        request.found[need] = known.ability.map { $0.union(own) }
      } else if asked.contains(need) {
        request.missing.insert(need)
      } else if open.count < Self.maxOpen {
        request.missing.insert(need)
        unasked.append((need, own))
      }
    }
    guard !request.missing.isEmpty else { return effects.append(.abilities(id, request.found)) }
    requests[id] = request
    for part in Self.parts(unasked) { ask(part, others, at: now, &effects) }
  }

  private mutating func ask(
    _ part: [(needs: TaskNeeds, own: Ability)], _ others: Set<MemberID>, at now: Instant,
    _ effects: inout [ClusterEffect]
  ) {
    lastNumber += 1
    let question = Question(
      needs: part.map(\.needs), found: part.map(\.own), members: others, awaited: others,
      repeatsAt: now + Self.repetition, givenUpAt: now + Self.patience)
    asked.formUnion(question.needs)
    open[lastNumber] = question
    effects.append(.send(.whoCan(lastNumber, question.needs), to: nil))
  }

  private static func parts(_ all: [(needs: TaskNeeds, own: Ability)]) -> [[(needs: TaskNeeds, own: Ability)]] {
    var parts: [[(needs: TaskNeeds, own: Ability)]] = []
    var bytes = 0
    for each in all {
      let more = each.needs.text.utf8.count
      if parts.isEmpty || bytes + more > maxBytes {
        parts.append([])
        bytes = 0
      }
      parts[parts.count - 1].append(each)
      bytes += more
    }
    return parts
  }

  /// A member says what its workers can do.
  mutating func heard(
    _ number: UInt64, _ abilities: [Ability], by member: MemberID, at now: Instant, _ effects: inout [ClusterEffect]
  ) {
    guard var question = open[number], abilities.count == question.needs.count,
      question.awaited.remove(member) != nil
    else { return }
    for (index, ability) in abilities.enumerated() { question.found[index].formUnion(ability) }
    open[number] = question
    if question.awaited.isEmpty { settle(number, at: now, &effects) }
  }

  /// Others have come or gone, and their workers with them.
  mutating func membersChanged(_ others: Set<MemberID>, at now: Instant, _ effects: inout [ClusterEffect]) {
    known = [:]
    for number in open.keys.sorted() {
      guard var question = open[number] else { continue }
      // Whoever is new may have the worker that the others lack.
      let new = others.subtracting(question.members)
      question.members.formUnion(new)
      question.awaited = question.awaited.intersection(others).union(new)
      open[number] = question
      for member in new.sorted() { effects.append(.send(.whoCan(number, question.needs), to: member)) }
      if question.awaited.isEmpty { settle(number, at: now, &effects) }
    }
  }

  mutating func tick(at now: Instant, _ effects: inout [ClusterEffect]) {
    guard now >= nextDeadline else { return }
    for number in open.keys.sorted() {
      guard var question = open[number] else { continue }
      if now >= question.givenUpAt {
        settle(number, at: now, &effects)
      } else if now >= question.repeatsAt {
        question.repeatsAt = now + Self.repetition
        open[number] = question
        for member in question.awaited.sorted() { effects.append(.send(.whoCan(number, question.needs), to: member)) }
      }
    }
  }

  private mutating func settle(_ number: UInt64, at now: Instant, _ effects: inout [ClusterEffect]) {
    guard let question = open.removeValue(forKey: number) else { return }
    if known.count + question.needs.count > Self.maxKnown { known = [:] }
    for (index, need) in question.needs.enumerated() {
      asked.remove(need)
      // Whoever has not answered may have what the others lack.
      let ability = question.found[index]
      let isCertain = question.awaited.isEmpty || ability.contains(.everything)
      known[need] = (isCertain ? ability : nil, now)
    }
    for id in requests.keys.sorted(by: { $0.number < $1.number }) {
      guard var request = requests[id] else { continue }
      for need in question.needs where request.missing.remove(need) != nil {
        request.found[need] = known[need]?.ability
      }
      requests[id] = request
      guard request.missing.isEmpty else { continue }
      requests[id] = nil
      effects.append(.abilities(id, request.found))
    }
  }
}
