/// What tests found, in JUnit's terms.
package struct JUnitReport: Equatable, Sendable {
  package var name: String
  package var suites: [JUnitSuite]

  package init(name: String = "", suites: [JUnitSuite] = []) {
    self.name = name
    self.suites = suites
  }

  /// Adds suites; those that are nothing but cases of the same name's become one.
  package mutating func add(_ more: [JUnitSuite]) {
    for suite in more {
      guard suite.tests.isEmpty, suite.output.isEmpty, suite.errors.isEmpty,
        let index = suites.firstIndex(where: { $0.name == suite.name && $0.tests.isEmpty })
      else {
        suites.append(suite)
        continue
      }
      suites[index].cases += suite.cases
    }
  }
}

package struct JUnitSuite: Equatable, Sendable {
  package var name: String
  /// The tests, as the run named them, whose command found this; empty in others' reports.
  package var tests: [String] = []
  package var cases: [JUnitCase] = []
  package var output = ""
  package var errors = ""

  package init(_ name: String, tests: [String] = [], cases: [JUnitCase] = []) {
    self.name = name
    self.tests = tests
    self.cases = cases
  }

  package func count(_ isCounted: (JUnitCase.Outcome) -> Bool) -> Int { cases.count { isCounted($0.outcome) } }
  package var seconds: Double { cases.reduce(0) { $0 + ($1.seconds ?? 0) } }
}

package struct JUnitCase: Equatable, Sendable {
  package struct Problem: Equatable, Sendable {
    package var message: String
    package var type: String
    package var text: String

    package init(_ message: String, type: String = "", text: String = "") {
      self.message = message
      self.type = type
      self.text = text
    }
  }

  package enum Outcome: Equatable, Sendable {
    case passed
    case failed(Problem)
    /// It could not be run to its end.
    case error(Problem)
    case skipped(String)

    package var isBad: Bool {
      switch self {
      case .failed, .error: true
      case .passed, .skipped: false
      }
    }
  }

  package var name: String
  package var className = ""
  package var file: String?
  package var seconds: Double?
  package var outcome = Outcome.passed
  package var output = ""
  package var errors = ""

  package init(_ name: String, className: String = "", seconds: Double? = nil, _ outcome: Outcome = .passed) {
    self.name = name
    self.className = className
    self.seconds = seconds
    self.outcome = outcome
  }
}

extension JUnitReport {
  /// The tests that failed, as they can be run again, each once.
  ///
  /// A suite of a report of ours says which tests its command was given: of several, those that a failed case belongs
  /// to, and all of them where none can be told. In others' reports a case's file is the test, or else its name.
  package var failedTests: [String] {
    var failed: [String] = []
    for suite in suites {
      let bad = suite.cases.filter(\.outcome.isBad)
      guard !bad.isEmpty else { continue }
      guard suite.tests.count != 1 else {
        failed += suite.tests
        continue
      }
      guard !suite.tests.isEmpty else {
        failed += bad.map { $0.file ?? $0.name }
        continue
      }
      let matching = CaseMatching(JUnitReport(suites: [suite]), tests: suite.tests)
      let found = suite.tests.indices.filter { matching.cases[$0].contains(where: \.outcome.isBad) }
      failed += found.isEmpty ? suite.tests : found.map { suite.tests[$0] }
    }
    var seen: Set<String> = []
    return failed.filter { seen.insert($0).inserted }
  }
}
