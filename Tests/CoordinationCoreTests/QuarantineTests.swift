import CoordinationCore
import Primitives
import Testing

/// Tests that workers die of, by the times of the default configuration: a grace of 5 s after a closed connection.
@Suite(.timeLimit(.minutes(5)))
struct QuarantineTests {
  private var connections = Connections()

  /// Counts the connections of a test.
  private final class Connections {
    var last: UInt64 = 0
    var next: UInt64 {
      last += 1
      return last
    }
  }

  private func specification(_ test: String, suite: String = "unit") -> TaskSpecification {
    var specification = TaskSpecification(name: test, work: .command(Command(["x", test])))
    (specification.suite, specification.tests) = (suite, [test])
    return specification
  }

  private func name(_ test: String) -> TestName { TestName(suite: "unit", test: test) }

  /// A run of a worker's process: it registers and says that it holds nothing.
  private func start(_ worker: String, _ bench: CoordinatorBench, boot: Int, slots: Int = 1) -> UInt64 {
    let connection = connections.next
    bench.admit(connection, worker, boot: "boot-\(boot)", slots: slots)
    return connection
  }

  private func fate(_ test: String, _ bench: CoordinatorBench) -> TestFate? {
    bench.core.fate(of: name(test))
  }

  private func isReady(_ test: String, _ bench: CoordinatorBench) -> Bool { bench.state(test)?.status == .queued }

  @Test func `a test that has killed three workers ends as failed, and is not run again`() throws {
    let bench = try CoordinatorBench()
    var connection = start("w", bench, boot: 1)
    bench.submit("t", specification("t"))
    for boot in 2...4 {
      #expect(bench.state("t")?.status == .assigned && bench.state("t")?.attempt == boot - 1)
      bench.disconnect(connection)
      connection = start("w", bench, boot: boot)
    }
    #expect(bench.state("t")?.status == .failed)
    #expect(bench.state("t")?.reason?.hasPrefix("quarantined: 3 workers died while it ran") == true)
    #expect(fate("t", bench)?.kills == 3 && fate("t", bench)?.isQuarantined == true)
    bench.submit("later", specification("t"))
    #expect(bench.state("later")?.status == .failed && bench.state("later")?.attempt == 0)
    #expect(bench.state("later")?.reason?.hasPrefix("quarantined: ") == true)
    bench.submit("other suite", specification("t", suite: "other"))
    #expect(bench.state("other suite")?.status == .assigned)
  }

