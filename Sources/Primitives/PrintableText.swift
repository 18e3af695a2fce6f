extension String {
  /// This text with everything escaped that could move a cursor, start a line or change direction on a terminal.
  ///
  /// For text that a peer or a user chose and that is about to be shown: `a\nb` becomes `a\\nb`, other control, format
  /// and private characters become `\u{…}`. Backslashes are escaped too, so the result is unambiguous.
  public var escapedForDisplay: String {
    guard unicodeScalars.contains(where: { $0.needsEscape }) else { return self }
    var result = ""
    result.reserveCapacity(utf8.count + 16)
    for scalar in unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.needsEscape: result += "\\u{\(String(scalar.value, radix: 16))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

extension Unicode.Scalar {
  fileprivate var needsEscape: Bool {
    if value < 0x80 { return value < 0x20 || value == 0x7F || value == 0x5C }
    return switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}
