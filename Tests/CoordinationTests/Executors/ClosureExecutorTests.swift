import CoordinationCore
import Locking
import Primitives
import TestSupport
import Testing

@testable import Coordination
@testable import Reactor

@Suite(.timeLimit(.minutes(3))) struct ClosureExecutorTests {
  /// What a recorder saw, for another thread.
  private struct Seen: Sendable {
    let key: AttemptKey
    let events: [WorkerEvent]
    let ending: AttemptEnding?
    let checkpoints: [JSONValue]
    let progress: [Double]
    let excess: Int

    init(_ recorder: AttemptRecorder) {
      key = recorder.key
      events = recorder.events
      ending = recorder.ending
      checkpoints = recorder.checkpoints
      progress = recorder.progress
      excess = recorder.excess
    }
  }

  /// Runs a loop where it does not keep Swift's few threads from running the closures.
  private func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      do {
        try Thread.start(name: "test loop") { continuation.resume(with: Result { try body() }) }.detach()
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }

  private struct Trouble: Error, CustomStringConvertible { let description: String }

  private func execute(
    input: JSONObject = [:], checkpoint: JSONValue? = nil, timeout: Duration? = nil,
    grace: Duration = .seconds(10),
    script: @escaping @Sendable (EventLoop, ClosureExecutor, AttemptRecorder) -> Void = { _, _, _ in },
    _ body: @escaping ClosureExecutor.Body
  ) async throws -> Seen {
    try await onThread {
      Seen(try run(input: input, checkpoint: checkpoint, timeout: timeout, grace: grace, script: script, body))
    }
  }

  private func run(
    input: JSONObject, checkpoint: JSONValue?, timeout: Duration?, grace: Duration,
    script: (EventLoop, ClosureExecutor, AttemptRecorder) -> Void, _ body: @escaping ClosureExecutor.Body
  ) throws -> AttemptRecorder {
    let key = AttemptKey(try TaskID("closure"), 3)
    let assignment = Assignment(
      taskID: key.taskID, attempt: 3,
      specification: TaskSpecification(name: "c", work: .custom(kind: "sum", input: input), timeout: timeout),
      checkpoint: checkpoint.map { .init(key: CheckpointKey(attempt: 2, number: 1), data: $0) })
    let recorder = AttemptRecorder(key)
    let executor = ClosureExecutor(kinds: ["sum"], cancellationGrace: grace, body)
    try withLoop(limit: .seconds(60)) { loop in
      script(loop, executor, recorder)
      recorder.start(assignment, by: executor, on: loop)
    }
    return recorder
  }

  /// Waits as a well-behaved closure does, for something that never comes.
  private static func idle(_ context: TaskContext) async throws {
    while true {
      try context.checkCancellation()
      await Task.yield()
    }
  }

  @Test func `a closure knows its task, and what it returns is the result`() async throws {
    let recorder = try await execute(input: ["n": 4], checkpoint: 10) { context in
      let n = context.input["n"]?.integer ?? 0
      let start = context.latestCheckpoint?.integer ?? 0
      #expect(context.taskID.text == "closure" && context.attempt == 3)
      return .integer(start + n)
    }
    #expect(recorder.ending == AttemptEnding(.completed, result: 14))
    #expect(recorder.events.first == .attemptStarted(recorder.key))
  }

  @Test func `an error fails the attempt with its description`() async throws {
    let recorder = try await execute { _ in throw Trouble(description: "the disk is full") }
    #expect(recorder.ending == AttemptEnding(.failed, reason: "the disk is full"))
  }

  @Test func `checkpoints and progress are handed on in order`() async throws {
    let recorder = try await execute { context in
      for n in 1...100 {
        try await context.checkpoint(.integer(Int64(n)))
        context.update(progress: Double(n) / 100)
      }
      context.update(progress: .nan)
      context.update(progress: 7)
      #expect(context.latestCheckpoint == 100)
      return nil
    }
    #expect(recorder.checkpoints == (1...100).map { .integer($0) })
    #expect(recorder.progress == (1...100).map { Double($0) / 100 } + [0, 1])
  }

  @Test func `without room a checkpoint waits`() async throws {
    let recorder = try await execute(
      script: { loop, executor, recorder in
        recorder.room = 3
        loop.when({ recorder.room == 0 }, limit: .seconds(60)) {
          recorder.room = 100
          executor.roomAvailable()
        }
      },
      { context in
        for n in 1...10 { try await context.checkpoint(.integer(Int64(n))) }
        return nil
      })
    #expect(recorder.excess == 0)
    #expect(recorder.checkpoints.count == 10)
  }

  @Test func `a stop ends a checkpoint's wait for room`() async throws {
    let recorder = try await execute(
      script: { _, executor, recorder in
        recorder.room = 0
        recorder.onEvent = { if case .attemptProgressed = $0 { executor.stop(recorder.key, .cancelled) } }
      },
      { context in
        context.update(progress: 0.5)
        try await context.checkpoint(1)
        return nil
      })
    #expect(recorder.ending?.outcome == .cancelled)
    #expect(recorder.checkpoints == [])
  }

  @Test func `a stop cancels the closure, and the attempt is cancelled`() async throws {
    let recorder = try await execute(
      script: { _, executor, recorder in
        recorder.onEvent = { if case .attemptProgressed = $0 { executor.stop(recorder.key, .cancelled) } }
      },
      { context in
        context.update(progress: 0.5)
        try await Self.idle(context)
        return nil
      })
    #expect(recorder.ending == AttemptEnding(.cancelled, reason: "cancelled on request"))
  }

  @Test func `what finishes although it was asked to stop is completed`() async throws {
    let recorder = try await execute(
      script: { _, executor, recorder in
        recorder.onEvent = { if case .attemptProgressed = $0 { executor.stop(recorder.key, .cancelled) } }
      },
      { context in
        context.update(progress: 0.5)
        try? await Self.idle(context)
        return "done"
      })
    #expect(recorder.ending == AttemptEnding(.completed, result: "done"))
  }

  @Test func `a cancellation nobody asked for is a failure`() async throws {
    let recorder = try await execute { _ in throw CancellationError() }
    #expect(recorder.ending?.outcome == .failed)
  }

  @Test func `a closure that takes no notice is given up after the grace`() async throws {
    let release = Locked(false)
    let recorder = try await execute(
      grace: .milliseconds(50),
      script: { _, executor, recorder in
        recorder.onEvent = { if case .attemptStarted = $0 { executor.stop(recorder.key, .stopping) } }
      },
      { _ in
        while !release.withLock({ $0 }) { await Task.yield() }
        return nil
      })
    release.withLock { $0 = true }
    #expect(recorder.ending == AttemptEnding(.cancelled, reason: StopReason.stopping.rawValue))
  }

  @Test func `a closure whose time is up has failed`() async throws {
    let recorder = try await execute(timeout: .milliseconds(50)) { context in
      try await Self.idle(context)
      return nil
    }
    #expect(recorder.ending == AttemptEnding(.failed, reason: "timed out after 0.05 s"))
  }

  @Test func `a closure pauses where it says so, and goes on when resumed`() async throws {
    let recorder = try await execute(
      script: { loop, executor, recorder in
        recorder.onEvent = { event in
          if case .attemptProgressed(_, 0.5) = event { executor.pause(recorder.key) }
          if case .attemptPaused = event { loop.afterTurn { executor.resume(recorder.key) } }
        }
      },
      { context in
        context.update(progress: 0.5)
        while !context.isPaused { await Task.yield() }
        try await context.waitWhilePaused()
        #expect(!context.isPaused)
        context.update(progress: 1)
        return nil
      })
    let order = recorder.events.filter { if case .attemptProgressed = $0 { false } else { true } }
    #expect(
      order.dropLast() == [.attemptStarted(recorder.key), .attemptPaused(recorder.key), .attemptResumed(recorder.key)])
    #expect(recorder.ending?.outcome == .completed)
  }

  @Test func `a stop wakes a closure that stands still`() async throws {
    let recorder = try await execute(
      script: { _, executor, recorder in
        recorder.onEvent = { event in
          if case .attemptStarted = event { executor.pause(recorder.key) }
          if case .attemptPaused = event { executor.stop(recorder.key, .superseded) }
        }
      },
      { context in
        while !context.isPaused { await Task.yield() }
        try await context.waitWhilePaused()
        return nil
      })
    #expect(recorder.ending?.outcome == .cancelled)
  }

  @Test func `a checkpoint on request holds the state that was told last`() async throws {
    let recorder = try await execute(
      script: { _, executor, recorder in
        recorder.onEvent = { if case .attemptProgressed = $0 { executor.requestCheckpoint(recorder.key) } }
      },
      { context in
        context.update(state: ["row": 1])
        context.update(state: ["row": 2])
        context.update(progress: 0.5)
        return nil
      })
    #expect(recorder.checkpoints == [["row": 2]])
  }

  @Test func `a closure outlived by nobody hears that its loop has ended`() async throws {
    let outcome = Locked<String?>(nil)
    try await onThread {
      let recorder = AttemptRecorder(AttemptKey(try TaskID("closure"), 1))
      let executor = ClosureExecutor(kinds: ["sum"]) { context in
        do {
          try await Self.idle(context)
        } catch {
          outcome.withLock { $0 = "\(type(of: error))" }
        }
        return nil
      }
      try withLoop(limit: .seconds(60)) { loop in
        executor.start(
          Assignment(
            taskID: recorder.key.taskID, attempt: 1,
            specification: TaskSpecification(name: "c", work: .custom(kind: "sum", input: [:]))),
          reporter: recorder.reporter(), on: loop)
        loop.stop()
      }
    }
    while outcome.withLock({ $0 }) == nil { await Task.yield() }
    #expect(outcome.withLock { $0 } == "CancellationError")
  }

  @Test func `many closures speak to one loop at once`() async throws {
    let seen = try await onThread { try many().map(Seen.init) }
    for recorder in seen {
      #expect(recorder.ending?.outcome == .completed)
      #expect(recorder.checkpoints == (1...20).map { .integer($0) })
    }
  }

  private func many() throws -> [AttemptRecorder] {
    let recorders = try (0..<50).map { AttemptRecorder(AttemptKey(try TaskID("t\($0)"), 1)) }
    let executor = ClosureExecutor(kinds: ["sum"]) { context in
      for n in 1...20 {
        try await context.checkpoint(.integer(Int64(n)))
        context.update(progress: Double(n) / 20)
        try await context.waitWhilePaused()
      }
      return nil
    }
    try withLoop(limit: .seconds(60)) { loop in
      for recorder in recorders {
        let specification = TaskSpecification(name: "c", work: .custom(kind: "sum", input: [:]))
        executor.start(
          Assignment(taskID: recorder.key.taskID, attempt: 1, specification: specification),
          reporter: recorder.reporter(), on: loop)
        recorder.onEvent = { event in
          if case .attemptProgressed(_, 0.5) = event {
            executor.pause(recorder.key)
            loop.afterTurn { executor.resume(recorder.key) }
          }
        }
      }
      loop.when({ recorders.allSatisfy { $0.ending != nil } }, limit: .seconds(60)) { loop.stop() }
    }
    return recorders
  }
}
