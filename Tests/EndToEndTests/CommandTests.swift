import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  /// What becomes of real commands: paused, cancelled, timed out, retried, and what they leave behind.
  @Suite struct CommandTests {
    @Test func `a paused command stands still, with everything it started, until it is resumed`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      _ = try fleet.worker("w1")
      let id = try fleet.submit(
        "pause", Scripts.start + "sh -c 'while :; do :; done' &\n" + Scripts.wait("gate") + "kill $!\n" + Scripts.done)
      let shell = Int32(try fleet.journal.line("start \(id)")[3]) ?? 0
      try fleet.reached("running", id)
      try eventually("the busy loop") { fleet.processes("LIFELINE_TASK_ID", id).count == 2 ? true : nil }
      let group = fleet.processes("LIFELINE_TASK_ID", id)
      _ = try fleet.client(["pause", id])
      try fleet.reached("paused", id)
      for pid in group { try eventually("stop of \(pid)") { ProcessTable.entry(of: pid)?.state == "T" ? true : nil } }
      fleet.open("gate")
      #expect(try fleet.journal.count("done") == 0)
      #expect(ProcessTable.entry(of: shell)?.state == "T")
      _ = try fleet.client(["resume", id])
      #expect(try fleet.ended(id).outcomes == ["completed"])
      #expect(try fleet.journal.count("start") == 1)
    }

    @Test func `a paused command stays paused while its worker is cut off and its coordinator killed`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      let worker = try fleet.worker("w1", through: relay)
      let id = try fleet.submit("pause", Scripts.start + Scripts.wait("gate") + Scripts.done)
      let shell = Int32(try fleet.journal.line("start \(id)")[3]) ?? 0
      _ = try fleet.client(["pause", id])
      try fleet.reached("paused", id)
      relay.cut()
      try worker.registered(2)
      try fleet.killCoordinator()
      try fleet.restartCoordinator()
      try worker.registered(3)
      #expect(try fleet.task(id).text("status") == "paused")
      #expect(ProcessTable.entry(of: shell)?.state == "T")
      fleet.open("gate")
      _ = try fleet.client(["resume", id])
      #expect(try fleet.ended(id).outcomes == ["completed"])
    }

    @Test func `a cancelled command is asked to end first, and its whole group is gone`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      _ = try fleet.worker("w1")
      let id = try fleet.submit(
        "cancel",
        "trap 'echo asked > \"$J\"; exit 5' TERM\n" + Scripts.start + Scripts.grandchildren + Scripts.wait("gate")
          + Scripts.done)
      try fleet.journal.line("start \(id)")
      _ = try fleet.client(["cancel", id])
      let task = try fleet.ended(id)
      #expect(task.text("status") == "cancelled")
      #expect(task.outcomes == ["cancelled"])
      #expect(try fleet.journal.count("asked") == 1)
      #expect(try fleet.journal.count("done") == 0)
      #expect(fleet.processes("LIFELINE_TASK_ID", id).isEmpty)
    }

    @Test func `cancelled while its worker is cut off, a command is ended as soon as the worker is back`() throws {
      let fleet = try Fleet(coordinatorOptions: ["--exclusive-leases"])
      try fleet.gate("gate")
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      let worker = try fleet.worker("w1", through: relay)
      let id = try fleet.submit("cancel", Scripts.start + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("start \(id)")
      relay.setBlackHole(true)
      try worker.logs("nothing heard from the coordinator")
      _ = try fleet.client(["cancel", id])
      #expect(!(try fleet.task(id).hasEnded), "it still runs")
      relay.setBlackHole(false)
      let task = try fleet.ended(id)
      #expect(task.text("status") == "cancelled")
      #expect(task.outcomes == ["cancelled"])
      #expect(fleet.processes("LIFELINE_TASK_ID", id).isEmpty)
    }

    @Test func `an attempt that takes too long fails, and the next one is made as often as was asked for`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      _ = try fleet.worker("w1")
      let id = try fleet.submit(
        "slow",
        Scripts.start + Scripts.grandchildren + "[ $LIFELINE_ATTEMPT = 3 ] || " + Scripts.wait("gate") + Scripts.done,
        options: ["--timeout", "300ms", "--retries", "2"])
      let task = try fleet.ended(id)
      #expect(task.text("status") == "completed")
      #expect(task.outcomes == ["failed", "failed", "completed"])
      #expect(task.attempts[0].text("reason") == "timed out after 0.3 s")
      #expect(try fleet.journal.count("overlap") == 0)
      let failing = try fleet.submit("failing", "exit 9", options: ["--retries", "1"])
      let failed = try fleet.ended(failing)
      #expect(failed.text("status") == "failed")
      #expect(failed.number("exit_code") == 9)
      #expect(failed.outcomes == ["failed", "failed"])
    }

    @Test func `exit codes and signals are recorded as they were, and run passes on that something failed`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1", slots: 2)
      let commands: [(line: String, code: Int, reason: String)] = [
        ("true", 0, ""), ("exit 1", 1, "exit status 1"), ("exit 255", 255, "exit status 255"),
        ("kill -SEGV $$", 139, "killed by signal 11 (SIGSEGV)"), ("kill -KILL $$", 137, "killed by signal 9 (SIGKILL)"),
        ("exec /nowhere/to/be/found", 127, "exit status 127"),
      ]
      let input = commands.map(\.line).joined(separator: "\n")
      _ = try fleet.client(["run", "--run", "codes"], input: input, expecting: .exited(1))
      for (index, command) in commands.enumerated() {
        let task = try fleet.task("codes-000\(index + 1)")
        #expect(task.text("status") == (command.code == 0 ? "completed" : "failed"), "\(command.line)")
        #expect(task.number("exit_code") == command.code, "\(command.line)")
        #expect(task.text("reason").hasPrefix(command.reason), "\(command.line): \(task.text("reason"))")
      }
      let missing = try fleet.client(["submit", "--run", "missing", "--", "/nowhere/to/be/found", "x"])
      let task = try fleet.ended(missing)
      #expect(task.number("exit_code") == 127)
      #expect(task.text("reason").contains("/nowhere/to/be/found"))
      _ = try fleet.client(["run", "--", "true"])
    }

    @Test func `output is kept byte for byte, and of too much of it the beginning and the end`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      let binary = try fleet.submit("binary", "printf '\\377\\000\\001ab'; printf 'a\\303\\244\\n' >&2")
      let task = try fleet.ended(binary)
      #expect(try OutputText.bytes("stdout", in: task, limit: 100) == [255, 0, 1, 97, 98])
      #expect(task.text("stderr") == "aä\n")

      let limit = 192 << 10
      let big = try fleet.submit("big", "echo first; head -c 5000000 /dev/zero | tr '\\000' x; echo; echo last")
      let long = try fleet.ended(big)
      #expect(long.text("status") == "completed")
      #expect(long.text("stdout").hasPrefix("first\nxxx"))
      #expect(long.text("stdout").hasSuffix("xxx\nlast\n"))
      #expect(long.text("stdout").utf8.count <= limit)
      #expect(long.number("dropped_bytes") > 5_000_000 - limit)
    }
  }
}
