import Glibc
import Primitives
import Testing

@Suite struct LatencyHistogramTests {
  private func histogram(_ values: some Sequence<UInt64>) -> LatencyHistogram {
    var histogram = LatencyHistogram()
    for value in values { histogram.record(value) }
    return histogram
  }

  @Test func `one that recorded nothing has no percentile`() {
    #expect(LatencyHistogram().percentile(0.5) == nil)
    #expect(LatencyHistogram().count == 0)
    #expect(LatencyHistogram().maximum == 0)
  }

  @Test(arguments: [0, 1, 127, 128, 254, 255] as [UInt64])
  func `values below 256 ns come back as they are`(value: UInt64) {
    // A larger one beside it, for the largest comes back exactly in any case.
    #expect(histogram([value, 1_000_000]).percentile(0.5) == value)
  }

  @Test(arguments: 8..<36)
  func `around each power of two a value comes back at most 1 in 128 high and never low`(power: Int) throws {
    let edge = UInt64(1) << power
    for value in [edge - 1, edge, edge + 1, edge + edge / 2, edge + edge / 128 - 1, edge + edge / 128] {
      let read = try #require(histogram([value, .max]).percentile(0.5))
      #expect(read >= value)
      #expect(Double(read - value) <= Double(value) * LatencyHistogram.precision)
    }
  }

  @Test func `percentiles agree with the sorted values to 1 in 128`() throws {
    let seed = getenv("LIFELINE_SEED").flatMap { UInt64(String(cString: $0)) } ?? .random(in: 0...999_999_999)
    let replay: Comment = "replay: LIFELINE_SEED=\(seed) swift test --filter LatencyHistogramTests"
    var random = SeededGenerator(seed: seed)
    // Evenly over the magnitudes, so that every part of the range takes part.
    let values = (0..<5_000).map { _ in random.next() >> UInt64.random(in: 29...60, using: &random) }
    let sorted = values.sorted()
    let histogram = histogram(values)
    for fraction in [0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1] {
      let exact = sorted[max(0, Int((Double(sorted.count) * fraction).rounded(.up)) - 1)]
      let read = try #require(histogram.percentile(fraction))
      #expect(read >= exact, replay)
      #expect(Double(read - exact) <= Double(exact) * LatencyHistogram.precision, replay)
    }
  }

  @Test func `the largest value is exact, even beyond the range, and no percentile exceeds it`() {
    let histogram = histogram([1_000_003, 3])
    #expect(histogram.maximum == 1_000_003)
    #expect(histogram.percentile(1) == 1_000_003)
    #expect(self.histogram([.max]).maximum == .max)
  }

  @Test func `a fraction outside 0 to 1 is the nearest one inside`() {
    let histogram = histogram(1...100)
    #expect(histogram.percentile(-1) == 1)
    #expect(histogram.percentile(2) == 100)
  }

  @Test func `two added are as one that recorded everything`() {
    var sum = histogram(1...500)
    sum.add(histogram(stride(from: 1_000, through: 900_000, by: 17).map { $0 }))
    #expect(sum == histogram(Array(1...500) + stride(from: 1_000, through: 900_000, by: 17)))
  }

  @Test func `a duration is recorded in nanoseconds, and a negative one as none`() {
    var histogram = LatencyHistogram()
    histogram.record(.microseconds(3))
    #expect(histogram.maximum == 3_000)
    histogram.record(.seconds(-1))
    #expect(histogram.percentile(0) == 0)
    histogram.record(.seconds(Int64.max))
    #expect(histogram.maximum == UInt64(Int64.max))
  }
}
