public import CoordinationCore

/// How a coordinator takes its place among others that use the same store.
public struct ClusterSettings: Sendable {
  /// What its operator calls it. A new coordinator of the same name takes the place of the old one at once: a name
  /// belongs to one place to run, and stays the same from start to start.
  public var name: String
  /// Where others are told that it is reached; for people.
  public var address: String
  public var core = ClusterConfiguration()

  public init(name: String, address: String = "") {
    self.name = name
    self.address = address
  }
}
