import CoordinationCore
import Primitives
import Terminal
import TestRuns

/// What a run of tests prints: on a terminal a bar, what runs, and what failed; in a pipe a line for each test; at the
/// end what a person wants to know first, and how to go on.
final class TestRunReport {
  private static let slowestShown = 5
  private static let listShown = 20
  private static let outputLines = 12
  private static let runningShown = 3

  private let plan: RunPlan
  private let request: TestRunRequest
  private let console = Console.standard
  private var results: [Int: TestTaskResult] = [:]
  private var objects: [Int: JSONObject] = [:]
  private var ids: [Int: TaskText] = [:]
  private var neverRunReasons: [Int: String] = [:]
  private var counts = OutcomeCounts()
  private let testCount: Int
  /// The user has asked for the end.
  var isInterrupted = false
  /// What ends now ended before this run was continued: it has been told already.
  var isTakenOver = false

  init(_ plan: RunPlan, _ request: TestRunRequest) {
    self.plan = plan
    self.request = request
    testCount = plan.testCount
  }

  var isGood: Bool { counts.failed == 0 && counts.notRun == 0 }

  // MARK: While it runs

  func show(running: [(name: String, time: Duration)], share: Double?, elapsed: Duration) {
    guard !request.wantsJSON, let columns = console.outputColumns else { return }
    let progress = Progress(
      done: counts.all, failed: counts.failed, running: running.count, total: testCount, elapsed: elapsed, share: share)
    // The last column stays free: some terminals wrap as soon as it is written.
    var block = progress.line(unit: "tests", columns: max(columns - 1, 0), style: console.outputStyle)
    let names = running.prefix(Self.runningShown).map { "\($0.name.escapedForDisplay) \(Progress.shortTime($0.time))" }
    if !names.isEmpty {
      let more = running.count > names.count ? ", \(running.count - names.count) more" : ""
      let line = ("  " + names.joined(separator: ", ") + more).truncated(toColumns: max(columns - 1, 0))
      block += "\n" + console.outputStyle.apply(.dim, to: line)
    }
    console.show(live: block)
  }

  func ended(_ index: Int, _ task: TaskText, _ result: TestTaskResult) {
    results[index] = result
    ids[index] = task
    if request.wantsJSON { objects[index] = task.task.without("result") }
    for outcome in result.outcomes { counts.add(outcome.verdict) }
    guard !request.wantsJSON, !isTakenOver else { return }
    if let problem = result.problem {
      console.remark(
        "\(plan.name(index).escapedForDisplay): its JUnit file is not read, \(problem.escapedForDisplay); "
          + "its exit status counts")
    }
    for outcome in result.outcomes {
      if console.outputIsTerminal {
        // The bar counts those that went well, and who cancels a run knows what becomes of it.
        switch outcome.verdict {
        case .passed, .notRun: continue
        case .flaky, .failed, .skipped: break
        }
      }
      console.write(line: line(outcome, task))
    }
  }

  func neverRun(_ index: Int, _ reason: String) {
    neverRunReasons[index] = reason
    for _ in plan.tasks[index] { counts.add(.notRun(reason)) }
  }

  private func line(_ outcome: TestOutcome, _ task: TaskText) -> String {
    let verdict: (word: String, emphasis: TextStyle.Emphasis, text: String) =
      switch outcome.verdict {
      case .passed: ("ok", .green, "")
      case .flaky(let failures):
        ("flaky", .yellow, "passed after \(failures) failed \(failures == 1 ? "attempt" : "attempts")")
      case .failed(let reason): ("FAILED", .red, reason)
      case .skipped(let reason): ("skipped", .yellow, reason)
      case .notRun(let reason): ("not run", .yellow, reason)
      }
    var parts = [
      console.outputStyle.apply(verdict.emphasis, to: verdict.word)
        + String(repeating: " ", count: max(2, 9 - verdict.word.count)) + outcome.test.escapedForDisplay
    ]
    if let duration = outcome.duration { parts.append("\(TimeText.seconds(duration)) s") }
    if !verdict.text.isEmpty { parts.append(verdict.text.escapedForDisplay) }
    if case .failed = outcome.verdict {
      if !task.worker.isEmpty { parts.append("worker \(task.worker.escapedForDisplay)") }
      parts.append("task \(task.id.escapedForDisplay)")
    }
    return parts.joined(separator: "  ")
  }

