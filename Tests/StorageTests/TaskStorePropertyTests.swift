import CoordinationCore
import Glibc
import Primitives
import Storage
import Testing

/// Random writes, applied to two engines; after each commit they must tell the same story.
@Suite(.timeLimit(.minutes(5)))
struct TaskStorePropertyTests {
  /// SplitMix64: small, and the same everywhere.
  struct Generator: RandomNumberGenerator {
    var word: UInt64

    mutating func next() -> UInt64 {
      word &+= 0x9E37_79B9_7F4A_7C15
      var z = word
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }

    mutating func bool(oneIn chances: Int = 2) -> Bool { Int.random(in: 0..<chances, using: &self) == 0 }
    mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
    mutating func pick<T>(_ values: [T]) -> T { values[int(0...values.count - 1)] }
    mutating func maybe<T>(_ value: (inout Self) -> T) -> T? { bool() ? value(&self) : nil }

    mutating func json(depth: Int = 3) -> JSONValue {
      switch int(0...(depth == 0 ? 4 : 6)) {
      case 0: return .null
      case 1: return .bool(bool())
      case 2: return .integer(Int64(truncatingIfNeeded: next()))
      case 3: return .number(Double(int(-1_000_000...1_000_000)) / 7)
      case 4: return .string(text())
      case 5: return .array((0..<int(0...3)).map { _ in json(depth: depth - 1) })
      default:
        var object = JSONObject()
        for _ in 0..<int(0...3) { object[text()] = json(depth: depth - 1) }
        return .object(object)
      }
    }

    mutating func text() -> String {
      String(
        String.UnicodeScalarView((0..<int(0...6)).map { _ in pick(["a", "\"", "\\", "ü", "\u{1F600}", "\n", "\0"]) }))
    }

    mutating func taskID() -> TaskID { id("t\(int(0...11))") }
    mutating func worker() -> WorkerID { pick([StorageTests.worker("w1"), StorageTests.worker("w2")]) }
    mutating func attemptNumber() -> Int { int(1...4) }
    mutating func wallTime() -> WallTime { time(Int64(int(-5...2_000_000_000_000))) }

    mutating func state() -> TaskState {
      var state = TaskState(
        status: pick(bool(oneIn: 4) ? TaskStatus.allCases : [.queued, .assigned, .running, .paused]))
      state.attempt = attemptNumber()
      state.failedAttempts = int(0...9)
      state.lostAttempts = int(0...9)
      state.workerID = maybe { $0.worker() }
      state.startedAt = maybe { $0.wallTime() }
      state.finishedAt = maybe { $0.wallTime() }
      state.exitCode = maybe { $0.int(-1...255) }
      state.reason = maybe { $0.text() }
      state.result = maybe { $0.json() }
      state.progress = maybe { Double($0.int(0...100)) / 100 }
      state.isCancelRequested = bool()
      state.isPauseRequested = bool()
      return state
    }

    mutating func record() -> TaskRecord {
      let work: TaskSpecification.Work =
        if bool() {
          .command(Command(["x", pick(["", "ü \"q\"", "-\\"])], environment: bool() ? ["A": "1", "B": "ü"] : [:]))
        } else {
          .custom(kind: "demo", input: json().object ?? [:])
        }
      let specification = TaskSpecification(
        name: text(), work: work, priority: pick(TaskPriority.allCases), timeout: maybe { .seconds($0.int(1...9)) },
        retries: int(0...3), maxLostAttempts: int(0...11), run: maybe { $0.pick(["r", "s"]) })
      return TaskRecord(
        id: taskID(), specification: specification, submittedAt: wallTime(),
        state: bool(oneIn: 8) ? state() : TaskState())
    }

    mutating func attempt() -> AttemptRecord {
      var attempt = AttemptRecord(
        taskID: taskID(), attempt: attemptNumber(), workerID: worker(), startedAt: wallTime(),
        resumedFrom: maybe { CheckpointKey(attempt: $0.attemptNumber(), number: $0.int(1...4)) })
      attempt.endedAt = maybe { $0.wallTime() }
      attempt.outcome = pick(AttemptRecord.Outcome.allCases)
      attempt.reason = text()
      attempt.exitCode = maybe { $0.int(0...255) }
      return attempt
    }

    mutating func write() -> StoreWrite {
      switch int(0...9) {
      case 0: return .submit(record())
      case 1...3: return .update(taskID(), state())
      case 4: return .attempt(attempt())
      case 5, 6:
        let key = CheckpointKey(attempt: attemptNumber(), number: int(1...4))
        // A broken value now and then, so that commits fail in both engines.
        let data = bool(oneIn: 25) ? nested(65) : json()
        return .checkpoint(
          CheckpointRecord(taskID: taskID(), key: key, createdAt: wallTime(), data: data), keep: int(0...5))
      case 7, 8:
        return .appendOutput(
          taskID(), attempt: attemptNumber(), pick(OutputStream.allCases), offset: int(-1...12),
          bytes: (0..<int(0...12)).map { _ in UInt8(truncatingIfNeeded: next()) }, limit: int(0...20))
      default:
        let output = AttemptOutput(
          stdout: (0..<int(0...6)).map { UInt8($0) }, stderr: (0..<int(0...6)).map { UInt8($0) },
          droppedBytes: int(0...2))
        return .output(taskID(), attempt: attemptNumber(), output)
      }
    }

    mutating func filter() -> TaskFilter {
      TaskFilter(
        statuses: bool() ? nil : Set(TaskStatus.allCases.filter { _ in bool() }), run: maybe { $0.pick(["r", "s"]) },
        workerID: bool(oneIn: 3) ? worker() : nil,
        ids: bool(oneIn: 4) ? (0..<int(0...5)).map { _ in taskID() } : nil,
        after: bool(oneIn: 3) ? taskID() : nil, limit: int(1...6))
    }
  }

  @Test(arguments: Engine.allCases.filter { $0 != .memory })
  func `an engine tells the same story as memory after every commit`(_ engine: Engine) async throws {
    let seed = getenv("LIFELINE_SEED").flatMap { UInt64(String(cString: $0)) } ?? UInt64.random(in: 0...UInt64.max)
    let replay: Comment = "replay: LIFELINE_SEED=\(seed) swift test --filter \"an engine tells the same story\""
    var random = Generator(word: seed)
    let directory = TemporaryDirectory()
    let open = try engine.opener(in: directory)
    let memory = MemoryStore()
    var other = try open()
    var refusedBefore = 0
    for step in 1...400 {
      let writes = (0..<random.int(0...5)).map { _ in random.write() }
      let failures = (
        await storeError { try await memory.commit(writes) }, await storeError { try await other.commit(writes) }
      )
      try #require(failures.0 == failures.1, replay)
      if step.isMultiple(of: 50) {
        refusedBefore += other.refusedWrites
        await other.close()
        other = try open()
      }
      try #require(memory.refusedWrites == refusedBefore + other.refusedWrites, replay)
      let filter = random.filter()
      try #require(try await memory.tasks(filter) == other.tasks(filter), replay)
      let id = random.taskID()
      try #require(try await memory.task(id) == other.task(id), replay)
      try #require(try await memory.unfinished() == other.unfinished(), replay)
      try #require(try await memory.counts() == other.counts(), replay)
      try #require(try await memory.counts(run: "r") == other.counts(run: "r"), replay)
    }
    await other.close()
  }
}
