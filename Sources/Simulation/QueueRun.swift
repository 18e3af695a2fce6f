import CoordinationCore
import Primitives

/// A priority queue under a load that its seed chooses, and the rules that it must keep: a worker's queue is seldom long
/// in a fleet's short life.
///
/// - What concerns one topic leaves in the order that it came, and so does what has one priority and no topic.
/// - While nothing is overdue, nothing leaves that neither is of the most urgent priority nor precedes such a thing.
/// - What is overdue leaves within four times as many turns as there were things at least as old.
public struct QueueRun {
  private struct Thing {
    let number: Int
    let priority: Priority
    let topic: Int?
    let since: Instant
    /// The turn by which it must have left, once it is overdue.
    var due: Int?
  }

  private static let aging: Duration = .milliseconds(40)

  private var random: SeededGenerator
  private var queue = PriorityQueue<Int, Int>(aging: Self.aging)
  private var waiting: [Thing] = []
  private var now = Instant.zero
  private var turns = 0
  private var pushed = 0
  private var problems: [String] = []

  public init(seed: UInt64) {
    random = SeededGenerator(seed: seed)
  }

  /// - Returns: what went wrong; empty when nothing did.
  public mutating func run() -> [String] {
    for _ in 0..<80 {
      now += .milliseconds(Int64.random(in: 0...6, using: &random))
      for _ in 0..<Int.random(in: 0...2, using: &random) { push() }
      for _ in 0..<Int.random(in: 0...2, using: &random) where problems.isEmpty { pop() }
    }
    while problems.isEmpty, !waiting.isEmpty { pop() }
    if problems.isEmpty, queue.pop(at: now) != nil { problems.append("the queue has more than was put in") }
    return problems
  }

  private mutating func push() {
    // Mostly urgent, so that what is not would starve.
    let priority = Bool.random(using: &random) ? .critical : Priority.allCases.randomElement(using: &random) ?? .normal
    let topic = Bool.random(using: &random) ? Int.random(in: 0..<4, using: &random) : nil
    pushed += 1
    queue.push(pushed, priority, about: topic, at: now)
    waiting.append(Thing(number: pushed, priority: priority, topic: topic, since: now))
  }

  private mutating func pop() {
    guard !waiting.isEmpty else { return }
    for index in waiting.indices where waiting[index].due == nil && now - waiting[index].since >= Self.aging {
      let older = waiting.count { $0.since <= waiting[index].since }
      waiting[index].due = turns + older * 4
    }
    turns += 1
    guard let number = queue.pop(at: now), let index = waiting.firstIndex(where: { $0.number == number }) else {
      return problems.append("the queue gives nothing, or something twice, while \(waiting.count) wait")
    }
    judge(waiting[index], others: waiting)
    waiting.remove(at: index)
    if let late = waiting.first(where: { $0.due.map { $0 <= turns } ?? false }) {
      problems.append("\(late) has not left after turn \(turns)")
    }
  }

  private mutating func judge(_ thing: Thing, others: [Thing]) {
    if let topic = thing.topic, let first = others.first(where: { $0.topic == topic }), first.number != thing.number {
      problems.append("\(thing) overtakes \(first) of its topic")
    }
    let peers = others.filter { $0.topic == nil && $0.priority == thing.priority }
    if thing.topic == nil, let first = peers.first, first.number != thing.number {
      problems.append("\(thing) overtakes \(first) of its priority")
    }
    guard !others.contains(where: { now - $0.since >= Self.aging }) else { return }
    let urgent = others.map(\.priority).min() ?? .critical
    let precedesUrgent =
      thing.topic != nil && others.contains { $0.topic == thing.topic && $0.priority == urgent }
    if thing.priority != urgent, !precedesUrgent { problems.append("\(thing) leaves while something \(urgent) waits") }
  }
}
