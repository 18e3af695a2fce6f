@testable import CoordinationCore
import Primitives
import Testing

@testable import Simulation

/// In which order the coordinator sends when a worker's connection takes no more.
@Suite(.timeLimit(.minutes(5)))
struct CoordinatorQueueTests {
  private func work(_ priority: Priority) -> TaskSpecification {
    TaskSpecification(name: "t", work: .custom(kind: "work", input: [:]), priority: priority)
  }

  private func held(_ change: (inout CoordinatorConfiguration) -> Void = { _ in }) throws -> CoordinatorBench {
    var configuration = CoordinatorConfiguration()
    change(&configuration)
    let bench = try CoordinatorBench(configuration)
    bench.admit(1, "w", slots: 8)
    bench.submit("running", work(.normal))
    _ = bench.replies(1)
    // Given out before the connection is found to be full, and not durable before that.
    bench.commitsAtOnce = false
    for (name, priority) in [("l", Priority.low), ("n", .normal), ("c", .critical)] {
      bench.submit(name, work(priority))
    }
    bench.handle(.sendingHeldBack(ConnectionID(1), true))
    bench.commitsAtOnce = true
    bench.commitAll()
    return bench
  }

  private func assigned(_ replies: [JSONObject]) -> [String] {
    replies.filter { $0["type"] == "task_assignment" }.compactMap { $0["task_id"]?.string }
  }

  @Test
  func `assignments wait, a cancellation does not, and the most urgent task goes first afterwards`() throws {
    let bench = try held()
    #expect(assigned(bench.replies(1)) == [])
    #expect(bench.core.messageQueueStatus[.critical].waiting == 1)
    bench.request(.cancel(TaskID(known: "running")))
    #expect(bench.replies(1).map { $0["type"] } == ["cancel_task"])
    bench.handle(.sendingHeldBack(ConnectionID(1), false))
    #expect(assigned(bench.replies(1)) == ["c", "n", "l"])
    #expect(bench.core.messageQueueStatus.waiting == 0)
  }

  @Test
  func `a cancellation is repeated behind the assignment that it overtook`() throws {
    let bench = try held()
    bench.request(.cancel(TaskID(known: "n")))
    _ = bench.replies(1)
    bench.handle(.sendingHeldBack(ConnectionID(1), false))
    let about = bench.replies(1).filter { $0["task_id"] == "n" }.map { $0["type"] }
    #expect(about == ["task_assignment", "cancel_task"])
  }

  @Test
  func `without priorities assignments leave in their order`() throws {
    let bench = try held { $0.usesPriorities = false }
    bench.handle(.sendingHeldBack(ConnectionID(1), false))
    #expect(assigned(bench.replies(1)) == ["l", "n", "c"])
  }

  @Test
  func `a worker whose connection takes no more is given nothing more, and heartbeats are answered`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w1")
    bench.admit(2, "w2")
    bench.handle(.sendingHeldBack(ConnectionID(1), true))
    for number in 1...3 { bench.submit("t\(number)", work(.normal)) }
    #expect(assigned(bench.replies(1)) == [])
    #expect(assigned(bench.replies(2)) == ["t1", "t2", "t3"])
    bench.say(1, .heartbeat, ["sequence": 1])
    #expect(bench.replies(1).map { $0["type"] } == ["heartbeat"])
    for number in 4...6 { bench.submit("t\(number)", work(.normal)) }
    #expect(bench.core.taskQueueStatus[.normal].waiting == 2)
    bench.handle(.sendingHeldBack(ConnectionID(1), false))
    #expect(assigned(bench.replies(1)) == ["t5", "t6"])
  }
}
