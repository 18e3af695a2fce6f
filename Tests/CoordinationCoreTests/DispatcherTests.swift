@testable import CoordinationCore
import Primitives
import Testing

@Suite(.timeLimit(.minutes(2)))
struct DispatcherTests {
  private static func time(_ seconds: Int64) -> WallTime { DispatcherBench.time(seconds) }

  private static func bench(aging: Duration? = .seconds(60), isPrioritized: Bool = true) -> DispatcherBench {
    var bench = DispatcherBench(aging: aging, isPrioritized: isPrioritized)
    bench.worker("w")
    return bench
  }

  // MARK: One class

  @Test
  func `higher priorities go first and each is first come first served`() {
    var bench = Self.bench()
    for (id, priority) in [
      ("n1", Priority.normal), ("b1", .background), ("c1", .critical), ("n2", .normal),
      ("h1", .high), ("l1", .low), ("c2", .critical),
    ] { bench.push(id, priority) }
    #expect(bench.drained() == ["c1", "c2", "h1", "n1", "n2", "l1", "b1"])
  }

  @Test
  func `without priorities tasks go in the order that they came`() {
    var bench = Self.bench(isPrioritized: false)
    for (id, priority) in [("n", Priority.normal), ("b", .background), ("c", .critical)] { bench.push(id, priority) }
    #expect(bench.dispatcher.oldest(of: .critical) { $0.id.text == "c" } == Self.time(0).milliseconds)
    #expect(bench.drained() == ["n", "b", "c"])
  }

  @Test
  func `what was given out before goes ahead of its own priority only`() {
    var bench = Self.bench()
    bench.push("n1", .normal)
    bench.push("r1", .normal, atFront: true)
    bench.push("h1", .high)
    #expect(bench.drained() == ["h1", "r1", "n1"])
  }

  @Test
  func `a task that was submitted long ago is overdue at once, whenever it was put in line`() {
    var bench = Self.bench()
    bench.push("old", .background, since: Self.time(-61))
    for number in 1...4 { bench.push("c\(number)", .critical) }
    #expect(bench.drained() == ["c1", "c2", "c3", "old", "c4"])
  }

  @Test
  func `a clock that is set back makes nothing younger`() {
    var bench = Self.bench()
    bench.push("b", .background)
    for number in 1...7 { bench.push("c\(number)", .critical, since: Self.time(60)) }
    #expect(bench.drained(1, at: Self.time(60)) == ["c1"])
    #expect(bench.drained(at: Self.time(-3_600)) == ["c2", "c3", "b", "c4", "c5", "c6", "c7"])
  }

  @Test
  func `a task that is skipped takes nobody's turn`() {
    var bench = Self.bench()
    bench.push("old", .background, since: Self.time(-61))
    for number in 1...8 { bench.push("c\(number)", .critical) }
    bench.cancel("c1")
    bench.cancel("c3")
    #expect(bench.drained() == ["c2", "c4", "c5", "old", "c6", "c7", "c8"])
  }

  @Test
  func `workers take turns and each kind of work goes to those that can do it`() {
    var bench = DispatcherBench()
    bench.worker("w1", slots: 2, kinds: ["a"])
    bench.worker("w2", slots: 2, kinds: ["a", "b"])
    for id in ["a1", "a2", "a3"] { bench.push(id, kind: "a") }
    for id in ["b1", "b2"] { bench.push(id, kind: "b") }
    #expect(bench.started() == ["a1@w1", "a2@w2", "a3@w1", "b1@w2"])
  }

  // MARK: Many classes

  @Test
  func `one class is served by the order of all, whatever the classes are called`() {
    var bench = DispatcherBench()
    bench.worker("w", labels: ["gpu": "1", "zone": "eu"])
    bench.push("n1", requires: ["zone=eu"])
    bench.push("n2")
    bench.push("n3", requires: ["gpu"])
    bench.push("n4", requires: ["zone=eu"])
    bench.push("h", .high, requires: ["gpu"])
    #expect(bench.drained() == ["h", "n1", "n2", "n3", "n4"])
  }

