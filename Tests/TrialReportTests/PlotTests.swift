import Testing

@testable import TrialReport

@Suite struct NumberTextTests {
  @Test(arguments: [
    (0.0, "0"), (-0.0, "0"), (0.125, "0.125"), (0.00001, "1.0e-05"), (3.25, "3.25"), (5, "5"), (31.42, "31.4"),
    (999.6, "1000"), (12_345, "12\u{202F}345"), (-12_345, "-12\u{202F}345"), (1e15, "1000000000000000"),
    (1e300, "1.0e300"), (.nan, "–"), (.infinity, "–"), (.leastNonzeroMagnitude, "5.0e-324"),
  ])
  func `a figure has about three digits that matter`(value: Double, text: String) {
    #expect(NumberText.figure(value) == text)
  }

  @Test(arguments: [
    (0.0, "0 ms"), (0.0312, "31.2 ms"), (2.04, "2.0 s"), (119.9, "119.9 s"), (125, "2 min 5 s"), (7_500, "2 h 5 min"),
    (1e300, "1.0e300 s"), (.nan, "–"),
  ])
  func `a time has its natural unit`(seconds: Double, text: String) {
    #expect(NumberText.time(seconds) == text)
  }

  @Test(arguments: [(0.0, "0:00"), (65, "1:05"), (3_600, "1:00:00"), (-5, "0:00"), (1e300, "1.0e300")])
  func `a clock shows minutes and seconds`(seconds: Double, text: String) {
    #expect(NumberText.clock(seconds) == text)
  }
}

@Suite struct PlotAxisTests {
  func labels(_ values: [Double]) -> [String] { PlotAxis.values(values, tickCount: 5).ticks.map(\.label) }

  @Test func `ticks are at round numbers around all values`() {
    #expect(labels([3, 8.5]) == ["0", "2", "4", "6", "8", "10"])
    #expect(labels([0.013]) == ["0", "0.005", "0.010", "0.015"])
    #expect(labels([-3, 4.5]) == ["-4", "-2", "0", "2", "4", "6"])
    #expect(labels([20_000]) == ["0", "5k", "10k", "15k", "20k"])
    #expect(labels([2.5e6]) == ["0", "0.5M", "1.0M", "1.5M", "2.0M", "2.5M"])
  }

  @Test func `nobody counts half a worker`() {
    #expect(labels([1, 2]) == ["0", "1", "2"])
    #expect(labels([1]) == ["0", "1"])
  }

  @Test(arguments: [[], [0], [.nan], [.infinity, -.infinity]] as [[Double]])
  func `without anything to show the axis goes from 0 to 1`(values: [Double]) {
    #expect(labels(values) == ["0", "1"])
  }

  @Test(arguments: [1, 2, 2.1, 5, 9.9, 10, 0.3, 0.001, 1e-9, 1e300])
  func `a nice step is 1, 2 or 5 times a power of ten and at least what is wanted`(wanted: Double) {
    let step = PlotAxis.niceStep(wanted)
    #expect(step >= wanted && step <= wanted * 2.5)
  }

  @Test(arguments: [1e300, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 1e-7, 0.1 + 0.2, 1.0 / 3])
  func `extreme values have finite ticks, few, in order and labelled`(value: Double) {
    for values in [[value], [-value], [-value, value], [value, 1]] {
      let axis = PlotAxis.values(values, tickCount: 5)
      #expect(axis.lower < axis.upper && axis.lower.isFinite && axis.upper.isFinite)
      #expect((2...9).contains(axis.ticks.count))
      #expect(zip(axis.ticks, axis.ticks.dropFirst()).allSatisfy { $0.value < $1.value })
      #expect(axis.ticks.allSatisfy { !$0.label.contains("nan") && !$0.label.contains("inf") })
    }
  }

