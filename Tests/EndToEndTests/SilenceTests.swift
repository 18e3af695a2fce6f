import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  /// Nobody says goodbye: networks that swallow everything, processes that stand still, two of one name.
  @Suite struct SilenceTests {
    @Test func `a silent black hole is noticed within the heartbeat bound and disturbs nothing that runs`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      let worker = try fleet.worker("w1", through: relay)
      let id = try fleet.submit(
        "hole",
        Scripts.start + Scripts.wait("gate") + Scripts.checkpoint("{\"step\":1}") + "echo halfway > \"$J\"\n"
          + Scripts.wait("gate") + Scripts.done)
      let started = try fleet.journal.line("start \(id) 1")
      try fleet.reached("running", id)
      relay.setBlackHole(true)
      let since = MonotonicClock.now()
      fleet.open("gate")
      try fleet.journal.line("halfway")
      try worker.logs("nothing heard from the coordinator")
      try fleet.coordinator.logs("nothing heard for")
      // 0.8 s is the bound; the rest is what a busy machine may take to say so.
      #expect(MonotonicClock.now() - since < .seconds(4))
      relay.setBlackHole(false)
      try worker.registered(2)
      #expect(worker.errors.all.last { $0.contains("worker: registered") }?.contains("resumed=true") == true)
      try fleet.checkpoints(1, of: id)
      #expect(fleet.processes("LIFELINE_TASK_ID", id).map { "\($0)" } == [started[3]], "the same process as before")
      fleet.open("gate")
      let task = try fleet.ended(id)
      #expect(task.outcomes == ["completed"])
      #expect(task["checkpoints"]?.array?.count == 1)
      #expect(task.text("stdout") == "output of attempt 1\n")
      #expect(try fleet.journal.count("start") == 1)
      #expect(try fleet.journal.count("done") == 1)
    }

    @Test(arguments: [false, true])
    func `a worker frozen for three leases loses its task and cannot take it back`(endsMeanwhile: Bool) throws {
      let lease: Duration = .milliseconds(1200)
      let fleet = try Fleet(lease: lease, coordinatorOptions: ["--exclusive-leases"])
      for name in ["first", "second"] { try fleet.gate(name) }
      let frozen = try fleet.worker("frozen")
      let id = try fleet.submit(
        "given-away",
        Scripts.start + Scripts.grandchildren
          + "if [ $LIFELINE_ATTEMPT = 1 ]; then \(Scripts.wait("first"))else \(Scripts.wait("second"))fi\n"
          + Scripts.done)
      try fleet.journal.line("start \(id) 1")
      try fleet.reached("running", id)
      let other = try fleet.worker("other")
      frozen.signal(SIGSTOP)
      let since = MonotonicClock.now()
      if endsMeanwhile {
        // Its result waits in the frozen worker's pipe, and comes out three leases late.
        fleet.open("first")
        try fleet.journal.line("done \(id) 1")
      }
      // Only the supervising process can have done it.
      try eventually("end of the frozen worker's command") {
        if fleet.processes("LIFELINE_ATTEMPT", "1").isEmpty { return true }
        return try fleet.journal.count("start \(id) 2") > 0 ? true : nil
      }
      try fleet.journal.line("start \(id) 2")
      #expect(fleet.processes("LIFELINE_ATTEMPT", "1").isEmpty)
      try eventually("the third lease's end") { MonotonicClock.now() - since > lease * 3 ? true : nil }
      frozen.signal(SIGCONT)
      try frozen.registered(2)
      if endsMeanwhile {
        let refusal = try fleet.coordinator.logs("stale attempt refused")
        #expect(refusal.contains("worker=frozen"))
        #expect(refusal.contains("task=\(id) attempt=1"))
      }
      fleet.open("second")
      let task = try fleet.ended(id)
      #expect(task.text("status") == "completed")
      #expect(task.text("worker_id") == "other")
      #expect(task.text("stdout") == "output of attempt 2\n")
      #expect(task.outcomes == ["lost", "completed"])
      #expect(try fleet.journal.count("overlap") == 0)
      // It is as good as new, and nothing that it still says changes the record.
      try other.kill()
      let next = try fleet.submit("next", "echo hello")
      #expect(try fleet.ended(next).text("worker_id") == "frozen")
      #expect(try fleet.task(id) == task)
    }

    @Test func `a coordinator frozen for less than a lease disturbs nothing`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let worker = try fleet.worker("w1")
      let id = try fleet.submit("undisturbed", Scripts.start + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("start \(id) 1")
      fleet.coordinator.signal(SIGSTOP)
      try worker.logs("nothing heard from the coordinator")
      fleet.open("gate")
      try fleet.journal.line("done \(id)")
      fleet.coordinator.signal(SIGCONT)
      try worker.registered(2)
      #expect(try fleet.ended(id).outcomes == ["completed"])
      #expect(try fleet.journal.count("start") == 1)
    }

    @Test func `a coordinator frozen for three leases finds its workers' commands ended, and gives them out again`()
      throws
    {
      let lease: Duration = .milliseconds(1200)
      let fleet = try Fleet(lease: lease)
      try fleet.gate("gate")
      _ = try fleet.worker("w1")
      let id = try fleet.submit(
        "frozen", Scripts.start + Scripts.grandchildren + Scripts.checkpoint("7") + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("start \(id) 1")
      try fleet.checkpoints(1, of: id)
      fleet.coordinator.signal(SIGSTOP)
      let since = MonotonicClock.now()
      try eventually("end of the command") { fleet.processes("LIFELINE_TASK_ID", id).isEmpty ? true : nil }
      #expect(MonotonicClock.now() - since < lease * 2)
      try eventually("the third lease's end") { MonotonicClock.now() - since > lease * 3 ? true : nil }
      fleet.coordinator.signal(SIGCONT)
      #expect(try fleet.journal.line("start \(id) 2").last == "7")
      fleet.open("gate")
      let task = try fleet.ended(id)
      #expect(task.outcomes == ["lost", "completed"])
      #expect(try fleet.journal.count("overlap") == 0)
    }

    @Test func `a second worker of the same name is told so and does not disturb the first`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let first = try fleet.worker("same")
      let id = try fleet.submit("one", Scripts.start + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("start \(id) 1")
      let second = try fleet.startWorker("same", state: "elsewhere")
      let told = try second.logs("is in use by")
      #expect(told.contains("worker id same is in use by 127.0.0.1:"))
      #expect(told.contains("--worker-id"))
      fleet.open("gate")
      #expect(try fleet.ended(id).outcomes == ["completed"])
      let next = try fleet.submit("two", Scripts.done)
      #expect(try fleet.ended(next).outcomes == ["completed"])
      #expect(first.errors.all.count { $0.contains("disconnected") } == 0)
      #expect(second.errors.all.count { $0.contains("worker: registered") } == 0)
    }

    @Test func `a second worker of the same name on the same state folder does not even start`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("same")
      let second = try fleet.startWorker("same")
      #expect(try second.exit() == .exited(1))
      #expect(second.errors.all.joined().contains("same.outbox"))
      let id = try fleet.submit("one", "true")
      #expect(try fleet.ended(id).outcomes == ["completed"])
    }
  }
}