  @Test
  func `what is overdue gets every fourth turn over all classes that its worker can do`() {
    var bench = DispatcherBench()
    bench.worker("w", labels: ["gpu": "1"])
    bench.push("old", .low, requires: ["gpu"], since: Self.time(-100))
    bench.push("older", .background, requires: ["!arm"], since: Self.time(-200))
    for number in 1...8 { bench.push("c\(number)", .critical) }
    #expect(bench.drained() == ["c1", "c2", "c3", "older", "c4", "c5", "c6", "old", "c7", "c8"])
  }

  @Test
  func `a task that nobody can do waits and holds up nobody`() {
    var bench = DispatcherBench()
    bench.worker("w", slots: 2)
    let waiting = bench.push("gpu", .critical, requires: ["gpu=1"])
    bench.push("a")
    bench.push("b")
    #expect(bench.started() == ["a@w", "b@w"])
    #expect(bench.dispatcher.obstacle(for: waiting) == "no connected worker has gpu=1")
    bench.worker("other", labels: ["gpu": "2"])
    #expect(bench.started() == [])
    bench.worker("right", labels: ["gpu": "1"])
    #expect(bench.dispatcher.obstacle(for: waiting) == nil)
    #expect(bench.started() == ["gpu@right"])
  }

  /// What is required, how many slots, of which kind, and what is said.
  private static let obstacles: [([String], Int, String, String?)] = [
    (["gpu=1"], 1, "k", "no connected worker has gpu=1"), (["!os"], 1, "k", "every connected worker has the label os"),
    (["memory_mb>=4096"], 1, "k", "no connected worker has memory_mb>=4096"),
    (["zone=eu", "fast"], 1, "k", "no connected worker has fast zone=eu together"),
    ([], 3, "k", "no connected worker has 3 slots"), ([], 1, "x", "no connected worker does work of kind x"),
    (["zone=eu"], 1, "k", nil), (["fast"], 2, "k", nil),
    (["zone=eu"], 2, "k", "no connected worker has zone=eu and 2 slots together"),
  ]

  @Test(arguments: obstacles)
  func `what is missing is said in words`(requires: [String], slots: Int, kind: String, text: String?) {
    var bench = DispatcherBench()
    bench.worker("w1", labels: ["os": "linux", "zone": "eu", "memory_mb": "2048"])
    bench.worker("w2", slots: 2, labels: ["os": "linux", "fast": "yes"])
    let task = bench.push("t", kind: kind, requires: requires, slots: slots)
    #expect(bench.dispatcher.obstacle(for: task) == text)
    for worker in bench.workers { worker.link = nil }
    bench.dispatcher.fleetChanged()
    #expect(bench.dispatcher.obstacle(for: task) == "no worker is connected")
  }

  @Test
  func `a worker that came back with other labels gets what these are for`() {
    var bench = DispatcherBench()
    let worker = bench.worker("w", slots: 4, labels: ["gpu": "1"])
    bench.push("a", requires: ["gpu=1"])
    #expect(bench.started() == ["a@w"])
    worker.labels = WorkerLabels()
    bench.dispatcher.update(worker)
    bench.dispatcher.offer(worker)
    bench.push("b", requires: ["gpu=1"])
    bench.push("c", requires: ["!gpu"])
    #expect(bench.started() == ["c@w"])
    #expect(bench.dispatcher.groupCount == 1)
  }

  // MARK: Several slots

  @Test
  func `workers that are told apart by a new class are given nothing of the other's`() {
    var bench = DispatcherBench()
    bench.worker("a", labels: ["zone": "a"])
    bench.worker("b", labels: ["zone": "b"])
    // It tells the workers apart, and then b is idle in its new place as it was in the old one.
    bench.push("b1", requires: ["zone=b"])
    bench.cancel("b1")
    bench.push("a1", requires: ["zone=a"])
    bench.push("a2", requires: ["zone=a"])
    #expect(bench.started() == ["a1@a"])
  }

  @Test
  func `a task never takes more slots than are free`() {
    var bench = DispatcherBench()
    bench.worker("w", slots: 4)
    for id in ["a", "b"] { bench.push(id, slots: 3) }
    #expect(bench.started() == ["a@w"])
    bench.end("a", bench.workers[0])
    #expect(bench.started() == ["b@w"])
  }

