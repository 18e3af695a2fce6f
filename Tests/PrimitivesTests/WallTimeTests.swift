import Primitives
import Testing

@Suite struct WallTimeTests {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"),
    (1_795_437_296_789, "2026-11-23T12:34:56.789Z"),
    (951_782_400_000, "2000-02-29T00:00:00.000Z"),
    (951_868_799_999, "2000-02-29T23:59:59.999Z"),
    (951_868_800_000, "2000-03-01T00:00:00.000Z"),
    (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    (4_107_456_000_000, "2100-02-28T00:00:00.000Z"),
    (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
    (-1, "1969-12-31T23:59:59.999Z"),
    (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
    (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
  ])
  func `a time is written as ISO 8601 in UTC`(milliseconds: Int64, expected: String) {
    #expect(WallTime(milliseconds: milliseconds).iso8601 == expected)
  }

  @Test func `without a zone the local clock's reading is written`() {
    let time = WallTime(milliseconds: 1_795_437_296_789)
    #expect(time.iso8601WithoutZone() == "2026-11-23T12:34:56.789")
    #expect(time.iso8601WithoutZone(secondsEast: 3600) == "2026-11-23T13:34:56.789")
    #expect(time.iso8601WithoutZone(secondsEast: -45_296) == "2026-11-23T00:00:00.789")
    #expect(time.iso8601WithoutZone(secondsEast: -45_297) == "2026-11-22T23:59:59.789")
  }

  @Test func `consecutive days have consecutive dates over four centuries`() {
    let monthDays: [Int64] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    var day: Int64 = 0
    for year in Int64(1970)...2370 {
      let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      for (index, length) in monthDays.enumerated() {
        for dayOfMonth in 1...(index == 1 && leap ? 29 : length) {
          let text = WallTime(milliseconds: day * 86_400_000).iso8601
          let expected = "\(year)-\(two(Int64(index) + 1))-\(two(dayOfMonth))T00:00:00.000Z"
          if text != expected { Issue.record("\(text) is not \(expected)") }
          day += 1
        }
      }
    }
  }

  @Test func `the ends of the range are written, not trapped on`() {
    #expect(WallTime(milliseconds: .max).iso8601WithoutZone(secondsEast: .max).hasPrefix("292278994-"))
    #expect(WallTime(milliseconds: .min).iso8601WithoutZone(secondsEast: .min).hasPrefix("-292275055-"))
  }
}
