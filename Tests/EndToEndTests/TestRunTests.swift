import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestRuns
import TestSupport
import Testing

extension EndToEnd {
  /// `lifeline run` with tests: real commands, real interruptions.
  @Suite struct TestRunTests {
    /// A template that runs `script` with the tests as its arguments.
    private func template(_ script: String) -> [String] { ["--", "sh", "-c", script, "sh", "{}"] }

    private func report(_ fleet: Fleet, _ name: String) throws -> JUnitReport {
      try JUnitReader.read(TestProcess.contents(of: fleet.directory.file(name)))
    }

    private func cases(_ report: JUnitReport) -> [String: JUnitCase] {
      Dictionary(report.suites.flatMap(\.cases).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    @Test func `a run reports what passed, failed and was flaky, and merges the files that commands wrote`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1", slots: 2)
      let script = """
        case $1 in
        bad) echo seen; echo "assert 1 == 2" >&2; exit 3;;
        flaky) [ "$LIFELINE_ATTEMPT" = 1 ] && exit 1;;
        merged) printf '<testsuite name="py"><testcase classname="m" name="one" time="0.5"/>\
        <testcase classname="m" name="two"><skipped message="later"/></testcase></testsuite>' > "$LIFELINE_JUNIT_FILE";;
        broken) echo '<!DOCTYPE x><testsuite/>' > "$LIFELINE_JUNIT_FILE";;
        pipe) mkfifo "$LIFELINE_JUNIT_FILE";;
        esac
        exit 0
        """
      let process = try fleet.start(
        ["run", "--name", "unit", "--retries", "1", "--run", "r", "--junit", fleet.directory.file("report.xml")]
          + template(script), input: "good\nbad\nflaky\nmerged\nbroken\npipe\n")
      #expect(try process.exit() == .exited(1))
      let output = process.output.all
      #expect(output.contains { $0.hasPrefix("ok       good  ") })
      #expect(output.contains { $0.hasPrefix("flaky    flaky  ") && $0.contains("passed after 1 failed attempt") })
      #expect(output.contains { $0.hasPrefix("FAILED   bad  ") && $0.contains("exit status 3") })
      #expect(output.contains("    | assert 1 == 2") && output.contains("    | seen"))
      #expect(output.contains { $0.hasPrefix("FAILED  6 tests: 5 passed (1 flaky), 1 failed in ") })
      #expect(output.last == "  what failed again:  lifeline run --failed-from r")
      let errors = process.errors.all
      #expect(errors.contains { $0.contains("broken: its JUnit file is not read, line 1: a document type") })
      #expect(errors.contains { $0.contains("pipe: its JUnit file is not read, it is no regular file") })

      let report = try report(fleet, "report.xml")
      let cases = cases(report)
      #expect(report.name == "unit")
      #expect(cases.keys.sorted() == ["bad", "broken", "flaky", "good", "one", "pipe", "two"])
      #expect(cases["bad"]?.outcome == .failed(JUnitCase.Problem("exit status 3", type: "command")))
      #expect(cases["bad"]?.output == "seen\n" && cases["bad"]?.errors == "assert 1 == 2\n")
      #expect(cases["one"]?.outcome == .passed && cases["one"]?.seconds == 0.5)
      #expect(cases["two"]?.outcome == .skipped("later"))
      #expect(report.suites.contains { $0.name == "unit: py" && $0.tests == ["merged"] })

      // What failed runs again, named by the run and by the report.
      let again = try fleet.client(["run", "--failed-from", "r", "--json"], expecting: .exited(1))
      let object = try #require(try JSONParser.parse(again).object)
      #expect(object["tests"]?.array?.map { $0.object?["test"] } == ["bad"])
      #expect(object["counts"]?.object?["failed"] == 1)
      let byReport = try fleet.client(
        ["run", "--failed-from", fleet.directory.file("report.xml")] + template("echo \"again $1\" > \"$J\""))
      #expect(byReport.contains("PASSED  1 test: 1 passed in "))
      try fleet.journal.line("again bad")
    }

    @Test func `with fail-fast the first failure ends the run, and what was not run is said`() throws {
      let fleet = try Fleet()
      try fleet.gate("never")
      _ = try fleet.worker("w1")
      let process = try fleet.start(
        ["run", "--fail-fast", "--run", "r", "--junit", fleet.directory.file("report.xml")]
          + template("[ $1 = bad ] && exit 1\n" + Scripts.wait("never")), input: "bad\na\nb\nc\n")
      #expect(try process.exit() == .exited(1))
      #expect(process.output.all.contains { $0.hasPrefix("FAILED  4 tests: 1 failed, 3 not run in ") })
      #expect(process.output.all.contains("  what is left:       lifeline run --resume r"))
      let cases = cases(try report(fleet, "report.xml"))
      #expect(["a", "b", "c"].allSatisfy { cases[$0]?.outcome == .skipped("--fail-fast ended the run") })
      #expect(try fleet.tasks().allSatisfy(\.hasEnded))
    }

    @Test func `a run whose client was killed goes on where it was, and nothing is run twice`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      _ = try fleet.worker("w1", slots: 2)
      let script = "[ $1 = first ] || " + Scripts.wait("gate") + "echo \"ran $1\" > \"$J\""
      let client = try fleet.start(["run", "--run", "r", "--name", "s"] + template(script), input: "first\na\nb\nc\n")
      try fleet.journal.line("ran first")
      try fleet.reached("running", "r-0003")
      try client.kill()
      let resumed = try fleet.start(["run", "--resume", "r", "--json"])
      try resumed.errors.first("taking over") { $0.contains("Run r goes on") }
      fleet.open("gate", times: 3)
      #expect(try resumed.exit() == .exited(0))
      let object = try #require(try JSONParser.parse(resumed.output.all.joined()).object)
      #expect(object["counts"]?.object?["passed"] == 4)
      for test in ["a", "b", "c"] { try fleet.journal.line("ran \(test)") }
      #expect(try fleet.journal.count("ran") == 4)
      #expect(try fleet.tasks().count == 4)
      _ = try fleet.client(["run", "--resume", "none"], expecting: .exited(1))
    }

