import Glibc

/// What `OutboxFile.open` had to do to a file that was not left in order.
public enum OutboxRecovery: Equatable, Sendable {
  case clean
  /// The writer died in the middle of a record, which nobody was told to be durable; its bytes were cut off.
  case cutTornTail(bytes: Int)
  /// From `offset` on, the bytes are not what was written. The entries before were kept; `copy` is the file as it was.
  case setAsideDamage(copy: String, offset: Int, lostBytes: Int)
}

/// One entry that waits to be acknowledged.
public struct OutboxEntry: Equatable, Sendable {
  public let key: String
  public let content: [UInt8]

  public init(key: String, content: [UInt8]) {
    self.key = key
    self.content = content
  }
}

/// A worker's own durable memory of what the coordinator has not acknowledged: an append-only file.
///
/// A change is in the file when the call returns, and survives a crash of the machine when `sync` has returned. One file
/// belongs to one process at a time. Not thread-safe, and every call may wait for the disk: see `OutboxWriter`.
public final class OutboxFile {
  public let path: String
  public let limits: OutboxLimits
  public let recovery: OutboxRecovery
  private let lock: FileLock
  private var file: File
  private var contents: OutboxContents
  /// Where the next record goes.
  private var end: Int
  /// What is on the disk may not be what was written: the kernel has failed to write something back and forgets it, or
  /// a half-written record could not be cut off.
  private var mustRewrite = false
  private var hasUnsynced = false
  /// Raised when compacting fails, so that it is not tried again at every turn.
  private var compactionThreshold: Int
  private var scratch: [UInt8] = []

  /// Opens the outbox, creating the file when there is none, and reads what it holds.
  ///
  /// A torn or damaged file does not make this fail: see `recovery`. Throws `.outboxLocked` when another worker uses the
  /// file, and `.newerSchema` for one from a newer program, which is left as it is.
  public static func open(path: String, limits: OutboxLimits = OutboxLimits()) throws(StoreError) -> OutboxFile {
    let lock = try FileLock.acquire(for: path, held: .outboxLocked(path: path))
    let resolved = File.resolved(path)
    let (file, bytes) = try FileError.telling(path) { () throws(FileError) in
      let file = try File.open(resolved, O_RDWR | O_CREAT | O_NONBLOCK, mode: 0o600)
      guard try file.isRegular() else { throw FileError("open", EISDIR) }
      return (file, try file.read(try file.size()))
    }
    var contents = OutboxContents()
    let (validBytes, end) = contents.read(bytes)
    var recovery = OutboxRecovery.clean
    switch end {
    case .complete: break
    case .tornTail where bytes.isEmpty: break
    case .tornTail: recovery = .cutTornTail(bytes: bytes.count - validBytes)
    case .damaged:
      let copy = try FileError.telling(path) { () throws(FileError) in try setAside(resolved) }
      recovery = .setAsideDamage(copy: copy, offset: validBytes, lostBytes: bytes.count - validBytes)
    case .newer(let version):
      throw .newerSchema(path: path, found: Int(version), supported: Int(OutboxRecord.version))
    }
    let outbox = OutboxFile(resolved, limits, recovery, lock, file, contents, end: validBytes)
    if end != .complete { try FileError.telling(path) { () throws(FileError) in try outbox.repair() } }
    return outbox
  }

  private init(
    _ path: String, _ limits: OutboxLimits, _ recovery: OutboxRecovery, _ lock: consuming FileLock, _ file: File,
    _ contents: OutboxContents, end: Int
  ) {
    self.path = path
    self.limits = limits
    self.recovery = recovery
    self.lock = lock
    self.file = file
    self.contents = contents
    self.end = end
    compactionThreshold = limits.minCompactionBytes
  }

  /// How many entries wait to be acknowledged.
  public var count: Int { contents.count }

  /// Everything that waits to be acknowledged, in the order of its newest append.
  public var entries: [OutboxEntry] { contents.entries }

