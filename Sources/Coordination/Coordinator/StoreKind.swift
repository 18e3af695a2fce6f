public import Reactor
public import Storage

/// Where a coordinator keeps its tasks.
public enum StoreKind: Sendable {
  /// Nothing survives the process; for tests and benchmarks.
  case memory
  /// One file, created when missing.
  case sqlite(path: String)
  /// One of your own; called once, when the coordinator starts.
  case other(@Sendable () throws(StoreError) -> any TaskStore)
  /// One that other coordinators use as well; called on the coordinator's loop when it starts, and again whenever it has
  /// lost its place among them.
  case shared(ClusterSettings, @Sendable (EventLoop) throws(StoreError) -> any SharedTaskStore)

  /// A store that is this coordinator's alone; `nil` for a shared one.
  func open() throws(StoreError) -> (any TaskStore)? {
    switch self {
    case .memory: MemoryStore()
    case .sqlite(let path): try SQLiteStore.open(path: path)
    case .other(let make): try make()
    case .shared: nil
    }
  }
}

/// Why a coordinator could not be started; it has changed nothing then.
public enum CoordinatorStartError: Error, CustomStringConvertible {
  case store(StoreError)
  case handlers(String)
  case address(String)

  public var description: String {
    switch self {
    case .store(let error): "\(error)"
    case .handlers(let text), .address(let text): text
    }
  }
}