  // MARK: At the end

  func summarize(outputs: [Int: FailureOutputs.Text], elapsed: Duration) {
    console.show(live: "")
    guard !request.wantsJSON else { return console.write(json(elapsed).text + "\n") }
    let style = console.outputStyle
    showFailures(outputs, style)
    showList("Flaky", .yellow) { if case .flaky(let failures) = $0 { "passed after \(failures) failed" } else { nil } }
    showList("Skipped", .yellow) { if case .skipped(let reason) = $0 { reason } else { nil } }
    showSlowest(style)
    let verdict = isGood ? style.apply(.green, to: "PASSED") : style.apply(.red, to: isInterrupted ? "ENDED" : "FAILED")
    console.write(line: "\(verdict)  \(counts.summary) in \(TimeText.short(elapsed)), run \(plan.run)")
    if counts.failed > 0 { console.write(line: "  what failed again:  lifeline run --failed-from \(plan.run)") }
    if counts.notRun > 0 { console.write(line: "  what is left:       lifeline run --resume \(plan.run)") }
  }

  private func heading(_ text: String, _ style: TextStyle) { console.write(line: style.apply(.bold, to: text)) }

  private func showFailures(_ outputs: [Int: FailureOutputs.Text], _ style: TextStyle) {
    let failed = results.keys.sorted().filter { results[$0]?.isFailure == true }
    guard !failed.isEmpty else { return }
    heading("Failed:", style)
    for index in failed.prefix(Self.listShown) {
      for case (let test, .failed(let reason)) in (results[index]?.outcomes ?? []).map({ ($0.test, $0.verdict) }) {
        console.write(
          line: "  \(style.apply(.red, to: test.escapedForDisplay))  \(firstLine(reason).escapedForDisplay)")
      }
      let id = ids[index]?.id ?? ""
      let text = outputs[index]
      let lines =
        lastLines(text?.output ?? "", Self.outputLines / 2) + lastLines(text?.errors ?? "", Self.outputLines / 2)
      for line in lines { console.write(line: style.apply(.dim, to: "    | ") + line.escapedForDisplay) }
      console.write(line: style.apply(.dim, to: "    lifeline logs \(id.escapedForDisplay)"))
    }
    if failed.count > Self.listShown { console.write(line: "  and \(failed.count - Self.listShown) more") }
  }

  private func showList(
    _ title: String, _ emphasis: TextStyle.Emphasis, _ text: (TestOutcome.Verdict) -> String?
  ) {
    var found: [(test: String, text: String)] = []
    for index in results.keys.sorted() {
      for outcome in results[index]?.outcomes ?? [] {
        if let text = text(outcome.verdict) { found.append((outcome.test, text)) }
      }
    }
    guard !found.isEmpty else { return }
    heading("\(title):", console.outputStyle)
    for each in found.prefix(Self.listShown) {
      let name = console.outputStyle.apply(emphasis, to: each.test.escapedForDisplay)
      console.write(line: "  \(name)  \(firstLine(each.text).escapedForDisplay)")
    }
    if found.count > Self.listShown { console.write(line: "  and \(found.count - Self.listShown) more") }
  }

