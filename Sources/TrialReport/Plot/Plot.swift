/// One group of series over the run's time, as SVG.
struct Plot {
  let title: String
  let unit: String
  let series: [TrialReport.Series]
  /// In order of their start, finite.
  let marks: [TrialReport.Mark]
  let end: Double
  /// Tells the page's plots apart, for the labels' ids.
  let number: Int

  /// As many as there are colours and dash patterns; further series start over.
  static let styleCount = 6

  init(_ title: String, _ series: [TrialReport.Series], marks: [TrialReport.Mark], end: Double, number: Int) {
    self.title = title
    self.series = series.map { one in
      var one = one
      one.points.removeAll { !$0.seconds.isFinite || !$0.value.isFinite }
      return one
    }
    var units: [String] = []
    for one in series where !one.unit.isEmpty && !units.contains(one.unit) { units.append(one.unit) }
    unit = units.joined(separator: ", ")
    self.marks = marks
    self.end = end
    self.number = number
  }

  var hasPoints: Bool { series.contains { !$0.points.isEmpty } }

  func svg(_ frame: PlotFrame, kind: String) -> HTML {
    let time = PlotAxis.time(until: end, tickCount: frame.width < 600 ? 5 : 12)
    let values = PlotAxis.values(series.lazy.flatMap { $0.points.lazy.map(\.value) }, tickCount: 5)
    let id = "plot-\(number)-\(kind)"
    return """
      <svg class="plot \(kind)" viewBox="0 0 \(point(frame.width)) \(point(frame.height))" role="img" \
      aria-labelledby="\(id)-title \(id)-text">
      <title id="\(id)-title">\(title)</title><desc id="\(id)-text">\(description)</desc>
      \(bands(frame, time))\(axes(frame, time, values))\(lines(frame, time, values))</svg>

      """
  }

  /// What someone who cannot see the plot should know of it.
  var description: String {
    var sentences = ["Lines over \(NumberText.time(end))."]
    for one in series {
      guard let figures = SeriesFigures(one) else {
        sentences.append("\(one.name): no values.")
        continue
      }
      sentences.append(
        "\(one.name): from \(figures.lowest) to \(figures.highest)\(unit.isEmpty ? "" : " \(unit)"), \(figures.last) at the end."
      )
    }
    if !marks.isEmpty { sentences.append("\(marks.count) marked, listed under Faults.") }
    return sentences.joined(separator: " ")
  }

  /// All bands in one path and all edges in another: a run of hours has hundreds, and overlapping ones do not darken.
  private func bands(_ frame: PlotFrame, _ time: PlotAxis) -> HTML {
    var areas: HTML = ""
    var edges: HTML = ""
    var words: HTML = ""
    for band in MarkBand.place(marks, in: frame, time) {
      let left = point(band.left)
      if band.width > 0 {
        areas += "M\(left) \(point(frame.top))H\(point(band.left + band.width))V\(point(frame.baseline))H\(left)z"
      }
      let foot = frame.top - 6 - Double(MarkBand.lanes - 1 - band.lane) * 15
      // The line reaches up to its words, so that words in the upper lane are not taken for a neighbour's.
      edges += "M\(left) \(point(band.label == nil ? frame.top : foot + 3))V\(point(frame.baseline))"
      if let label = band.label { words += "<text class=\"mark\" x=\"\(left)\" y=\"\(point(foot))\">\(label)</text>\n" }
    }
    guard !marks.isEmpty else { return "" }
    return "<path class=\"band\" d=\"\(areas)\"/><path class=\"edge\" d=\"\(edges)\"/>\n\(words)"
  }

