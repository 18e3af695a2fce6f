/// A pattern for paths inside of a folder: `*` and `?` within a part, `[a-z]` one character of a set, `**` any number of
/// folders. `*` takes names that begin with a dot as well. A pattern that ends with `/` means everything in that folder.
public struct GlobPattern: Equatable, Sendable {
  public let text: String
  private let parts: [[Token]]

  private enum Token: Equatable, Sendable {
    case one(Unicode.Scalar)
    case anyOne
    case any
    case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)
    /// A whole part: any number of folders, also none.
    case folders
  }

  public init(_ text: String) throws(MessageError) {
    let whole = text.hasSuffix("/") ? text + "**" : text
    if let problem = RelativePath.problem(whole) { throw .badValue("outputs", problem: problem) }
    self.text = text
    var parts: [[Token]] = []
    for part in whole.split(separator: "/") {
      let tokens = part == "**" ? [.folders] : try Self.tokens(part)
      // Two in a row mean the same as one.
      if tokens == [.folders], parts.last == [.folders] { continue }
      parts.append(tokens)
    }
    self.parts = parts
  }

  private static func tokens(_ part: Substring) throws(MessageError) -> [Token] {
    var tokens: [Token] = []
    var rest = part.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      switch scalar {
      case "*": if tokens.last != .any { tokens.append(.any) }
      case "?": tokens.append(.anyOne)
      case "[":
        guard let set = set(&rest) else {
          throw .badValue("outputs", problem: "\(JSONValue.string(String(part)).text) has a [ that is not closed")
        }
        tokens.append(set)
      default: tokens.append(.one(scalar))
      }
    }
    return tokens
  }

  private static func set(_ rest: inout Substring.UnicodeScalarView) -> Token? {
    var isNegated = false
    if rest.first == "!" || rest.first == "^" {
      isNegated = true
      rest.removeFirst()
    }
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
    return nil
  }

  /// Whether a path, of the form that `RelativePath` allows, is meant.
  public func matches(_ path: String) -> Bool {
    let names = path.split(separator: "/").map { Array($0.unicodeScalars) }
    // `reached[n]`: the parts so far can take the first n names. No recursion, so no pattern takes long.
    var reached = [Bool](repeating: false, count: names.count + 1)
    reached[0] = true
    for part in parts {
      var next = [Bool](repeating: false, count: names.count + 1)
      if part == [.folders] {
        var isReached = false
        for index in 0...names.count {
          isReached = isReached || reached[index]
          next[index] = isReached
        }
      } else {
        for index in 0..<names.count where reached[index] && Self.matches(part, names[index]) { next[index + 1] = true }
      }
      reached = next
    }
    return reached[names.count]
  }

  private static func matches(_ tokens: [Token], _ name: [Unicode.Scalar]) -> Bool {
    var (token, index) = (0, 0)
    // Where to go on when what follows the last star does not fit: the star takes one more.
    var retry: (token: Int, index: Int)?
    while index < name.count {
      if token < tokens.count, tokens[token] == .any {
        retry = (token, index)
        token += 1
      } else if token < tokens.count, matches(tokens[token], name[index]) {
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

  private static func matches(_ token: Token, _ scalar: Unicode.Scalar) -> Bool {
    switch token {
    case .one(let wanted): wanted == scalar
    case .anyOne, .any, .folders: true
    case .set(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
    }
  }
}
