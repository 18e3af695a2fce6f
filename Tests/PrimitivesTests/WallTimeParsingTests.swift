import Primitives
import Testing

@Suite struct WallTimeParsingTests {
  @Test(
    arguments: [
      ("1970-01-01T00:00:00Z", 0), ("2000-02-29T12:34:56.789Z", 951_827_696_789),
      ("2026-11-23 12:34:56Z", 1_795_437_296_000),
      ("2026-11-23T12:34:56.5+02:00", 1_795_430_096_500), ("2026-11-23T12:34:56-00:30", 1_795_439_096_000),
      ("2026-11-23T12:34:56", 1_795_433_696_000), ("2026-11-23T12:34:56.123456789Z", 1_795_437_296_123),
    ] as [(String, Int64)])
  func `a time is read with its zone, or on the clock that is meant without one`(text: String, milliseconds: Int64) {
    #expect(WallTime(iso8601: text, secondsEast: 3_600)?.milliseconds == milliseconds)
  }

  @Test(arguments: [
    "", "2026", "2026-11-23", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "1969-12-31T23:59:59Z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T12:34:56.Z", "2026-11-23T12:34:56z", "2026-11-23T12:34:56Z ", "2026-11-23T12:34:56+2",
    "+026-11-23T12:34:56Z",
    "２026-11-23T12:34:56Z",
  ])
  func `anything else is no time`(text: String) {
    #expect(WallTime(iso8601: text) == nil)
  }

  @Test func `what is written reads back`() {
    for milliseconds in stride(from: Int64(0), to: 253_402_300_799_999, by: 1_234_567_890_123) {
      let time = WallTime(milliseconds: milliseconds)
      #expect(WallTime(iso8601: time.iso8601) == time)
    }
  }
}
