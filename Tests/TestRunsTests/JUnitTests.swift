import CoordinationCore
import Primitives
import TestRuns
import Testing

extension TestRunsTests {
  @Suite struct JUnitTests {
    private static let example = """
      <?xml version="1.0" encoding="utf-8"?>
      <testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="1.5" hostname="h">
      <properties><property name="other" value="x"/></properties>
      <testcase classname="tests.test_a" name="test_ok" time="0.25" />
      <testcase classname="tests.test_a" name="test_bad" time="1,000.5"><failure message="assert 1 == 2">def…</failure>
      <system-out>printed</system-out></testcase>
      <testcase classname="tests.test_b" name="test_err" time="x"><error message="boom" type="E">trace</error></testcase>
      <testcase classname="tests.test_b" name="test_skip"><skipped message="why"/></testcase>
      <unknown/></testsuite></testsuites>
      """

    @Test func `what a known program writes is understood`() throws {
      let report = try JUnitReader.read(Array(Self.example.utf8))
      let suite = try #require(report.suites.first)
      #expect(report.suites.count == 1 && suite.name == "pytest" && suite.tests.isEmpty)
      #expect(suite.cases.map(\.name) == ["test_ok", "test_bad", "test_err", "test_skip"])
      #expect(suite.cases.map(\.seconds) == [0.25, 1000.5, nil, nil])
      #expect(suite.cases[1].outcome == .failed(JUnitCase.Problem("assert 1 == 2", text: "def…")))
      #expect(suite.cases[1].output == "printed")
      #expect(suite.cases[2].outcome == .error(JUnitCase.Problem("boom", type: "E", text: "trace")))
      #expect(suite.cases[3].outcome == .skipped("why"))
    }

    @Test func `suites in suites, and a root that is one suite, are understood`() throws {
      let text =
        "<testsuite name='o'><testsuite name='i'><testcase name='t'/></testsuite><testcase name='u'/></testsuite>"
      let report = try JUnitReader.read(Array(text.utf8))
      #expect(report.suites.map(\.name) == ["o", "i"])
    }

    @Test func `another document is refused`() {
      #expect(throws: JUnitReader.Problem.otherRoot("html")) { try JUnitReader.read(Array("<html/>".utf8)) }
    }

    @Test func `what is written is read back the same, whatever is in it`() throws {
      var bad = JUnitCase(
        "t<1>\n", className: "c&\"", seconds: 1.25, .failed(JUnitCase.Problem("m", type: "k", text: "]]>")))
      bad.output = "out\r\n<x>"
      bad.errors = "err"
      bad.file = "a/b.py"
      var suite = JUnitSuite(
        "süite", tests: ["a b", "c"],
        cases: [
          bad, JUnitCase("ok", className: "c", seconds: 0, .passed),
          JUnitCase("s", className: "", seconds: 0, .skipped("w")),
          JUnitCase("e", className: "c", seconds: 2, .error(JUnitCase.Problem("x"))),
        ])
      suite.output = "all"
      let report = JUnitReport(name: "unit", suites: [suite])
      let text = JUnitWriter.text(report)
      #expect(try JUnitReader.read(Array(text.utf8)) == report)
      #expect(
        text.contains("<testsuites name=\"unit\" tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"3.250\">")
      )
    }

    @Test func `control characters and long output do not break the report`() throws {
      var each = JUnitCase("t", className: "c", seconds: 0)
      each.output = "\u{1B}[31mred\u{0}" + String(repeating: "x", count: JUnitWriter.maxTextBytes) + "end"
      let text = JUnitWriter.text(JUnitReport(suites: [JUnitSuite("s", cases: [each])]))
      let found = try #require(try JUnitReader.read(Array(text.utf8)).suites.first?.cases.first?.output)
      #expect(found.hasSuffix("end") && found.hasPrefix("("))
      #expect(found.utf8.count < JUnitWriter.maxTextBytes + 100)
    }

