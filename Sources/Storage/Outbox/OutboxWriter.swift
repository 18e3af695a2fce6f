/// An `OutboxFile` on a thread of its own: an event loop must not wait for the disk.
///
/// Usable from any thread; completions are called on the writer's thread, in the order of the calls. What waits while
/// the disk is busy shares one sync.
public final class OutboxWriter: Sendable {
  enum Operation: Sendable {
    case append(key: String, content: [UInt8], completion: @Sendable (Result<Void, StoreError>) -> Void)
    case remove(key: String)
    case close(@Sendable () -> Void)
  }

  public let path: String
  public let limits: OutboxLimits
  public let recovery: OutboxRecovery
  /// What the file held when it was opened, in the order of the appends.
  public let recovered: [OutboxEntry]
  private let queue: BlockingQueue<Operation>

  /// Opens the file as `OutboxFile.open` does, with the same errors.
  public static func open(path: String, limits: OutboxLimits = OutboxLimits()) throws(StoreError) -> OutboxWriter {
    let file = try OutboxFile.open(path: path, limits: limits)
    let writer = OutboxWriter(file)
    let session = OutboxSession(file, writer.queue)
    try BackgroundThread.start { session.run() }
    return writer
  }

  private init(_ file: OutboxFile) {
    path = file.path
    limits = file.limits
    recovery = file.recovery
    recovered = file.entries
    queue = BlockingQueue(limit: file.limits.maxBytes)
  }

  deinit {
    _ = queue.close(after: .close({}))
  }

  /// Adds or replaces an entry; it survives a crash of the machine when `completion` is called with success.
  public func append(
    key: String, _ content: [UInt8], _ completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
  ) {
    let length = OutboxRecord.length(key: key, contentBytes: content.count)
    switch queue.append(.append(key: key, content: content, completion: completion), weight: length) {
    case .accepted: break
    case .closed: completion(.failure(.closed))
    case .full(let pending):
      completion(.failure(.outboxFull(path: path, entries: 0, bytes: pending, limits: limits)))
    }
  }

  /// Forgets an entry; after a crash it may come back once more.
  public func remove(key: String) {
    _ = queue.append(.remove(key: key))
  }

  /// Finishes what was requested before and lets go of the file; later appends fail with `.closed`.
  public func close(_ completion: @escaping @Sendable () -> Void) {
    if !queue.close(after: .close(completion)) { completion() }
  }
}