  @Test
  func `a task of several slots waits for what its worker runs already and for nothing later`() {
    var bench = DispatcherBench()
    let worker = bench.worker("w", slots: 4)
    for number in 1...4 { bench.push("s\(number)") }
    #expect(bench.started().count == 4)
    bench.push("big", slots: 4)
    for number in 5...40 { bench.push("s\(number)") }
    for number in 1...3 {
      bench.end("s\(number)", worker)
      #expect(bench.started() == [])
    }
    bench.end("s4", worker)
    #expect(bench.started() == ["big@w"])
    bench.end("big", worker)
    #expect(bench.started() == ["s5@w", "s6@w", "s7@w", "s8@w"])
  }

  @Test
  func `while one worker is kept free for a task of several slots the others go on`() {
    var bench = DispatcherBench()
    let first = bench.worker("w1", slots: 2)
    let second = bench.worker("w2", slots: 2)
    for number in 1...4 { bench.push("s\(number)") }
    #expect(bench.started() == ["s1@w1", "s2@w2", "s3@w1", "s4@w2"])
    for id in ["big1", "big2"] { bench.push(id, slots: 2) }
    for number in 5...8 { bench.push("s\(number)") }
    bench.end("s1", first)
    #expect(bench.started() == [])
    bench.end("s2", second)
    #expect(bench.started() == ["s5@w2"])
    bench.end("s3", first)
    #expect(bench.started() == ["big1@w1"])
    // Now the second of them keeps a worker free.
    bench.end("s4", second)
    #expect(bench.started() == [])
    bench.end("s5", second)
    #expect(bench.started() == ["big2@w2"])
  }

  @Test
  func `a worker that has enough room takes the task that another is kept free for, and that one goes on`() {
    var bench = DispatcherBench()
    bench.worker("w1", slots: 2)
    bench.push("s1")
    #expect(bench.started() == ["s1@w1"])
    bench.push("big", slots: 2)
    bench.push("s2")
    #expect(bench.started() == [])
    bench.worker("w2", slots: 2)
    #expect(bench.started() == ["s2@w1", "big@w2"] || bench.workers[1].held.count == 1)
    #expect(bench.workers.map(\.slotsInUse) == [2, 2])
  }

  @Test
  func `a worker that is kept free for a task that is cancelled goes on`() {
    var bench = DispatcherBench()
    bench.worker("w", slots: 2)
    bench.push("s1")
    #expect(bench.started() == ["s1@w"])
    bench.push("big", slots: 2)
    bench.push("s2")
    #expect(bench.started() == [])
    bench.cancel("big")
    #expect(bench.started() == ["s2@w"])
  }

  @Test
  func `when the worker that is kept free goes away another is`() {
    var bench = DispatcherBench()
    let first = bench.worker("w1", slots: 2)
    let second = bench.worker("w2", slots: 2)
    for number in 1...4 { bench.push("s\(number)") }
    #expect(bench.started().count == 4)
    bench.push("big", slots: 2)
    bench.push("s5")
    bench.end("s1", first)
    #expect(bench.started() == [])
    first.link = nil
    bench.end("s2", second)
    #expect(bench.started() == [])
    bench.end("s4", second)
    #expect(bench.started() == ["big@w2"])
  }

  @Test
  func `what is more urgent goes before a task of several slots, and once that is overdue only three times`() {
    var bench = DispatcherBench()
    let worker = bench.worker("w", slots: 2)
    bench.push("s1")
    #expect(bench.started() == ["s1@w"])
    bench.push("big", slots: 2)
    #expect(bench.started() == [])
    for number in 1...9 { bench.push("c\(number)", .critical, since: Self.time(50)) }
    #expect(bench.started() == ["c1@w"])
    for number in 1...2 {
      bench.end("c\(number)", worker)
      #expect(bench.started(at: Self.time(100)) == ["c\(number + 1)@w"])
    }
    bench.end("c3", worker)
    #expect(bench.started(at: Self.time(100)) == ["c4@w"])
    bench.end("c4", worker)
    #expect(bench.started(at: Self.time(100)) == [], "its turn has come")
    bench.end("s1", worker)
    #expect(bench.started(at: Self.time(100)) == ["big@w"])
  }

  // MARK: How much work it is

