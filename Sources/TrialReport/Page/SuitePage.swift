internal import Primitives

extension SuiteReport {
  /// The content of the suite's `index.html`: one line for each trial, with a link to its own page.
  public var html: String {
    let failed = entries.count { !$0.report.isPassed }
    let why =
      entries.isEmpty
      ? "No trial was run."
      : failed == 0 && violations.isEmpty
        ? "All \(Page.count(entries.count, "trial has", "trials have")) passed."
        : [
          failed > 0 ? "\(failed) of \(Page.count(entries.count, "trial", "trials")) failed" : nil,
          violations.isEmpty ? nil : Page.count(violations.count, "violation", "violations") + " outside the trials",
        ].compactMap(\.self).joined(separator: ", ") + "."
    return Page.document(
      title: title, isPassed: isPassed, data: "index.json",
      header: Page.banner(
        isPassed: isPassed, why: why, command: command,
        facts: ["started \(startedAt.iso8601)", "took \(NumberText.time(duration.inSeconds))"]),
      main: "\(violationSection)\(trialSection)")
  }

  private var violationSection: HTML {
    Page.section(
      "Violations", id: "violations", class: "flow violations", Page.list(violations.map { "\($0)" }, ordered: true))
  }

  private var trialSection: HTML {
    guard !entries.isEmpty else { return "" }
    let rows = entries.map { entry -> HTML in
      let report = entry.report
      let met = "\(report.criteria.count(where: \.isMet)) of \(report.criteria.count)"
      return """
        <tr\(report.isPassed ? "" : " class=\"row-bad\"" as HTML)>\
        <th scope="row">\(HTML.link(to: "\(entry.directory)/report.html", report.title))</th>\
        <td class="state \(report.isPassed ? "met" : "unmet")">\(Page.verdict(report.isPassed))</td>\
        \(Page.number(met))\(Page.number("\(report.violations.count)"))\
        \(Page.number(NumberText.time(report.duration.inSeconds)))<td>\(Self.command(report.command))</td></tr>

        """
    }
    return Page.section(
      "Trials", id: "trials", class: "all",
      Page.table(
        "Trials",
        head: [
          Page.head("Trial"), Page.head("Verdict"), Page.numberHead("Criteria met"), Page.numberHead("Violations"),
          Page.numberHead("Took"), Page.head("Run it again with"),
        ], rows: rows))
  }

  /// Lines end between words only: one that ends after an option's first dash reads as another option.
  private static func command(_ text: String) -> HTML {
    let words = text.split(separator: " ").map { "<span class=\"word\">\(String($0))</span> " as HTML }
    return "<code>\(words)</code>"
  }
}
