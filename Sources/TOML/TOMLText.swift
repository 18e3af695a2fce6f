internal import Primitives

/// How keys and texts are written.
public enum TOMLText {
  /// A key as it can stand in a file: bare if its characters allow that, else in quotes.
  public static func key(_ text: String) -> String {
    !text.isEmpty && text.utf8.allSatisfy(isBare) ? text : string(text)
  }

  /// A text in quotes that stands for exactly `text`, on one line.
  public static func string(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let digits = String(scalar.value, radix: 16, uppercase: true)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// Whether a byte may stand in a key without quotes.
  static func isBare(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  /// What somebody wrote, for a message: on one line and of bearable length.
  static func shown(_ text: String) -> String {
    let escaped = text.escapedForDisplay
    return escaped.count > 60 ? "\(escaped.prefix(59))…" : escaped
  }
}
