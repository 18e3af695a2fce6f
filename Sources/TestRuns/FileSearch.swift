import CoordinationCore

/// Finds the files that a pattern means: a `NamePattern` for each part of the path, or `**` for any folders, also none.
package struct FileSearch: Equatable, Sendable {
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

  private enum Segment: Equatable {
    case anyFolders
    case name(NamePattern)
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
      let segment: Segment
      if part == "**" {
        segment = .anyFolders
      } else {
        do { segment = .name(try NamePattern(part)) } catch { throw .openClass }
      }
      // Two in a row say the same as one, and would be searched twice.
      if segment != .anyFolders || segments.last != .anyFolders { segments.append(segment) }
    }
    guard !segments.isEmpty else { throw .empty }
    self.segments = segments
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
        case .name(let pattern):
          guard pattern.beginsWithDot || !entry.name.hasPrefix("."), pattern.matches(entry.name) else { break }
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
}
