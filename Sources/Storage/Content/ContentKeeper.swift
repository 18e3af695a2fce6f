public import CoordinationCore

/// Where a coordinator keeps the files of tasks: a folder of its own (`ContentStore`), or what it shares with others.
///
/// Usable from any thread. Operations on one file are done in the order of the calls.
public protocol ContentKeeper: Sendable {
  /// How much of a file is here.
  func state(of file: FileReference, _ completion: @escaping ContentCompletion<ContentState>)

  /// Takes a piece as far as it continues what is here, and says how far that goes now. When this answers `whole`, the
  /// bytes are what the digest says, and they are there for good.
  func append(
    _ file: FileReference, offset: Int, _ piece: [UInt8], _ completion: @escaping ContentCompletion<ContentState>)

  /// - Parameter verifying: look at the whole file first, and remove it when it is damaged.
  func read(
    _ file: FileReference, offset: Int, count: Int, verifying: Bool,
    _ completion: @escaping ContentCompletion<[UInt8]>)

  /// What is requested later fails.
  func close(_ completion: @escaping @Sendable () -> Void)
}

public typealias ContentCompletion<Value> = @Sendable (Result<Value, ContentError>) -> Void

/// One that several coordinators use at once. It knows by itself which files tasks that have not ended need: a submission
/// is recorded with the files it names, in one transaction.
public protocol SharedContentKeeper: ContentKeeper {
  /// Says which of these files are here whole, and counts that as a use of each.
  func find(_ digests: [FileDigest], _ completion: @escaping ContentCompletion<[FileReference]>)

  /// Removes files that no task of anybody needs and that nobody has used for `keep`, and pieces that nobody came back
  /// for; says how many.
  /// - Parameter settled: nothing is removed until the store has been reachable for so long: after it was away for
  ///   everybody, others still have to say what they need.
  func expire(
    unusedFor keep: Duration, settled: Duration, _ completion: @escaping ContentCompletion<Int>)
}

extension ContentStore: ContentKeeper {}
