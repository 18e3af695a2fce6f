import CoordinationCore
public import Storage

/// How a coordinator keeps the files of tasks.
public struct FileSettings: Sendable {
  /// The folder; `nil`: `FILE.files` beside the database, or a private one that goes with the coordinator.
  public var path: String?
  public var limits = ContentLimits()
  /// A file that no task needs any more is kept for so long after its last use.
  public var keep: Duration = .seconds(7 * 86_400)

  public init() {}
}

/// How a worker keeps the files of tasks.
public struct FileCacheSettings: Sendable {
  /// The folder; workers of one machine may share it, and take folders in it that nobody else uses. `nil`: this worker
  /// is given no task with files.
  public var path: String?
  /// What may stay there, in bytes; what was not used for longest goes first.
  public var maxBytes = 16 << 30
  public var collection = CollectionLimits()

  public init() {}
}