    @Test func `after Ctrl-C the report is there, and what was cancelled runs when the run goes on`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      _ = try fleet.worker("w1")
      let client = try fleet.start(
        ["run", "--run", "r", "--junit", fleet.directory.file("report.xml")]
          + template("[ $1 = first ] || " + Scripts.wait("gate") + "exit 0"), input: "first\na\nb\n")
      try fleet.reached("running", "r-0002")
      client.signal(SIGINT)
      #expect(try client.exit() == .exited(130))
      try client.output.first("how to go on") { $0 == "  what is left:       lifeline run --resume r" }
      let cases = cases(try report(fleet, "report.xml"))
      #expect(cases["first"]?.outcome == .passed)
      #expect(cases["a"]?.outcome == .skipped("the run was interrupted"))
      fleet.open("gate", times: 2)
      let output = try fleet.client(["run", "--resume", "r"])
      #expect(output.contains("PASSED  3 tests: 3 passed in "))
      let ids = try fleet.tasks().map { $0.text("task_id") }.sorted()
      #expect(ids == ["r-0001", "r-0002", "r-0002.2", "r-0003", "r-0003.2"])
    }

    @Test func `a test that kills three workers is quarantined while the others pass`() throws {
      let fleet = try Fleet()
      let deadly = fleet.directory.file("deadly")
      close(open(deadly, O_CREAT | O_WRONLY, 0o600))
      // The command's parent is its supervisor, whose parent is the worker.
      let script = """
        [ $1 = deadly ] && [ -f "$E2E/deadly" ] && kill -9 $(cut -d' ' -f4 /proc/$PPID/stat) && sleep 1000
        exit 0
        """
      let run = ["run", "--name", "unit"] + template(script)
      var worker = try fleet.worker("w1")
      let client = try fleet.start(run, input: "a\ndeadly\nb\nc\n")
      for _ in 1...3 {
        #expect(try worker.exit() == .signalled(SIGKILL))
        worker = try fleet.startWorker("w1")
      }
      #expect(try client.exit() == .exited(1))
      let output = client.output.all
      #expect(output.contains { $0.hasPrefix("FAILED   deadly  ") && $0.contains("quarantined: 3 workers died") })
      #expect(output.contains { $0.hasPrefix("FAILED  4 tests: 3 passed, 1 failed in ") })

      let later = try fleet.client(run, input: "a\ndeadly\n")
      #expect(later.contains("skipped  deadly  quarantined: ") && later.contains("2 tests: 1 passed, 1 skipped in "))
      let list = try JSONParser.parse(fleet.client(["quarantine", "list", "unit", "--json"])).array ?? []
      let found = list.compactMap(\.object).first { $0.text("test") == "deadly" }
      #expect(found?["quarantined"] == true && found?["killed_workers"] == 3)

      try fleet.killCoordinator()
      try fleet.restartCoordinator()
      #expect(try fleet.client(run, input: "deadly\n").contains("1 test: 1 skipped in "), "it is in the store")
      unlink(deadly)
      _ = try fleet.client(["quarantine", "release", "unit", "deadly"])
      #expect(try fleet.client(run, input: "deadly\n").contains("1 test: 1 passed in "))
    }