  @Test(arguments: [
    (0.0, 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"], "seconds"),
    (60, 5, ["0", "15", "30", "45", "60"], "seconds"),
    (300, 5, ["0:00", "1:00", "2:00", "3:00", "4:00", "5:00"], "min:s"),
    (7_200, 5, ["0:00", "0:30", "1:00", "1:30", "2:00"], "h:min"),
  ])
  func `a time axis has round times`(end: Double, count: Int, labels: [String], caption: String) {
    let axis = PlotAxis.time(until: end, tickCount: count)
    #expect(axis.ticks.map(\.label) == labels)
    #expect(axis.caption == caption)
  }

  @Test(arguments: [.nan, .infinity, -1, 1e300, 86_400 * 400] as [Double])
  func `an odd end of time has an axis`(end: Double) {
    let axis = PlotAxis.time(until: end, tickCount: 10)
    #expect(axis.upper >= 1 && axis.upper.isFinite)
    #expect((2...21).contains(axis.ticks.count))
  }
}

@Suite struct PlotFrameTests {
  let axis = PlotAxis(lower: 0, upper: 100, ticks: [], caption: "")
  let frame = PlotFrame(width: 120, height: 70, left: 15, right: 5, top: 10, bottom: 10)

  @Test(arguments: [(0.0, 15.0, 60.0), (50, 65, 35), (100, 115, 10), (-5, 15, 60), (1e300, 115, 10), (.nan, 15, 60)])
  func `values become positions within the frame`(value: Double, x: Double, y: Double) {
    #expect(frame.x(value, axis) == x)
    #expect(frame.y(value, axis) == y)
  }
}

@Suite struct DownsamplingTests {
  typealias Point = TrialReport.Series.Point

  @Test func `each column keeps its lowest and its highest in order of time`() {
    var points = (0..<1_000).map { Point(Double($0), Double($0 % 3)) }
    points[331].value = 99
    points[333].value = -50
    let fewer = Downsampling.lowestAndHighest(points, until: 1_000, columns: 10)
    #expect(fewer.count == 20)
    #expect(fewer.contains(Point(333, -50)) && fewer.contains(Point(331, 99)))
    #expect(zip(fewer, fewer.dropFirst()).allSatisfy { $0.seconds < $1.seconds })
  }

  @Test func `few points stay as they are`() {
    let points = (0..<20).map { Point(Double($0), 1) }
    #expect(Downsampling.lowestAndHighest(points, until: 20, columns: 10) == points)
    #expect(Downsampling.lowestAndHighest([], until: 20, columns: 10).isEmpty)
  }

  @Test func `points outside the time axis fall into its first and last column`() {
    let points = [-1e300, -1, 5, 1e300].flatMap { seconds in (0..<50).map { Point(seconds, Double($0)) } }
    #expect(Downsampling.lowestAndHighest(points, until: 10, columns: 2).count == 4)
  }
}

@Suite struct MarkBandTests {
  let axis = PlotAxis.time(until: 100, tickCount: 5)

  @Test func `a mark has its words where there is room, else its number`() {
    let bands = MarkBand.place(
      [
        .init(at: 10, until: 20, "half-open link"), .init(at: 50, "reset"), .init(at: 53, "black hole"),
        .init(at: 99, "the end"),
      ],
      in: .wide, axis)
    #expect(bands.map(\.label) == ["1 half-open link", "2", "3 black hole", "4"])
    #expect(bands.map(\.lane) == [0, 0, 0, 0])
    #expect(bands[0].width > 80 && bands[1].width == 0)
  }

  @Test func `words that are too long for their room are cut, or left out if nothing of them would be left`() {
    let marks = [10.0, 20, 26].map { TrialReport.Mark(at: $0, "the coordinator is killed for 652 ms") }
    let labels = MarkBand.place(marks, in: .wide, axis).map(\.label)
    #expect(labels == ["1 the coordi…", "2", "3 the coordinator is killed for 652 ms"])
  }

