internal import Primitives

/// Durations as people type them: seconds, or a number with one of the units ms, s, m, h.
enum DurationText {
  private static let units: [(suffix: String, nanoseconds: Int64)] = [
    ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
  ]

  /// The duration `text` stands for; `nil` for anything else, negative and unrepresentable ones included.
  static func read(_ text: String) -> Duration? {
    let unitStart = text.firstIndex { $0.isLetter } ?? text.endIndex
    let suffix = text[unitStart...]
    guard let unit = units.first(where: { $0.suffix == (suffix.isEmpty ? "s" : suffix) }) else { return nil }
    let parts = text[..<unitStart].split(separator: ".", omittingEmptySubsequences: false)
    guard let whole = parts.first, parts.count <= 2, let count = digits(whole) else { return nil }
    let (nanoseconds, overflow) = count.multipliedReportingOverflow(by: unit.nanoseconds)
    guard !overflow else { return nil }
    guard parts.count == 2 else { return .nanoseconds(nanoseconds) }
    // A Double would turn 0.1 s into something else than 100 ms.
    let fraction = parts[1].prefix(9)
    guard parts[1].count <= 18, digits(parts[1]) != nil, let numerator = digits(fraction) else { return nil }
    let denominator = fraction.reduce(Int64(1)) { product, _ in product * 10 }
    // At most 10⁹ · 3.6·10¹² / 10⁹: worked in 128 bits, for the product alone does not fit 64.
    let part = Int64(Int128(numerator) * Int128(unit.nanoseconds) / Int128(denominator))
    let (sum, sumOverflow) = nanoseconds.addingReportingOverflow(part)
    return sumOverflow ? nil : .nanoseconds(sum)
  }

  /// The shortest text `read` would take for `duration`: `2m`, `90s`, `500ms`.
  static func text(_ duration: Duration) -> String {
    let nanoseconds = duration.wholeNanoseconds
    if nanoseconds == 0 { return "0s" }
    for unit in units.reversed() where nanoseconds % unit.nanoseconds == 0 {
      return "\(nanoseconds / unit.nanoseconds)\(unit.suffix)"
    }
    return "\(duration.inSeconds)s"
  }

  private static func digits(_ text: Substring) -> Int64? {
    guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    return Int64(text)
  }
}
