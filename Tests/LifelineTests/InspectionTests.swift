import CoordinationCore
import Glibc
import TestSupport
import Testing

extension LifelineTests {
  /// `tasks`, `task`, `workers`, `logs` and `submit`.
  @Suite struct InspectionTests {
    @Test func `tasks lists what it is asked for, as JSON and as a table`() throws {
      let fleet = try Fleet()
      #expect(try fleet.lifeline("run", "--run", "a", input: "true\nexit 1\n").status == 1)
      #expect(try fleet.lifeline("run", "--run", "b", "--name", "two\u{1B}[31m\nlines", "--", "true").status == 0)
      let all = try JSONParser.parse(try fleet.lifeline("tasks", "--json").output).array?.compactMap(\.object) ?? []
      #expect(all.count == 3)
      for member in [
        "task_id", "name", "status", "exit_code", "attempt", "worker_id", "submitted_at", "finished_at",
      ] {
        for task in all { #expect(task[member] != nil && task[member] != .null, "\(member)") }
      }
      func ids(_ options: String...) throws -> [String] {
        let outcome = try fleet.start(["tasks", "--json"] + options).end()
        return try JSONParser.parse(outcome.output).array?.compactMap { $0.object?["task_id"]?.string } ?? []
      }
      #expect(try ids("--status", "failed") == ["a-0002"])
      #expect(try ids("--status", "failed", "--status", "completed").count == 3)
      #expect(try ids("--run", "b") == ["b-0001"])
      #expect(try ids("--worker", "w1", "--limit", "2").count == 2)
      #expect(try ids("--worker", "w2") == [])
      #expect(try ids("--limit", "0") == [])

      let table = try fleet.lifeline("tasks")
      #expect(table.lines.count == 4)
      #expect(table.lines[0].hasPrefix("TASK    STATUS"))
      // What a submitter chose cannot move the reader's cursor.
      #expect(table.lines[3].hasSuffix(#"two\u{1b}[31m\nlines"#))
    }

    @Test func `task shows attempts, checkpoints and output`() throws {
      let fleet = try Fleet()
      let script = "echo '{\"checkpoint\": {\"n\": 1}}' >&$LIFELINE_CONTROL_FD; echo out; echo err >&2; exit 2"
      let id = try fleet.submit(script, "--retries", "1")
      let task = try fleet.wait(for: id, "failed")
      #expect(task["stdout"] == "out\n" && task["stderr"] == "err\n" && task["exit_code"] == 2)
      let attempts = try #require(task["attempts"]?.array).compactMap(\.object)
      #expect(attempts.count == 2)
      #expect(attempts.allSatisfy { $0["reason"] == "exit status 2" && $0["worker_id"] == "w1" })
      #expect(attempts.last?["resumed_from"]?.object?["attempt"] == 1)
      #expect(task["checkpoints"]?.array?.last?.object?["data"] == ["n": 1])
      let text = try fleet.lifeline("task", id).output
      for piece in ["Status      failed", "exit status 2", "CHECKPOINT", #"{"n":1}"#, "stdout\n  out", "stderr\n  err"]
      {
        #expect(text.contains(piece), "\(piece) in \(text)")
      }
    }

    @Test func `an unknown task is an error everywhere`() throws {
      let fleet = try Fleet(workers: 0)
      for command in ["task", "logs", "cancel", "pause", "resume"] {
        let outcome = try fleet.lifeline(command, "nobody")
        #expect(outcome.status == 1)
        #expect(outcome.errors == "lifeline \(command): there is no task nobody\n")
        #expect(outcome.output.isEmpty)
      }
    }

    @Test func `workers tells who is there`() throws {
      let fleet = try Fleet()
      let id = try fleet.submit("sleep 60")
      try fleet.wait(for: id, "running")
      let workers =
        try JSONParser.parse(try fleet.lifeline("workers", "--json").output).array?.compactMap(\.object) ?? []
      #expect(workers.count == 1)
      #expect(workers.first?["worker_id"] == "w1" && workers.first?["state"] == "connected")
      #expect(workers.first?["active_tasks"] == [.string(id)])
      for member in ["session_id", "connected_at", "reconnections"] {
        #expect(workers.first?[member] != nil && workers.first?[member] != .null, "\(member)")
      }
      let table = try fleet.lifeline("workers")
      #expect(table.lines.count == 2 && table.lines[0].hasPrefix("WORKER") && table.lines[1].hasPrefix("w1"))
    }

    @Test func `queue tells how much waits at each priority, as a table and as JSON`() throws {
      let fleet = try Fleet(workers: 0)
      _ = try fleet.submit("true", "--priority", "CRITICAL")
      _ = try fleet.submit("true")
      _ = try fleet.submit("true")
      let status = try JSONParser.parse(try fleet.lifeline("queue", "--json").output).object ?? [:]
      let tasks = try #require(status["tasks"]?.object)
      #expect(Priority.allCases.map { tasks[$0.name]?.object?["waiting"] } == [1, 0, 2, 0, 0])
      #expect(tasks["CRITICAL"]?.object?["oldest_s"]?.number != nil)
      #expect(status["messages"]?.object?["NORMAL"]?.object?["waiting"] == 0)
      let table = try fleet.lifeline("queue")
      #expect(table.lines.count == 6 && table.lines[0].hasPrefix("PRIORITY"))
      #expect(table.lines[1].hasPrefix("CRITICAL") && table.lines[3].contains(" 2 "))
    }

    @Test func `submit prints the ids and returns`() throws {
      let fleet = try Fleet(workers: 0)
      let outcome = try fleet.lifeline("submit", "--run", "r", input: "true\nfalse\n")
      #expect(outcome.status == 0)
      #expect(outcome.output == "r-0001\nr-0002\n")
      let json = try fleet.lifeline("submit", "--run", "s", "--json", "--", "true")
      #expect(try JSONParser.parse(json.output).object == ["run": "s", "task_ids": ["s-0001"]])
      #expect(try fleet.task("s-0001")["status"] == "queued")
    }

    @Test func `logs prints either stream or both, to the same two streams`() throws {
      let fleet = try Fleet()
      let id = try fleet.submit("echo out; echo err >&2")
      try fleet.wait(for: id, "completed")
      let both = try fleet.lifeline("logs", id)
      #expect(both.output == "out\n" && both.errors == "err\n")
      let one = try fleet.lifeline("logs", id, "--stream", "stderr")
      #expect(one.output.isEmpty && one.errors == "err\n")
    }

    @Test func `logs follows a task to its end, over a restart of the coordinator, and repeats nothing`() throws {
      let fleet = try Fleet()
      let gate = fleet.directory.file("gate")
      let id = try fleet.submit("echo one; echo two; until [ -e \(gate) ]; do sleep 0.02; done; echo three")
      let logs = try fleet.start(["logs", id, "--follow"])
      try logs.wait("first lines") { $0.output == "one\ntwo\n" }
      try fleet.coordinator?.killNow()
      try fleet.startCoordinator()
      write([], to: gate)
      let outcome = try logs.end()
      #expect(outcome.status == 0)
      #expect(outcome.output == "one\ntwo\nthree\n")
    }
  }
}
