extension WallTime {
  /// This time in UTC as ISO 8601 writes it, to the millisecond: `2026-11-23T12:34:56.789Z`.
  public var iso8601: String {
    iso8601WithoutZone() + "Z"
  }

  /// This time on a clock `secondsEast` of Greenwich, without saying so: `2026-11-23T12:34:56.789`.
  ///
  /// Only for peers that write and expect local time without a zone; everyone else gets `iso8601`.
  public func iso8601WithoutZone(secondsEast: Int32 = 0) -> String {
    let (shifted, overflow) = milliseconds.addingReportingOverflow(Int64(secondsEast) * 1000)
    let local = overflow ? milliseconds : shifted
    var day = local / 86_400_000
    var rest = local % 86_400_000
    if rest < 0 {
      // Division rounds toward zero; before 1970 the day must be rounded down.
      rest += 86_400_000
      day -= 1
    }
    let (year, month, dayOfMonth) = Self.civilDate(daysSinceEpoch: day)
    let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))"
    let hours = rest / 3_600_000
    let minutes = rest / 60000 % 60
    let time = "\(padded(hours, 2)):\(padded(minutes, 2)):\(padded(rest / 1000 % 60, 2))"
    return "\(date)T\(time).\(padded(rest % 1000, 3))"
  }

  /// The Gregorian date of a day counted from 1970-01-01.
  ///
  /// Years are counted from March, so that the leap day is the last of its year and the months' lengths repeat.
  private static func civilDate(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let daysPerEra: Int64 = 146_097  // 400 years
    let days = daysSinceEpoch + 719_468  // since 0000-03-01
    let era = (days >= 0 ? days : days - (daysPerEra - 1)) / daysPerEra
    let dayOfEra = days - era * daysPerEra
    let leapDaysBefore = dayOfEra / 1460 - dayOfEra / 36524 + dayOfEra / 146_096
    let yearOfEra = (dayOfEra - leapDaysBefore) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, day)
  }

  private func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number.magnitude)
    let zeros = String(repeating: "0", count: max(0, width - digits.count))
    return (number < 0 ? "-" : "") + zeros + digits
  }
}
