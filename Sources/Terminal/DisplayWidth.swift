extension Character {
  /// How many terminal columns this character takes: 0, 1 or 2.
  ///
  /// The common case of what terminals do (Unicode Standard Annex 11, wide and full-width blocks, emoji); an unusual
  /// character may come out one column off, which shifts a table and nothing else.
  var displayColumns: Int {
    guard let first = unicodeScalars.first else { return 0 }
    if first.value < 0x300 { return first.value < 0x20 || first.value == 0x7F ? 0 : 1 }
    switch first.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format, .control: return 0
    default: break
    }
    if first.properties.isEmojiPresentation { return 2 }
    switch first.value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97C, 0xAC00...0xD7A3, 0xF900...0xFAFF,
      0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x20000...0x3FFFD:
      return 2
    default: return 1
    }
  }
}

extension String {
  /// How many terminal columns this text takes.
  public var displayColumns: Int { reduce(0) { $0 + $1.displayColumns } }

  /// This text, cut so that it takes at most `columns`; a cut is marked with `…`.
  public func truncated(toColumns columns: Int) -> String {
    guard displayColumns > columns else { return self }
    guard columns > 0 else { return "" }
    var result = ""
    var used = 1  // the mark
    for character in self {
      guard used + character.displayColumns <= columns else { break }
      used += character.displayColumns
      result.append(character)
    }
    return result + "…"
  }
}
