/// What every page of a report has around its content.
enum Page {
  /// More entries of one list than this are named in `report.json` only, so that a bad run's page still opens.
  static let listedMax = 200

  /// A whole document. Nothing in it asks for the network or for a script, and its policy forbids both.
  ///
  /// - Parameter data: the file beside it with the same results.
  static func document(title: String, isPassed: Bool, data: String, header: HTML, main: HTML) -> String {
    let page: HTML = """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
      <title>\(verdict(isPassed)): \(title)</title>
      <style>
      \(StyleSheet.text)
      </style>
      </head>
      <body>
      <a class="skip" href="#content">Skip to the results</a>
      <header>
      <h1>\(title)</h1>
      \(header)</header>
      <main id="content">
      \(main)</main>
      <footer>
      <p>Written by lifeline. The same results for programs: \(HTML.link(to: data, data)).</p>
      </footer>
      </body>
      </html>

      """
    return page.text
  }

  static func verdict(_ isPassed: Bool) -> String { isPassed ? "PASSED" : "FAILED" }

  static func banner(isPassed: Bool, why: String, command: String, facts: [String]) -> HTML {
    """
    <p><strong class="verdict \(isPassed ? "passed" : "failed")">\(verdict(isPassed))</strong>\
    <span class="why">\(why)</span></p>
    <p class="facts" id="replay">Run it again with</p>
    <pre tabindex="0" aria-labelledby="replay"><code>\(command)</code></pre>
    <p class="facts">\(facts.joined(separator: " · "))</p>

    """
  }

  /// A section with its heading, or nothing where there is nothing to show.
  static func section(_ title: String, id: String, class style: String = "flow", _ content: HTML) -> HTML {
    content.text.isEmpty
      ? ""
      : """
      <section class="\(style)" aria-labelledby="\(id)">
      <h2 id="\(id)">\(title)</h2>
      \(content)</section>

      """
  }

  static func list(_ items: [HTML], ordered: Bool = false) -> HTML {
    guard !items.isEmpty else { return "" }
    let name = ordered ? "ol" : "ul"
    let shown = items.prefix(listedMax).map { "<li>\($0)</li>\n" as HTML }
    let more: HTML =
      items.count > listedMax ? "<p>And \(items.count - listedMax) more, all of them in report.json.</p>\n" : ""
    return "<\(name)>\n\(shown)</\(name)>\n\(more)"
  }

  /// A table whose first column names its rows. `caption` is for those who hear the page.
  static func table(_ caption: String, head: [HTML], rows: [HTML]) -> HTML {
    let shown = Array(rows.prefix(listedMax))
    let more: HTML =
      rows.count > listedMax ? "<p>And \(rows.count - listedMax) more, all of them in report.json.</p>\n" : ""
    return """
      <div class="scroll" role="region" aria-label="\(caption)" tabindex="0"><table>
      <thead><tr>\(head)</tr></thead>
      <tbody>
      \(shown)</tbody>
      </table></div>
      \(more)
      """
  }

  static func head(_ title: String) -> HTML { "<th scope=\"col\">\(title)</th>" }
  static func numberHead(_ title: String) -> HTML { "<th scope=\"col\" class=\"n\">\(title)</th>" }
  static func rowHead(_ title: String) -> HTML { "<th scope=\"row\">\(title)</th>" }
  static func cell(_ text: String) -> HTML { "<td>\(text)</td>" }
  static func number(_ text: String) -> HTML { "<td class=\"n\">\(text)</td>" }

  static func count(_ number: Int, _ one: String, _ several: String) -> String {
    "\(NumberText.fixed(Double(number), decimals: 0)) \(number == 1 ? one : several)"
  }
}