    @Test func `a case belongs to the test that its file, name or class stands for`() throws {
      let tests = ["tests/test_a.py", "tests/test_b.py::TestX", "exact name", "tests/test_ab.py"]
      var byFile = JUnitCase("whatever")
      byFile.file = "tests/test_ab.py"
      let report = JUnitReport(suites: [
        JUnitSuite(
          "s",
          cases: [
            JUnitCase("test_1", className: "tests.test_a"), JUnitCase("test_2", className: "tests.test_a.TestY"),
            JUnitCase("test_3[x.y]", className: "tests.test_b.TestX"), JUnitCase("exact name"), byFile,
            JUnitCase("test_4", className: "tests.test_abc"), JUnitCase("test_5", className: "tests.test_b"),
          ])
      ])
      let matching = CaseMatching(report, tests: tests)
      #expect(
        matching.cases.map { $0.map(\.name) } == [["test_1", "test_2"], ["test_3[x.y]"], ["exact name"], ["whatever"]])
      #expect(matching.others.map(\.name) == ["test_4", "test_5"])
    }

    @Test func `what failed is named as it can be run again`() throws {
      let bad = JUnitCase("test_1", className: "tests.test_a", .failed(JUnitCase.Problem("m")))
      let good = JUnitCase("test_2", className: "tests.test_b")
      var other = bad
      other.file = "other.py"
      let table: [(JUnitSuite, [String])] = [
        (JUnitSuite("s", tests: ["x"], cases: [bad]), ["x"]), (JUnitSuite("s", tests: ["x"], cases: [good]), []),
        (JUnitSuite("s", tests: ["tests/test_a.py", "tests/test_b.py"], cases: [bad, good]), ["tests/test_a.py"]),
        (JUnitSuite("s", tests: ["x", "y"], cases: [bad, good]), ["x", "y"]),
        (JUnitSuite("s", cases: [bad, good]), ["test_1"]), (JUnitSuite("s", cases: [other, other]), ["other.py"]),
      ]
      for (suite, expected) in table { #expect(JUnitReport(suites: [suite]).failedTests == expected) }
    }
  }

  @Suite struct TestTaskResultTests {
    private func task(_ status: String, reason: String? = nil, attempt: Int = 1, failed: Int = 0, junit: String? = nil)
      -> JSONObject
    {
      [
        "status": .string(status), "reason": JSONValue(reason), "attempt": .integer(Int64(attempt)),
        "failed_attempts": .integer(Int64(failed)), "result": junit.map { ["junit": .string($0)] } ?? .null,
      ]
    }

    private func verdicts(_ task: JSONObject, _ tests: [String] = ["t"], interruption: String? = nil)
      -> [TestOutcome.Verdict]
    {
      TestTaskResult(task, tests: tests, duration: .seconds(2), interruption: interruption).outcomes.map(\.verdict)
    }

    @Test func `a task's end is its test's verdict`() {
      #expect(verdicts(task("completed")) == [.passed])
      #expect(verdicts(task("completed", failed: 2)) == [.flaky(failures: 2)])
      #expect(verdicts(task("failed", reason: "exit status 1")) == [.failed("exit status 1")])
      #expect(verdicts(task("cancelled", reason: "r"), interruption: "ended") == [.notRun("ended")])
      #expect(verdicts(task("failed", reason: "quarantined: x", attempt: 0)) == [.skipped("quarantined: x")])
      #expect(verdicts(task("failed", reason: "quarantined: x", attempt: 3)) == [.failed("quarantined: x")])
    }

    private let junit = """
      <testsuite name="py"><testcase classname="a" name="t1" time="1.5"/>
      <testcase classname="b" name="t2" time="0.5"><failure message="no"/></testcase></testsuite>
      """

    @Test func `a shard's JUnit file tells who of it failed, and how long each took`() {
      let failed = TestTaskResult(
        task("failed", reason: "exit status 1", junit: junit), tests: ["a.py", "b.py", "c.py"], duration: nil,
        interruption: nil)
      #expect(
        failed.outcomes.map(\.verdict) == [
          .passed, .failed("no"), .failed("exit status 1 (of the command that ran 3 tests)"),
        ])
      #expect(failed.outcomes.map(\.duration) == [.seconds(1.5), .seconds(0.5), nil])
      #expect(failed.durations.isEmpty, "it did not end well")
      let passed = TestTaskResult(
        task("completed", junit: junit), tests: ["a.py", "b.py"], duration: nil, interruption: nil)
      #expect(passed.outcomes.map(\.verdict) == [.passed, .passed], "the exit status decides")
      #expect(passed.durations == ["a.py": .seconds(1.5), "b.py": .seconds(0.5)])
    }

    @Test func `without a JUnit file all of a shard share its fate`() {
      #expect(
        verdicts(task("failed", reason: "killed"), ["a", "b"])
          == Array(repeating: .failed("killed (of the command that ran 2 tests)"), count: 2))
    }

    @Test func `a malformed file is reported and the exit status counts`() {
      let result = TestTaskResult(task("completed", junit: "<a"), tests: ["t"], duration: nil, interruption: nil)
      #expect(result.outcomes.map(\.verdict) == [.passed])
      #expect(result.problem?.contains("ends in the middle") == true)
      #expect(result.suites("unit").map { $0.cases.map(\.name) } == [["t"]])
    }

    @Test func `a command that failed is never reported as good because its file is`() {
      let good = "<testsuite name='py'><testcase name='t1'/></testsuite>"
      let result = TestTaskResult(
        task("failed", reason: "exit status 4", junit: good), tests: ["t"], duration: nil, interruption: nil)
      let suites = result.suites("unit", output: "o")
      #expect(suites.map(\.name) == ["unit: py"])
      #expect(suites[0].cases.map(\.name) == ["t1", "t"])
      #expect(suites[0].cases[1].outcome == .failed(JUnitCase.Problem("exit status 4", type: "command")))
      #expect(suites[0].output == "o")
    }
  }

  @Suite struct RunPlanTests {
    private func plan(_ tasks: [[String]]) -> RunPlan {
      RunPlan(
        run: "r", suite: "unit", template: CommandTemplate(["x", "{}"]), common: ["retries": 1], tasks: tasks)
    }

    @Test func `a plan comes back from its parts as it was, however long`() throws {
      let small = plan([["a"], ["b", "c"]])
      #expect(small.parts.count == 1)
      #expect(RunPlan(run: "r", parts: small.parts) == small)
      let large = plan((0..<20_000).map { ["tests/some/folder/test_\($0).py"] })
      #expect(large.parts.count > 3)
      for part in large.parts { #expect(part.text.utf8.count <= RunPart.maxBytes) }
      #expect(RunPlan(run: "r", parts: large.parts) == large)
      #expect(RunPlan(run: "r", parts: large.parts.dropLast()) == nil, "a part is missing")
      #expect(RunPlan(run: "r", parts: []) == nil)
      #expect(RunPlan(run: "r", parts: [["tasks": [["a"]]]]) == nil)
    }

    @Test func `ids lead to their task and round, and nothing else does`() {
      let plan = plan([["a"], ["b"]])
      #expect(plan.id(1) == "r-0002" && plan.id(0, round: 3) == "r-0001.3")
      for index in 0..<2 {
        for round in 1...3 {
          let place = plan.place(of: plan.id(index, round: round))
          #expect(place?.index == index && place?.round == round)
        }
      }
      for id in ["r-0003", "r-0000", "x-0001", "r-0001.1", "r-0001.02", "r-0001.2.3", "r-", "r-0001.x", "r"] {
        #expect(plan.place(of: id) == nil, "\(id)")
      }
    }

    @Test func `a specification says what is run and which tests that is`() throws {
      let plan = plan([["a"], ["b", "c"]])
      let one = try TaskSpecification(json: plan.specification(0))
      #expect(one.testName == TestName(suite: "unit", test: "a"))
      #expect(one.name == "a" && one.run == "r" && one.retries == 1)
      let several = try TaskSpecification(json: plan.specification(1))
      #expect(several.testName == nil && several.tests == ["b", "c"] && several.name == "unit 2/2: 2 tests")
      #expect(several.work == .command(Command(["x", "b", "c"])))
    }
  }
}