  /// Adds an entry, or replaces the one with that key and moves it to the end.
  ///
  /// Throws `.outboxFull` when `limits` do not allow it, and an error that `isTransient` when the disk does not; nothing
  /// has changed then.
  /// - Parameter key: at most 65,535 bytes of UTF-8.
  public func append(key: String, _ content: [UInt8]) throws(StoreError) {
    guard key.utf8.count <= OutboxRecord.maxKeyBytes else {
      throw .unstorable(what: "an outbox key", reason: "it is longer than \(OutboxRecord.maxKeyBytes) bytes")
    }
    let bytes = contents.recordBytes(with: key, contentBytes: content.count)
    guard bytes <= limits.maxBytes, count < limits.maxEntries || contents.contains(key) else {
      throw .outboxFull(path: path, entries: count, bytes: contents.recordBytes, limits: limits)
    }
    try FileError.telling(path) { () throws(FileError) in try write(.append, key, content) }
    contents.put(key, content)
  }

  /// Forgets an entry; one that is unknown is no error.
  ///
  /// It may come back when the machine crashes before the next `sync`, or when the disk is full.
  public func remove(key: String) {
    guard contents.contains(key) else { return }
    // Without its record in the file the entry is delivered once more after a restart, which its receiver must expect.
    try? write(.remove, key, [])
    contents.remove(key)
  }

  /// Returns when every change so far would survive a crash of the machine; compacts the file when that is worth it.
  public func sync() throws(StoreError) {
    try FileError.telling(path) { () throws(FileError) in
      if mustRewrite { return try rewrite() }
      guard hasUnsynced else { return }
      do throws(FileError) { try file.synchronize() } catch {
        // After a failed write-back the kernel drops the pages: syncing again would succeed and mean nothing.
        mustRewrite = true
        throw error
      }
      hasUnsynced = false
    }
    guard wantsCompaction else { return }
    // Everything is durable already, so a disk without space for the new file is no error.
    do throws(FileError) { try rewrite() } catch { compactionThreshold = deadBytes * 2 }
  }

  /// Whether the next `sync` will write the file anew.
  var wantsCompaction: Bool { deadBytes > compactionThreshold && deadBytes > contents.recordBytes }

  private var deadBytes: Int { end - OutboxRecord.fileHeader.count - contents.recordBytes }

  private func write(_ kind: OutboxRecord.Kind, _ key: String, _ content: [UInt8]) throws(FileError) {
    // The whole file will be written anew from memory.
    if mustRewrite { return }
    scratch.removeAll(keepingCapacity: true)
    OutboxRecord.write(kind, key, content, into: &scratch)
    do throws(FileError) {
      try file.write(scratch, at: end)
    } catch {
      // What follows a half-written record could not be read.
      do throws(FileError) { try file.truncate(to: end) } catch { mustRewrite = true }
      throw error
    }
    end += scratch.count
    hasUnsynced = true
  }

  /// Brings a file that was just opened into order.
  private func repair() throws(FileError) {
    if case .cutTornTail = recovery, end > 0 {
      try file.truncate(to: end)
      try file.synchronize()
    } else {
      try rewrite()
    }
  }

  /// Writes the live entries to a new file that takes the old one's place.
  private func rewrite() throws(FileError) {
    let newPath = path + ".new"
    let new = try File.open(newPath, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
    var newEnd = 0
    do throws(FileError) {
      var bytes = OutboxRecord.fileHeader
      for entry in contents.entries {
        OutboxRecord.write(.append, entry.key, entry.content, into: &bytes)
        if bytes.count > 1024 * 1024 {
          try new.write(bytes, at: newEnd)
          newEnd += bytes.count
          bytes.removeAll(keepingCapacity: true)
        }
      }
      try new.write(bytes, at: newEnd)
      newEnd += bytes.count
      try new.synchronize()
      try File.rename(newPath, path)
    } catch {
      try? File.remove(newPath)
      throw error
    }
    file = new
    end = newEnd
    // Until the directory is on the disk, a crash brings the old file back, without what is written from now on.
    mustRewrite = true
    try File.synchronizeDirectory(of: path)
    mustRewrite = false
    hasUnsynced = false
    compactionThreshold = limits.minCompactionBytes
  }

  /// Gives the file at `path` a second name, so that it survives its replacement.
  private static func setAside(_ path: String) throws(FileError) -> String {
    var copy = path + ".damaged"
    for number in 2... {
      do throws(FileError) {
        try File.link(path, copy)
        break
      } catch {
        guard error.code == EEXIST, number <= 1_000 else { throw error }
        copy = "\(path).damaged.\(number)"
      }
    }
    return copy
  }
}
