internal import Primitives

extension TrialReport {
  /// The content of `report.html`: one self-contained page, without scripts, that needs no network.
  public var html: String {
    Page.document(
      title: title, isPassed: isPassed, data: "report.json",
      header: Page.banner(
        isPassed: isPassed, why: why, command: command,
        facts: [
          "seed \(seed)", "started \(startedAt.iso8601)", "took \(NumberText.time(duration.inSeconds))",
        ]),
      main: """
        \(violationSection)\(criteriaSection)\(plotSection)\(faultSection)\(latencySection)\(noteSection)\
        \(optionSection)\(logSection)
        """)
  }

  /// The verdict's reason, as one sentence.
  var why: String {
    if criteria.isEmpty, violations.isEmpty { return "Nothing was checked: the run has no criterion." }
    let unmet = criteria.count { !$0.isMet }
    var parts: [String] = []
    if unmet > 0 { parts.append("\(unmet) of \(Page.count(criteria.count, "criterion", "criteria")) not met") }
    if !violations.isEmpty { parts.append(Page.count(violations.count, "violation", "violations")) }
    if parts.isEmpty {
      return criteria.count == 1
        ? "Its criterion is met, no rule was violated."
        : "All \(criteria.count) criteria are met, no rule was violated."
    }
    return parts.joined(separator: ", ") + "."
  }

  private var violationSection: HTML {
    Page.section(
      "Violations", id: "violations", class: "flow violations", Page.list(violations.map { "\($0)" }, ordered: true))
  }

  private var criteriaSection: HTML {
    guard !criteria.isEmpty else { return "" }
    let rows = criteria.map { criterion -> HTML in
      """
      <tr\(criterion.isMet ? "" : " class=\"row-bad\"" as HTML)>\(Page.rowHead(criterion.name))\
      <td class="state \(criterion.isMet ? "met" : "unmet")">\(criterion.isMet ? "met" : "NOT MET")</td>\
      \(Page.cell(criterion.expected))\(Page.cell(criterion.measured))</tr>

      """
    }
    return Page.section(
      "Criteria", id: "criteria",
      Page.table(
        "Criteria", head: ["Criterion", "Verdict", "Required", "Measured"].map(Page.head), rows: rows))
  }

  private var finiteMarks: [Mark] {
    marks.filter { $0.start.isFinite && $0.end?.isFinite ?? true }.sorted { $0.start < $1.start }
  }

  private var plotSection: HTML {
    var groups: [String] = []
    for one in series where !groups.contains(one.group) { groups.append(one.group) }
    guard !groups.isEmpty else { return "" }
    let marks = finiteMarks
    // All plots share their time axis, so that what happened at once stands at one place.
    var end = duration.inSeconds
    for one in series { end = one.points.lazy.map(\.seconds).filter(\.isFinite).reduce(end, max) }
    for mark in marks { end = max(end, mark.end ?? mark.start) }
    let figures = groups.enumerated().map { index, group -> HTML in
      let members = series.filter { $0.group == group }
      let plot = Plot(group, members, marks: marks, end: end, number: index + 1)
      return """
        <figure>
        <figcaption><h3>\(Self.heading(group))\(plot.unit.isEmpty ? "" : " <small>(\(plot.unit))</small>" as HTML)</h3></figcaption>
        \(plot.svg(.wide, kind: "wide"))\(plot.svg(.narrow, kind: "narrow"))\(Self.legend(plot))</figure>

        """
    }
    return Page.section("Over time", id: "plots", class: "all", "<div class=\"plots\">\n\(figures)</div>\n")
  }

  /// With a capital, as headings have.
  private static func heading(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }

  /// Names the lines and says what they come down to; for those who cannot see them it is the plot.
  private static func legend(_ plot: Plot) -> HTML {
    let rows = plot.series.enumerated().map { index, one -> HTML in
      let style = index % Plot.styleCount
      let figures = SeriesFigures(one)
      let cells = [figures?.lowest, figures?.mean, figures?.highest, figures?.last].map { Page.number($0 ?? "–") }
      return """
        <tr><th scope="row"><svg class="key" viewBox="0 0 42 10" aria-hidden="true"><path class="line s\(style)" \
        d="M0 5H42"/></svg>\(one.name)</th>\(cells)</tr>

        """
    }
    return Page.table(
      "Figures: \(plot.title)",
      head: [Page.head("Line")] + ["Lowest", "Mean", "Highest", "Last"].map(Page.numberHead), rows: rows)
  }

  private var faultSection: HTML {
    let marks = finiteMarks
    guard !marks.isEmpty else { return "" }
    let rows = marks.enumerated().map { index, mark -> HTML in
      let length = mark.end.map { NumberText.time(max(0, $0 - mark.start)) } ?? "–"
      return """
        <tr>\(Page.number("\(index + 1)"))\(Page.rowHead(mark.label))\(Page.number(NumberText.time(mark.start)))\
        \(Page.number(length))</tr>

        """
    }
    return Page.section(
      "Faults", id: "faults",
      Page.table(
        "Faults",
        head: [
          Page.numberHead("Number"), Page.head("What happened"), Page.numberHead("At"), Page.numberHead("For"),
        ], rows: rows))
  }

  private var latencySection: HTML {
    guard !latencies.isEmpty else { return "" }
    var percents: [Double] = []
    for percentile in latencies.flatMap(\.percentiles) where !percents.contains(percentile.percent) {
      percents.append(percentile.percent)
    }
    percents.sort()
    let rows = latencies.map { latency -> HTML in
      let cells = percents.map { percent -> HTML in
        let value = latency.percentiles.first { $0.percent == percent }?.value
        return Page.number(value.map { "\(NumberText.figure($0)) \(latency.unit)" } ?? "–")
      }
      let count = NumberText.fixed(Double(latency.count), decimals: 0)
      return "<tr>\(Page.rowHead(latency.name))\(Page.number(count))\(cells)</tr>\n"
    }
    let heads = percents.map { Page.numberHead($0 == 100 ? "largest" : "\(NumberText.figure($0)) %") }
    return Page.section(
      "Latencies", id: "latencies",
      """
      <p>What the given share of all values did not exceed.</p>
      \(Page.table("Latencies", head: [Page.head("What"), Page.numberHead("Count")] + heads, rows: rows))
      """)
  }

  private var noteSection: HTML { Page.section("Notes", id: "notes", Page.list(notes.map { "\($0)" })) }

  private var optionSection: HTML {
    guard !options.isEmpty else { return "" }
    let rows = options.map { "<tr>\(Page.rowHead($0.name))\(Page.cell($0.value))</tr>\n" as HTML }
    return Page.section(
      "Options", id: "options", Page.table("Options", head: ["Option", "Value"].map(Page.head), rows: rows))
  }

  private var logSection: HTML { Page.section("Logs", id: "logs", Page.list(logs.map { HTML.link(to: $0, $0) })) }
}
