import CoordinationCore
import Glibc
import TestSupport
import Testing

extension LifelineTests {
  /// `cancel`, `pause`, `resume` and `checkpoint`.
  @Suite struct ControlTests {
    @Test func `cancel ends tasks that run and tasks that wait`() throws {
      let fleet = try Fleet()
      let running = try fleet.submit("sleep 60")
      try fleet.wait(for: running, "running")
      let outcome = try fleet.lifeline("cancel", running)
      #expect(outcome.status == 0)
      #expect(outcome.output == "\(running): cancellation requested\n")
      try fleet.wait(for: running, "cancelled")
      let again = try fleet.lifeline("cancel", running)
      #expect(again.status == 0)
      #expect(again.output == "\(running): cancelled already\n")
    }

    @Test func `of several tasks each is answered, and one that has ended makes the status 1`() throws {
      let fleet = try Fleet()
      let ended = try fleet.submit("true")
      let running = try fleet.submit("sleep 60")
      try fleet.wait(for: ended, "completed")
      let outcome = try fleet.lifeline("cancel", ended, "nobody", running)
      #expect(outcome.status == 1)
      #expect(outcome.output == "\(running): cancellation requested\n")
      #expect(outcome.errors.contains("task \(ended) has already ended: it is completed"))
      #expect(outcome.errors.contains("there is no task nobody"))
    }

    @Test func `a paused task stands still until it is resumed`() throws {
      let fleet = try Fleet()
      let gate = fleet.directory.file("gate")
      let id = try fleet.submit("until [ -e \(gate) ]; do sleep 0.02; done; echo done")
      try fleet.wait(for: id, "running")
      #expect(try fleet.lifeline("pause", id).output == "\(id): pause requested\n")
      try fleet.wait(for: id, "paused")
      write([], to: gate)
      #expect(try fleet.task(id)["status"] == "paused")
      #expect(try fleet.lifeline("resume", id).output == "\(id): resumption requested\n")
      #expect(try fleet.wait(for: id, "completed")["stdout"] == "done\n")
    }

    @Test func `a command saves checkpoints and progress, and finds the newest in its next attempt`() throws {
      let fleet = try Fleet()
      let lifeline = RunningProgram.path
      let script = """
        if \(lifeline) checkpoint --latest; then exit 0; fi
        \(lifeline) checkpoint '{"n": 1}' && echo '{"n": 2}' | \(lifeline) checkpoint && \
        \(lifeline) checkpoint --progress 0.4 && exit 7
        """
      let id = try fleet.submit(script, "--retries", "1")
      let task = try fleet.wait(for: id, "completed")
      #expect(task["attempt"] == 2)
      #expect(task["stdout"] == "{\"n\":2}\n")
      let checkpoints = task["checkpoints"]?.array?.compactMap { $0.object?["data"] }
      #expect(checkpoints?.sorted { $0.text < $1.text } == [["n": 1], ["n": 2]])
    }

    @Test func `progress is seen while the command runs`() throws {
      let fleet = try Fleet()
      let id = try fleet.submit("\(RunningProgram.path) checkpoint --progress 0.4; sleep 60")
      try fleet.wait(for: id, "progress") { $0["progress"] == 0.4 }
      #expect(try fleet.lifeline("tasks").output.contains("running 40%"))
    }

    @Test(
      arguments: [
        (["checkpoint", "{"], 2, "not JSON"), (["checkpoint", "--progress", "2"], 2, "--progress: 2 is not valid"),
      ] as [([String], Int32, String)])
    func `a checkpoint that cannot be is refused`(arguments: [String], status: Int32, message: String) throws {
      let outcome = try RunningProgram(arguments, environment: ["LIFELINE_CONTROL_FD": "1"]).end()
      #expect(outcome.status == status)
      #expect(outcome.errors.contains(message))
      #expect(outcome.output.isEmpty)
    }

    @Test func `a checkpoint is one line on the control descriptor`() throws {
      let outcome = try RunningProgram(
        ["checkpoint", "{\"a\":\n1}", "--progress", "0.5"], environment: ["LIFELINE_CONTROL_FD": "1"]
      ).end()
      #expect(outcome.status == 0)
      #expect(outcome.output == "{\"checkpoint\":{\"a\":1},\"progress\":0.5}\n")
    }

    @Test func `a checkpoint can be asked for from outside`() throws {
      let fleet = try Fleet(coordinator: ["--demo-tasks", "1"])
      try fleet.wait(for: "demo-1", "running")
      let outcome = try fleet.lifeline("checkpoint", "--task", "demo-1")
      #expect(outcome.status == 0)
      #expect(outcome.output == "demo-1: checkpoint requested\n")
      try fleet.wait(for: "demo-1", "checkpoint") { !($0["checkpoints"]?.array ?? []).isEmpty }
    }
  }
}
