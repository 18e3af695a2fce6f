import Primitives
import Testing

@Suite struct InstantTests {
  @Test func `adding and subtracting durations moves an instant`() {
    let instant = Instant(nanoseconds: 5_000_000_000)
    #expect(instant + .seconds(2) == Instant(nanoseconds: 7_000_000_000))
    #expect(instant - .seconds(6) == Instant(nanoseconds: -1_000_000_000))
    #expect(instant - Instant.zero == .seconds(5))
    #expect(Instant.zero - instant == .seconds(-5))
  }

  @Test func `arithmetic stops at the ends instead of trapping`() {
    let past = Instant(nanoseconds: .min)
    #expect(Instant.distantFuture + .seconds(Int64.max) == .distantFuture)
    #expect(Instant.distantFuture - .seconds(Int64.min) == .distantFuture)
    #expect(past - .seconds(Int64.max) == past)
    #expect(past + .seconds(Int64.min) == past)
    #expect(Instant.distantFuture - past == .nanoseconds(Int64.max))
    #expect(past - Instant.distantFuture == .nanoseconds(Int64.min))
  }

  @Test(arguments: [
    (Duration.zero, Int64(0)), (.nanoseconds(1), 1), (.milliseconds(-1500), -1_500_000_000),
    (.seconds(Int64.max), Int64.max),
    (.seconds(Int64.min), Int64.min),
  ])
  func `a duration has whole nanoseconds, clamped to 64 bits`(duration: Duration, expected: Int64) {
    #expect(duration.wholeNanoseconds == expected)
    #expect(duration.wholeMilliseconds == expected / 1_000_000)
  }
}
