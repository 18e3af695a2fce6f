public import Primitives

/// Which files the coordinator has for good. Kept in memory beside the disk, so that a task can be judged the moment that
/// it is submitted, and a result the moment that it comes.
///
/// The shell adds what has become durable and takes out what is about to be removed; nothing in here is ever ahead of the
/// disk.
public struct FileCatalog: Sendable {
  private struct Entry {
    let size: Int
    var usedAt: WallTime
  }

  private var entries: [FileDigest: Entry] = [:]
  /// Of all files together.
  public private(set) var bytes = 0

  public init() {}

  public var count: Int { entries.count }

  public func has(_ file: FileReference) -> Bool { entries[file.digest]?.size == file.size }

  public func size(of digest: FileDigest) -> Int? { entries[digest]?.size }

  /// A file is durable, or is used again.
  public mutating func add(_ file: FileReference, usedAt wall: WallTime) {
    if let entry = entries[file.digest] {
      entries[file.digest]?.usedAt = max(entry.usedAt, wall)
    } else {
      entries[file.digest] = Entry(size: file.size, usedAt: wall)
      bytes += file.size
    }
  }

  public mutating func remove(_ digest: FileDigest) {
    if let entry = entries.removeValue(forKey: digest) { bytes -= entry.size }
  }

  /// Files that no task in `needed` counts on and that nobody used for `keep`, the longest unused first.
  public func expired(after keep: Duration, at wall: WallTime, needed: [FileDigest: Int]) -> [FileDigest] {
    let limit = wall.milliseconds - keep.wholeMilliseconds
    let unused = entries.filter { $0.value.usedAt.milliseconds < limit && needed[$0.key] == nil }
    return unused.sorted { ($0.value.usedAt, $0.key) < ($1.value.usedAt, $1.key) }.map(\.key)
  }

  /// Why a task cannot be taken: what it needs and nobody has sent.
  func problem(of specification: TaskSpecification) -> String? {
    guard let input = specification.inputs.first(where: { !has($0.file) }) else { return nil }
    let what = "task \(JSONValue.string(specification.name).text) needs the input \(input.path)"
    guard let size = size(of: input.file.digest) else {
      return "\(what) (sha256 \(input.file.digest)), which the coordinator does not have; send it first"
    }
    return "\(what) (sha256 \(input.file.digest)) with \(input.file.size) bytes, and the file has \(size)"
  }
}
