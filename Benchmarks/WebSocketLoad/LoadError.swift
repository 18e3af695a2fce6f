import Glibc

/// Why a measurement did not come about; the text is for people.
public struct LoadError: Error, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }

  /// The system call `name` failed just now.
  static func system(_ name: String) -> LoadError {
    let number = errno
    return LoadError("\(name): \(String(cString: strerror(number)))")
  }
}
