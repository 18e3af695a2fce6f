extension WallTime {
  /// Reads `2026-11-23T12:34:56`, with a fraction of a second or without, in UTC (`Z`), at an offset (`+02:00`), or, saying
  /// neither, on a clock `secondsEast` of Greenwich.
  ///
  /// - Returns: `nil` for anything else, and for years outside 1970 to 9999.
  public init?(iso8601 text: String, secondsEast: Int32 = 0) {
    var rest = text.utf8[...]
    func number(_ digits: Int, _ range: ClosedRange<Int64>) -> Int64? {
      guard rest.count >= digits else { return nil }
      var value: Int64 = 0
      for digit in rest.prefix(digits) {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
        value = value * 10 + Int64(digit - UInt8(ascii: "0"))
      }
      rest = rest.dropFirst(digits)
      return range.contains(value) ? value : nil
    }
    func skip(_ characters: [UInt8]) -> UInt8? {
      guard let first = rest.first, characters.contains(first) else { return nil }
      rest = rest.dropFirst()
      return first
    }
    let dash = [UInt8(ascii: "-")]
    let colon = [UInt8(ascii: ":")]
    guard let year = number(4, 1970...9999), skip(dash) != nil, let month = number(2, 1...12), skip(dash) != nil,
      let day = number(2, 1...31), skip([UInt8(ascii: "T"), UInt8(ascii: " ")]) != nil, let hour = number(2, 0...23),
      skip(colon) != nil, let minute = number(2, 0...59), skip(colon) != nil, let second = number(2, 0...60)
    else { return nil }
    var milliseconds: Int64 = 0
    if skip([UInt8(ascii: ".")]) != nil {
      let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard (1...9).contains(digits.count) else { return nil }
      for index in 0..<3 { milliseconds = milliseconds * 10 + Int64(Array(digits + [48, 48])[index] - 48) }
      rest = rest.dropFirst(digits.count)
    }
    var offset = Int64(secondsEast)
    switch skip([UInt8(ascii: "Z"), UInt8(ascii: "+"), UInt8(ascii: "-")]) {
    case UInt8(ascii: "Z"): offset = 0
    case let sign?:
      guard let hours = number(2, 0...23), skip(colon) != nil, let minutes = number(2, 0...59) else { return nil }
      offset = (hours * 3_600 + minutes * 60) * (sign == UInt8(ascii: "-") ? -1 : 1)
    case nil: break
    }
    guard rest.isEmpty else { return nil }
    let seconds = Self.days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset
    self.init(milliseconds: seconds * 1_000 + milliseconds)
  }

  /// Days since 1970-01-01; years are counted from March, as in `civilDate`.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let era = year / 400
    let yearOfEra = year - era * 400
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}
