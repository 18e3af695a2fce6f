@testable import CoordinationCore
@testable import Simulation
import Primitives
import Testing

@Suite(.timeLimit(.minutes(5)))
struct PriorityQueueTests {
  private func drained(_ queue: inout PriorityQueue<String, String>, at now: Instant = .zero) -> [String] {
    var taken: [String] = []
    while let element = queue.pop(at: now) { taken.append(element) }
    return taken
  }

  @Test func `what is urgent lends its priority to what came before it about the same thing`() {
    var queue = PriorityQueue<String, String>(aging: nil)
    for (name, priority, topic) in [
      ("state a", Priority.normal, "a"), ("state b", .normal, "b"), ("checkpoint a", .normal, "a"),
      ("result a", .high, "a"), ("output b", .background, "b"), ("cancelled b", .critical, "b"),
    ] { queue.push(name, priority, about: topic, at: .zero) }
    #expect(
      drained(&queue) == ["state b", "output b", "cancelled b", "state a", "checkpoint a", "result a"])
    #expect(queue.isEmpty)
  }

  @Test func `what came later about the same thing never overtakes, even when it is overdue`() {
    var queue = PriorityQueue<String, String>(aging: .seconds(1))
    queue.push("h", .high, at: .zero)
    queue.push("result a", .high, about: "a", at: .zero)
    queue.push("output a", .background, about: "a", at: .zero)
    let later = Instant.zero + .seconds(5)
    for number in 1...8 { queue.push("c\(number)", .critical, at: later) }
    #expect(
      drained(&queue, at: later)
        == ["c1", "c2", "c3", "h", "c4", "c5", "c6", "result a", "c7", "c8", "output a"])
  }

  @Test func `something that may not leave keeps everything behind it`() {
    var queue = PriorityQueue<String, String>(aging: nil)
    queue.push("n", .normal, at: .zero)
    queue.push("h", .high, at: .zero)
    #expect(queue.pop(at: .zero) { $0 != "h" } == nil)
    #expect(queue.count == 2)
    #expect(queue.pop(at: .zero) { $0 != "n" } == "h")
    #expect(queue.pop(at: .zero) { $0 != "n" } == nil)
  }

  @Test func `something newer takes the place of what waits, and of that only`() {
    var queue = PriorityQueue<String, String>(aging: nil)
    let first = queue.push("old", .normal, about: "a", at: .zero)
    queue.push("other", .normal, at: .zero)
    #expect(queue.replace(first, with: "new") == "old")
    #expect(drained(&queue) == ["new", "other"])
    #expect(queue.replace(first, with: "newer") == nil)
    #expect(queue.isEmpty)
  }

  @Test func `what is taken out leaves the others in order`() {
    var queue = PriorityQueue<String, String>(aging: nil)
    for number in 1...200 {
      queue.push("\(number)", number.isMultiple(of: 2) ? .low : .high, about: "\(number % 5)", at: .zero)
    }
    #expect(queue.removeAll(about: "3") { _ in true }.count == 40)
    let taken = queue.removeAll { Int($0).map { $0 > 20 } ?? false }
    #expect(taken == (21...200).filter { $0 % 5 != 3 }.map(String.init))
    let left = (1...20).filter { $0 % 5 != 3 }
    #expect(Set(drained(&queue)) == Set(left.map(String.init)))
  }

  @Test func `what left out of turn does not fill memory`() {
    var queue = PriorityQueue<String, Int>(aging: nil)
    // Never its turn, and its tickets would gather behind it.
    queue.push(0, .normal, at: .zero)
    for number in 1...10_000 {
      queue.push(number, .normal, about: "a", at: .zero)
      queue.push(-number, .high, about: "a", at: .zero)
      #expect(queue.pop(at: .zero) == number)
      #expect(queue.pop(at: .zero) == -number)
    }
    #expect(queue.count == 1)
    #expect(queue.tickets < 200)
  }

  @Test func `its status counts what waits and for how long`() {
    var queue = PriorityQueue<String, String>(aging: nil)
    queue.push("a", .low, at: .zero)
    queue.push("b", .low, at: .zero + .seconds(2))
    queue.push("c", .critical, at: .zero + .seconds(3))
    let status = queue.status(at: .zero + .seconds(3))
    #expect(status[.low] == QueueStatus.Level(waiting: 2, oldest: .seconds(3)))
    #expect(status[.critical] == QueueStatus.Level(waiting: 1, oldest: .zero))
    #expect(status[.high] == QueueStatus.Level())
    #expect(status.json["LOW"] == ["waiting": 2, "oldest_s": 3.0])
    #expect(status.json["HIGH"] == ["waiting": 0, "oldest_s": .null])
    #expect(status.json.members.map(\.key) == ["CRITICAL", "HIGH", "NORMAL", "LOW", "BACKGROUND"])
  }

  @Test func `whatever the load, topics stay in order, the order is strict and nothing starves`() {
    let seed = freshSeed()
    for offset in 0..<2_000 {
      var run = QueueRun(seed: seed &+ UInt64(offset))
      let problems = run.run()
      #expect(problems == [], "\(replayCommand(seed &+ UInt64(offset), "PriorityQueueTests"))")
      guard problems.isEmpty else { return }
    }
  }
}
