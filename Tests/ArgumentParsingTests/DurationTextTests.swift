import Testing

@testable import ArgumentParsing

@Suite struct DurationTextTests {
  @Test(arguments: [
    ("0", Duration.zero), ("5", .seconds(5)), ("0.5", .milliseconds(500)), ("500ms", .milliseconds(500)),
    ("2m", .seconds(120)), ("1.5h", .seconds(5400)), ("30s", .seconds(30)), ("0.1", .milliseconds(100)),
    ("0.000000001", .nanoseconds(1)), ("0.0000000019", .nanoseconds(1)), ("1.1ms", .microseconds(1100)),
    ("9223372036", .seconds(9_223_372_036)),
  ])
  func `a time is a number of seconds or has a unit`(text: String, duration: Duration) {
    #expect(DurationText.read(text) == duration)
  }

  @Test(arguments: [
    "", "s", "-1", "+1", ".", ".5", "5.", "1.2.3", "5 s", "5S", "5d", "1e3", "0x10", "٣", "inf", "9223372037",
    "99999999999999999999", "9223372036.9", "2562048h", "0.1234567890123456789",
  ])
  func `anything else is not a time`(text: String) {
    #expect(DurationText.read(text) == nil)
  }

  @Test(arguments: [
    (Duration.zero, "0s"), (.milliseconds(1500), "1500ms"), (.seconds(90), "90s"), (.seconds(300), "5m"),
    (.seconds(7200), "2h"), (.milliseconds(250), "250ms"),
  ])
  func `a time is written in its largest whole unit, and read back the same`(duration: Duration, text: String) {
    #expect(DurationText.text(duration) == text)
    #expect(DurationText.read(text) == duration)
  }
}
