import CoordinationCore
import Primitives
import Testing

/// A worker that is asked to leave by its coordinator, message by message.
@Suite struct DrainRequestTests {
  private let work = TaskSpecification(name: "t", work: .custom(kind: "work", input: [:]))
  private let worker = WorkerID(known: "w")

  private func drains(_ replies: [JSONObject]) -> Int { replies.count { $0["type"] == "drain" } }

  @Test func `a worker that is asked to leave is told so once and is given nothing more`() throws {
    let bench = try CoordinatorBench()
    bench.admit(1, "w")
    bench.submit("before", work)
    #expect(bench.replies(1).count { $0["type"] == "task_assignment" } == 1)
    bench.request(.drainWorker(worker))
    bench.request(.drainWorker(worker))
    #expect(bench.answers.suffix(2) == [.done, .done])
    #expect(drains(bench.replies(1)) == 1)
    #expect(bench.core.workerSummary(worker)?.state == .draining)
    #expect(bench.notices.count { $0 == .workerDraining(worker) } == 1)
    bench.submit("after", work)
    // Even one that goes on as if nothing had been said.
    bench.say(1, .heartbeat, ["sequence": 1, "active_tasks": ["before"]])
    #expect(!bench.replies(1).contains { $0["type"] == "task_assignment" })
    #expect(bench.state("before")?.workerID == worker)
  }

  @Test func `the wish holds for the worker's process, through its connections and sessions, and not for the next one`()
    throws
  {
    let bench = try CoordinatorBench()
    bench.admit(1, "w")
    bench.disconnect(1)
    bench.request(.drainWorker(worker))
    // The same process in a new session: what waited in the old one is gone with it.
    bench.connect(2, "w", .session)
    bench.say(2, .registration, ["boot_id": "b", "capabilities": ["slots": 4, "kinds": ["work"]]])
    bench.say(2, .stateSync, ["tasks": .array([]), "final": true], reliably: true)
    #expect(drains(bench.replies(2)) >= 1)
    bench.submit("t", work)
    #expect(!bench.replies(2).contains { $0["type"] == "task_assignment" })
    bench.disconnect(2)
    bench.admit(3, "w", boot: "another")
    #expect(bench.core.workerSummary(worker)?.state == .connected)
    #expect(bench.state("t")?.status == .assigned)
  }

  @Test func `a worker of the reference is told nothing and given nothing`() throws {
    let bench = try CoordinatorBench()
    bench.connect(1, "w", .legacy)
    bench.say(1, #"{"type":"registration","worker_id":"w"}"#)
    _ = bench.replies(1)
    bench.request(.drainWorker(worker))
    bench.submit("t", demoTask)
    #expect(bench.replies(1).isEmpty)
    #expect(bench.core.taskQueueStatus.waiting == 1)
  }

  @Test func `nobody can be asked to leave who is not known`() throws {
    let bench = try CoordinatorBench()
    bench.request(.drainWorker(worker))
    #expect(bench.answers == [.refused("there is no worker w")])
  }

  @Test func `a worker that is asked to leave does as after SIGTERM`() {
    let bench = WorkerBench(.session)
    bench.register()
    bench.say(.drain, reliably: true)
    // It says that it is leaving, and has nothing to wait for but the acknowledgement of what it said.
    #expect(bench.messages().contains { $0["type"] == "heartbeat" && $0["draining"] == true })
    bench.say(.ack, acknowledging: 1)
    #expect(bench.messages().contains { $0["type"] == "goodbye" })
    #expect(bench.core.state == .shutdown)
  }

  @Test func `connected workers are counted through takeovers and lost connections`() throws {
    let bench = try CoordinatorBench()
    #expect(bench.core.connectedWorkers == 0 && bench.core.knownWorkers == 0)
    bench.admit(1, "w")
    bench.admit(2, "v")
    #expect(bench.core.connectedWorkers == 2)
    bench.admit(3, "w")
    #expect(bench.core.connectedWorkers == 2)
    bench.disconnect(1)
    #expect(bench.core.connectedWorkers == 2)
    bench.disconnect(3)
    bench.disconnect(2)
    #expect(bench.core.connectedWorkers == 0 && bench.core.knownWorkers == 2)
  }
}