  private func axes(_ frame: PlotFrame, _ time: PlotAxis, _ values: PlotAxis) -> HTML {
    var result: HTML = ""
    for tick in values.ticks {
      let y = frame.y(tick.value, values)
      result += """
        <path class="grid" d="M\(point(frame.left)) \(point(y))H\(point(frame.width - frame.right))"/>\
        <text class="tick" x="\(point(frame.left - 6))" y="\(point(y + 4))" text-anchor="end">\(tick.label)</text>

        """
    }
    for tick in time.ticks {
      let x = frame.x(tick.value, time)
      // A label centred on the last pixel would be cut.
      let anchor = x > frame.width - frame.right - 14 ? "end" : "middle"
      result += """
        <path class="axis" d="M\(point(x)) \(point(frame.baseline))v4"/>\
        <text class="tick" x="\(point(x))" y="\(point(frame.baseline + 17))" text-anchor="\(anchor)">\(tick.label)</text>

        """
    }
    let middle = frame.left + frame.plotWidth / 2
    result += """
      <path class="axis" d="M\(point(frame.left)) \(point(frame.baseline))H\(point(frame.width - frame.right))"/>\
      <text class="tick" x="\(point(middle))" y="\(point(frame.height - 6))" text-anchor="middle">\
      time since the start (\(time.caption))</text>

      """
    if !hasPoints {
      result += """
        <text class="tick" x="\(point(middle))" y="\(point(frame.top + frame.plotHeight / 2))" text-anchor="middle">\
        no values</text>

        """
    }
    return result
  }

  private func lines(_ frame: PlotFrame, _ time: PlotAxis, _ values: PlotAxis) -> [HTML] {
    series.enumerated().compactMap { index, one -> HTML? in
      let points = Downsampling.lowestAndHighest(one.points, until: time.upper, columns: Int(frame.plotWidth / 2))
      guard let first = points.first else { return nil }
      let style = index % Self.styleCount
      if points.count == 1 {
        let (x, y) = (frame.x(first.seconds, time), frame.y(first.value, values))
        return "<circle class=\"dot s\(style)\" cx=\"\(point(x))\" cy=\"\(point(y))\" r=\"3\"/>\n"
      }
      let data = path(points.map { (frame.x($0.seconds, time), frame.y($0.value, values)) })
      return "<path class=\"line s\(style)\" d=\"\(data)\"/>\n"
    }
  }

  /// Each point as its distance from the one before, which takes fewer digits than its place.
  private func path(_ places: [(x: Double, y: Double)]) -> HTML {
    var text = ""
    var last = (x: 0, y: 0)
    for (index, place) in places.enumerated() {
      // The difference of rounded places, so that errors do not add up.
      let next = (x: Self.tenths(place.x), y: Self.tenths(place.y))
      let step: HTML = "\(number(next.x - last.x)) \(number(next.y - last.y))"
      text += (index == 0 ? "M" : index == 1 ? "l" : " ") + step.text
      last = next
    }
    return HTML(stringLiteral: text)
  }

  /// A tenth of a unit is finer than a screen.
  private static func tenths(_ value: Double) -> Int { Int((min(max(value, -1e6), 1e6) * 10).rounded()) }

  private func point(_ value: Double) -> HTML { number(Self.tenths(value)) }

  private func number(_ tenths: Int) -> HTML {
    let sign = tenths < 0 ? "-" : ""
    let (whole, tenth) = (tenths.magnitude / 10, tenths.magnitude % 10)
    return HTML(stringLiteral: tenth == 0 ? "\(sign)\(whole)" : "\(sign)\(whole).\(tenth)")
  }
}

/// What a series comes down to, as text.
struct SeriesFigures: Equatable {
  let lowest: String
  let mean: String
  let highest: String
  let last: String

  /// `nil` without a finite point.
  init?(_ series: TrialReport.Series) {
    let values = series.points.lazy.filter { $0.seconds.isFinite }.map(\.value).filter(\.isFinite)
    guard let low = values.min(), let high = values.max() else { return nil }
    var count = 0.0
    var mean = 0.0
    var last = low
    for value in values {
      count += 1
      // Divided first: the sum of huge values would not be finite.
      mean += value / count - mean / count
      last = value
    }
    lowest = NumberText.figure(low)
    self.mean = NumberText.figure(min(max(mean, low), high))
    highest = NumberText.figure(high)
    self.last = NumberText.figure(last)
  }
}
