import CoordinationCore
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

@Suite(.timeLimit(.minutes(5))) struct DemoTaskExecutorTests {
  private func execute(
    _ input: JSONObject, checkpoint: JSONValue? = nil, timeout: Duration? = nil,
    script: (EventLoop, DemoTaskExecutor, AttemptRecorder) -> Void = { _, _, _ in }
  ) throws -> AttemptRecorder {
    let key = AttemptKey(try TaskID("demo"), 1)
    let assignment = Assignment(
      taskID: key.taskID, attempt: 1,
      specification: TaskSpecification(name: "d", work: .custom(kind: "demo_task", input: input), timeout: timeout),
      checkpoint: checkpoint.map { .init(key: CheckpointKey(attempt: 0, number: 1), data: $0) })
    let recorder = AttemptRecorder(key)
    let executor = DemoTaskExecutor()
    try withLoop { loop in
      script(loop, executor, recorder)
      recorder.start(assignment, by: executor, on: loop)
    }
    return recorder
  }

  @Test func `it counts its iterations, with checkpoints and progress`() throws {
    let recorder = try execute(["iterations": 4, "sleep": 0.001, "checkpoint_every": 2])
    #expect(recorder.ending == AttemptEnding(.completed, result: ["iterations": 4]))
    #expect(recorder.checkpoints == [["iteration": 2], ["iteration": 4]])
    #expect(recorder.progress == [0.25, 0.5, 0.75, 1])
  }

  @Test(arguments: ["sleep", "sleep_s", "sleep_time"]) func `it knows three names for its sleep`(name: String) throws {
    var input: JSONObject = ["iterations": 1]
    input[name] = 0
    #expect(try execute(input).ending?.outcome == .completed)
  }

  @Test func `it goes on from its checkpoint`() throws {
    let recorder = try execute(["iterations": 5, "sleep": 0, "checkpoint_every": 1], checkpoint: ["iteration": 3])
    #expect(recorder.checkpoints == [["iteration": 4], ["iteration": 5]])
    #expect(try execute(["iterations": 5, "sleep": 0], checkpoint: ["iteration": 9]).ending?.outcome == .completed)
  }

  @Test(
    arguments: [
      ["iterations": 0], ["iterations": 1_000_001], ["iterations": "ten"], ["sleep": -1], ["sleep_s": "long"],
      ["checkpoint_every": 0],
    ] as [JSONObject])
  func `input that makes no sense fails the attempt with a reason`(input: JSONObject) throws {
    let ending = try execute(input).ending
    #expect(ending?.outcome == .failed)
    #expect(ending?.reason?.contains(input.members[0].key) == true)
  }

  @Test func `it stands still while paused, and takes a checkpoint when asked`() throws {
    let recorder = try execute(["iterations": 3, "sleep": 0.02, "checkpoint_every": 3]) { loop, executor, recorder in
      recorder.onEvent = { event in
        if case .attemptProgressed(_, let progress) = event, progress < 0.5 { executor.pause(recorder.key) }
        guard case .attemptPaused = event else { return }
        let count = recorder.progress.count
        executor.requestCheckpoint(recorder.key)
        loop.schedule(after: .milliseconds(60)) {
          #expect(recorder.progress.count == count)
          executor.resume(recorder.key)
        }
      }
    }
    #expect(recorder.hasPaused && recorder.hasResumed)
    #expect(recorder.checkpoints == [["iteration": 1], ["iteration": 3]])
  }

  @Test func `it ends when stopped`() throws {
    let ending = try execute(["iterations": 1_000_000]) { _, executor, recorder in
      recorder.onEvent = { event in
        if case .attemptStarted = event { executor.stop(recorder.key, .cancelled) }
      }
    }.ending
    #expect(ending == AttemptEnding(.cancelled, reason: "cancelled on request"))
  }

  @Test func `it fails when its time is up`() throws {
    let ending = try execute(["iterations": 9, "sleep": 60], timeout: .milliseconds(20)).ending
    #expect(ending == AttemptEnding(.failed, reason: "timed out after 0.02 s"))
  }

  @Test func `without room it waits with its checkpoint`() throws {
    let recorder = try execute(["iterations": 10, "sleep": 0, "checkpoint_every": 1]) { loop, executor, recorder in
      recorder.room = 4
      loop.when({ recorder.room == 0 }) {
        recorder.room = 100
        executor.roomAvailable()
      }
    }
    #expect(recorder.excess == 0)
    #expect(recorder.checkpoints.count == 10)
  }

  @Test func `an executor that goes away leaves nothing that calls it`() throws {
    let recorder = AttemptRecorder(AttemptKey(try TaskID("demo"), 1))
    try withLoop { loop in
      let specification = TaskSpecification(
        name: "d", work: .custom(kind: "demo_task", input: ["sleep": 0.001]), timeout: .milliseconds(5))
      DemoTaskExecutor().start(
        Assignment(taskID: recorder.key.taskID, attempt: 1, specification: specification),
        reporter: recorder.reporter(), on: loop)
      loop.schedule(after: .milliseconds(20)) { loop.stop() }
    }
    #expect(recorder.ending == nil)
  }
}
