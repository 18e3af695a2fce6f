public import TOML

/// Something wrong in a configuration file, where it stands, and what to write instead.
public struct ConfigurationProblem: Error, Sendable, Equatable, CustomStringConvertible {
  public let path: String
  /// `nil` for what concerns the file as a whole.
  public let position: TOMLPosition?
  public let explanation: String

  init(_ explanation: String, in path: String, at position: TOMLPosition?) {
    self.path = path
    self.position = position
    self.explanation = explanation
  }

  /// `FILE:LINE:COLUMN: …`, where editors find it.
  public var description: String { "\(path):" + (position.map { "\($0):" } ?? "") + " \(explanation)" }
}

/// Everything that keeps a command from running with a file, in the order of the file; never empty.
public struct ConfigurationProblems: Error, Sendable, Equatable, CustomStringConvertible {
  public let list: [ConfigurationProblem]

  public var description: String { list.map(\.description).joined(separator: "\n") }
}