  /// Counts the work and not the time: how many classes are looked at to choose a task.
  @Test
  func `a hundred thousand tasks of a thousand classes are given out without a walk along the queue`() {
    var bench = DispatcherBench()
    for number in 1...10 { bench.worker("w\(number)", slots: 8, labels: ["size": "\(number)"]) }
    let requirements = (0..<1_000).map { DispatcherBench.requirements(["size>=\($0 % 10)", "!x\($0)"]) }
    // Nobody has room yet, so that all of them wait at once.
    for worker in bench.workers { worker.link?.isHeldBack = true }
    for number in 0..<100_000 { bench.push("t\(number)", requirements: requirements[number % 1_000]) }
    #expect(bench.started() == [] && bench.dispatcher.count == 100_000 && bench.dispatcher.classCount == 1_000)
    for worker in bench.workers {
      worker.link?.isHeldBack = false
      bench.dispatcher.offer(worker)
    }
    let (looks, comparisons) = (bench.dispatcher.looks, bench.dispatcher.comparisons)
    let given = 3_000
    #expect(bench.drained(given).count == given)
    let work = bench.dispatcher.looks - looks
    // A class that changed is looked at once by each group, in two heaps.
    #expect(work <= given * 2 * (bench.dispatcher.groupCount + 2), "\(work) classes were looked at for \(given) tasks")
    #expect(bench.dispatcher.comparisons == comparisons, "requirements are compared when a class or a worker is new")
    #expect(comparisons <= 1_000 * 10)
  }

  @Test
  func `classes that come and go leave nothing behind`() {
    var bench = DispatcherBench()
    bench.worker("w")
    for number in 0..<2_500 {
      bench.push("t\(number)", requires: ["!x\(number)"])
      #expect(bench.drained() == ["t\(number)"])
    }
    #expect(bench.dispatcher.classCount <= 2 * Dispatcher.maxIdleClasses)
    #expect(bench.dispatcher.groupCount == 1)
  }

  /// Every task of a random stream leaves, and what is overdue within the promised number of turns.
  @Test
  func `nothing starves while critical tasks keep coming`() {
    let seed = freshSeed()
    for offset in 0..<60 as Range<UInt64> {
      var random = SeededGenerator(seed: seed &+ offset)
      var bench = Self.bench()
      var second: Int64 = 0
      var due: [String: Int] = [:]
      let slow = (0..<Int.random(in: 1...6, using: &random)).map { number -> String in
        let priority: Priority = [.high, .normal, .low, .background].randomElement(using: &random) ?? .low
        bench.push("slow\(number)", priority)
        return "slow\(number)"
      }
      var popped: [String] = []
      for number in 0..<200 {
        second += Int64.random(in: 0...3, using: &random)
        // As many as leave, so the line before is never empty.
        bench.push("c\(number)", .critical, since: Self.time(second))
        bench.push("c\(number)+", .critical, since: Self.time(second))
        if second >= 60, due.isEmpty { for id in slow { due[id] = popped.count + slow.count * 4 } }
        popped += bench.drained(1, at: Self.time(second))
      }
      for id in slow where due[id] != nil {
        guard let place = popped.firstIndex(of: id), place < due[id] ?? 0 else {
          Issue.record("\(id) starves; \(replayCommand(seed &+ offset, "DispatcherTests"))")
          return
        }
      }
    }
  }

