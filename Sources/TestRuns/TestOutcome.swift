/// What became of one test in a run.
package struct TestOutcome: Equatable, Sendable {
  package enum Verdict: Equatable, Sendable {
    case passed
    /// It passed after a failed attempt.
    case flaky(failures: Int)
    case failed(String)
    /// It is in quarantine, or was told to be passed over by its own report.
    case skipped(String)
    /// The run ended before it did.
    case notRun(String)

    package var isGood: Bool {
      switch self {
      case .passed, .flaky, .skipped: true
      case .failed, .notRun: false
      }
    }
  }

  package var test: String
  package var verdict: Verdict
  /// `nil` where it is not known apart from others'.
  package var duration: Duration?

  package init(_ test: String, _ verdict: Verdict, duration: Duration? = nil) {
    self.test = test
    self.verdict = verdict
    self.duration = duration
  }
}

/// How many of a run's tests came to what.
package struct OutcomeCounts: Equatable, Sendable {
  package var passed = 0
  package var flaky = 0
  package var failed = 0
  package var skipped = 0
  package var notRun = 0

  package init(_ outcomes: some Sequence<TestOutcome> = []) {
    for outcome in outcomes { add(outcome.verdict) }
  }

  package mutating func add(_ verdict: TestOutcome.Verdict) {
    switch verdict {
    case .passed: passed += 1
    case .flaky: flaky += 1
    case .failed: failed += 1
    case .skipped: skipped += 1
    case .notRun: notRun += 1
    }
  }

  package var all: Int { passed + flaky + failed + skipped + notRun }

  /// `12 tests: 10 passed (1 flaky), 1 failed, 1 skipped`.
  package var summary: String {
    var parts: [String] = []
    if passed + flaky > 0 { parts.append("\(passed + flaky) passed" + (flaky > 0 ? " (\(flaky) flaky)" : "")) }
    if failed > 0 { parts.append("\(failed) failed") }
    if skipped > 0 { parts.append("\(skipped) skipped") }
    if notRun > 0 { parts.append("\(notRun) not run") }
    if parts.isEmpty { parts.append("nothing to do") }
    return "\(all) \(all == 1 ? "test" : "tests"): \(parts.joined(separator: ", "))"
  }
}
