/// Numbers as people read them. Never `nan`, `inf` or a lone minus before zero.
enum NumberText {
  /// Digits are grouped by a narrow space that does not break.
  private static let groupSeparator = "\u{202F}"
  /// From here on the power of ten says more than the digits.
  private static let scientificFrom = 1e15

  /// With exactly `decimals` digits after the point.
  static func fixed(_ value: Double, decimals: Int) -> String {
    guard value.isFinite else { return "–" }
    guard abs(value) < scientificFrom else { return scientific(value) }
    let decimals = min(max(decimals, 0), 3)
    let scale: Int64 = decimals == 0 ? 1 : decimals == 1 ? 10 : decimals == 2 ? 100 : 1000
    guard let scaled = Int64(exactly: (value * Double(scale)).rounded()) else { return scientific(value) }
    let fraction = String(scaled.magnitude % UInt64(scale) + UInt64(scale)).dropFirst()
    let whole = (scaled < 0 ? "-" : "") + grouped(scaled.magnitude / UInt64(scale))
    return decimals == 0 ? whole : "\(whole).\(fraction)"
  }

  /// With about three digits that matter: `0.125`, `3.25`, `31.4`, `12 345`.
  static func figure(_ value: Double) -> String {
    guard value.isFinite else { return "–" }
    let size = abs(value)
    if size > 0, size < 0.0005 { return scientific(value) }
    var text = fixed(value, decimals: size < 1 ? 3 : size < 10 ? 2 : size < 100 ? 1 : 0)
    if text.contains("."), !text.contains("e") {
      while text.hasSuffix("0") { text.removeLast() }
      if text.hasSuffix(".") { text.removeLast() }
    }
    return text
  }

  /// A duration in its natural unit.
  static func time(_ seconds: Double) -> String {
    guard seconds.isFinite else { return "–" }
    if abs(seconds) < 1 { return "\(figure(seconds * 1000)) ms" }
    if abs(seconds) < 120 { return "\(fixed(seconds, decimals: 1)) s" }
    let whole = Int64(exactly: seconds.rounded()) ?? 0
    if abs(seconds) < 7200 { return "\(whole / 60) min \(whole % 60) s" }
    return abs(seconds) < scientificFrom ? "\(whole / 3600) h \(whole / 60 % 60) min" : "\(scientific(seconds)) s"
  }

  /// A moment as a stopwatch shows it: `0:05`, `12:30`, `1:02:03`.
  static func clock(_ seconds: Double) -> String {
    guard let whole = Int64(exactly: max(0, seconds).rounded()) else { return scientific(seconds) }
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    if whole < 3600 { return "\(whole / 60):\(two(whole % 60))" }
    return "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))"
  }

  private static func grouped(_ number: UInt64) -> String {
    let digits = Array(String(number))
    guard digits.count > 4 else { return String(digits) }
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index).isMultiple(of: 3) { result += groupSeparator }
      result.append(digit)
    }
    return result
  }

  private static func scientific(_ value: Double) -> String {
    let parts = value.description.split(separator: "e")
    guard parts.count == 2, let mantissa = Double(parts[0]) else { return value.description }
    let exponent = parts[1].drop { $0 == "+" }
    return "\(fixed(mantissa, decimals: 1))e\(exponent)"
  }
}
