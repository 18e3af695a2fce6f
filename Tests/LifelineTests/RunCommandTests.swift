import CoordinationCore
import Glibc
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct RunCommandTests {
    @Test func `a single command's output and failure are passed on`() throws {
      let fleet = try Fleet()
      let outcome = try fleet.lifeline("run", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
      #expect(outcome.status == 1)
      #expect(outcome.output == "out\n")
      #expect(outcome.errors.hasPrefix("err\n"))
      #expect(outcome.errors.contains("FAILED") && outcome.errors.contains("exit 3"))
    }

    @Test func `a single command that completes leaves nothing but its output on standard output`() throws {
      let fleet = try Fleet()
      let outcome = try fleet.lifeline("run", "--env", "WHO=you", "--cwd", "/", "--", "sh", "-c", "echo $WHO $PWD")
      #expect(outcome.status == 0)
      #expect(outcome.output == "you /\n")
      #expect(outcome.errors.hasPrefix("ok "))
    }

    @Test func `each line of standard input is a command, and a failed one makes the run fail`() throws {
      let fleet = try Fleet(workers: 2)
      let outcome = try fleet.lifeline("run", "--run", "r", input: "echo a\n\n  \nexit 4\necho b; echo c")
      #expect(outcome.status == 1)
      #expect(outcome.errors.isEmpty)
      #expect(outcome.lines.count == 4)
      #expect(outcome.lines.contains { $0.hasPrefix("ok       echo a  exit 0  attempt 1  worker w") })
      #expect(outcome.lines.contains { $0.hasPrefix("FAILED   exit 4  exit 4  attempt 1  worker w") })
      #expect(outcome.lines.last?.hasPrefix("3 tasks: 2 completed, 1 failed in ") == true)
    }

    @Test func `JSON tells the same to a program, in the order of submission`() throws {
      let fleet = try Fleet(workers: 2)
      let outcome = try fleet.lifeline("run", "--run", "r", "--json", input: "echo a\nexit 4\necho b\n")
      #expect(outcome.status == 1)
      let object = try #require(try JSONParser.parse(outcome.output).object)
      #expect(object["run"] == "r" && object["total"] == 3)
      #expect(object["completed"] == 2 && object["failed"] == 1 && object["cancelled"] == 0)
      let tasks = try #require(object["tasks"]?.array).compactMap(\.object)
      #expect(tasks.compactMap { $0["task_id"]?.string } == ["r-0001", "r-0002", "r-0003"])
      #expect(tasks.compactMap { $0["status"]?.string } == ["completed", "failed", "completed"])
      #expect(tasks.compactMap { $0["exit_code"]?.integer } == [0, 4, 0])
    }

    @Test func `JSON of a single command holds its output`() throws {
      let fleet = try Fleet()
      let outcome = try fleet.lifeline("run", "--json", "--name", "greeting", "--", "printf", "hi\\377")
      #expect(outcome.status == 0)
      let task = try #require(try JSONParser.parse(outcome.output).object?["tasks"]?.array?.first?.object)
      #expect(task["name"] == "greeting")
      #expect(task["stdout_base64"] == "aGn/")
      #expect(task["attempts"]?.array?.count == 1)
    }

    @Test func `no commands at all are no failure`() throws {
      let fleet = try Fleet(workers: 0)
      let outcome = try fleet.lifeline("run", input: "\n \n")
      #expect(outcome.status == 0)
      #expect(outcome.output.hasPrefix("0 tasks: nothing to do"))
    }

    @Test func `a command that cannot be is refused before anything is submitted`() throws {
      let fleet = try Fleet(workers: 0)
      let outcome = try fleet.lifeline("run", input: "echo a\necho \0\n")
      #expect(outcome.status == 2)
      #expect(outcome.errors.contains("command 2:") && outcome.errors.contains("zero byte"))
      #expect(try fleet.lifeline("tasks", "--json").output == "[]\n")
    }

    @Test func `a failed command is tried again as often as allowed`() throws {
      let fleet = try Fleet()
      let mark = fleet.directory.file("mark")
      let script = "if [ -e \(mark) ]; then exit 0; fi; touch \(mark); exit 9"
      let outcome = try fleet.lifeline("run", "--retries", "1", "--", "sh", "-c", script)
      #expect(outcome.status == 0)
      #expect(outcome.errors.contains("attempt 2"))
    }

    @Test func `a command that takes too long fails`() throws {
      let fleet = try Fleet()
      let outcome = try fleet.lifeline("run", "--timeout", "0.2", "--", "sleep", "30")
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("timed out"), "\(outcome.errors)")
    }

    @Test func `more commands than fit one message all run once`() throws {
      let fleet = try Fleet(workers: 2)
      let lines = (1...1_201).map { "echo \($0)" }.joined(separator: "\n")
      let outcome = try fleet.start(["run", "--json", "--priority", "high"], input: lines).end(within: 180)
      #expect(outcome.status == 0)
      let tasks = try JSONParser.parse(outcome.output).object?["tasks"]?.array?.compactMap(\.object) ?? []
      #expect(tasks.count == 1_201)
      #expect(tasks.allSatisfy { $0["attempt"] == 1 && $0["priority"] == "HIGH" })
      let list = try fleet.lifeline("tasks", "--json")
      #expect(try JSONParser.parse(list.output).array?.count == 1_201)
      let some = try fleet.lifeline("tasks", "--json", "--limit", "450")
      #expect(try JSONParser.parse(some.output).array?.count == 450)
    }

    @Test func `a run that is there already is taken up again, and nothing runs twice`() throws {
      let fleet = try Fleet()
      let count = fleet.directory.file("count")
      let input = "echo x >> \(count)\necho x >> \(count)\n"
      #expect(try fleet.lifeline("run", "--run", "nightly", input: input).status == 0)
      #expect(try fleet.lifeline("run", "--run", "nightly", input: input).status == 0)
      #expect(contents(of: count) == Array("x\nx\n".utf8))
      let other = try fleet.lifeline("run", "--run", "nightly", input: "echo y\n")
      #expect(other.status == 1)
      #expect(other.errors.contains("nightly-0001 exists and is another command"))
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func `the first interruption cancels what has not ended and waits for it`(signal: Int32) throws {
      let fleet = try Fleet()
      let run = try fleet.start(["run", "--run", "r"], input: "true\n" + String(repeating: "sleep 60\n", count: 6))
      try run.wait("first result") { $0.output.contains("ok ") }
      try fleet.wait(for: "r-0002", "running")
      run.signal(signal)
      let outcome = try run.end()
      #expect(outcome.status == 1)
      #expect(outcome.lines.last?.hasPrefix("7 tasks: 1 completed, 6 cancelled in ") == true, "\(outcome.output)")
      #expect(outcome.errors.contains("Cancelling"))
      #expect(try fleet.task("r-0007")["status"] == "cancelled")
    }

    @Test func `the second interruption leaves at once, and what runs goes on`() throws {
      let fleet = try Fleet()
      let gate = fleet.directory.file("gate")
      // It takes no notice of SIGTERM, so its cancellation takes as long as the worker's patience.
      let run = try fleet.start(
        ["run", "--run", "r", "--", "sh", "-c", "trap '' TERM; until [ -e \(gate) ]; do sleep 0.02; done"])
      try fleet.wait(for: "r-0001", "running") { $0["status"] == "running" }
      run.signal(SIGINT)
      try run.wait("first answer") { $0.errors.contains("Cancelling") }
      run.signal(SIGINT)
      let outcome = try run.end()
      #expect(outcome.status == 128 + SIGINT)
      #expect(outcome.errors.contains("lifeline tasks --run r"))
      write([], to: gate)
    }

    @Test func `an interruption while no coordinator is there ends the run`() throws {
      let run = try RunningProgram(["run", "--coordinator", "ws://127.0.0.1:1", "--", "true"])
      try run.wait("remark") { $0.errors.contains("No connection to the coordinator") }
      run.signal(SIGINT)
      let outcome = try run.end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("1 not submitted"))
    }

    @Test func `it survives a coordinator that is killed and started again`() throws {
      let fleet = try Fleet(workers: 2)
      let gate = fleet.directory.file("gate")
      let count = fleet.directory.file("count")
      let line = "echo x >> \(count); until [ -e \(gate) ]; do sleep 0.02; done\n"
      let run = try fleet.start(["run", "--run", "r"], input: "true\n" + String(repeating: line, count: 6))
      try run.wait("first result") { $0.output.contains("ok ") }
      try fleet.wait(for: "r-0002", "running")
      try fleet.coordinator?.killNow()
      try run.wait("remark") { $0.errors.contains("No connection to the coordinator") }
      write([], to: gate)
      try fleet.startCoordinator()
      let outcome = try run.end()
      #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)")
      #expect(outcome.lines.last?.hasPrefix("7 tasks: 7 completed in ") == true)
      #expect(outcome.lines.count == 8)
      #expect(outcome.errors.contains("Connected to the coordinator again"))
      #expect(contents(of: count) == Array(String(repeating: "x\n", count: 6).utf8))
    }

    @Test func `a coordinator that lost its store is given the tasks again`() throws {
      let fleet = try Fleet(workers: 0)
      let run = try fleet.start(["run", "--run", "r"], input: "true\ntrue\n")
      try fleet.wait(for: "r-0002", "queued")
      try fleet.coordinator?.killNow()
      for suffix in ["", "-wal", "-shm"] { unlink(fleet.store + suffix) }
      try fleet.startCoordinator()
      try fleet.startWorker("w1")
      let outcome = try run.end()
      #expect(outcome.status == 0)
      #expect(outcome.errors.contains("does not know 2 of the tasks"))
    }
  }
}
