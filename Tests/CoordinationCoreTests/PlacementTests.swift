@testable import CoordinationCore
import Primitives
import Testing

/// Labels, requirements and slots as coordinators and workers speak of them.
@Suite(.timeLimit(.minutes(5)))
struct PlacementTests {
  private static func task(_ requires: [String] = [], slots: Int = 1) -> TaskSpecification {
    TaskSpecification(
      name: "t", work: .custom(kind: "work", input: [:]), requirements: DispatcherBench.requirements(requires),
      slots: slots)
  }

  private func holder(_ id: String, _ bench: CoordinatorBench) -> String? {
    bench.core.liveTask(TaskID(known: id)).flatMap { $0.state.status.isHeld ? $0.state.workerID?.text : nil }
  }

  @Test
  func `a worker without the label is never given the task, and it is given out once one with it registers`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "plain", labels: ["zone": "eu"])
    bench.submit("t", Self.task(["gpu=1"]))
    bench.submit("behind", Self.task())
    #expect(holder("t", bench) == nil && holder("behind", bench) == "plain")
    #expect(bench.core.obstacle(for: TaskID(known: "t")) == "no connected worker has gpu=1")
    #expect(bench.core.obstacle(for: TaskID(known: "behind")) == nil)
    bench.admit(2, "special", labels: ["gpu": "1"])
    #expect(holder("t", bench) == "special")
    #expect(bench.core.workerSummaries.map(\.labels.names) == [["zone"], ["gpu"]])
  }

  @Test
  func `a worker that is started again with other labels has those from then on`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w", labels: ["gpu": "1"])
    bench.disconnect(1)
    bench.tick(after: .seconds(1))
    bench.admit(2, "w", boot: "another", labels: ["gpu": "2"])
    bench.submit("one", Self.task(["gpu=1"]))
    bench.submit("two", Self.task(["gpu=2"]))
    #expect(holder("one", bench) == nil && holder("two", bench) == "w")
    #expect(bench.core.workerSummaries.first?.labels["gpu"] == "2")
  }

  @Test
  func `a task goes back to a worker with the label only when its own is lost`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "first", labels: ["gpu": "1"])
    bench.admit(2, "plain")
    bench.submit("t", Self.task(["gpu=1"]))
    #expect(holder("t", bench) == "first")
    bench.say(1, .goodbye, ["reason": "stopping"])
    #expect(holder("t", bench) == nil)
    #expect(bench.core.obstacle(for: TaskID(known: "t")) == "no connected worker has gpu=1")
    bench.admit(3, "second", labels: ["gpu": "1"])
    #expect(holder("t", bench) == "second")
  }

  @Test
  func `slots count as many as each task takes, until it ends`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w", slots: 4)
    bench.submit("big", Self.task(slots: 3))
    bench.submit("small", Self.task())
    bench.submit("next", Self.task(slots: 2))
    #expect(holder("big", bench) == "w" && holder("small", bench) == "w" && holder("next", bench) == nil)
    #expect(bench.core.levels.slotsInUse == 4)
    bench.say(1, .taskResult, ["task_id": "big", "attempt": 1, "status": "completed"], reliably: true)
    #expect(holder("next", bench) == "w")
    #expect(bench.core.levels.slotsInUse == 3)
  }

  @Test(arguments: [
    (#"{"labels": []}"#, "capabilities.labels"), (#"{"labels": {"a": 1}}"#, "labels.a"),
    (#"{"labels": {"a b": "1"}}"#, "cannot be a label"), (#"{"labels": {"a": "\n"}}"#, "control character"),
  ])
  func `a registration with wrong labels is refused`(capabilities: String, words: String) throws {
    let bench = try CoordinatorBench()
    bench.connect(1, "w", .session)
    bench.say(1, .registration, ["boot_id": "b", "capabilities": try JSONParser.parse(capabilities)])
    let error = bench.replies(1).last { $0["type"] == "error" }
    #expect(error?["message"]?.string?.contains(words.replacing("capabilities.labels", with: "labels")) == true)
    #expect(bench.core.workerSummaries.isEmpty)
  }

  @Test
  func `more kinds of needs than may wait are refused, those that are known are not`() throws {
    var configuration = CoordinatorConfiguration()
    configuration.maxTaskClasses = 3
    let bench = try CoordinatorBench(configuration)
    for number in 1...3 { bench.submit("t\(number)", Self.task(["gpu=\(number)"])) }
    bench.submit("t4", Self.task(["gpu=4"]))
    guard case .refused(let reason)? = bench.answers.last else {
      Issue.record("\(bench.answers)")
      return
    }
    #expect(reason.contains("3 different requirements"))
    bench.submit("t5", Self.task(["gpu=3"]))
    #expect(bench.answers.last == .submitted([TaskID(known: "t5")]))
    bench.request(.cancel(TaskID(known: "t1")))
    #expect(bench.core.unfinishedTasks == 3)
  }

  @Test
  func `a worker declines what it does not fit`() throws {
    let bench = WorkerBench(.session) {
      $0.capabilities.slots = 2
      try? $0.capabilities.labels.set("gpu", "1")
    }
    bench.register()
    for (id, specification) in [("a", Self.task(["gpu=2"])), ("b", Self.task(slots: 3)), ("c", Self.task(["gpu=1"]))] {
      bench.say(
        .taskAssignment,
        ["task_id": .string(id), "attempt": 1, "task": .object(specification.json)], reliably: true)
    }
    let declined = bench.sent.filter { $0.kind == .taskCancelled }
    #expect(declined.map { $0.fields["task_id"] } == ["a", "b"])
    #expect(declined.first?.fields["reason"] == "the worker does not meet the requirement gpu=2")
    #expect(bench.core.activeAttempts == [AttemptKey(TaskID(known: "c"), 1)])
  }
}