  @Test func `words of one lane never overlap, however many marks there are`() {
    let marks = (0..<200).map { TrialReport.Mark(at: Double($0) / 2, "fault number \($0)") }
    for frame in [PlotFrame.wide, .narrow] {
      let bands = MarkBand.place(marks, in: frame, axis)
      for lane in 0..<MarkBand.lanes {
        let shown = bands.filter { $0.lane == lane && $0.label != nil }
        #expect(shown.count > 2)
        for (one, next) in zip(shown, shown.dropFirst()) {
          #expect(one.left + Double(one.label?.count ?? 0) * 6.3 <= next.left)
        }
        for one in shown { #expect(one.left + Double(one.label?.count ?? 0) * 6.3 <= frame.width) }
      }
    }
  }

  @Test func `a mark that ends before it starts is a moment`() {
    #expect(MarkBand.place([.init(at: 10, until: 5, "x")], in: .wide, axis)[0].width == 0)
  }
}

@Suite struct PlotTests {
  typealias Point = TrialReport.Series.Point

  @Test(arguments: [
    [], [Point(3, 4)], [Point(0, 5), Point(1, 5)], [Point(0, .nan), Point(1, .infinity), Point(.nan, 1)],
    [Point(0, 1e308), Point(1, -1e308), Point(2, .greatestFiniteMagnitude)], [Point(-5, 1), Point(1e300, 2)],
  ])
  func `whatever the points are, no coordinate is not a number`(points: [Point]) {
    let series = TrialReport.Series("a", unit: "ms", group: "g", points: points)
    let plot = Plot("g", [series], marks: [.init(at: 1e300, "late")], end: 10, number: 1)
    for frame in [PlotFrame.wide, .narrow] {
      let text = plot.svg(frame, kind: "wide").text
      #expect(!text.contains("nan") && !text.contains("inf"))
      #expect(
        text.contains("<svg") && text.contains("role=\"img\"") && text.contains("<title") && text.contains("<desc"))
      #expect(text.contains("no values") == points.allSatisfy { !$0.value.isFinite || !$0.seconds.isFinite })
    }
  }

  @Test func `one point is a dot, several are a line`() {
    func svg(_ points: [Point]) -> String {
      Plot("g", [.init("a", unit: "", group: "g", points: points)], marks: [], end: 10, number: 1)
        .svg(.wide, kind: "wide").text
    }
    #expect(svg([Point(1, 1)]).contains("<circle") && !svg([Point(1, 1)]).contains("class=\"line"))
    #expect(
      svg([Point(1, 1), Point(2, 1)]).contains("class=\"line") && !svg([Point(1, 1), Point(2, 1)]).contains("<circle"))
  }

  @Test func `lines differ by more than their colour`() {
    let series = (0..<6).map { TrialReport.Series("\($0)", unit: "", group: "g", points: [Point(0, 1), Point(1, 2)]) }
    let svg = Plot("g", series, marks: [], end: 10, number: 1).svg(.wide, kind: "wide").text
    for index in 0..<6 { #expect(svg.contains("class=\"line s\(index)\"")) }
    let dashes = (1..<6).compactMap { index in
      StyleSheet.text.text.firstRange(of: ".s\(index){stroke:var(--s\(index));stroke-dasharray:")
    }
    #expect(dashes.count == 5)
  }

  @Test func `the mean of huge values is finite, and between the lowest and the highest`() throws {
    let huge = TrialReport.Series("a", unit: "", group: "g", points: (0..<4).map { Point(Double($0), 1e308) })
    #expect(try #require(SeriesFigures(huge)).mean == "1.0e308")
    let few = TrialReport.Series(
      "a", unit: "", group: "g", points: [Point(0, 1), Point(1, 2), Point(2, 6), Point(3, .nan)])
    let figures = try #require(SeriesFigures(few))
    #expect([figures.lowest, figures.mean, figures.highest, figures.last] == ["1", "3", "6", "6"])
  }
}
