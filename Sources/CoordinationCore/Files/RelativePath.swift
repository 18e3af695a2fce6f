/// Paths that name a place inside of a folder, and cannot name one outside of it.
public enum RelativePath {
  public static let maxBytes = 1_024
  public static let maxComponents = 64
  static let maxComponentBytes = 255

  /// What is wrong with a path; `nil`: it is relative, has no `.` and no `..`, and nothing that would upset a terminal.
  public static func problem(_ path: String) -> String? {
    guard !path.isEmpty else { return "the path is empty" }
    guard path.utf8.count <= maxBytes else { return "the path has \(path.utf8.count) bytes; at most \(maxBytes)" }
    guard path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return "the path has control characters" }
    let quoted = JSONValue.string(path).text
    guard path.utf8.first != UInt8(ascii: "/") else { return "\(quoted) is not relative" }
    let components = path.split(separator: "/", omittingEmptySubsequences: false)
    guard components.count <= maxComponents else { return "\(quoted) is more than \(maxComponents) folders deep" }
    for component in components {
      switch component {
      case "": return "\(quoted) has an empty part"
      case ".", "..": return "\(quoted) has the part \(component)"
      default: if component.utf8.count > maxComponentBytes { return "\(quoted) has a part longer than 255 bytes" }
      }
    }
    return nil
  }

  /// The folders above a path, the outermost first: `a` and `a/b` of `a/b/c`.
  static func folders(above path: String) -> [String] {
    let components = path.split(separator: "/")
    guard components.count > 1 else { return [] }
    return (1..<components.count).map { components.prefix($0).joined(separator: "/") }
  }
}
