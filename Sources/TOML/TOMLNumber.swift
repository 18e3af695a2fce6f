/// Numbers as TOML writes them.
enum TOMLNumber {
  enum Problem: Error {
    /// Nothing about it is a number.
    case none
    case date
    case leadingZero
    case underscore
    case overflow
    case malformed
  }

  static func read(_ bytes: ArraySlice<UInt8>) throws(Problem) -> TOMLValue {
    var rest = bytes
    let sign = rest.first.flatMap { [UInt8(ascii: "+"), UInt8(ascii: "-")].contains($0) ? $0 : nil }
    if sign != nil { rest = rest.dropFirst() }
    guard let first = rest.first, isDigit(first) || first == UInt8(ascii: ".") else { throw .none }
    if isDate(rest) { throw .date }
    if first == UInt8(ascii: "0"), let radix = rest.dropFirst().first.flatMap({ radixes[$0] }) {
      // A sign before a pattern of bits makes no sense.
      guard sign == nil else { throw .malformed }
      return .integer(try integer(Array(rest.dropFirst(2)), radix: radix, isNegative: false))
    }
    let exponentStart = rest.firstIndex { $0 == UInt8(ascii: "e") || $0 == UInt8(ascii: "E") } ?? rest.endIndex
    let mantissa = rest[..<exponentStart].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard mantissa.count <= 2, let whole = mantissa.first else { throw .malformed }
    if whole.count > 1, whole.first == UInt8(ascii: "0") { throw .leadingZero }
    guard mantissa.count == 2 || exponentStart < rest.endIndex else {
      return .integer(try integer(Array(whole), radix: 10, isNegative: sign == UInt8(ascii: "-")))
    }
    var text = (sign == UInt8(ascii: "-") ? "-" : "") + (try digits(Array(whole)))
    if mantissa.count == 2 { text += "." + (try digits(Array(mantissa[1]))) }
    if exponentStart < rest.endIndex {
      var exponent = rest[(exponentStart + 1)...]
      text += "e"
      if let sign = exponent.first, [UInt8(ascii: "+"), UInt8(ascii: "-")].contains(sign) {
        text += sign == UInt8(ascii: "-") ? "-" : ""
        exponent = exponent.dropFirst()
      }
      text += try digits(Array(exponent))
    }
    guard let number = Double(text) else { throw .malformed }
    return .float(number)
  }

  private static let radixes: [UInt8: Int] = [UInt8(ascii: "x"): 16, UInt8(ascii: "o"): 8, UInt8(ascii: "b"): 2]

  private static func integer(_ bytes: [UInt8], radix: Int, isNegative: Bool) throws(Problem) -> Int64 {
    let text = try digits(bytes, radix: radix)
    // With its sign, since the least number has no positive counterpart.
    guard let number = Int64((isNegative ? "-" : "") + text, radix: radix) else { throw .overflow }
    return number
  }

  /// The digits without the underscores, each of which must stand between two.
  private static func digits(_ bytes: [UInt8], radix: Int = 10) throws(Problem) -> String {
    let groups = bytes.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
    guard bytes.allSatisfy({ $0 == UInt8(ascii: "_") || isDigit($0, radix: radix) }), !bytes.isEmpty else {
      throw .malformed
    }
    guard groups.allSatisfy({ !$0.isEmpty }) else { throw .underscore }
    return String(decoding: groups.joined(), as: UTF8.self)
  }

  private static func isDigit(_ byte: UInt8, radix: Int = 10) -> Bool {
    let character = Character(Unicode.Scalar(byte))
    guard byte < 0x80, let value = character.hexDigitValue else { return false }
    return value < radix
  }

  /// `2026-11-23…` or `12:34…`
  private static func isDate(_ bytes: ArraySlice<UInt8>) -> Bool {
    let digits = bytes.prefix { isDigit($0) }.count
    let next = bytes.dropFirst(digits).first
    return digits == 4 && next == UInt8(ascii: "-") || digits == 2 && next == UInt8(ascii: ":")
  }
}
