import CoordinationCore
import Primitives
import Testing

/// Workers that come, go and come back while what they hold moves between members: nothing of theirs is lost on the way,
/// begun twice, or forgotten.
@Suite(.timeLimit(.minutes(5)))
struct MovingWorkerTests {
  private func id(_ text: String) -> TaskID { TaskID(known: text) }
  private let w = WorkerID(known: "w")

  /// A worker with one slot that runs `b`, and whose attempt at `a` was given up before it came here.
  private func withLostAttempt() throws -> ClusterBench {
    let bench = try ClusterBench(others: [2])
    bench.knock(1, "w", slots: 1)
    bench.handle(
      .gathered(
        w,
        Gathering(tasks: [
          stored("a", .queued, attempt: 1, by: "w", outcome: .lost), stored("b", .running, attempt: 1, by: "w"),
        ])))
    bench.synchronise(1, holding: [["task_id": "b", "attempt": 1, "status": "running"]])
    return bench
  }

  // MARK: Last words

  @Test func `what a worker still has to say of a lost attempt is taken where it comes`() throws {
    let bench = try withLostAttempt()
    #expect(!bench.writes.contains(.release(id("a"))), "in the pool it would be nobody's to write")
    bench.say(1, .taskResult, ["task_id": "a", "attempt": 1, "status": "completed"], reliably: true)
    let ends = bench.writes.filter {
      if case .update(let task, let state) = $0 { task == id("a") && state.status == .completed } else { false }
    }
    #expect(ends.count == 1)
    #expect(!bench.writes.contains(.release(id("a"))))
  }

  @Test func `a lost attempt whose worker says nothing of it waits no longer than its words may take`() throws {
    let bench = try withLostAttempt()
    for beat in 0..<4 {
      bench.tick(after: .seconds(4))
      bench.say(1, .heartbeat, ["sequence": .integer(Int64(beat))])
    }
    #expect(bench.writes.contains(.release(id("a"))))
    #expect(bench.cluster.core.liveTask(id("b"))?.state.status == .running)
  }

  @Test func `a lost attempt goes along with its worker, which says its last words there`() throws {
    let bench = try withLostAttempt()
    bench.handle(.message(.handOver(w, bootID: "b"), from: MemberID(2)))
    #expect(bench.writes.contains(.transfer(id("a"), to: MemberID(2))))
    #expect(bench.writes.contains(.transfer(id("b"), to: MemberID(2))))
    #expect(bench.cluster.core.unfinishedTasks == 0)
  }

  // MARK: On the way here

  @Test func `a worker's tasks are asked for only when what was given back of them is in the store`() throws {
    let bench = try ClusterBench()
    bench.admit(1, "w", slots: 1)
    bench.handle(.claimed([stored("a")]))
    bench.handle(.coordinator(.disconnected(ConnectionID(1))))
    bench.holdsCommits = true
    bench.tick(after: .seconds(6))
    #expect(bench.writes.contains(.release(id("a"))))
    _ = bench.asked()
    bench.knock(2, "w", slots: 1)
    #expect(!bench.asked().contains(.gather(w)), "it would not find what is on its way to the pool")
    bench.commit()
    #expect(bench.asked().contains(.gather(w)))
  }

  @Test func `an attempt that is given up while its worker is on its way here stays until it is`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w", slots: 1)
    bench.handle(.claimed([stored("a")]))
    bench.handle(.coordinator(.disconnected(ConnectionID(1))))
    bench.tick(after: .seconds(4))
    bench.knock(2, "w", slots: 1)
    bench.handle(.gathered(w, Gathering(heldBy: [MemberID(2)])))
    bench.tick(after: .seconds(2))
    #expect(bench.cluster.core.liveTask(id("a"))?.state.status == .queued)
    #expect(!bench.writes.contains(.release(id("a"))), "what was gathered would not be all there is")
    bench.handle(.message(.handedOver(w), from: MemberID(2)))
    bench.handle(.gathered(w, Gathering()))
    bench.synchronise(2, holding: [["task_id": "a", "attempt": 1, "status": "running"]])
    let verdicts = bench.replies(2).first { $0.kind == .stateSyncAck }?.fields["verdicts"]?.array
    #expect(verdicts?.first?.object?["verdict"] == "keep")
    #expect(bench.cluster.core.liveTask(id("a"))?.state.attempt == 1)
  }

  // MARK: Sessions

  @Test(arguments: [false, true])
  func `a session goes on unless another gave its worker what it may never have received`(isGiven: Bool) throws {
    let bench = try ClusterBench(others: [2])
    bench.knock(1, "w")
    bench.handle(.gathered(w, Gathering()))
    bench.synchronise(1)
    let first = try #require(bench.replies(1).first { $0.kind == .registrationAck })
    let session = try #require(first.fields["session_id"])
    bench.handle(.coordinator(.disconnected(ConnectionID(1))))
    bench.tick(after: .seconds(1))
    bench.knock(2, "w", session: (session, over: 1))
    // It was with another meanwhile.
    let given = isGiven ? [stored("a", .assigned, attempt: 1, by: "w")] : []
    bench.handle(.gathered(w, Gathering(tasks: given)))
    let second = try #require(bench.replies(2).first { $0.kind == .registrationAck })
    #expect(second.fields["resumed"] == .bool(!isGiven))
    guard isGiven else { return }
    // Asked what it holds, it says that it does not have it.
    bench.synchronise(2)
    #expect(bench.cluster.core.liveTask(id("a"))?.state.attempt == 2)
  }

  // MARK: Leases

  @Test func `with exclusive leases what is taken over runs undisturbed for a whole lease`() throws {
    let bench = try ClusterBench(exclusive: true, others: [2])
    // It was here, and went to the other, which renewed its lease until the end.
    bench.admit(1, "w")
    bench.handle(.coordinator(.disconnected(ConnectionID(1))))
    bench.tick(after: .seconds(110))
    bench.renew(takenOver: [stored("a", .running, attempt: 1, by: "w")])
    bench.tick(after: .seconds(110))
    #expect(bench.cluster.core.liveTask(id("a"))?.state.status == .running, "its worker may be at it")
    #expect(!bench.writes.contains(.release(id("a"))))
    bench.tick(after: .seconds(20))
    #expect(bench.writes.contains(.release(id("a"))))
  }
}
