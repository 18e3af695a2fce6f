/// A pattern for paths: `*` and `?` within a name, `[a-z]` and `[!a-z]`, `\` before a character that means itself, and
/// `**` for any folders, also none.
package struct GlobPattern: Equatable, Sendable {
  package enum Problem: Error, Equatable, CustomStringConvertible {
    case empty
    case openClass

    package var description: String {
      switch self {
      case .empty: "the pattern is empty"
      case .openClass: "a [ has no ]; write \\[ for the character itself"
      }
    }
  }

  private enum Token: Equatable {
    case character(Character)
    case anyCharacter
    case anyText
    case oneOf([ClosedRange<Character>], isNegated: Bool)

    func matches(_ character: Character) -> Bool {
      switch self {
      case .character(let own): own == character
      case .anyCharacter: true
      case .anyText: false
      case .oneOf(let ranges, let isNegated): ranges.contains { $0.contains(character) } != isNegated
      }
    }
  }

  private enum Segment: Equatable {
    case anyFolders
    case name([Token])
  }

  private let segments: [Segment]
  /// It begins at the root.
  private let isAbsolute: Bool

  /// What is in a folder.
  package struct Entry: Equatable, Sendable {
    package let name: String
    /// A link to a folder is none: following it may lead in a circle.
    package let isFolder: Bool

    package init(_ name: String, isFolder: Bool) {
      self.name = name
      self.isFolder = isFolder
    }
  }

  /// Folders deeper than this are not searched.
  package static let maxDepth = 64

  package init(_ text: String) throws(Problem) {
    isAbsolute = text.utf8.first == UInt8(ascii: "/")
    var segments: [Segment] = []
    for part in text.split(separator: "/") where part != "." {
      let segment: Segment = part == "**" ? .anyFolders : .name(try Self.tokens(part))
      // Two in a row say the same as one, and would be searched twice.
      if segment != .anyFolders || segments.last != .anyFolders { segments.append(segment) }
    }
    guard !segments.isEmpty else { throw .empty }
    self.segments = segments
  }

  private static func tokens(_ part: Substring) throws(Problem) -> [Token] {
    var tokens: [Token] = []
    var rest = part
    while let character = rest.popFirst() {
      switch character {
      case "*": if tokens.last != .anyText { tokens.append(.anyText) }
      case "?": tokens.append(.anyCharacter)
      case "\\": tokens.append(.character(rest.popFirst() ?? "\\"))
      case "[":
        let isNegated = rest.first == "!" || rest.first == "^"
        if isNegated { rest.removeFirst() }
        var ranges: [ClosedRange<Character>] = []
        // The first character may be the bracket itself.
        repeat {
          guard let first = rest.popFirst() else { throw .openClass }
          if rest.first == "-", let last = rest.dropFirst().first, last != "]" {
            rest.removeFirst(2)
            if first <= last { ranges.append(first...last) }
          } else {
            ranges.append(first...first)
          }
        } while rest.first != "]"
        rest.removeFirst()
        tokens.append(.oneOf(ranges, isNegated: isNegated))
      default: tokens.append(.character(character))
      }
    }
    return tokens
  }

  /// The paths of the files that match, sorted. Names that begin with a dot match only where the pattern has the dot.
  ///
  /// - Parameter list: what is in a folder, "." for the one where the search begins; empty for what is none.
  package func paths(in list: (String) -> [Entry]) -> [String] {
    var found: Set<String> = []
    var pending: [(folder: String, segment: Int, depth: Int)] = [(isAbsolute ? "/" : "", 0, 0)]
    while let (folder, segment, depth) = pending.popLast() {
      guard depth <= Self.maxDepth else { continue }
      let isLast = segment == segments.count - 1
      for entry in list(folder.isEmpty ? "." : folder) {
        let path = folder + entry.name
        switch segments[segment] {
        case .anyFolders:
          guard !entry.name.hasPrefix(".") else { break }
          if entry.isFolder {
            pending.append((path + "/", segment, depth + 1))
          } else if isLast {
            found.insert(path)
          }
        case .name(let tokens):
          guard Self.matches(tokens[...], entry.name[...]) else { break }
          if entry.isFolder {
            if !isLast { pending.append((path + "/", segment + 1, depth + 1)) }
          } else if isLast {
            found.insert(path)
          }
        }
      }
      // No folder at all is any number of folders as well.
      if segments[segment] == .anyFolders, !isLast { pending.append((folder, segment + 1, depth)) }
    }
    return found.sorted()
  }

  /// Whether one name matches; goes back to the newest `*` only, so that no pattern takes exponential time.
  private static func matches(_ tokens: ArraySlice<Token>, _ name: Substring) -> Bool {
    if name.first == ".", tokens.first != .character(".") { return false }
    var (tokens, name) = (tokens, name)
    var retry: (tokens: ArraySlice<Token>, name: Substring)?
    while true {
      if let token = tokens.first {
        if token == .anyText {
          tokens = tokens.dropFirst()
          retry = (tokens, name)
          continue
        }
        if let character = name.first, token.matches(character) {
          tokens = tokens.dropFirst()
          name = name.dropFirst()
          continue
        }
      } else if name.isEmpty {
        return true
      }
      guard let last = retry, !last.name.isEmpty else { return false }
      retry = (last.tokens, last.name.dropFirst())
      (tokens, name) = (last.tokens, last.name.dropFirst())
    }
  }
}
