public import Storage

/// Where a coordinator keeps its tasks.
public enum StoreKind: Sendable {
  /// Nothing survives the process; for tests and benchmarks.
  case memory
  /// One file, created when missing.
  case sqlite(path: String)
  /// One of your own; called once, when the coordinator starts.
  case other(@Sendable () throws(StoreError) -> any TaskStore)

  func open() throws(StoreError) -> any TaskStore {
    switch self {
    case .memory: MemoryStore()
    case .sqlite(let path): try SQLiteStore.open(path: path)
    case .other(let make): try make()
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