  @Test func `what waits of a test ends with it, and what was held against it is known after a restart`() throws {
    let fate = TestFate(kills: 2, reason: "r", changedAt: WallTime(milliseconds: 1_700_000_000_000 - 1_000))
    var configuration = CoordinatorConfiguration()
    configuration.checkpointsKept = 1
    let bench = try CoordinatorBench(configuration, tests: [TestRecord(name("t"), fate: fate)])
    let connection = start("w", bench, boot: 1)
    bench.submit("a", specification("t"))
    bench.submit("b", specification("t"))
    bench.disconnect(connection)
    _ = start("w", bench, boot: 2)
    for id in ["a", "b"] { #expect(bench.state(id)?.status == .failed, "\(id)") }
  }

  @Test func `what happened long ago does not count`() throws {
    let old = WallTime(milliseconds: 1_700_000_000_000 - 31 * 24 * 3_600_000)
    let bench = try CoordinatorBench(tests: [TestRecord(name("t"), fate: TestFate(kills: 2, changedAt: old))])
    let connection = start("w", bench, boot: 1)
    bench.submit("t", specification("t"))
    bench.disconnect(connection)
    _ = start("w", bench, boot: 2)
    #expect(bench.state("t")?.status == .assigned)
    #expect(fate("t", bench)?.kills == 1)
  }

  @Test func `a closed connection that does not come back counts, until its worker turns out to be alive`() throws {
    let bench = try CoordinatorBench()
    // Others stay, so that the network is not at fault.
    let others = ["o1", "o2"].map { start($0, bench, boot: 1) }
    for (index, _) in others.enumerated() { bench.submit("o\(index)", specification("o\(index)")) }
    let connection = start("w", bench, boot: 1)
    bench.submit("t", specification("t"))
    #expect(bench.state("t")?.workerID?.text == "w")
    bench.disconnect(connection)
    for _ in 0..<60 {
      bench.tick(after: .milliseconds(100))
      for other in others { bench.say(other, .heartbeat, ["sequence": 1]) }
    }
    #expect(isReady("t", bench))
    #expect(fate("t", bench)?.kills == 1)
    _ = start("w", bench, boot: 1)
    #expect(fate("t", bench) == nil, "the same process: it was the network")
  }

  @Test func `one that was counted when it was given up is not counted again when it is started anew`() throws {
    let bench = try CoordinatorBench()
    let connection = start("w", bench, boot: 1)
    bench.submit("t", specification("t"))
    bench.disconnect(connection)
    for _ in 0..<200 { bench.tick(after: .milliseconds(100)) }
    let before = fate("t", bench)?.kills
    _ = start("w", bench, boot: 2)
    #expect(fate("t", bench)?.kills == before)
  }

  @Test func `a worker that left, fell silent or was told to go has not been killed`() throws {
    let bench = try CoordinatorBench()
    let leaving = start("leaving", bench, boot: 1)
    bench.submit("a", specification("a"))
    bench.say(leaving, .goodbye, reliably: true)
    bench.disconnect(leaving)
    _ = start("leaving", bench, boot: 2)

    let silent = start("silent", bench, boot: 1)
    bench.submit("b", specification("b"))
    for _ in 0..<1_300 { bench.tick(after: .milliseconds(100)) }
    #expect(bench.closes.contains { $0.connection == silent })

    let drained = connections.next
    bench.connect(drained, "drained", .session)
    bench.say(
      drained, .registration, ["boot_id": "x", "draining": true, "capabilities": ["slots": 1, "kinds": ["command"]]])
    bench.disconnect(drained)
    _ = start("drained", bench, boot: 2)
    for case .testFate(let name, let change, _) in bench.writes { Issue.record("\(name): \(change)") }
  }

  @Test func `who died beside a suspect is not counted, and two suspects never share a worker`() throws {
    let suspect = TestFate(kills: 1, changedAt: WallTime(milliseconds: 1_700_000_000_000))
    let bench = try CoordinatorBench(tests: [
      TestRecord(name("s1"), fate: suspect), TestRecord(name("s2"), fate: suspect),
    ])
    let connection = start("w", bench, boot: 1, slots: 4)
    for test in ["s1", "s2", "innocent"] { bench.submit(test, specification(test)) }
    #expect(bench.state("s1")?.status == .assigned && bench.state("innocent")?.status == .assigned)
    #expect(bench.state("s2") == nil, "it waits, though there is room")
    let second = start("w2", bench, boot: 1, slots: 4)
    #expect(bench.state("s2")?.workerID?.text == "w2", "somebody else may have it")
    bench.disconnect(connection)
    _ = start("w", bench, boot: 2, slots: 4)
    #expect(fate("s1", bench)?.kills == 2)
    #expect(fate("innocent", bench) == nil)
    #expect(fate("s2", bench) == suspect)
    bench.disconnect(second)
  }

  @Test func `a suspect that ended well makes room for the next`() throws {
    let suspect = TestFate(kills: 1, changedAt: WallTime(milliseconds: 1_700_000_000_000))
    let bench = try CoordinatorBench(tests: [
      TestRecord(name("s1"), fate: suspect), TestRecord(name("s2"), fate: suspect),
    ])
    let connection = start("w", bench, boot: 1, slots: 2)
    for test in ["s1", "s2"] { bench.submit(test, specification(test)) }
    #expect(bench.state("s2") == nil)
    bench.say(
      connection, sequence: 2, Message(.taskResult, ["task_id": "s1", "attempt": 1, "status": "completed"]))
    #expect(bench.state("s2")?.status == .assigned)
  }

  @Test func `one that ended well is counted again, and stands in nobody's way`() throws {
    let suspect = TestFate(kills: 1, changedAt: WallTime(milliseconds: 1_700_000_000_000))
    let bench = try CoordinatorBench(tests: ["a", "b"].map { TestRecord(name($0), fate: suspect) })
    let connection = start("w", bench, boot: 1, slots: 3)
    bench.submit("a", specification("a"))
    bench.say(connection, sequence: 2, Message(.taskResult, ["task_id": "a", "attempt": 1, "status": "completed"]))
    for (id, test) in [("a2", "a"), ("b", "b"), ("c", "c")] { bench.submit(id, specification(test)) }
    #expect(["a2", "b", "c"].allSatisfy { bench.state($0)?.status == .assigned })
    bench.disconnect(connection)
    _ = start("w", bench, boot: 2)
    #expect(fate("b", bench)?.kills == 2)
    #expect(fate("a", bench) == suspect && fate("c", bench) == nil, "b was the suspect")
  }

  @Test func `a task of several tests is counted against none of them`() throws {
    let bench = try CoordinatorBench()
    var several = specification("a")
    several.tests = ["a", "b"]
    var connection = start("w", bench, boot: 1)
    bench.submit("t", several)
    for boot in 2...6 {
      bench.disconnect(connection)
      connection = start("w", bench, boot: boot)
    }
    #expect(bench.state("t")?.status == .assigned)
    #expect(fate("a", bench) == nil)
  }

  @Test func `a test is put into quarantine and released by hand`() throws {
    let bench = try CoordinatorBench()
    bench.submit("waiting", specification("t"))
    bench.request(.quarantine(name("t"), reason: "ticket 7"))
    #expect(bench.state("waiting")?.reason == "quarantined: ticket 7")
    #expect(fate("t", bench)?.isQuarantined == true)
    bench.request(.release(name("t")))
    #expect(fate("t", bench) == nil)
    bench.submit("again", specification("t"))
    _ = start("w", bench, boot: 1)
    #expect(bench.state("again")?.status == .assigned)
    bench.request(.release(name("t")))
    #expect(bench.answers.last == .refused("nothing is held against unit: t"))
  }

  @Test func `how long a test took is kept when it ended well, and only then`() throws {
    let bench = try CoordinatorBench()
    let connection = start("w", bench, boot: 1, slots: 3)
    for test in ["good", "bad"] { bench.submit(test, specification(test)) }
    bench.say(
      connection, sequence: 2, Message(.taskResult, ["task_id": "good", "attempt": 1, "status": "completed"]))
    bench.say(connection, sequence: 3, Message(.taskResult, ["task_id": "bad", "attempt": 1, "status": "failed"]))
    let ran = bench.writes.compactMap { if case .testRan(let name, _) = $0 { name.test } else { nil } }
    #expect(ran == ["good"])
  }
}
