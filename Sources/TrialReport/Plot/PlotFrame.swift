/// Where a plot's data lies within its picture, and how values become positions there. Positions are always finite.
struct PlotFrame: Equatable {
  let width: Double
  let height: Double
  let left: Double
  let right: Double
  let top: Double
  let bottom: Double

  /// For a page on a desk or a wall; the picture scales, so its text stays in proportion.
  static let wide = PlotFrame(width: 960, height: 270, left: 56, right: 14, top: 44, bottom: 40)
  /// For a telephone, where the wide one's text would be too small to read.
  static let narrow = PlotFrame(width: 360, height: 240, left: 44, right: 8, top: 44, bottom: 40)

  var plotWidth: Double { width - left - right }
  var plotHeight: Double { height - top - bottom }
  var baseline: Double { height - bottom }

  func x(_ value: Double, _ axis: PlotAxis) -> Double { left + plotWidth * Self.share(value, axis) }
  func y(_ value: Double, _ axis: PlotAxis) -> Double { baseline - plotHeight * Self.share(value, axis) }

  /// 0...1; what is outside the axis is at its nearer end.
  private static func share(_ value: Double, _ axis: PlotAxis) -> Double {
    let share = (value - axis.lower) / (axis.upper - axis.lower)
    return share.isFinite ? min(max(share, 0), 1) : 0
  }
}

/// Fewer points that draw the same line: for each column of the picture its lowest and its highest, in order of time.
enum Downsampling {
  /// `points` are in order of time and finite. At most two for each of `columns` come back.
  static func lowestAndHighest(
    _ points: [TrialReport.Series.Point], until end: Double, columns: Int
  ) -> [TrialReport.Series.Point] {
    let columns = max(columns, 1)
    guard points.count > 2 * columns, end > 0 else { return points }
    var result: [TrialReport.Series.Point] = []
    result.reserveCapacity(2 * columns)
    var start = points.startIndex
    while start < points.endIndex {
      let column = Self.column(points[start], end, columns)
      var lowest = start
      var highest = start
      var index = start
      while index < points.endIndex, Self.column(points[index], end, columns) == column {
        if points[index].value < points[lowest].value { lowest = index }
        if points[index].value >= points[highest].value { highest = index }
        index += 1
      }
      result.append(points[min(lowest, highest)])
      if lowest != highest { result.append(points[max(lowest, highest)]) }
      start = index
    }
    return result
  }

  private static func column(_ point: TrialReport.Series.Point, _ end: Double, _ columns: Int) -> Int {
    let share = min(max(point.seconds / end, 0), 1)
    return min(Int(share * Double(columns)), columns - 1)
  }
}

/// Where the faults go: each a band over the plot, with its number and, where there is room, its words above.
struct MarkBand: Equatable {
  /// Rows for words above the plot; a third would take too much of a small picture.
  static let lanes = 2
  /// About the width of a character at the size that the style sheet gives.
  private static let characterWidth = 6.3
  /// Fewer characters than this say nothing; then the number stands alone.
  private static let leastWords = 10

  let number: Int
  let left: Double
  let width: Double
  /// `nil` where even the number would cover another's.
  let label: String?
  let lane: Int

  /// Bands for the marks in order of their start, numbered from 1.
  static func place(_ marks: [TrialReport.Mark], in frame: PlotFrame, _ axis: PlotAxis) -> [MarkBand] {
    let starts = marks.map { frame.x($0.start, axis) }
    var free = [Double](repeating: frame.left, count: lanes)
    var result: [MarkBand] = []
    for (index, mark) in marks.enumerated() {
      let left = starts[index]
      let right = max(left, frame.x(mark.end ?? mark.start, axis))
      let number = "\(index + 1)"
      let full = "\(number) \(mark.label)"
      let next = index + 1 < starts.count ? starts[index + 1] : frame.width
      let lane = free.indices.first { free[$0] <= left }
      var label: String?
      if let lane {
        // Words must end before the next mark, whose line would cross them or whose number would have to go a lane down.
        let room = Int((next - left) / characterWidth)
        let text = full.count <= room ? full : room >= leastWords ? full.prefix(room - 2) + "…" : number
        if left + Double(text.count) * characterWidth <= frame.width {
          label = text
          free[lane] = left + Double(text.count + 1) * characterWidth
        }
      }
      result.append(MarkBand(number: index + 1, left: left, width: right - left, label: label, lane: lane ?? 0))
    }
    return result
  }
}
