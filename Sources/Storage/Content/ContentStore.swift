public import CoordinationCore
import Glibc

/// Files named by their SHA-256, on a thread of its own: an event loop must not wait for the disk.
///
/// Usable from any thread; operations are done in the order of the calls, and completions are called on the store's
/// thread, where they must not block. A coordinator keeps what tasks need and what they left in one; a worker's cache is
/// another.
public final class ContentStore: Sendable {
  public typealias Completion<Value> = ContentCompletion<Value>

  enum Operation: Sendable {
    case perform(@Sendable (ContentFolder) -> Void)
    case close(@Sendable () -> Void)
  }

  /// Pieces that wait for the disk, in bytes; beyond them nothing is taken.
  static let maxPendingBytes = 256 << 20

  public let path: String
  public let limits: ContentLimits
  /// What was there when it was opened, with the time of its last use in milliseconds since 1970.
  public let initial: [(file: FileReference, usedAt: Int64)]
  private let queue: BlockingQueue<Operation>
  /// A private folder goes with the store.
  private let isPrivate: Bool

  /// Opens the store in a folder, which is made when it is missing; the folder above it must be there.
  public static func open(path: String, limits: ContentLimits = ContentLimits()) throws(StoreError) -> ContentStore {
    let lock = try FileLock.acquire(for: path, held: .locked(path: path))
    return try start(path, limits, lock, isPrivate: false)
  }

  /// Whether there is a folder to be opened.
  public static func exists(at path: String) -> Bool { FileStatus(at: path)?.isFolder == true }

  /// Makes a folder, if it is missing, in one that is there.
  public static func makeFolder(at path: String) throws(StoreError) {
    try FileError.telling(path) { () throws(FileError) in _ = try ContentFolder.makeFolder(path) }
  }

  /// Opens the first folder in `parent` that nobody uses, of those named `0`, `1` and so on.
  public static func openFree(in parent: String, limits: ContentLimits) throws(StoreError) -> ContentStore {
    for number in 0..<maxUsers {
      do throws(StoreError) { return try open(path: "\(parent)/\(number)", limits: limits) } catch {
        guard case .locked = error else { throw error }
      }
    }
    throw .locked(path: parent)
  }

  private static let maxUsers = 10_000
  private static let privateName = "lifeline-files-"

  /// A store in a folder of its own that is removed with it. Removes what others left that were killed.
  public static func temporary(limits: ContentLimits = ContentLimits()) throws(StoreError) -> ContentStore {
    for name in FolderListing.names(in: temporaryFolder) where name.hasPrefix(privateName) && !name.hasSuffix(".lock") {
      let path = "\(temporaryFolder)/\(name)"
      if let lock = try? FileLock.acquire(for: path, held: .locked(path: path)) {
        FileRemoval.removeTree(path)
        _ = consume lock
      }
    }
    while true {
      var template = Array("\(temporaryFolder)/\(privateName)XXXXXX".utf8CString)
      // SAFETY: mkdtemp replaces the six letters in place.
      guard unsafe mkdtemp(&template) != nil else {
        throw .cannotOpen(path: temporaryFolder, reason: FileError("mkdtemp").reason)
      }
      let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      // Between the two calls somebody may have taken it for a leftover.
      guard let lock = try? FileLock.acquire(for: path, held: .locked(path: path)), exists(at: path) else { continue }
      return try start(path, limits, lock, isPrivate: true)
    }
  }

  private static var temporaryFolder: String {
    // SAFETY: the value is copied at once; nothing in this program changes the environment meanwhile.
    guard let value = unsafe getenv("TMPDIR") else { return "/tmp" }
    let path = unsafe String(cString: value)
    return path.isEmpty ? "/tmp" : path
  }

  private static func start(
    _ path: String, _ limits: ContentLimits, _ lock: consuming sending FileLock, isPrivate: Bool
  ) throws(StoreError) -> ContentStore {
    let folder = try ContentFolder(path, limits)
    let queue = BlockingQueue<Operation>(limit: maxPendingBytes)
    let store = ContentStore(path, limits, folder.contents, queue, isPrivate)
    let session = ContentSession(folder, queue, lock, isPrivate: isPrivate)
    try BackgroundThread.start { session.run() }
    return store
  }

  private init(
    _ path: String, _ limits: ContentLimits, _ initial: [(file: FileReference, usedAt: Int64)],
    _ queue: BlockingQueue<Operation>, _ isPrivate: Bool
  ) {
    self.path = path
    self.limits = limits
    self.initial = initial
    self.queue = queue
    self.isPrivate = isPrivate
  }

  deinit {
    _ = queue.close(after: .close({}))
  }

  // MARK: Operations

  public func state(of file: FileReference, _ completion: @escaping Completion<ContentState>) {
    perform(completion) { folder throws(ContentError) in try folder.state(of: file) }
  }

