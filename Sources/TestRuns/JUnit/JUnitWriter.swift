/// Writes JUnit's XML: what every reader of it takes, and nothing more.
package enum JUnitWriter {
  /// Names the tests whose command found a suite, so that what failed can be run again.
  package static let testProperty = "lifeline.test"
  /// Of each text; beyond it the end is kept.
  package static let maxTextBytes = 64 << 10

  package static func text(_ report: JUnitReport) -> String {
    var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    text += "<testsuites" + attribute("name", report.name) + counts(report.suites) + ">\n"
    for suite in report.suites { write(suite, into: &text) }
    return text + "</testsuites>\n"
  }

  private static func write(_ suite: JUnitSuite, into text: inout String) {
    text += "  <testsuite" + attribute("name", suite.name) + counts([suite]) + ">\n"
    if !suite.tests.isEmpty {
      text += "    <properties>\n"
      for test in suite.tests {
        text += "      <property" + attribute("name", testProperty) + attribute("value", test) + "/>\n"
      }
      text += "    </properties>\n"
    }
    for each in suite.cases { write(each, into: &text) }
    write("system-out", suite.output, indent: "    ", into: &text)
    write("system-err", suite.errors, indent: "    ", into: &text)
    text += "  </testsuite>\n"
  }

  private static func write(_ each: JUnitCase, into text: inout String) {
    text += "    <testcase" + attribute("classname", each.className) + attribute("name", each.name)
    if let file = each.file { text += attribute("file", file) }
    text += attribute("time", seconds(each.seconds ?? 0))
    var inside = ""
    switch each.outcome {
    case .passed: break
    case .failed(let problem): write("failure", problem, into: &inside)
    case .error(let problem): write("error", problem, into: &inside)
    case .skipped(let message): inside += "      <skipped" + attribute("message", message) + "/>\n"
    }
    write("system-out", each.output, indent: "      ", into: &inside)
    write("system-err", each.errors, indent: "      ", into: &inside)
    text += inside.isEmpty ? "/>\n" : ">\n\(inside)    </testcase>\n"
  }

  private static func write(_ name: String, _ problem: JUnitCase.Problem, into text: inout String) {
    text += "      <\(name)" + attribute("message", problem.message)
    if !problem.type.isEmpty { text += attribute("type", problem.type) }
    text += ">" + bounded(problem.text) + "</\(name)>\n"
  }

  private static func write(_ name: String, _ content: String, indent: String, into text: inout String) {
    if !content.isEmpty { text += "\(indent)<\(name)>\(bounded(content))</\(name)>\n" }
  }

  private static func bounded(_ text: String) -> String {
    guard text.utf8.count > maxTextBytes else { return XMLText.escaped(text) }
    return XMLText.escaped(XMLText.end(of: Array(text.utf8), limit: maxTextBytes))
  }

  private static func attribute(_ name: String, _ value: String) -> String {
    " \(name)=\"\(XMLText.escaped(value, isAttribute: true))\""
  }

  private static func counts(_ suites: [JUnitSuite]) -> String {
    func sum(_ isCounted: (JUnitCase.Outcome) -> Bool) -> String { "\(suites.reduce(0) { $0 + $1.count(isCounted) })" }
    return attribute("tests", sum { _ in true })
      + attribute("failures", sum { if case .failed = $0 { true } else { false } })
      + attribute("errors", sum { if case .error = $0 { true } else { false } })
      + attribute("skipped", sum { if case .skipped = $0 { true } else { false } })
      + attribute("time", seconds(suites.reduce(0) { $0 + $1.seconds }))
  }

  /// With three digits after the point, whatever the language of the machine.
  private static func seconds(_ value: Double) -> String {
    let milliseconds = Int64((min(max(value, 0), 1e12) * 1_000).rounded())
    let digits = "\(milliseconds % 1_000)"
    return "\(milliseconds / 1_000)." + String(repeating: "0", count: 3 - digits.count) + digits
  }
}
