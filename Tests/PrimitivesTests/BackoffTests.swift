import Primitives
import Testing

/// Draws the largest value of every range for `.max` and the smallest for 1; 0 would be rejected for ever.
private struct ExtremeGenerator: RandomNumberGenerator {
  let word: UInt64
  mutating func next() -> UInt64 { word }
}

@Suite struct BackoffTests {
  let settings = Backoff.Configuration(base: .seconds(1), cap: .seconds(30), serverDelayMax: .seconds(60))

  @Test func `the ceiling doubles from the base up to the cap`() {
    var backoff = Backoff(settings)
    var random = SeededGenerator(seed: 1)
    var ceilings: [Duration] = []
    for _ in 0..<8 {
      ceilings.append(backoff.ceiling)
      _ = backoff.nextDelay(using: &random)
    }
    #expect(ceilings == [1, 2, 4, 8, 16, 30, 30, 30].map { .seconds($0) })
  }

  @Test(arguments: 0..<20)
  func `delays fill the whole range from zero to the ceiling`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var delays: [Duration] = []
    for _ in 0..<400 {
      var backoff = Backoff(settings)
      for _ in 0..<4 { _ = backoff.nextDelay(using: &random) }
      if let delay = backoff.nextDelay(using: &random) { delays.append(delay) }
    }
    #expect(delays.count == 400)
    #expect(delays.allSatisfy { $0 >= .zero && $0 <= .seconds(16) })
    #expect(delays.contains { $0 < .seconds(1) } && delays.contains { $0 > .seconds(15) })
  }

  @Test(arguments: [Duration.nanoseconds(1), .milliseconds(3), .seconds(1), .seconds(Int64.max)])
  func `no number of failures overflows`(base: Duration) {
    let cap = Duration.seconds(40)
    var backoff = Backoff(.init(base: base, cap: cap))
    var random = ExtremeGenerator(word: .max)
    for _ in 0..<200 {
      let ceiling = backoff.ceiling
      #expect(ceiling > .zero && ceiling <= cap)
      #expect(backoff.nextDelay(using: &random).map { $0 <= ceiling } == true)
    }
    #expect(backoff.ceiling == cap)
  }

  @Test func `a base or cap that is zero or negative means no delay`() {
    var random = SeededGenerator(seed: 1)
    for (base, cap) in [(0, 5), (-1, 5), (5, 0), (5, -1)] {
      var backoff = Backoff(.init(base: .seconds(base), cap: .seconds(cap)))
      for _ in 0..<3 { #expect(backoff.nextDelay(using: &random) == .zero) }
    }
  }

  @Test func `after the last attempt there is no delay`() {
    var backoff = Backoff(.init(maxAttempts: 3))
    var random = SeededGenerator(seed: 1)
    for _ in 0..<3 { #expect(backoff.nextDelay(using: &random) != nil) }
    #expect(backoff.isExhausted)
    #expect(backoff.nextDelay(using: &random) == nil)
    backoff.reset()
    #expect(backoff.nextDelay(using: &random) != nil)
  }

  @Test func `a short session does not start the count over and a useful one does`() {
    var backoff = Backoff(.init(usefulSession: .seconds(5)))
    var random = SeededGenerator(seed: 1)
    for _ in 0..<4 { _ = backoff.nextDelay(using: &random) }
    backoff.sessionLasted(.milliseconds(4999))
    #expect(backoff.failures == 4)
    backoff.sessionLasted(.seconds(5))
    #expect(backoff.failures == 0)
  }

  @Test func `a delay the server asked for is waited out once, with jitter on top`() {
    var lowest = ExtremeGenerator(word: 1)
    var backoff = Backoff(settings)
    backoff.serverAsked(toWait: .seconds(10))
    #expect(backoff.nextDelay(using: &lowest) == .seconds(10))
    #expect(backoff.nextDelay(using: &lowest) == .zero)

    var highest = ExtremeGenerator(word: .max)
    backoff.reset()
    backoff.serverAsked(toWait: .seconds(10))
    #expect(backoff.nextDelay(using: &highest) == .seconds(11))
  }

  @Test func `a server cannot send us away for longer than allowed, nor make time run backwards`() {
    var lowest = ExtremeGenerator(word: 1)
    var backoff = Backoff(settings)
    backoff.serverAsked(toWait: .seconds(Int64.max))
    #expect(backoff.nextDelay(using: &lowest) == .seconds(60))
    backoff.serverAsked(toWait: .seconds(-5))
    #expect(backoff.nextDelay(using: &lowest) == .zero)
  }

  @Test func `another bound limits what is drawn and not what the server asked for`() {
    var highest = ExtremeGenerator(word: .max)
    var backoff = Backoff(settings)
    for _ in 0..<3 { _ = backoff.nextDelay(using: &highest, atMost: .milliseconds(300)) }
    #expect(backoff.nextDelay(using: &highest, atMost: .milliseconds(300)) == .milliseconds(300))
    #expect(backoff.nextDelay(using: &highest, atMost: .seconds(-1)) == .zero)
    backoff.serverAsked(toWait: .seconds(10))
    #expect(backoff.nextDelay(using: &highest, atMost: .milliseconds(300)) == .milliseconds(10_300))
    #expect(backoff.failures == 6)
  }
}