  /// The rule said in the simplest words: of everything that the worker can do, the most urgent, and of those the first.
  @Test
  func `each worker gets what a walk along the whole queue would find for it`() {
    let seed = freshSeed()
    for offset in 0..<30 as Range<UInt64> {
      var random = SeededGenerator(seed: seed &+ offset)
      var bench = DispatcherBench(aging: nil)
      var queue: [LiveTask] = []
      var running: [(task: LiveTask, worker: WorkerEntry)] = []
      var count = 0
      for _ in 0..<150 {
        switch Int.random(in: 0..<10, using: &random) {
        case 0 where bench.workers.count < 6:
          var labels: [(String, String)] = []
          for name in ["a", "b", "c"] where Bool.random(using: &random) { labels.append((name, "1")) }
          let worker = bench.worker("w\(bench.workers.count)", slots: Int.random(in: 1...4, using: &random))
          for (name, value) in labels { try? worker.labels.set(name, value) }
          bench.dispatcher.update(worker)
          bench.dispatcher.offer(worker)
        case 1..<7:
          count += 1
          let requires = ["a=1", "b", "!c", "a>=1"].filter { _ in Int.random(in: 0..<3, using: &random) == 0 }
          let priority = Priority.allCases.randomElement(using: &random) ?? .low
          queue.append(bench.push("t\(count)", priority, requires: Array(requires.prefix(1))))
        default:
          guard !running.isEmpty else { continue }
          let ended = running.remove(at: Int.random(in: 0..<running.count, using: &random))
          bench.end(ended.task, ended.worker)
        }
        while let (task, worker) = bench.next() {
          let best = queue.enumerated().filter { TaskNeeds($0.element.specification).suits(worker) }
            .min { ($0.element.specification.priority, $0.offset) < ($1.element.specification.priority, $1.offset) }
          guard let best, best.element === task, worker.slotsInUse <= worker.slots else {
            Issue.record("\(worker.id) got \(task.id); \(replayCommand(seed &+ offset, "DispatcherTests"))")
            return
          }
          queue.remove(at: best.offset)
          running.append((task, worker))
        }
        let isIdle = bench.workers.contains { worker in
          worker.freeSlots > 0 && queue.contains { TaskNeeds($0.specification).suits(worker) }
        }
        guard !isIdle else {
          Issue.record("a worker stands idle; \(replayCommand(seed &+ offset, "DispatcherTests"))")
          return
        }
      }
    }
  }

  @Test
  func `tasks of any number of slots all run, each where it fits, and none starves`() {
    let seed = freshSeed()
    for offset in 0..<30 as Range<UInt64> {
      var random = SeededGenerator(seed: seed &+ offset)
      var bench = DispatcherBench(aging: Bool.random(using: &random) ? .seconds(5) : nil)
      for number in 0..<Int.random(in: 1...4, using: &random) {
        bench.worker(
          "w\(number)", slots: number == 0 ? 4 : Int.random(in: 1...4, using: &random), labels: ["n": "\(number)"])
      }
      var running: [(task: LiveTask, worker: WorkerEntry)] = []
      var waiting: Set<String> = []
      var cancelled: Set<String> = []
      for step in 0..<400 {
        if step < 200 {
          let requires = Int.random(in: 0..<4, using: &random) == 0 ? ["n=0"] : []
          let slots = Int.random(in: 0..<4, using: &random) == 0 ? Int.random(in: 2...4, using: &random) : 1
          bench.push(
            "t\(step)", Priority.allCases.randomElement(using: &random) ?? .low, requires: requires, slots: slots,
            since: Self.time(Int64(step)))
          waiting.insert("t\(step)")
          if Int.random(in: 0..<10, using: &random) == 0, let id = waiting.sorted().randomElement(using: &random) {
            bench.cancel(id)
            waiting.remove(id)
            cancelled.insert(id)
          }
        }
        while let (task, worker) = bench.next(at: Self.time(Int64(step))) {
          guard worker.slotsInUse <= worker.slots, TaskNeeds(task.specification).suits(worker),
            waiting.remove(task.id.text) != nil
          else {
            Issue.record("\(task.id) at \(worker.id); \(replayCommand(seed &+ offset, "DispatcherTests"))")
            return
          }
          running.append((task, worker))
        }
        for _ in 0..<Int.random(in: 0...4, using: &random) where !running.isEmpty {
          let ended = running.remove(at: Int.random(in: 0..<running.count, using: &random))
          bench.end(ended.task, ended.worker)
        }
      }
      while !waiting.isEmpty {
        while let (task, worker) = bench.next(at: Self.time(400)) {
          waiting.remove(task.id.text)
          running.append((task, worker))
        }
        guard let ended = running.popLast() else { break }
        bench.end(ended.task, ended.worker)
      }
      guard waiting.isEmpty else {
        Issue.record("\(waiting.sorted()) starve; \(replayCommand(seed &+ offset, "DispatcherTests"))")
        return
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
    var workers = DispatcherBench()
    let worker = workers.worker("w", slots: 5)
    worker.leaveBucket()
    worker.group = nil
    book.dispatcher.update(worker)
    book.dispatcher.offer(worker)
    while let (task, worker) = book.dispatcher.next(at: Self.time(0)) {
      order.append(task.id.text)
      book.assign(task, to: WorkerID(known: "w"), wall: Self.time(0))
      worker.hold(task)
      book.dispatcher.offer(worker)
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
