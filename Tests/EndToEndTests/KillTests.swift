import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  /// `kill -9` of workers, coordinators, and both.
  @Suite struct KillTests {
    @Test func `a killed worker's command starts again elsewhere from its newest checkpoint and leaves no orphan`()
      throws
    {
      let fleet = try Fleet(lease: .milliseconds(1500))
      try fleet.gate("gate")
      let first = try fleet.worker("w1")
      let id = try fleet.submit(
        "orphan",
        Scripts.start + Scripts.grandchildren
          + "[ $LIFELINE_ATTEMPT = 1 ] && {\n" + Scripts.checkpoint("{\"step\":1}") + Scripts.checkpoint("{\"step\":2}")
          + "}\n" + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("start \(id) 1")
      try fleet.checkpoints(2, of: id)
      _ = try fleet.worker("w2")
      #expect(fleet.processes("LIFELINE_TASK_ID", id).count == 3, "the shell and what it left in the background")
      try first.kill()
      let killed = MonotonicClock.now()
      // Well before the lease ends, though only then somebody else may start.
      try eventually("end of the orphans") {
        fleet.processes("LIFELINE_TASK_ID", id).isEmpty ? true : nil
      }
      #expect(MonotonicClock.now() - killed < .milliseconds(1500))
      let started = try fleet.journal.line("start \(id) 2")
      #expect(started.last == "{\"step\":2}")
      fleet.open("gate")
      let task = try fleet.ended(id)
      #expect(task.text("status") == "completed")
      #expect(task.number("attempt") == 2)
      #expect(task.text("worker_id") == "w2")
      #expect(task.text("stdout") == "output of attempt 2\n")
      #expect(task.outcomes == ["lost", "completed"])
      #expect(task.attempts[0].text("reason").contains("lease of worker w1 ran out"))
      #expect(task.attempts[1]["resumed_from"] == ["attempt": 1, "number": 2])
      #expect(try fleet.journal.count("overlap") == 0)
      #expect(try fleet.journal.count("done") == 1)
    }

    @Test func `a killed worker that is started again at once gives its command back without waiting for the lease`()
      throws
    {
      let fleet = try Fleet(lease: .seconds(60))
      try fleet.gate("gate")
      let first = try fleet.worker("w1")
      let id = try fleet.submit(
        "again", Scripts.start + Scripts.grandchildren + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("start \(id) 1")
      try first.kill()
      _ = try fleet.startWorker("w1")
      try fleet.journal.line("start \(id) 2")
      fleet.open("gate")
      let task = try fleet.ended(id)
      #expect(task.outcomes == ["lost", "completed"])
      #expect(task.attempts[0].text("reason").contains("restarted"))
      #expect(try fleet.journal.count("overlap") == 0)
      #expect(fleet.processes("LIFELINE_TASK_ID", id).isEmpty)
    }

    @Test func `an attempt that wrote nothing is not given the output of the one that was lost`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let first = try fleet.worker("w1")
      let id = try fleet.submit(
        "quiet", Scripts.start + "[ $LIFELINE_ATTEMPT = 2 ] && exit 0\necho lost\n" + Scripts.wait("gate"))
      try fleet.journal.line("start \(id) 1")
      try eventually("live output") {
        try fleet.watch.ask("get_task", ["task_id": .string(id)])["task"]?.object?.text("stdout") == "lost\n"
          ? true : nil
      }
      try first.kill()
      _ = try fleet.startWorker("w1")
      let task = try fleet.ended(id)
      #expect(task.outcomes == ["lost", "completed"])
      #expect(task.text("stdout").isEmpty)
    }

    @Test func `a coordinator killed with work queued, running and not yet acknowledged goes on where it was`() throws {
      let fleet = try Fleet()
      for name in ["finished", "running", "queued"] { try fleet.gate(name) }
      _ = try fleet.worker("w1", slots: 2)
      let acknowledged = try fleet.submit("acknowledged", Scripts.start + Scripts.done + "exit 3")
      let before = try fleet.ended(acknowledged)
      let finished = try fleet.submit("finished", Scripts.start + Scripts.wait("finished") + Scripts.done)
      let running = try fleet.submit("running", Scripts.start + Scripts.wait("running") + Scripts.done)
      try fleet.journal.line("start \(finished)")
      let pid = try fleet.journal.line("start \(running)")[3]
      let queued = try fleet.submit("queued", Scripts.start + Scripts.wait("queued") + Scripts.done)
      #expect(try fleet.task(queued).text("status") == "queued")

      // Frozen, it can take a result and neither keep nor acknowledge it.
      fleet.coordinator.signal(SIGSTOP)
      fleet.open("finished")
      try fleet.journal.line("done \(finished)")
      try eventually("the result in the outbox file") {
        holds(fleet.outbox("w1"), "\"task_id\":\"\(finished)\",\"attempt\":1,\"status\":\"completed\"") ? true : nil
      }
      try fleet.killCoordinator()
      try fleet.restartCoordinator()

      #expect(try fleet.ended(finished).text("stdout") == "output of attempt 1\n")
      try fleet.journal.line("start \(queued)")
      for gate in ["running", "queued"] { fleet.open(gate) }
      for id in [finished, running, queued] {
        let task = try fleet.ended(id)
        #expect(task.text("status") == "completed")
        #expect(task.outcomes == ["completed"], "\(id)")
        #expect(try fleet.journal.count("start \(id)") == 1)
        #expect(try fleet.journal.count("done \(id)") == 1)
      }
      #expect(try fleet.journal.line("start \(running)")[3] == pid)
      #expect(try fleet.task(acknowledged) == before)
      #expect(before.number("exit_code") == 3)
      #expect(try fleet.tasks().count == 4)
      for id in [finished, running, queued] {
        try eventually("end of every process of \(id)") { fleet.processes("LIFELINE_TASK_ID", id).isEmpty ? true : nil }
      }
    }

    @Test func `a result that nobody had heard of when both sides were killed is delivered from the worker's disk`()
      throws
    {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      let worker = try fleet.worker("w1", through: relay)
      let id = try fleet.submit("both", Scripts.start + Scripts.wait("gate") + Scripts.done + "exit 7")
      try fleet.journal.line("start \(id) 1")
      try fleet.reached("running", id)
      relay.setBlackHole(true)
      fleet.open("gate")
      try fleet.journal.line("done \(id)")
      try eventually("the result in the outbox file") {
        holds(fleet.outbox("w1"), "\"task_id\":\"\(id)\",\"attempt\":1,\"status\":\"failed\"") ? true : nil
      }
      try worker.kill()
      try fleet.killCoordinator()
      relay.setBlackHole(false)
      try fleet.restartCoordinator()
      #expect(try fleet.task(id).text("status") == "running", "nobody has said that it ended")
      let again = try fleet.worker("w1", through: relay)
      let task = try fleet.ended(id)
      #expect(task.text("status") == "failed")
      #expect(task.number("exit_code") == 7)
      #expect(task.text("stdout") == "output of attempt 1\n")
      #expect(task.outcomes == ["failed"])
      #expect(try fleet.journal.count("start") == 1)
      again.signal(SIGTERM)
      #expect(try again.exit() == .exited(0), "it leaves once everything was acknowledged")
    }

    /// Whether a file contains a text, between whatever other bytes.
    private func holds(_ path: String, _ text: String) -> Bool {
      String(decoding: TestProcess.contents(of: path), as: UTF8.self).contains(text)
    }
  }
}
