package import CoordinationCore
import Primitives

/// What the end of one task says about its tests.
package struct TestTaskResult: Sendable {
  /// In the order of the task's tests.
  package let outcomes: [TestOutcome]
  /// Durations that only its JUnit file tells, because the task ran several tests.
  package let durations: [String: Duration]
  /// Why its JUnit file was not read; its own outcome counts then.
  package let problem: String?
  private let tests: [String]
  private let report: JUnitReport?
  private let failure: JUnitCase.Outcome?

  /// The most that a JUnit file may hold; it came from a stranger.
  private static let limits: XMLReader.Limits = {
    var limits = XMLReader.Limits()
    limits.maxBytes = 1 << 20
    limits.maxElements = 20_000
    return limits
  }()

  /// - Parameters:
  ///   - task: as the coordinator tells it, ended.
  ///   - duration: from its start to its end.
  ///   - interruption: why its run cancelled it; `nil` when it did not.
  package init(_ task: JSONObject, tests: [String], duration: Duration?, interruption: String?) {
    self.tests = tests
    let reason = task["reason"]?.string ?? ""
    let attempts = task["failed_attempts"]?.integer.flatMap { Int(exactly: $0) } ?? 0
    var problem = task["result"]?.object?["junit_problem"]?.string
    var report: JUnitReport?
    if let text = task["result"]?.object?["junit"]?.string {
      do { report = try JUnitReader.read(Array(text.utf8), limits: Self.limits) } catch { problem = "\(error)" }
    }
    self.problem = problem
    self.report = report

    let verdict: TestOutcome.Verdict
    switch task["status"]?.string {
    case "completed":
      verdict = attempts > 0 ? .flaky(failures: attempts) : .passed
      failure = nil
    case "cancelled":
      verdict = .notRun(interruption ?? (reason.isEmpty ? "cancelled" : reason))
      failure = .skipped(interruption ?? reason)
    default:
      if reason.hasPrefix(Quarantine.reasonPrefix), task["attempt"]?.integer ?? 0 == 0 {
        verdict = .skipped(reason)
        failure = .skipped(reason)
      } else {
        verdict = .failed(reason)
        let problem = JUnitCase.Problem(reason, type: "command")
        failure = reason.hasPrefix("exit status ") ? .failed(problem) : .error(problem)
      }
    }
    let found = Self.outcomes(tests, verdict, duration, report)
    outcomes = found.outcomes
    durations = verdict.isGood ? found.durations : [:]
  }

  package var isFailure: Bool {
    outcomes.contains { if case .failed = $0.verdict { true } else { false } }
  }

  private static func outcomes(
    _ tests: [String], _ verdict: TestOutcome.Verdict, _ duration: Duration?, _ report: JUnitReport?
  ) -> (outcomes: [TestOutcome], durations: [String: Duration]) {
    if case .notRun = verdict { return (tests.map { TestOutcome($0, verdict) }, [:]) }
    guard tests.count > 1 else { return (tests.map { TestOutcome($0, verdict, duration: duration) }, [:]) }
    var verdict = verdict
    if case .failed(let reason) = verdict {
      verdict = .failed("\(reason) (of the command that ran \(tests.count) tests)")
    }
    guard let report else { return (tests.map { TestOutcome($0, verdict) }, [:]) }
    let matching = CaseMatching(report, tests: tests)
    // Whoever failed is known only if somebody is said to have.
    let isKnown = matching.cases.contains { $0.contains(where: \.outcome.isBad) }
    var durations: [String: Duration] = [:]
    let outcomes = zip(tests, matching.cases).map { test, cases in
      let seconds = cases.compactMap(\.seconds)
      let duration: Duration? = seconds.isEmpty ? nil : .seconds(seconds.reduce(0, +))
      durations[test] = duration
      guard case .failed(let reason) = verdict, isKnown, !cases.isEmpty else {
        return TestOutcome(test, verdict, duration: duration)
      }
      for each in cases {
        switch each.outcome {
        case .failed(let problem), .error(let problem):
          return TestOutcome(test, .failed(problem.message.isEmpty ? reason : problem.message), duration: duration)
        case .passed, .skipped: break
        }
      }
      return TestOutcome(test, .passed, duration: duration)
    }
    return (outcomes, durations)
  }

  /// What a report says about it.
  ///
  /// - Parameters:
  ///   - suite: the run's.
  ///   - output: the end of what the command wrote, where it was asked for.
  package func suites(_ suite: String, output: String = "", errors: String = "") -> [JUnitSuite] {
    guard let report, !report.suites.isEmpty else {
      let cases = outcomes.map { outcome in
        var each = JUnitCase(outcome.test, className: suite, seconds: outcome.duration?.inSeconds, failure ?? .passed)
        each.output = output
        each.errors = errors
        return each
      }
      // Its cases are the tests by their names, so nothing more need be said about which they are.
      return [JUnitSuite(suite, cases: cases)]
    }
    var suites = report.suites
    for index in suites.indices {
      let name = suites[index].name
      suites[index].name = name.isEmpty || name == suite ? suite : "\(suite): \(name)"
      suites[index].tests = tests
    }
    // The command says that it failed, and its file does not: the report must not say that all is well.
    if let failure, failure.isBad, !suites.contains(where: { $0.cases.contains(where: \.outcome.isBad) }) {
      suites[suites.count - 1].cases.append(
        JUnitCase(tests.count == 1 ? tests[0] : "\(tests.count) tests", className: suite, failure))
    }
    if let last = suites.indices.last, failure != nil {
      suites[last].output += output
      suites[last].errors += errors
    }
    return suites
  }
}
