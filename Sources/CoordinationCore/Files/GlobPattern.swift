/// A pattern for paths inside of a folder: a `NamePattern` for each part, or `**` for any number of folders. `*` takes
/// names that begin with a dot as well. A pattern that ends with `/` means everything in that folder.
public struct GlobPattern: Equatable, Sendable {
  public let text: String
  private let parts: [Part]

  private enum Part: Equatable, Sendable {
    case name(NamePattern)
    /// Any number of folders, also none.
    case folders
  }

  public init(_ text: String) throws(MessageError) {
    let whole = text.hasSuffix("/") ? text + "**" : text
    if let problem = RelativePath.problem(whole) { throw .badValue("outputs", problem: problem) }
    self.text = text
    var parts: [Part] = []
    for part in whole.split(separator: "/") {
      if part != "**" {
        do { parts.append(.name(try NamePattern(part))) } catch {
          throw .badValue("outputs", problem: "\(JSONValue.string(String(part)).text) has a [ that is not closed")
        }
      } else if parts.last != .folders {
        // Two in a row mean the same as one.
        parts.append(.folders)
      }
    }
    self.parts = parts
  }

  /// Whether a path, of the form that `RelativePath` allows, is meant.
  public func matches(_ path: String) -> Bool {
    let names = path.split(separator: "/")
    // `reached[n]`: the parts so far can take the first n names. No recursion, so no pattern takes long.
    var reached = [Bool](repeating: false, count: names.count + 1)
    reached[0] = true
    for part in parts {
      var next = [Bool](repeating: false, count: names.count + 1)
      switch part {
      case .folders:
        var isReached = false
        for index in 0...names.count {
          isReached = isReached || reached[index]
          next[index] = isReached
        }
      case .name(let pattern):
        for index in 0..<names.count where reached[index] && pattern.matches(names[index]) { next[index + 1] = true }
      }
      reached = next
    }
    return reached[names.count]
  }
}
