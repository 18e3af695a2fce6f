/// What the bearer of a key may do.
public enum Role: String, CaseIterable, Sendable {
  /// Connect as a worker.
  case worker
  /// Submit and control tasks, and see everything.
  case submitter
  /// See everything and change nothing.
  case readOnly = "read-only"
  /// All of it.
  case admin
}

/// What somebody wants to do.
public enum Access: Sendable, Equatable {
  case work, read, change

  public func isGranted(to roles: Set<Role>) -> Bool {
    switch self {
    case .work: !roles.isDisjoint(with: [.worker, .admin])
    case .read: !roles.isDisjoint(with: [.submitter, .readOnly, .admin])
    case .change: !roles.isDisjoint(with: [.submitter, .admin])
    }
  }
}
