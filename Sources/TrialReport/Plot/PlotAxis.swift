/// One axis of a plot: what it spans, and where its ticks are with what beside them.
struct PlotAxis: Equatable {
  struct Tick: Equatable {
    let value: Double
    let label: String
  }

  let lower: Double
  /// Always more than `lower`.
  let upper: Double
  let ticks: [Tick]
  /// What the labels count, for a time axis: `seconds`, `min:s`.
  let caption: String

  /// Sums and differences of what lies within stay finite.
  private static let largest = 1e300

  /// An axis that holds every value and zero, from a round number to a round number.
  ///
  /// Values that are not finite are ignored; without any the axis goes from 0 to 1. Whole values get whole ticks.
  static func values(_ values: some Sequence<Double>, tickCount: Int) -> PlotAxis {
    var low = 0.0
    var high = 0.0
    var areWhole = true
    for value in values where value.isFinite {
      low = min(low, max(value, -largest))
      high = max(high, min(value, largest))
      areWhole = areWhole && value == value.rounded()
    }
    if high - low < 1e-9 { high = low + 1 }
    var step = niceStep((high - low) / Double(max(tickCount, 1)))
    if areWhole { step = max(step, 1) }
    let first = (low / step).rounded(.down)
    let count = Int((high / step).rounded(.up) - first)
    let (divisor, suffix) = scale(max(abs(low), abs(high)))
    let decimals = decimalsNeeded(step / divisor)
    let ticks = (0...max(count, 1)).map { index -> Tick in
      let value = (first + Double(index)) * step
      let label = NumberText.fixed(value / divisor, decimals: decimals)
      return Tick(value: value, label: value == 0 ? "0" : label + suffix)
    }
    return PlotAxis(lower: ticks[0].value, upper: ticks[ticks.count - 1].value, ticks: ticks, caption: "")
  }

  /// An axis from 0 to `end` seconds, at least one, with ticks at round times.
  static func time(until end: Double, tickCount: Int) -> PlotAxis {
    let end = end.isFinite ? min(max(end, 1), 1e12) : 1
    let wanted = end / Double(max(tickCount, 1))
    let steps: [Double] = [
      0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    ]
    let step = steps.first { $0 >= wanted } ?? niceStep(wanted / 86_400) * 86_400
    let isShort = end < 120
    let isLong = end >= 7200
    let ticks = (0...Int((end / step).rounded(.down))).map { index -> Tick in
      let seconds = Double(index) * step
      let label =
        isShort
        ? NumberText.fixed(seconds, decimals: step < 1 ? 1 : 0)
        : isLong ? NumberText.clock(seconds / 60) : NumberText.clock(seconds)
      return Tick(value: seconds, label: label)
    }
    return PlotAxis(lower: 0, upper: end, ticks: ticks, caption: isShort ? "seconds" : isLong ? "h:min" : "min:s")
  }

  /// 1, 2 or 5 times a power of ten, the smallest that is at least `wanted`, which is positive.
  static func niceStep(_ wanted: Double) -> Double {
    var power = 1.0
    if wanted >= 1 {
      while power * 10 <= wanted { power *= 10 }
    } else {
      // A product of tens is exact where a product of tenths is not.
      var inverse = 1.0
      while 1 / inverse > wanted { inverse *= 10 }
      power = 1 / inverse
    }
    for factor in [1.0, 2, 5] where power * factor >= wanted { return power * factor }
    return power * 10
  }

  private static func scale(_ largest: Double) -> (divisor: Double, suffix: String) {
    switch largest {
    case ..<10_000: (1, "")
    case ..<1e6: (1e3, "k")
    case ..<1e9: (1e6, "M")
    case ..<1e12: (1e9, "G")
    case ..<1e15: (1e12, "T")
    default: (1, "")
    }
  }

  private static func decimalsNeeded(_ step: Double) -> Int {
    step >= 1 ? (step == step.rounded() ? 0 : 1) : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3
  }
}
