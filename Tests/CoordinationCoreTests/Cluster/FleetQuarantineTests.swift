import CoordinationCore
import Primitives
import Testing

/// Tests that kill workers of several coordinators.
@Suite(.timeLimit(.minutes(1)))
struct FleetQuarantineTests {
  private let name = TestName(suite: "unit", test: "deadly")

  private func stored(
    _ id: String, _ status: TaskStatus = .queued, lost: Int, by worker: String? = nil
  ) -> UnfinishedTask {
    var specification = TaskSpecification(name: id, work: .custom(kind: "work", input: [:]))
    (specification.suite, specification.tests) = (name.suite, [name.test])
    var state = TaskState(status: status)
    (state.attempt, state.lostAttempts, state.workerID) = (lost, lost, worker.map(WorkerID.init(known:)))
    let record = TaskRecord(
      id: TaskID(known: id), specification: specification, submittedAt: WallTime(milliseconds: 1), state: state)
    return UnfinishedTask(task: record, checkpoint: nil, attempt: nil)
  }

  private func record(kills: Int, _ bench: ClusterBench) -> TestRecord {
    var fate: TestFate?
    for number in 0..<kills { fate = TestFate.after(.killed(WorkerID(known: "w\(number)")), fate, at: bench.wall) }
    return TestRecord(name, fate: fate)
  }

  private func assigned(_ bench: ClusterBench, _ connection: UInt64) -> [String] {
    bench.replies(connection).filter { $0.kind == .taskAssignment }.compactMap { $0.fields["task_id"]?.string }
  }

  private func kills(_ bench: ClusterBench) -> Int {
    bench.writes.count { if case .testFate(name, .killed, _) = $0 { true } else { false } }
  }

  /// A worker that was given the test dies of it, and its next process comes over another connection, which is returned.
  private func die(_ bench: ClusterBench, _ connection: UInt64, _ worker: String) -> UInt64 {
    let next = connection + 100
    bench.handle(.coordinator(.disconnected(ConnectionID(connection))))
    bench.knock(next, worker, boot: "boot-\(next)", slots: 1)
    bench.handle(.gathered(WorkerID(known: worker), Gathering()))
    bench.synchronise(next)
    return next
  }

  @Test func `a kill is counted in the store, told to all, and what the store has by then is read`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w", slots: 1)
    bench.handle(.claimed([stored("a", lost: 0)]))
    #expect(assigned(bench, 1) == ["a"])
    _ = bench.asked()
    _ = die(bench, 1, "w")
    #expect(kills(bench) == 1)
    let asked = bench.asked()
    let told = try #require(asked.firstIndex(of: .send(.testsChanged, to: nil)))
    #expect(asked[told...].contains(.testFates))
  }

  @Test func `the task of a test whose worker died goes back to the pool, whoever has room`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w", slots: 1)
    bench.handle(.claimed([stored("a", lost: 0)]))
    #expect(assigned(bench, 1) == ["a"])
    bench.admit(2, "v", slots: 1)
    let next = die(bench, 1, "w")
    #expect(assigned(bench, 2).isEmpty && assigned(bench, next).isEmpty)
    #expect(bench.writes.contains(.release(TaskID(known: "a"))))
    #expect(bench.cluster.core.liveTask(TaskID(known: "a")) == nil)
  }

  @Test(arguments: [(2, true), (3, false)])
  func `a lost task of a test is given out by what the store says after the claim`(
    _ kills: Int, _ isRun: Bool
  ) throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w", slots: 1)
    // Asked for before the claim was answered.
    bench.handle(.message(.testsChanged, from: MemberID(2)))
    #expect(bench.asked().contains(.testFates))
    bench.handle(.claimed([stored("a", lost: kills)]))
    #expect(!bench.asked().contains(.testFates), "one question at a time")
    bench.handle(.testFates([record(kills: 1, bench)]))
    #expect(assigned(bench, 1).isEmpty)
    #expect(bench.asked().contains(.testFates))
    bench.handle(.testFates([record(kills: kills, bench)]))
    #expect(assigned(bench, 1) == (isRun ? ["a"] : []))
    let ends = bench.writes.compactMap { if case .update(_, let state) = $0 { state.status } else { nil } }
    #expect(ends.contains(.failed) == !isRun)
  }

  @Test func `what was never lost, or is no test, does not wait`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w", slots: 2)
    bench.handle(.claimed([stored("a", lost: 0), CoordinationCoreTests.stored("b", attempt: 3)]))
    #expect(assigned(bench, 1).sorted() == ["a", "b"])
  }

  @Test func `a task waits for as long as the store cannot say, and is not forgotten`() throws {
    let bench = try ClusterBench(others: [2])
    bench.admit(1, "w", slots: 1)
    bench.handle(.claimed([stored("a", lost: 1)]))
    for _ in 0..<3 {
      _ = bench.asked()
      bench.handle(.testFates(nil))
      #expect(assigned(bench, 1).isEmpty)
      #expect(!bench.asked().contains(.testFates), "not at once")
      bench.tick(after: .milliseconds(500))
      #expect(bench.asked().contains(.testFates))
    }
    bench.handle(.testFates([record(kills: 1, bench)]))
    #expect(assigned(bench, 1) == ["a"])
  }

  /// One store between two members: each kill of either is applied to it as it is committed, and what is asked for is
  /// answered from it.
  @Test func `a test that kills workers of two coordinators at the same moments is not run once the third has died`()
    throws
  {
    let benches = [try ClusterBench(others: [2]), try ClusterBench(others: [1])]
    var fate: TestFate?
    var (runs, applied) = (0, [0, 0])
    var connections: [UInt64] = [1, 1]
    for bench in benches { bench.admit(1, "w", slots: 1) }
    // Two tasks with the test, one at each coordinator, until neither is given out any more.
    for round in 0..<4 {
      var deaths: [Int] = []
      for (number, bench) in benches.enumerated() {
        _ = bench.asked()
        bench.handle(.claimed([stored("t\(number)", lost: round)]))
        if bench.asked().contains(.testFates) { bench.handle(.testFates([TestRecord(name, fate: fate)])) }
        let given = assigned(bench, connections[number]).count
        runs += given
        if given > 0 { deaths.append(number) }
      }
      for number in deaths {
        let bench = benches[number]
        connections[number] = die(bench, connections[number], "w")
        for case .testFate(name, let change, let wall) in bench.writes.dropFirst(applied[number]) {
          fate = TestFate.after(change, fate, at: wall)
        }
        applied[number] = bench.writes.count
      }
      for bench in benches { bench.handle(.testFates([TestRecord(name, fate: fate)])) }
    }
    // The second deaths come at one moment, when it is known of two: both count.
    #expect(runs == 4)
    #expect(fate?.kills == 4)
    #expect(fate?.isQuarantined == true)
  }
}
