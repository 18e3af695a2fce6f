public import Primitives

/// The metrics of one loop, in families with names and help, to be shown in Prometheus' text format.
///
/// Register everything at start: a name or label that breaks `MetricName`'s rules, or a name used twice, is a mistake of
/// the program and traps. A metric is either recorded into (`Counter`, `Gauge`, `Histogram`), or read when it is shown:
/// that is for what somebody counts anyway, such as a core that knows nothing of metrics.
public final class MetricsRegistry {
  /// One line to be: a series and how to read it.
  struct Series {
    /// `name="value"`; empty without a label.
    let label: String
    let reading: Reading
  }

  enum Reading {
    case number(() -> Double)
    case count(() -> UInt64)
    case spread(() -> LatencyHistogram)
  }

  struct Family {
    let name: String
    let help: String
    let kind: MetricName.Kind
    let series: [Series]
    /// A histogram's, in the base unit, with what they are in its own.
    var bounds: [(shown: Double, raw: UInt64)] = []
    var perBaseUnit = 1.0
  }

  private(set) var families: [Family] = []
  private var names: Set<String> = []

  public init() {}

  // MARK: To record into

  public func counter(_ name: String, _ help: String) -> Counter {
    let counter = Counter()
    add(name, help, .counter, [Series(label: "", reading: .count { counter.value })])
    return counter
  }

  public func counters<Label: MetricLabel>(_ name: String, _ help: String, by: Label.Type) -> Labelled<Label, Counter> {
    let counters = Labelled<Label, Counter> { _ in Counter() }
    add(name, help, .counter, Self.series(of: by) { label in .count { counters[label].value } })
    return counters
  }

  public func gauge(_ name: String, _ help: String) -> Gauge {
    let gauge = Gauge()
    add(name, help, .gauge, [Series(label: "", reading: .number { gauge.value })])
    return gauge
  }

  /// - Parameter bounds: of the buckets shown, in the base unit, growing; the last one, +Inf, is always there.
  public func histogram(_ name: String, _ help: String, in unit: HistogramUnit, bounds: [Double]) -> Histogram {
    let histogram = Histogram()
    self.histogram(name, help, in: unit, bounds: bounds) { histogram.values }
    return histogram
  }

  // MARK: To be read when shown

  public func counter(_ name: String, _ help: String, reading: @escaping () -> UInt64) {
    add(name, help, .counter, [Series(label: "", reading: .count(reading))])
  }

  /// A counter of fractions, such as seconds.
  public func counter(_ name: String, _ help: String, readingNumber reading: @escaping () -> Double) {
    add(name, help, .counter, [Series(label: "", reading: .number(reading))])
  }

  public func counters<Label: MetricLabel>(
    _ name: String, _ help: String, by: Label.Type, reading: @escaping (Label) -> UInt64
  ) {
    add(name, help, .counter, Self.series(of: by) { label in .count { reading(label) } })
  }

  public func gauge(_ name: String, _ help: String, reading: @escaping () -> Double) {
    add(name, help, .gauge, [Series(label: "", reading: .number(reading))])
  }

  public func gauges<Label: MetricLabel>(
    _ name: String, _ help: String, by: Label.Type, reading: @escaping (Label) -> Double
  ) {
    add(name, help, .gauge, Self.series(of: by) { label in .number { reading(label) } })
  }

  /// - Parameter bounds: as above.
  public func histogram(
    _ name: String, _ help: String, in unit: HistogramUnit, bounds: [Double],
    reading: @escaping () -> LatencyHistogram
  ) {
    precondition(
      zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 } && bounds.allSatisfy { $0 > 0 && $0.isFinite },
      "the bounds of \(name) must be positive and grow")
    add(
      name, help, .histogram, [Series(label: "", reading: .spread(reading))],
      bounds: bounds.map { (shown: $0, raw: UInt64(($0 * unit.perBaseUnit).rounded())) },
      perBaseUnit: unit.perBaseUnit)
  }

  // MARK: Inside

  private static func series<Label: MetricLabel>(
    of _: Label.Type, _ reading: (Label) -> Reading
  ) -> [Series] {
    let problem = MetricName.problem(withLabel: Label.name)
    precondition(problem == nil, "\(Label.name): \(problem ?? "")")
    return Label.allCases.map { label in
      Series(label: "\(Label.name)=\"\(TextExposition.escaped(label: label.text))\"", reading: reading(label))
    }
  }

  private func add(
    _ name: String, _ help: String, _ kind: MetricName.Kind, _ series: [Series],
    bounds: [(shown: Double, raw: UInt64)] = [], perBaseUnit: Double = 1
  ) {
    let problem = MetricName.problem(with: name, of: kind)
    precondition(problem == nil, "\(name): \(problem ?? "")")
    precondition(names.insert(name).inserted, "\(name) is registered twice")
    families.append(
      Family(name: name, help: help, kind: kind, series: series, bounds: bounds, perBaseUnit: perBaseUnit))
  }
}

@available(*, unavailable) extension MetricsRegistry: Sendable {}
