/// A pattern for one name in a path: `*` any text, `?` one character, `[a-z]` and `[!a-z]` one of a set or none of it, `\`
/// before a character that means itself.
package struct NamePattern: Equatable, Sendable {
  package struct OpenSet: Error, Equatable {}

  private enum Token: Equatable, Sendable {
    case one(Unicode.Scalar)
    case anyOne
    case any
    case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)

    func matches(_ scalar: Unicode.Scalar) -> Bool {
      switch self {
      case .one(let wanted): wanted == scalar
      case .anyOne, .any: true
      case .set(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
      }
    }
  }

  private let tokens: [Token]

  package init(_ text: Substring) throws(OpenSet) {
    var tokens: [Token] = []
    var rest = text.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      switch scalar {
      case "*": if tokens.last != .any { tokens.append(.any) }
      case "?": tokens.append(.anyOne)
      case "\\": tokens.append(.one(rest.popFirst() ?? "\\"))
      case "[": tokens.append(try Self.set(&rest))
      default: tokens.append(.one(scalar))
      }
    }
    self.tokens = tokens
  }

  private static func set(_ rest: inout Substring.UnicodeScalarView) throws(OpenSet) -> Token {
    let isNegated = rest.first == "!" || rest.first == "^"
    if isNegated { rest.removeFirst() }
    var ranges: [ClosedRange<Unicode.Scalar>] = []
    while let low = rest.popFirst() {
      // A `]` in the first place is one of the set.
      if low == "]", !ranges.isEmpty { return .set(ranges, isNegated: isNegated) }
      guard rest.first == "-", let high = rest.dropFirst().first, high != "]" else {
        ranges.append(low...low)
        continue
      }
      rest.removeFirst(2)
      ranges.append(min(low, high)...max(low, high))
    }
    throw OpenSet()
  }

  /// Whether it begins with a dot, as names do that are kept out of sight.
  package var beginsWithDot: Bool { tokens.first == .one(".") }

  /// Goes back to the newest star only, so that no pattern takes exponential time.
  package func matches(_ name: some StringProtocol) -> Bool {
    let name = Array(name.unicodeScalars)
    var (token, index) = (0, 0)
    // Where to go on when what follows the last star does not fit: the star takes one more.
    var retry: (token: Int, index: Int)?
    while index < name.count {
      if token < tokens.count, tokens[token] == .any {
        retry = (token, index)
        token += 1
      } else if token < tokens.count, tokens[token].matches(name[index]) {
        token += 1
        index += 1
      } else if let last = retry {
        retry = (last.token, last.index + 1)
        (token, index) = (last.token + 1, last.index + 1)
      } else {
        return false
      }
    }
    return tokens[token...].allSatisfy { $0 == .any }
  }
}
