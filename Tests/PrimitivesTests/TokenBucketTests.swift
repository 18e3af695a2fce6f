import Primitives
import Testing

@Suite struct TokenBucketTests {
  @Test func `a burst is let through at once, and then the rate`() {
    var bucket = TokenBucket(rate: 10, burst: 3, at: .zero)
    let taken = [0, 0, 0, 0, 0, 99, 101, 150].map { bucket.take(at: .zero + .milliseconds($0)) }
    #expect(taken == [true, true, true, false, false, false, true, false])
  }

  @Test func `no more is kept than the burst, however long nobody came`() {
    var bucket = TokenBucket(rate: 1_000, burst: 2, at: .zero)
    let later = Instant.zero + .seconds(3_600)
    let taken = (0..<4).map { _ in bucket.take(at: later) }
    #expect(taken == [true, true, false, false])
  }

  @Test func `looking takes nothing`() {
    var bucket = TokenBucket(rate: 1, burst: 1, at: .zero)
    for _ in 0..<10 { #expect(bucket.hasToken(at: .zero)) }
    let isTaken = bucket.take(at: .zero)
    #expect(isTaken && !bucket.hasToken(at: .zero))
  }

  @Test func `a clock that stands still or goes back gives nothing`() {
    var bucket = TokenBucket(rate: 1, burst: 1, at: .zero + .seconds(10))
    let taken = [10, 0, 10, 11].map { bucket.take(at: .zero + .seconds($0)) }
    #expect(taken == [true, false, false, true])
  }

  @Test(arguments: [(0.0, 0.0), (-1, -5), (.infinity, 1), (1e300, 1e300), (.nan, 1)])
  func `senseless settings neither trap nor stop everything`(rate: Double, burst: Double) {
    var bucket = TokenBucket(rate: rate, burst: burst, at: .zero)
    let isTaken = bucket.take(at: .zero)
    #expect(isTaken)
    _ = bucket.take(at: .distantFuture)
    #expect(bucket.interval >= .zero)
  }

  @Test(arguments: 0..<20) func `over a long time as many pass as flow in`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let rate = Double.random(in: 1...500, using: &random)
    var bucket = TokenBucket(rate: rate, burst: 10, at: .zero)
    var now = Instant.zero
    var passed = 0
    while now < .zero + .seconds(60) {
      now += .microseconds(Int64.random(in: 1...2_000, using: &random))
      if bucket.take(at: now) { passed += 1 }
    }
    #expect(Double(passed) <= 10 + rate * (now - .zero).inSeconds)
    #expect(Double(passed) >= rate * 60 * 0.98)
  }
}
