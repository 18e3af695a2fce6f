import Primitives
import Testing

@testable import TrialReport

@Suite struct HTMLTests {
  @Test func `what is interpolated is escaped, unless it is HTML already`() {
    let name = "<b>&\"'"
    #expect(("<i>\(name)</i>" as HTML).text == "<i>&lt;b&gt;&amp;&quot;&#39;</i>")
    #expect(("<i>\("<b>" as HTML)\(3)</i>" as HTML).text == "<i><b>3</i>")
  }

  @Test func `characters that hide or turn text around are shown`() {
    #expect(HTML.escaped("a\u{202E}b\u{0}c\nd\u{85}") == "a\\u{202e}b\\u{0}c\nd\\u{85}")
    #expect(HTML.escaped("grün ✓ 日本") == "grün ✓ 日本")
  }

  @Test(arguments: [
    ("coordinator.log", "./coordinator.log"), ("logs/w 1.log", "./logs/w%201.log"),
    ("javascript:alert(1)", "./javascript%3Aalert%281%29"), ("//elsewhere/x", ".///elsewhere/x"),
    ("a\"b", "./a%22b"), ("ü", "./%C3%BC"),
  ])
  func `a link stays beside the page`(path: String, address: String) {
    #expect(HTML.link(to: path, "x").text == "<a href=\"\(address)\">x</a>")
  }
}

@Suite struct TrialPageTests {
  static let attack = "<script>alert('x')</script><img src=x onerror=\"alert(1)\">&amp;"

  @Test func `markup in any text of a report is harmless`() {
    let bad = Self.attack
    var report = TrialReport(
      title: bad, command: bad, seed: 1, startedAt: WallTime(milliseconds: 0), duration: .seconds(10))
    report.options = [.init(bad, bad)]
    report.criteria = [.init(bad, expected: bad, measured: bad, isMet: false)]
    report.series = [.init(bad, unit: bad, group: bad, points: [.init(0, 1), .init(1, 2)])]
    report.marks = [.init(at: 1, until: 2, bad)]
    report.latencies = [.init(bad, unit: bad, count: 1, percentiles: [.init(50, 1)])]
    report.violations = [bad]
    report.logs = [bad]
    report.notes = [bad]
    let suite = SuiteReport(
      title: bad, command: bad, startedAt: report.startedAt, duration: .zero,
      entries: [.init(directory: bad, report: report)], violations: [bad])
    for page in [report.html, suite.html] {
      #expect(!page.contains("<script") && !page.contains("<img") && !page.contains("&amp;amp;amp;"))
      #expect(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&lt;img src=x onerror=&quot;"))
      #expect(Markup.problem(page) == nil)
    }
  }

  @Test(arguments: [TrialReport.bare, .full])
  func `a page asks for nothing and is well-formed`(report: TrialReport) {
    let page = report.html
    for word in ["http:", "https:", "src=", "@import", "url(", "<script", "<link", "<iframe"] {
      #expect(!page.contains(word), "\(word)")
    }
    #expect(page.contains("default-src 'none'"))
    #expect(Markup.problem(page) == nil)
  }

  @Test func `the verdict is said in words, with its reason`() {
    var report = TrialReport.full
    #expect(report.html.contains(">PASSED</strong>") && !report.html.contains("FAILED"))
    #expect(report.why == "All 2 criteria are met, no rule was violated.")
    report.criteria.append(TrialReport.missed)
    report.violations = ["task t1 ended twice"]
    #expect(report.html.contains(">FAILED</strong>") && report.html.contains("NOT MET"))
    #expect(report.why == "1 of 3 criteria not met, 1 violation.")
    #expect(TrialReport.bare.why == "Nothing was checked: the run has no criterion.")
  }

  @Test func `violations come first`() throws {
    var report = TrialReport.full
    #expect(!report.html.contains("id=\"violations\""))
    report.violations = ["task t1 ended twice"]
    let page = report.html
    let violations = try #require(page.firstRange(of: "id=\"violations\""))
    let criteria = try #require(page.firstRange(of: "id=\"criteria\""))
    #expect(violations.lowerBound < criteria.lowerBound)
  }

  @Test func `a long list ends with how much is left out`() {
    var report = TrialReport.bare
    report.violations = (0..<5_000).map { "violation \($0)" }
    #expect(report.html.contains("violation 199<") && !report.html.contains("violation 200<"))
    #expect(report.html.contains("And 4800 more, all of them in report.json."))
  }

  @Test func `two hours of a dozen lines stay below 500 KB`() {
    var report = TrialReport.full
    report.duration = .seconds(7_200)
    var random = SeededGenerator(seed: 4)
    report.series = (0..<12).map { number in
      TrialReport.Series(
        "line \(number)", unit: "ms", group: "group \(number / 2)",
        points: (0..<7_200).map { .init(Double($0), Double.random(in: 0...1e6, using: &random)) })
    }
    report.marks = (0..<240).map { .init(at: Double($0) * 30, until: Double($0) * 30 + 5, "fault \($0)") }
    #expect(report.html.utf8.count < 500_000)
  }

  @Test func `a suite's page links to each trial's`() {
    let suite = SuiteReport(
      title: "all", command: "lifeline test", startedAt: TrialReport.bare.startedAt, duration: .seconds(9),
      entries: [.init(directory: "01-e2e", report: .full), .init(directory: "02 bare", report: .bare)])
    #expect(suite.html.contains("<a href=\"./01-e2e/report.html\">"))
    #expect(suite.html.contains("<a href=\"./02%20bare/report.html\">"))
    #expect(suite.html.contains("1 of 2 trials failed."))
    #expect(suite.html.contains("<a href=\"./index.json\">"))
    #expect(Markup.problem(suite.html) == nil)
  }
}

/// Checks what a browser would silently repair: every element is closed in its order, and no id is given twice.
enum Markup {
  private static let void: Set<String> = ["meta", "!DOCTYPE"]

  static func problem(_ page: String) -> String? {
    var open: [String] = []
    var ids: Set<String> = []
    for piece in page.split(separator: "<", omittingEmptySubsequences: false).dropFirst() {
      guard let end = piece.firstIndex(of: ">") else { return "a tag without an end: \(piece.prefix(40))" }
      let tag = piece[..<end]
      if tag.hasPrefix("/") {
        guard open.last == String(tag.dropFirst()) else {
          return "</\(tag.dropFirst())> closes \(open.last ?? "nothing")"
        }
        open.removeLast()
        continue
      }
      if tag.count(where: { $0 == "\"" }) % 2 != 0 { return "an attribute without an end: \(tag)" }
      if let range = tag.firstRange(of: " id=\"") {
        let id = String(tag[range.upperBound...].prefix { $0 != "\"" })
        if !ids.insert(id).inserted { return "two elements have the id \(id)" }
      }
      let name = String(tag.prefix { $0 != " " && $0 != "/" })
      if !tag.hasSuffix("/"), !void.contains(name) { open.append(name) }
    }
    return open.isEmpty ? nil : "not closed: \(open)"
  }
}