  private func showSlowest(_ style: TextStyle) {
    let timed = results.keys.sorted().flatMap { results[$0]?.outcomes ?? [] }.compactMap { outcome in
      outcome.duration.map { (test: outcome.test, duration: $0) }
    }
    guard timed.count > 1 else { return }
    heading("Slowest:", style)
    for each in timed.sorted(by: { $0.duration > $1.duration }).prefix(Self.slowestShown) {
      let time = TimeText.short(each.duration)
      console.write(
        line: "  \(String(repeating: " ", count: max(0, 10 - time.count)))\(time)  \(each.test.escapedForDisplay)")
    }
  }

  private func firstLine(_ text: String) -> String { text.split(separator: "\n").first.map(String.init) ?? "" }

  private func lastLines(_ text: String, _ count: Int) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: true).suffix(count).map { String($0) }
  }

  private func json(_ elapsed: Duration) -> JSONObject {
    let tests = plan.tasks.indices.flatMap { index -> [JSONValue] in
      let outcomes =
        results[index]?.outcomes
        ?? plan.tasks[index].map { TestOutcome($0, .notRun(neverRunReasons[index] ?? "it was not run")) }
      return outcomes.map { outcome in
        var object: JSONObject = ["test": .string(outcome.test), "outcome": .string(outcome.word)]
        if let reason = outcome.reason { object["reason"] = .string(reason) }
        if let duration = outcome.duration { object["seconds"] = .duration(duration) }
        if let id = ids[index]?.id { object["task_id"] = .string(id) }
        return .object(object)
      }
    }
    let statuses = ids.values.map(\.status)
    func count(_ status: String) -> JSONValue { .integer(Int64(statuses.count { $0 == status })) }
    return [
      "run": .string(plan.run), "suite": .string(plan.suite), "total": .integer(Int64(plan.tasks.count)),
      "completed": count("completed"), "failed": count("failed"), "cancelled": count("cancelled"),
      "not_submitted": .integer(Int64(neverRunReasons.count)), "seconds": .duration(elapsed),
      "counts": [
        "tests": .integer(Int64(counts.all)), "passed": .integer(Int64(counts.passed)),
        "flaky": .integer(Int64(counts.flaky)), "failed": .integer(Int64(counts.failed)),
        "skipped": .integer(Int64(counts.skipped)), "not_run": .integer(Int64(counts.notRun)),
      ],
      "tests": .array(tests), "tasks": .array(objects.keys.sorted().compactMap { objects[$0].map(JSONValue.object) }),
    ]
  }

  // MARK: JUnit

  /// Writes what is known; says so when it cannot.
  @discardableResult
  func writeJUnit(outputs: [Int: FailureOutputs.Text]) -> Bool {
    guard let path = request.junit else { return true }
    var report = JUnitReport(name: plan.suite)
    for index in plan.tasks.indices {
      if let result = results[index] {
        report.add(
          result.suites(plan.suite, output: outputs[index]?.output ?? "", errors: outputs[index]?.errors ?? ""))
      } else {
        let reason = neverRunReasons[index] ?? "the run was interrupted before it ended"
        let cases = plan.tasks[index].map { JUnitCase($0, className: plan.suite, .skipped(reason)) }
        report.add([JUnitSuite(plan.suite, cases: cases)])
      }
    }
    do {
      try WholeFile.replace(path, with: JUnitWriter.text(report))
      return true
    } catch {
      console.complain("lifeline run: the report cannot be written: \(error)")
      return false
    }
  }
}

extension TestOutcome {
  fileprivate var word: String {
    switch verdict {
    case .passed: "passed"
    case .flaky: "flaky"
    case .failed: "failed"
    case .skipped: "skipped"
    case .notRun: "not_run"
    }
  }

  fileprivate var reason: String? {
    switch verdict {
    case .passed: nil
    case .flaky(let failures): "passed after \(failures) failed"
    case .failed(let reason), .skipped(let reason), .notRun(let reason): reason
    }
  }
}

extension JSONObject {
  fileprivate func without(_ member: String) -> JSONObject {
    var object = self
    object[member] = nil
    return object
  }
}