    @Test func `shards are made of what tests took, and their files tell what each took`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      _ = try fleet.watch.ask(
        "record_durations",
        ["suite": "unit", "durations": [["test": "long", "seconds": 9], ["test": "short", "seconds": 2]]])
      let script = """
        { echo '<testsuite name="x">'; for t in "$@"; do echo "<testcase name='$t' time='4'/>"; done; echo '</testsuite>'; } \
          > "$LIFELINE_JUNIT_FILE"
        """
      let output = try fleet.client(
        ["run", "--name", "unit", "--run", "r", "--shards", "2", "--json"] + template(script),
        input: "short\nlong\nnew\nother\n")
      let object = try #require(try JSONParser.parse(output).object)
      #expect(object["counts"]?.object?["passed"] == 4)
      // The median of 2 and 9 that stands for the unknown is 9: long goes with short.
      let tasks = (object["tasks"]?.array ?? []).compactMap(\.object)
      #expect(tasks.map { $0["tests"] } == [["long", "other"], ["new", "short"]])
      let known = try fleet.watch.ask("list_tests", ["suite": "unit"])["tests"]?.array?.compactMap(\.object) ?? []
      #expect(known.map { $0.text("test") } == ["long", "new", "other", "short"])
      #expect(known.map { $0["runs"] } == [2, 1, 1, 2])
      #expect(known[1]["duration_s"]?.number == 4)
    }

    @Test(arguments: [
      ([], "", "there are no tests on standard input"), (["--tests", "nothing/**/*.none"], "", "matches no file here"),
      (["--tests", "[x"], "", "a [ has no ]"), (["--resume", "r"], "", "it takes no command"),
      (["--failed-from", "r", "--resume", "s"], "", "choose either"),
      (["--junit", "/nowhere/at/all.xml"], "a\n", "--junit: "), (["--run", "a b"], "a\n", "the run's id"),
      (["--failed-from", "none.xml"], "", "--failed-from none.xml"),
    ])
    func `wrong usage is said before anything is run`(_ options: [String], _ input: String, _ problem: String) throws {
      let process = try TestProcess(
        Fleet.program, ["run", "--coordinator", "ws://127.0.0.1:1"] + options + ["--", "true", "{}"], input: input)
      #expect(try process.exit() == .exited(2))
      #expect(process.errors.all.joined(separator: "\n").contains(problem))
    }

    @Test(arguments: [
      (["--fail-fast", "--", "true"], "--fail-fast is about tests"),
      (["--shards", "2", "--", "x", "-k={}"], "{} must be an argument of its own"),
      (["--tests", "*", "--", "true"], "--tests is about tests"),
      (["--resume", "r", "--retries", "1"], "--retries cannot change it"),
    ])
    func `options that do not go together are refused`(_ words: [String], _ problem: String) throws {
      let process = try TestProcess(
        Fleet.program, ["run", "--coordinator", "ws://127.0.0.1:1"] + words, input: "a\nb\n")
      #expect(try process.exit() == .exited(2))
      #expect(process.errors.all.joined(separator: "\n").contains(problem))
    }
  }
}
