import Testing

@testable import Primitives

@Suite struct NormalTailTests {
  /// Values from tables of the normal distribution.
  @Test(arguments: [
    (-6, 4.284692e-10), (-1, 0.0750260), (0, 0.3010299957), (1, 0.7995461), (2, 1.6430158), (2.999, 2.8682644),
    (3, 2.8696991), (3.001, 2.8711342), (6, 9.0058648), (10, 23.1180530), (40, 349.4370088),
  ])
  func `the tail agrees with the tables`(y: Double, expected: Double) {
    let value = NormalTail.negativeLog10(y)
    #expect(abs(value - expected) <= max(abs(expected) * 2e-5, 1e-12))
  }

  @Test func `the tail grows without a step, a NaN or an infinity`() {
    var last = NormalTail.negativeLog10(-50)
    for thousandths in -20_000...60_000 {
      let value = NormalTail.negativeLog10(Double(thousandths) / 1000)
      #expect(value.isFinite && value >= last - 1e-15, "at y = \(thousandths)/1000")
      last = value
    }
    #expect(NormalTail.negativeLog10(1e15).isFinite)
    #expect(NormalTail.negativeLog10(-1e15) == 0)
    #expect(NormalTail.negativeLog10(.nan) == 0)
  }

  @Test(arguments: [0.5, 1, 3, 8, 12, 100, 300])
  func `the point of a threshold is where the tail reaches it`(threshold: Double) {
    let y = NormalTail.point(whereNegativeLog10Is: threshold)
    #expect(abs(NormalTail.negativeLog10(y) - threshold) < 1e-9 * threshold)
  }
}
