import Primitives
import Testing

@testable import Simulation

@testable import CoordinationCore

@Suite(.timeLimit(.minutes(5)))
struct TaskBookTests {
  /// Where a task can stand. `lost` and `retrying` are both `queued` under attempt 1, for different reasons.
  enum Stage: CaseIterable {
    case fresh, assigned, running, paused, lost, retrying, completed, failed, cancelled, unknown
  }

  enum Operation: CaseIterable {
    case start, pause, resume, progress, checkpoint, complete, fail, endCancelled
    case staleEnd, foreignEnd
    case requestCancel, requestPause, requestResume, lose, submit
  }

  static let wall = WallTime(milliseconds: 1)
  static let id = TaskID(known: "t")
  static let worker = WorkerID(known: "w")

  struct Fixture {
    var book = TaskBook(checkpointsKept: 3)

    init(_ stage: Stage, retries: Int = 1, maxLost: Int = 5) {
      defer {
        book.writes = []
        book.changes = []
      }
      guard stage != .unknown else { return }
      _ = book.submit(id, work(retries: retries, maxLost: maxLost), wall: wall)
      guard stage != .fresh, let task = book.nextReady(kind: "work", wall: TaskBookTests.wall) else { return }
      book.assign(task, to: worker, wall: wall)
      guard stage != .assigned else { return }
      _ = book.start(id, attempt: 1, worker: worker, wall: wall)
      switch stage {
      case .paused: _ = book.setPaused(true, id, attempt: 1, worker: worker)
      case .lost: book.lose(task, reason: "gone", wall: wall)
      case .retrying: _ = book.end(id, attempt: 1, worker: worker, AttemptEnding(.failed), wall: wall)
      case .completed: _ = book.end(id, attempt: 1, worker: worker, AttemptEnding(.completed), wall: wall)
      case .cancelled: _ = book.end(id, attempt: 1, worker: worker, AttemptEnding(.cancelled), wall: wall)
      case .failed:
        task.state.failedAttempts = retries
        _ = book.end(id, attempt: 1, worker: worker, AttemptEnding(.failed), wall: wall)
      case .fresh, .assigned, .running, .unknown: break
      }
    }

    mutating func perform(_ operation: Operation) -> String {
      switch operation {
      case .start: return "\(book.start(id, attempt: 1, worker: worker, wall: wall))"
      case .pause: return "\(book.setPaused(true, id, attempt: 1, worker: worker))"
      case .resume: return "\(book.setPaused(false, id, attempt: 1, worker: worker))"
      case .progress: return "\(book.setProgress(0.5, id, attempt: 1, worker: worker))"
      case .checkpoint:
        let key = CheckpointKey(attempt: 1, number: 1)
        let record = CheckpointRecord(taskID: id, key: key, createdAt: wall, data: 1)
        return "\(book.addCheckpoint(record, worker: worker))"
      case .complete: return "\(book.end(id, attempt: 1, worker: worker, AttemptEnding(.completed), wall: wall))"
      case .fail: return "\(book.end(id, attempt: 1, worker: worker, AttemptEnding(.failed), wall: wall))"
      case .endCancelled: return "\(book.end(id, attempt: 1, worker: worker, AttemptEnding(.cancelled), wall: wall))"
      case .staleEnd: return "\(book.end(id, attempt: 7, worker: worker, AttemptEnding(.completed), wall: wall))"
      case .foreignEnd:
        return "\(book.end(id, attempt: 1, worker: WorkerID(known: "x"), AttemptEnding(.completed), wall: wall))"
      case .requestCancel: return "\(book.requestCancel(id, wall: wall))"
      case .requestPause: return "\(book.requestPause(true, id))"
      case .requestResume: return "\(book.requestPause(false, id))"
      case .lose:
        if let task = book[id] { book.lose(task, reason: "gone", wall: wall) }
        return "done"
      case .submit: return "\(book.submit(id, work(), wall: wall))"
      }
    }
  }

