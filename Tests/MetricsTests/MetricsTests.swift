import Metrics
import Primitives
import TestSupport
import Testing

private enum Direction: String, MetricLabel {
  static let name = "direction"
  case received, sent
}

private enum Awkward: String, MetricLabel {
  static let name = "reason"
  case quoted = "a \"b\" \\ c\nd"
}

@Suite struct MetricsTests {
  @Test func `a registry without metrics shows nothing`() {
    #expect(TextExposition.text(of: MetricsRegistry()).isEmpty)
  }

  @Test func `a counter and a gauge are shown as the format says`() {
    let registry = MetricsRegistry()
    let counter = registry.counter("test_messages_total", "Messages.")
    let gauge = registry.gauge("test_temperature_celsius", "Warmth.")
    counter.add()
    counter.add(41)
    gauge.value = -1.5
    #expect(
      String(decoding: TextExposition.text(of: registry), as: UTF8.self) == """
        # HELP test_messages_total Messages.
        # TYPE test_messages_total counter
        test_messages_total 42
        # HELP test_temperature_celsius Warmth.
        # TYPE test_temperature_celsius gauge
        test_temperature_celsius -1.5

        """)
  }

  @Test func `a labelled metric has one series for each value of its label, from the start`() throws {
    let registry = MetricsRegistry()
    let messages = registry.counters("test_messages_total", "Messages.", by: Direction.self)
    messages[.sent].add(3)
    let read = try ExpositionReader(TextExposition.text(of: registry))
    #expect(read.samples.count == 2)
    #expect(read.value("test_messages_total", ["direction": "sent"]) == 3)
    #expect(read.value("test_messages_total", ["direction": "received"]) == 0)
  }

  @Test func `what help and labels contain is escaped and read back the same`() throws {
    let registry = MetricsRegistry()
    registry.gauges("test_reasons", "A \\ and\na second line with \"quotes\".", by: Awkward.self) { _ in 1 }
    let read = try ExpositionReader(TextExposition.text(of: registry))
    #expect(read.helps["test_reasons"] == "A \\ and\na second line with \"quotes\".")
    #expect(read.value("test_reasons", ["reason": Awkward.quoted.rawValue]) == 1)
  }

  @Test func `a histogram shows cumulative buckets, sum and count in its base unit`() throws {
    let registry = MetricsRegistry()
    let histogram = registry.histogram(
      "test_wait_seconds", "Waits.", in: .milliseconds, bounds: [0.1, 1, 10])
    for value in [50, 100, 500, 1_000, 5_000, 60_000] as [UInt64] { histogram.record(value) }
    let read = try ExpositionReader(TextExposition.text(of: registry))
    #expect(read.types["test_wait_seconds"] == "histogram")
    let buckets = read.samples.filter { $0.name == "test_wait_seconds_bucket" }
    #expect(buckets.map { $0.labels["le"] } == ["0.1", "1", "10", "+Inf"])
    #expect(buckets.map(\.value) == [2, 4, 5, 6])
    #expect(read.value("test_wait_seconds_sum") == 66.65)
    #expect(read.value("test_wait_seconds_count") == 6)
  }

  @Test func `the buckets of a histogram are right within the stated error`() {
    let registry = MetricsRegistry()
    let bounds = [0.000_1, 0.001, 0.01, 0.1, 1]
    let histogram = registry.histogram("test_turn_seconds", "Turns.", in: .nanoseconds, bounds: bounds)
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    let values = (0..<2_000).map { _ in UInt64.random(in: 0...2_000_000_000, using: &random) >> (random.next() % 20) }
    for value in values { histogram.record(value) }
    for bound in bounds {
      let limit = bound * 1_000_000_000
      let least = values.count { Double($0) <= limit }
      let most = values.count { Double($0) <= limit * (1 + LatencyHistogram.precision) }
      let counted = Int(histogram.values.count(atMost: UInt64(limit)))
      #expect(least <= counted && counted <= most, "seed \(seed), bound \(bound)")
    }
    #expect(histogram.values.sum == values.reduce(0, +))
  }

  @Test(
    arguments: [
      (1e-7, "1e-07"), (0, "0"), (1_000_000, "1000000"), (0.25, "0.25"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
      (.nan, "NaN"), (1e300, "1e+300"),
    ] as [(Double, String)]) func `numbers are written as the format reads them`(value: Double, text: String) throws
  {
    let registry = MetricsRegistry()
    registry.gauge("test_value", "A value.") { value }
    let lines = String(decoding: TextExposition.text(of: registry), as: UTF8.self).split(separator: "\n")
    #expect(lines.last == "test_value \(text)")
  }

  @Test(arguments: [
    ("lifeline_tasks_total", MetricName.Kind.counter, true), ("lifeline_tasks", .counter, false),
    ("lifeline_tasks_total", .gauge, false), ("lifeline_wait_seconds", .histogram, true),
    ("lifeline_wait_milliseconds", .histogram, false), ("lifeline_wait_ms", .gauge, false),
    ("lifeline_size_bytes", .gauge, true), ("lifeline_requests_count", .gauge, false), ("9lives", .gauge, false),
    ("", .gauge, false), ("lifeline-tasks", .gauge, false), ("lifeline_größe", .gauge, false),
  ]) func `names follow Prometheus' conventions`(name: String, kind: MetricName.Kind, isGood: Bool) {
    #expect((MetricName.problem(with: name, of: kind) == nil) == isGood)
  }

  @Test(arguments: [("reason", true), ("le", false), ("__name__", false), ("a-b", false), ("", false)])
  func `labels follow Prometheus' rules`(name: String, isGood: Bool) {
    #expect((MetricName.problem(withLabel: name) == nil) == isGood)
  }
}