  /// Takes a piece as far as it continues what is here. When this answers `whole`, the file is there for good.
  public func append(
    _ file: FileReference, offset: Int, _ piece: [UInt8], _ completion: @escaping Completion<ContentState>
  ) {
    perform(weight: piece.count, completion) { folder throws(ContentError) in
      try folder.append(file, offset: offset, piece)
    }
  }

  /// - Parameter verifying: look at the whole file first, and remove it when it is damaged.
  public func read(
    _ file: FileReference, offset: Int, count: Int, verifying: Bool = false, _ completion: @escaping Completion<[UInt8]>
  ) {
    perform(completion) { folder throws(ContentError) in
      if verifying, try !folder.verify(file.digest) { throw .missing(file.digest) }
      return try folder.read(file, offset: offset, count: count)
    }
  }

  /// Makes an empty folder beside the files, for an attempt to run in.
  public func makeWorkFolder(_ completion: @escaping Completion<String>) {
    perform(completion) { folder throws(ContentError) in try folder.makeWorkFolder() }
  }

  /// Removes such a folder and everything in it.
  public func removeWorkFolder(_ path: String) {
    _ = queue.append(.perform { _ in FileRemoval.removeTree(path) })
  }

  public func touch(_ digests: [FileDigest]) {
    _ = queue.append(.perform { folder in digests.forEach { folder.touch($0) } })
  }

  public func remove(_ digests: [FileDigest]) {
    _ = queue.append(
      .perform { folder in
        digests.forEach { folder.remove($0) }
        folder.abandonOldPartials()
      })
  }

  /// Keeps a file until `unpin`, and answers whether it is here and sound.
  public func pin(_ file: FileReference, _ completion: @escaping Completion<Bool>) {
    perform(completion) { folder throws(ContentError) in try folder.pin(file) }
  }

  public func unpin(_ digests: [FileDigest]) {
    _ = queue.append(.perform { folder in digests.forEach { folder.unpin($0) } })
  }

  /// Puts files that are pinned into an empty folder, read-only: as links where that can be, as copies elsewhere.
  public func place(_ inputs: [TaskInput], in target: String, _ completion: @escaping Completion<Void>) {
    perform(completion) { folder throws(ContentError) in
      do throws(FileError) {
        let tree = try WorkingTree(target)
        for input in inputs {
          try tree.place(folder.place(of: input.file.digest), at: input.path, isExecutable: input.isExecutable)
        }
      } catch { throw .disk(error.storeError(target)) }
    }
  }

  /// Copies the files in a folder in that one of `patterns` means, pins them, and answers what they are.
  public func collect(
    _ patterns: [GlobPattern], from source: String, limits: CollectionLimits,
    _ completion: @escaping @Sendable (Result<[TaskOutput], CollectionError>) -> Void
  ) {
    let accepted = queue.append(
      .perform { folder in
        do throws(CollectionError) {
          completion(.success(try OutputCollector(folder, patterns, limits).collect(from: source)))
        } catch { completion(.failure(error)) }
      })
    if accepted != .accepted { completion(.failure(.content(.disk(.closed)))) }
  }

  /// Finishes what was requested before; what is requested later fails.
  public func close(_ completion: @escaping @Sendable () -> Void) {
    if !queue.close(after: .close(completion)) { completion() }
  }

  private func perform<Value>(
    weight: Int = 0, _ completion: @escaping Completion<Value>,
    _ body: @escaping @Sendable (ContentFolder) throws(ContentError) -> Value
  ) {
    let operation = Operation.perform { folder in
      do throws(ContentError) { completion(.success(try body(folder))) } catch { completion(.failure(error)) }
    }
    switch queue.append(operation, weight: weight) {
    case .accepted: break
    case .closed: completion(.failure(.disk(.closed)))
    case .full(let pending):
      completion(.failure(.disk(.overloaded(pendingWrites: pending, limit: Self.maxPendingBytes))))
    }
  }
}

/// The store's thread.
private final class ContentSession {
  private let folder: ContentFolder
  private let queue: BlockingQueue<ContentStore.Operation>
  private let isPrivate: Bool
  private var lock: FileLock?

  init(
    _ folder: ContentFolder, _ queue: BlockingQueue<ContentStore.Operation>, _ lock: consuming FileLock,
    isPrivate: Bool
  ) {
    self.folder = folder
    self.queue = queue
    self.lock = consume lock
    self.isPrivate = isPrivate
  }

  /// Returns after the operation `.close`.
  func run() {
    while true {
      for operation in queue.takeAll() {
        switch operation {
        case .perform(let body): body(folder)
        case .close(let completion):
          if isPrivate { FileRemoval.removeTree(folder.path) }
          lock = nil
          return completion()
        }
      }
    }
  }
}
