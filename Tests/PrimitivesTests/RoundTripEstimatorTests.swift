import Primitives
import Testing

@Suite struct RoundTripEstimatorTests {
  let settings = RoundTripEstimator.Configuration(
    timeoutInitial: .seconds(1), timeoutMin: .milliseconds(10), timeoutMax: .seconds(60), granularity: .milliseconds(1))

  @Test func `before any sample the time-out is the initial one`() {
    let estimator = RoundTripEstimator(settings)
    #expect(estimator.smoothed == nil && estimator.timeout == .seconds(1))
  }

  @Test func `the first sample is the average and half of it the variation`() {
    var estimator = RoundTripEstimator(settings)
    estimator.measured(.milliseconds(100))
    #expect(estimator.smoothed == .milliseconds(100))
    #expect(estimator.variation == .milliseconds(50))
    #expect(estimator.timeout == .milliseconds(300))
  }

  @Test func `later samples weigh an eighth in the average and a quarter in the variation`() {
    var estimator = RoundTripEstimator(settings)
    estimator.measured(.milliseconds(100))
    estimator.measured(.milliseconds(180))
    #expect(estimator.smoothed == .milliseconds(110))
    #expect(estimator.variation == .microseconds(57_500))  // 50·¾ + 80·¼
    #expect(estimator.timeout == .milliseconds(340))
  }

  @Test func `a steady round trip leaves the clock's step as margin`() {
    var estimator = RoundTripEstimator(settings)
    for _ in 0..<200 { estimator.measured(.milliseconds(40)) }
    #expect(estimator.smoothed.map { abs($0.inSeconds - 0.04) < 1e-6 } == true)
    #expect(abs(estimator.timeout.inSeconds - 0.041) < 1e-6)
  }

  @Test func `each time-out doubles the next, up to the maximum, until a sample arrives`() {
    var estimator = RoundTripEstimator(settings)
    estimator.measured(.milliseconds(100))
    estimator.timedOut()
    #expect(estimator.timeout == .milliseconds(600))
    for _ in 0..<100 { estimator.timedOut() }
    #expect(estimator.timeout == .seconds(60))
    estimator.measured(.milliseconds(100))
    #expect(estimator.timeout < .seconds(1))
  }

  @Test(arguments: [Duration.seconds(-5), .zero, .seconds(Int64.max)])
  func `no sample takes the time-out out of its bounds`(sample: Duration) {
    var estimator = RoundTripEstimator(settings)
    for _ in 0..<50 {
      estimator.measured(sample)
      #expect(estimator.timeout >= .milliseconds(10) && estimator.timeout <= .seconds(60))
    }
  }
}
