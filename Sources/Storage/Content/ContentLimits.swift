public import CoordinationCore

/// How much a content store takes.
public struct ContentLimits: Equatable, Sendable {
  /// Of one file, in bytes.
  public var maxFileBytes = 1 << 30
  /// Of all files together, those that are not whole yet counted as if they were; in bytes.
  public var maxBytes = 64 << 30
  public var maxFiles = 1_000_000
  /// Files that are not whole yet.
  public var maxPartials = 1_000
  /// One that grew for the last time so long ago may be given up for another.
  public var partialAge: Duration = .seconds(86_400)
  /// What is full makes room by removing what was not used for longest and is not in use: a cache. Otherwise it refuses.
  public var evicts = false
  /// A file counts as there only once it would survive a crash of the machine. A cache checks instead what it finds.
  public var isDurable = true

  public init() {}
}

/// How much of a file a content store has.
public enum ContentState: Equatable, Sendable {
  /// So many bytes from its beginning.
  case partial(Int)
  case whole
}

/// Why a content store could not do what was asked.
public enum ContentError: Error, Equatable, Sendable, CustomStringConvertible {
  case tooLarge(FileReference, limit: Int)
  case full(FileReference, used: Int, limit: Int)
  case tooMany(String, limit: Int)
  /// What arrived has another digest than it should; it was removed.
  case damaged(FileReference, found: FileDigest)
  case otherSize(FileReference, found: Int)
  case missing(FileDigest)
  case badRange(FileReference, offset: Int, count: Int)
  case disk(StoreError)

  /// Whether the same may succeed later.
  public var isTransient: Bool {
    switch self {
    case .disk(let error): error.isTransient
    case .tooLarge, .full, .tooMany, .damaged, .otherSize, .missing, .badRange: false
    }
  }

  public var description: String {
    switch self {
    case .tooLarge(let file, let limit):
      "the file has \(file.size) bytes; at most \(limit) are allowed (--max-file-bytes)"
    case .full(let file, let used, let limit):
      "no room for \(file.size) bytes: the files here have \(used), and may have \(limit) (--max-files-bytes)"
    case .tooMany(let what, let limit): "there are \(limit) \(what) here, and no more may be; try again later"
    case .damaged(let file, let found): "what arrived is not the file: its sha256 is \(found), not \(file.digest)"
    case .otherSize(let file, let found): "the file \(file.digest) has \(found) bytes and not \(file.size)"
    case .missing(let digest): "there is no file \(digest) here"
    case .badRange(let file, let offset, let count):
      "\(count) bytes at \(offset) are not within a file of \(file.size) bytes"
    case .disk(let error): "\(error)"
    }
  }
}