  /// For each stage, in the order of `Operation.allCases`: the verdict, and the status after it (`-` for none).
  static let table: [(stage: Stage, rows: [String])] = [
    (
      .fresh,
      [
        "stale queued", "stale queued", "stale queued", "stale queued", "stale queued", "stale queued", "stale queued",
        "stale queued", "stale queued", "stale queued", "done -", "done queued", "done queued", "done queued",
        "false queued",
      ]
    ),
    (
      .assigned,
      [
        "accepted running", "accepted paused", "accepted running", "accepted assigned", "accepted assigned",
        "accepted -",
        "accepted queued", "accepted -", "stale assigned", "stale assigned", "tell assigned", "tell assigned",
        "tell assigned", "done queued", "false assigned",
      ]
    ),
    (
      .running,
      [
        "repeated running", "accepted paused", "repeated running", "accepted running", "accepted running", "accepted -",
        "accepted queued", "accepted -", "stale running", "stale running", "tell running", "tell running",
        "tell running",
        "done queued", "false running",
      ]
    ),
    (
      .paused,
      [
        "repeated paused", "repeated paused", "accepted running", "accepted paused", "accepted paused", "accepted -",
        "accepted queued", "accepted -", "stale paused", "stale paused", "tell paused", "tell paused", "tell paused",
        "done queued", "false paused",
      ]
    ),
    (
      .lost,
      [
        "stale queued", "stale queued", "stale queued", "accepted queued", "accepted queued", "accepted -",
        "accepted queued", "accepted -", "stale queued", "stale queued", "done -", "done queued", "done queued",
        "done queued", "false queued",
      ]
    ),
    (
      .retrying,
      [
        "stale queued", "stale queued", "stale queued", "accepted queued", "accepted queued", "repeated queued",
        "repeated queued", "repeated queued", "stale queued", "stale queued", "done -", "done queued", "done queued",
        "done queued", "false queued",
      ]
    ),
    (.completed, ended), (.failed, ended), (.cancelled, ended), (.unknown, ended),
  ]
  static let ended =
    Array(repeating: "ended -", count: 10) + ["unknown -", "unknown -", "unknown -", "done -", "true queued"]

  @Test(arguments: table)
  func `every operation in every stage has one verdict`(stage: Stage, rows: [String]) {
    #expect(rows.count == Operation.allCases.count)
    for (operation, row) in zip(Operation.allCases, rows) {
      var fixture = Fixture(stage)
      let before = fixture.book[Self.id]?.record
      let verdict = fixture.perform(operation).split(separator: "(").first.map(String.init) ?? ""
      let status = fixture.book[Self.id]?.state.status.rawValue ?? "-"
      #expect("\(verdict) \(status)" == row, "\(stage) × \(operation)")
      if ["stale", "ended", "repeated", "unknown", "false"].contains(verdict) {
        #expect(fixture.book.writes.isEmpty && fixture.book[Self.id]?.record == before, "\(stage) × \(operation)")
      }
    }
  }

  @Test
  func `a task that has ended is written exactly once with its end`() {
    for operation in [Operation.complete, .endCancelled, .requestCancel] {
      var fixture = Fixture(operation == .requestCancel ? .lost : .running)
      _ = fixture.perform(operation)
      let ends = fixture.book.writes.filter {
        if case .update(_, let state) = $0 { state.status.isTerminal } else { false }
      }
      #expect(ends.count == 1)
      #expect(fixture.book.ended == [Self.id])
    }
  }

  @Test
  func `each assignment takes the next attempt number and a late word from an older one is stale`() throws {
    var fixture = Fixture(.lost)
    for attempt in 2...4 {
      let ready = fixture.book.nextReady(kind: "work", wall: Self.wall)
      let task = try #require(ready)
      fixture.book.assign(task, to: Self.worker, wall: Self.wall)
      #expect(task.state.attempt == attempt)
      let late = fixture.book.end(
        Self.id, attempt: attempt - 1, worker: Self.worker, AttemptEnding(.completed), wall: Self.wall)
      #expect(late == .stale(newestAttempt: attempt))
      fixture.book.lose(task, reason: "gone", wall: Self.wall)
    }
  }

  @Test(arguments: [0, 1, 3])
  func `a failing task is tried once more for each retry and then fails with its own reason`(retries: Int) {
    var fixture = Fixture(.unknown)
    _ = fixture.book.submit(Self.id, work(retries: retries), wall: Self.wall)
    var attempts = 0
    var last: TaskRecord?
    while let task = fixture.book.nextReady(kind: "work", wall: Self.wall) {
      fixture.book.assign(task, to: Self.worker, wall: Self.wall)
      attempts += 1
      let ending = AttemptEnding(.failed, exitCode: 3)
      _ = fixture.book.end(Self.id, attempt: attempts, worker: Self.worker, ending, wall: Self.wall)
      last = fixture.book.changes.last
    }
    #expect(attempts == retries + 1)
    #expect(last?.state.status == .failed && last?.state.reason == "exit status 3" && last?.state.exitCode == 3)
  }

