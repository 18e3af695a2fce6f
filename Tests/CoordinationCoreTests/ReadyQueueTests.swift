@testable import CoordinationCore
import Primitives
import Testing

struct ReadyQueueTests {
  private static func time(_ seconds: Int64) -> WallTime { WallTime(milliseconds: 1_700_000_000_000 + seconds * 1_000) }

  private func drained(
    _ queue: inout ReadyQueue, _ count: Int = .max, kind: String = "k", at wall: WallTime = Self.time(0)
  ) -> [String] {
    var ids: [String] = []
    while ids.count < count, let id = queue.pop(kind: kind, at: wall, accept: { $0 }) { ids.append(id.text) }
    return ids
  }

  private func push(
    _ id: String, _ priority: Priority, kind: String = "k", since wall: WallTime = Self.time(0), atFront: Bool = false,
    to queue: inout ReadyQueue
  ) {
    queue.push(TaskID(known: id), kind: kind, priority: priority, since: wall, atFront: atFront)
  }

  @Test
  func `higher priorities go first and each is first come first served`() {
    var queue = ReadyQueue(aging: .seconds(60))
    for (id, priority) in [
      ("n1", Priority.normal), ("b1", .background), ("c1", .critical), ("n2", .normal),
      ("h1", .high), ("l1", .low), ("c2", .critical),
    ] { push(id, priority, to: &queue) }
    #expect(drained(&queue) == ["c1", "c2", "h1", "n1", "n2", "l1", "b1"])
  }

  @Test
  func `without priorities tasks go in the order that they came`() {
    var queue = ReadyQueue(aging: .seconds(60), isPrioritized: false)
    for (id, priority) in [("n", Priority.normal), ("b", .background), ("c", .critical)] {
      push(id, priority, to: &queue)
    }
    #expect(queue.oldest(of: .critical) { $0.text == "c" } == Self.time(0).milliseconds)
    #expect(drained(&queue) == ["n", "b", "c"])
  }

  @Test
  func `what was given out before goes ahead of its own priority only`() {
    var queue = ReadyQueue(aging: .seconds(60))
    push("n1", .normal, to: &queue)
    push("r1", .normal, atFront: true, to: &queue)
    push("h1", .high, to: &queue)
    #expect(drained(&queue) == ["h1", "r1", "n1"])
  }

  @Test
  func `a task that was submitted long ago is overdue at once, whenever it was put in line`() {
    var queue = ReadyQueue(aging: .seconds(60))
    push("old", .background, since: Self.time(-61), to: &queue)
    for number in 1...4 { push("c\(number)", .critical, to: &queue) }
    #expect(drained(&queue) == ["c1", "c2", "c3", "old", "c4"])
  }

  @Test
  func `a clock that is set back makes nothing younger`() {
    var queue = ReadyQueue(aging: .seconds(60))
    push("b", .background, to: &queue)
    for number in 1...7 { push("c\(number)", .critical, since: Self.time(60), to: &queue) }
    #expect(drained(&queue, 1, at: Self.time(60)) == ["c1"])
    #expect(drained(&queue, at: Self.time(-3_600)) == ["c2", "c3", "b", "c4", "c5", "c6", "c7"])
  }

  @Test
  func `a task that is skipped takes nobody's turn`() {
    var queue = ReadyQueue(aging: .seconds(60))
    push("old", .background, since: Self.time(-61), to: &queue)
    for number in 1...8 { push("c\(number)", .critical, to: &queue) }
    var ids: [String] = []
    let accept: (TaskID) -> TaskID? = { ["c1", "c3"].contains($0.text) ? nil : $0 }
    while let id = queue.pop(kind: "k", at: Self.time(0), accept: accept) { ids.append(id.text) }
    #expect(ids == ["c2", "c4", "c5", "old", "c6", "c7", "c8"])
  }

  @Test
  func `kinds are lines of their own`() {
    var queue = ReadyQueue(aging: nil)
    push("b", .normal, kind: "b", to: &queue)
    push("a", .normal, kind: "a", to: &queue)
    #expect(queue.kinds == ["a", "b"])
    #expect(drained(&queue, kind: "a") == ["a"])
    #expect(queue.hasReady(kind: "b") && !queue.hasReady(kind: "c"))
  }

  /// Every task of a random stream leaves, and what is overdue within the promised number of turns.
  @Test
  func `nothing starves while critical tasks keep coming`() {
    let seed = freshSeed()
    for offset in 0..<300 as Range<UInt64> {
      var random = SeededGenerator(seed: seed &+ offset)
      var queue = ReadyQueue(aging: .seconds(60))
      var second: Int64 = 0
      var due: [String: Int] = [:]
      let slow = (0..<Int.random(in: 1...6, using: &random)).map { number -> String in
        let priority: Priority = [.high, .normal, .low, .background].randomElement(using: &random) ?? .low
        push("slow\(number)", priority, to: &queue)
        return "slow\(number)"
      }
      var popped: [String] = []
      for number in 0..<200 {
        second += Int64.random(in: 0...3, using: &random)
        // As many as leave, so the line before is never empty.
        push("c\(number)", .critical, since: Self.time(second), to: &queue)
        push("c\(number)+", .critical, since: Self.time(second), to: &queue)
        if second >= 60, due.isEmpty { for id in slow { due[id] = popped.count + slow.count * 4 } }
        popped += drained(&queue, 1, at: Self.time(second))
      }
      for id in slow where due[id] != nil {
        guard let place = popped.firstIndex(of: id), place < due[id] ?? 0 else {
          Issue.record("\(id) starves; \(replayCommand(seed &+ offset, "ReadyQueueTests"))")
          return
        }
      }
    }
  }

  @Test
  func `a restored task is as old as it was, and what is queued is counted`() {
    let task = { (name: String, priority: Priority, seconds: Int64) in
      UnfinishedTask(
        task: TaskRecord(
          id: TaskID(known: name),
          specification: TaskSpecification(
            name: name, work: .custom(kind: "k", input: [:]), priority: priority), submittedAt: Self.time(seconds)),
        checkpoint: nil, attempt: nil)
    }
    var book = TaskBook(checkpointsKept: 1, aging: .seconds(60))
    book.restore(task("old", .low, -100))
    for number in 1...4 { book.restore(task("c\(number)", .critical, 0)) }
    #expect(book.status(at: Self.time(10))[.low] == QueueStatus.Level(waiting: 1, oldest: .seconds(110)))
    #expect(book.status(at: Self.time(10))[.critical] == QueueStatus.Level(waiting: 4, oldest: .seconds(10)))
    var order: [String] = []
    while let task = book.nextReady(kind: "k", wall: Self.time(0)) {
      order.append(task.id.text)
      book.assign(task, to: WorkerID(known: "w"), wall: Self.time(0))
    }
    #expect(order == ["c1", "c2", "c3", "old", "c4"])
    #expect(book.status(at: Self.time(10)) == QueueStatus())
    #expect(book[TaskID(known: "old")].map { book.lose($0, reason: "gone", wall: Self.time(1)) } != nil)
    #expect(book.status(at: Self.time(10))[.low].waiting == 1)
    #expect(book.requestPause(true, TaskID(known: "old")) == .done)
    #expect(book.status(at: Self.time(10))[.low] == QueueStatus.Level(waiting: 1, oldest: nil))
    #expect(book.requestCancel(TaskID(known: "old"), wall: Self.time(2)) == .done)
    #expect(book.status(at: Self.time(10)) == QueueStatus())
  }
}
