/// All runs of one benchmark.
public struct Measurement: Sendable {
  public let benchmark: Benchmark
  public let samples: [Sample]

  /// Nanoseconds per operation of the run in the middle, the fastest and the slowest.
  public var median: Double { Self.median(samples.map { $0.nanoseconds / Double($0.operations) }) }
  public var fastest: Double { samples.map { $0.nanoseconds / Double($0.operations) }.min() ?? 0 }
  public var slowest: Double { samples.map { $0.nanoseconds / Double($0.operations) }.max() ?? 0 }
  /// Of processor time, over all threads.
  public var processorMedian: Double { Self.median(samples.map { $0.processorNanoseconds / Double($0.operations) }) }
  public var allocations: Double? {
    let counts = samples.compactMap { sample in sample.allocations.map { Double($0) / Double(sample.operations) } }
    return counts.isEmpty ? nil : Self.median(counts)
  }
  public var checksum: UInt64 { samples.first?.checksum ?? 0 }
  public var operationsPerSecond: Double { median > 0 ? 1e9 / median : 0 }
  /// Billions of payload bytes per second.
  public var gigabytesPerSecond: Double? {
    benchmark.payloadBytes > 0 && median > 0 ? Double(benchmark.payloadBytes) / median : nil
  }

  private static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard let last = sorted.last else { return 0 }
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2)
      ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted.count == 1 ? last : sorted[middle]
  }

  /// Runs each benchmark `repeats` times, in turn rather than one after the other: a disturbance of the machine then
  /// touches one run of several benchmarks instead of every run of one.
  ///
  /// - Parameter progress: told of each round before it begins, from 1.
  public static func take(
    _ benchmarks: [Benchmark], repeats: Int, at scale: Scale, counting allocations: AllocationCounter,
    progress: (Int) -> Void = { _ in }
  ) throws -> [Measurement] {
    var samples = benchmarks.map { _ in [Sample]() }
    for round in 1...max(1, repeats) {
      progress(round)
      for (index, benchmark) in benchmarks.enumerated() {
        let sample = try benchmark.run(at: scale, counting: allocations)
        if let first = samples[index].first, first.checksum != sample.checksum {
          throw BenchmarkError(description: "\(benchmark.name): two runs did different work; the checksums differ")
        }
        samples[index].append(sample)
      }
    }
    return zip(benchmarks, samples).map(Measurement.init)
  }
}
