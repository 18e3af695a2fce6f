import Metrics
import Primitives

private enum Direction: String, MetricLabel {
  static let name = "direction"
  case received, sent
}

let metricsBenchmarks: [Benchmark] = [
  Benchmark("metric record, counter", operations: 20_000_000, tiny: 1_000) { operations, meter in
    let registry = MetricsRegistry()
    let counters = registry.counters("bench_messages_total", "Messages.", by: Direction.self)
    let (received, sent) = (counters[.received], counters[.sent])
    var noise = Noise()
    meter.start()
    for _ in 0..<operations {
      let value = noise.next()
      if value & 1 == 0 { received.add(value >> 40) } else { sent.add() }
    }
    meter.stop()
    var checksum = Checksum()
    checksum.add(received.value)
    checksum.add(sent.value)
    return checksum.value
  },
  Benchmark("metric record, histogram", operations: 20_000_000, tiny: 1_000) { operations, meter in
    let registry = MetricsRegistry()
    let histogram = registry.histogram("bench_wait_seconds", "Waits.", in: .nanoseconds, bounds: [0.001, 0.01, 0.1])
    var noise = Noise()
    meter.start()
    // Spread over all sizes, as waits are: each power of two is as likely as the next.
    for _ in 0..<operations {
      let value = noise.next()
      histogram.record((value >> 28) >> (value & 31))
    }
    meter.stop()
    var checksum = Checksum()
    checksum.add(histogram.values.count)
    checksum.add(histogram.values.sum)
    checksum.add(histogram.values.percentile(0.5) ?? 0)
    return checksum.value
  },
  Benchmark("metrics shown, 100 series and 10 histograms", operations: 200, tiny: 2) { operations, meter in
    let registry = MetricsRegistry()
    for number in 0..<50 { registry.counters("bench_\(number)_total", "A counter.", by: Direction.self)[.sent].add() }
    for number in 0..<10 {
      registry.histogram("bench_\(number)_seconds", "A spread.", in: .nanoseconds, bounds: [0.001, 0.01, 0.1, 1])
        .record(UInt64(number) << 20)
    }
    var checksum = Checksum()
    meter.start()
    for _ in 0..<operations { checksum.add(TextExposition.text(of: registry).count) }
    meter.stop()
    return checksum.value
  },
]

/// A few nanoseconds of xorshift, so that no value can be foreseen and no loop folded.
private struct Noise {
  private var state: UInt64 = 0x9E37_79B9_7F4A_7C15

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}