  @Test(arguments: [0, 1, 3])
  func `a task that loses its workers is failed after the bound`(bound: Int) {
    var fixture = Fixture(.unknown)
    _ = fixture.book.submit(Self.id, work(maxLost: bound), wall: Self.wall)
    var attempts = 0
    while let task = fixture.book.nextReady(kind: "work", wall: Self.wall), attempts < 10 {
      fixture.book.assign(task, to: Self.worker, wall: Self.wall)
      fixture.book.lose(task, reason: "crash \(attempts)", wall: Self.wall)
      attempts += 1
    }
    #expect(attempts == bound + 1)
    let state = fixture.book.changes.last?.state
    #expect(state?.status == .failed)
    #expect(state?.reason?.contains("crash \(bound)") == true)
  }

  @Test
  func `a lost attempt is recorded with its reason`() {
    let attempts = Fixture(.lost).book[Self.id]?.attempt
    #expect(attempts?.outcome == .lost && attempts?.reason == "gone" && attempts?.endedAt == Self.wall)
  }

  @Test
  func `a cancelled task that loses its worker ends cancelled`() throws {
    var fixture = Fixture(.running)
    _ = fixture.perform(.requestCancel)
    _ = fixture.perform(.lose)
    let state = try #require(fixture.book.changes.last?.state)
    #expect(state.status == .cancelled && fixture.book[Self.id] == nil)
  }

  @Test
  func `a paused task waits in the queue until it is resumed`() {
    var fixture = Fixture(.fresh)
    _ = fixture.perform(.requestPause)
    let held = fixture.book.nextReady(kind: "work", wall: Self.wall)
    #expect(held == nil)
    _ = fixture.perform(.requestResume)
    let next = fixture.book.nextReady(kind: "work", wall: Self.wall)
    #expect(next?.id == Self.id)
  }

  @Test
  func `a task that is paused and resumed in line is given out once`() {
    var fixture = Fixture(.fresh)
    for _ in 0..<3 {
      _ = fixture.perform(.requestPause)
      _ = fixture.perform(.requestResume)
    }
    let next = fixture.book.nextReady(kind: "work", wall: Self.wall)
    #expect(next != nil)
    let held = fixture.book.nextReady(kind: "work", wall: Self.wall)
    #expect(held == nil)
  }

  @Test
  func `a readopted attempt runs on under its own number and is not given out`() throws {
    var fixture = Fixture(.lost)
    let task = try #require(fixture.book[Self.id])
    fixture.book.readopt(task, wall: Self.wall)
    #expect(task.state.status == .running && task.state.attempt == 1 && task.state.lostAttempts == 0)
    #expect(task.attempt?.outcome == .running && task.attempt?.endedAt == nil)
    let held = fixture.book.nextReady(kind: "work", wall: Self.wall)
    #expect(held == nil)
    fixture.book.lose(task, reason: "again", wall: Self.wall)
    let next = fixture.book.nextReady(kind: "work", wall: Self.wall)
    #expect(next?.id == Self.id)
  }

  @Test
  func `only a newer checkpoint is kept and the next attempt starts from it`() throws {
    var fixture = Fixture(.running)
    let keys = [1, 2, 2, 1, 5].map { CheckpointKey(attempt: 1, number: $0) }
    let verdicts = keys.map {
      fixture.book.addCheckpoint(
        CheckpointRecord(taskID: Self.id, key: $0, createdAt: Self.wall, data: .integer(Int64($0.number))),
        worker: Self.worker)
    }
    #expect(verdicts == [.accepted, .accepted, .repeated, .repeated, .accepted])
    let task = try #require(fixture.book[Self.id])
    fixture.book.lose(task, reason: "gone", wall: Self.wall)
    let ready = fixture.book.nextReady(kind: "work", wall: Self.wall)
    let next = try #require(ready)
    fixture.book.assign(next, to: WorkerID(known: "x"), wall: Self.wall)
    #expect(next.attempt?.resumedFrom == CheckpointKey(attempt: 1, number: 5))
    #expect(Assignment(next).checkpoint?.data == 5)
  }

  @Test
  func `what is restored continues where the store left it`() throws {
    var original = Fixture(.lost)
    _ = original.book.submit(TaskID(known: "u"), work(), wall: Self.wall)
    let tasks = try ["t", "u"].map { try #require(original.book[TaskID(known: $0)]) }
    var book = TaskBook(checkpointsKept: 3)
    for task in tasks {
      book.restore(UnfinishedTask(task: task.record, checkpoint: task.checkpoint, attempt: task.attempt))
    }
    let first = book.nextReady(kind: "work", wall: Self.wall)
    #expect(first?.id.text == "t")
    let second = book.nextReady(kind: "work", wall: Self.wall)
    #expect(second?.id.text == "u")
    #expect(book.writes.isEmpty)
  }
}
