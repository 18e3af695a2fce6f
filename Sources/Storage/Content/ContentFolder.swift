import CoordinationCore
import Cryptography
import Glibc
import Primitives

/// Files named by their SHA-256, in a folder: `ab/cd/abcd…`, read-only. Not for two threads at a time.
///
/// A file that comes in pieces grows under `partial/` and is looked at once it is whole: written, synchronized, renamed,
/// and its folder synchronized, in this order, so that at every moment a file is either there whole or not at all. What a
/// crash leaves under `partial/` is continued.
final class ContentFolder {
  private struct Entry {
    let size: Int
    var usedAt: Int64
    /// Who must find it here; it is not removed meanwhile.
    var pins = 0
    /// When its bytes were last changed, at the time that they were found to be right; `nil`: not looked at yet.
    var checked: FileTime?
  }

  private struct Partial {
    let file: FileReference
    var have: Int
    /// Of the bytes that are here; `nil`: they are from before this process.
    var hash: SHA256Stream?
    var usedAt: Int64
    var open: File?
  }

  private static let maxOpen = 32
  /// At a time, where a whole file is read.
  static let readBytes = 1 << 20

  let path: String
  let limits: ContentLimits
  private var entries: [FileDigest: Entry] = [:]
  private var partials: [FileDigest: Partial] = [:]
  private var openOrder: [FileDigest] = []
  private var workFolders = 0
  /// Of files, and of what partial ones will have.
  private(set) var bytes = 0

  private var partialFolder: String { "\(path)/partial" }

  init(_ path: String, _ limits: ContentLimits) throws(StoreError) {
    self.path = path
    self.limits = limits
    try FileError.telling(path) { () throws(FileError) in
      try Self.makeFolder(path)
      try Self.makeFolder("\(path)/partial")
    }
    load()
  }

  /// Everything that is there, with the time of its last change in milliseconds since 1970.
  var contents: [(file: FileReference, usedAt: Int64)] {
    entries.map { (file: FileReference($0.key, size: $0.value.size), usedAt: $0.value.usedAt) }
  }

  private func load() {
    for outer in FolderListing.names(in: path) where outer.utf8.count == 2 {
      for inner in FolderListing.names(in: "\(path)/\(outer)") where inner.utf8.count == 2 {
        for name in FolderListing.names(in: "\(path)/\(outer)/\(inner)") {
          guard let digest = FileDigest(name), let status = FileStatus(at: "\(path)/\(outer)/\(inner)/\(name)"),
            status.isRegular
          else { continue }
          entries[digest] = Entry(size: status.size, usedAt: status.changedAt.milliseconds)
          bytes += status.size
        }
      }
    }
    for name in FolderListing.names(in: partialFolder) {
      let parts = name.split(separator: ".")
      let place = "\(partialFolder)/\(name)"
      guard parts.count == 2, let digest = FileDigest(String(parts[0])), let size = Int(parts[1]),
        let status = FileStatus(at: place), status.isRegular, status.size <= size, entries[digest] == nil,
        partials[digest] == nil
      else {
        try? File.remove(place)
        continue
      }
      let file = FileReference(digest, size: size)
      partials[digest] = Partial(file: file, have: status.size, usedAt: status.changedAt.milliseconds)
      bytes += size
    }
  }

  // MARK: Asking

  func state(of file: FileReference) throws(ContentError) -> ContentState {
    if let entry = entries[file.digest] {
      guard entry.size == file.size else { throw .otherSize(file, found: entry.size) }
      return .whole
    }
    guard let partial = partials[file.digest], partial.file == file else { return .partial(0) }
    return .partial(partial.have)
  }

  /// Where a whole file is, for whoever has pinned it.
  func place(of digest: FileDigest) -> String { "\(folder(of: digest))/\(digest.text)" }

  private func folder(of digest: FileDigest) -> String {
    "\(path)/\(digest.text.prefix(2))/\(digest.text.dropFirst(2).prefix(2))"
  }

  private func place(of partial: Partial) -> String {
    "\(partialFolder)/\(partial.file.digest.text).\(partial.file.size)"
  }

  func read(_ file: FileReference, offset: Int, count: Int) throws(ContentError) -> [UInt8] {
    guard let entry = entries[file.digest] else { throw .missing(file.digest) }
    guard entry.size == file.size else { throw .otherSize(file, found: entry.size) }
    guard offset >= 0, count >= 0, offset <= file.size, count <= file.size - offset else {
      throw .badRange(file, offset: offset, count: count)
    }
    let place = place(of: file.digest)
    let bytes = try disk(place) { () throws(FileError) in
      try File.open(place, O_RDONLY | O_NOFOLLOW).read(count, at: offset)
    }
    // Somebody cut it short behind our back.
    guard bytes.count == count else {
      remove(file.digest)
      throw .missing(file.digest)
    }
    return bytes
  }

  /// Whether a file's bytes are what its name says. One that is not is removed.
  func verify(_ digest: FileDigest) throws(ContentError) -> Bool {
    guard entries[digest] != nil else { throw .missing(digest) }
    let place = place(of: digest)
    guard let status = FileStatus(at: place) else {
      remove(digest)
      return false
    }
    let found = try disk(place) { () throws(FileError) in
      try Self.hash(try File.open(place, O_RDONLY | O_NOFOLLOW), count: status.size)
    }
    guard found == digest else {
      remove(digest)
      return false
    }
    entries[digest]?.checked = status.changedAt
    return true
  }

  // MARK: Taking pieces

  /// Takes a piece, as far as it continues what is here, and says how far that goes now. With the last one the file is
  /// looked at, and is there for good when this returns `whole`.
  func append(_ file: FileReference, offset: Int, _ piece: [UInt8]) throws(ContentError) -> ContentState {
    if try state(of: file) == .whole { return .whole }
    guard offset >= 0, offset <= file.size, piece.count <= file.size - offset else {
      throw .badRange(file, offset: offset, count: piece.count)
    }
    var partial: Partial
    if let known = partials[file.digest], known.file == file { partial = known } else { partial = try begin(file) }
    partials[file.digest]?.usedAt = Self.now
    guard offset <= partial.have, offset + piece.count >= partial.have else { return .partial(partial.have) }
    let news = offset == partial.have ? piece : Array(piece.dropFirst(partial.have - offset))
    let place = place(of: partial)
    if !news.isEmpty || partial.open == nil {
      let open = try opened(&partial)
      do throws(FileError) { try open.write(news, at: partial.have) } catch {
        // A part of it may be there; the next try writes it again.
        throw .disk(error.storeError(place))
      }
      partial.hash?.update(news)
      partial.have += news.count
      partial.usedAt = Self.now
      partials[file.digest] = partial
    }
    guard partial.have == file.size else { return .partial(partial.have) }
    try finish(partial)
    return .whole
  }

  private func begin(_ file: FileReference) throws(ContentError) -> Partial {
    guard file.size <= limits.maxFileBytes else { throw .tooLarge(file, limit: limits.maxFileBytes) }
    // The same digest with another size: one of the two is wrong, and most likely the one that stands still.
    if let other = partials[file.digest] { abandon(other) }
    if partials.count >= limits.maxPartials {
      let oldest = partials.values.min { $0.usedAt < $1.usedAt }
      guard let oldest, Self.now - oldest.usedAt > limits.partialAge.wholeMilliseconds else {
        throw .tooMany("files that are not whole", limit: limits.maxPartials)
      }
      abandon(oldest)
    }
    try makeRoom(for: file)
    let partial = Partial(file: file, have: 0, hash: SHA256Stream(), usedAt: Self.now)
    partials[file.digest] = partial
    bytes += file.size
    return partial
  }

  private func makeRoom(for file: FileReference) throws(ContentError) {
    if !limits.evicts {
      guard entries.count < limits.maxFiles else { throw .tooMany("files", limit: limits.maxFiles) }
      if bytes + file.size > limits.maxBytes { abandonOldPartials() }
    } else {
      let unused = entries.filter { $0.value.pins == 0 }.sorted {
        ($0.value.usedAt, $0.key) < ($1.value.usedAt, $1.key)
      }
      var rest = unused[...]
      while bytes + file.size > limits.maxBytes || entries.count >= limits.maxFiles, let oldest = rest.popFirst() {
        remove(oldest.key)
      }
    }
    guard bytes + file.size <= limits.maxBytes else { throw .full(file, used: bytes, limit: limits.maxBytes) }
  }

  /// Pieces that nobody came back for.
  func abandonOldPartials() {
    let limit = Self.now - limits.partialAge.wholeMilliseconds
    for partial in partials.values where partial.usedAt < limit { abandon(partial) }
  }

  private func abandon(_ partial: Partial) {
    partials[partial.file.digest] = nil
    openOrder.removeAll { $0 == partial.file.digest }
    bytes -= partial.file.size
    try? File.remove(place(of: partial))
  }

  private func opened(_ partial: inout Partial) throws(ContentError) -> File {
    if let open = partial.open { return open }
    let place = place(of: partial)
    let open = try disk(place) { () throws(FileError) in
      try File.open(place, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
    }
    partial.open = open
    partials[partial.file.digest]?.open = open
    openOrder.append(partial.file.digest)
    if openOrder.count > Self.maxOpen { partials[openOrder.removeFirst()]?.open = nil }
    return open
  }

  private func finish(_ partial: Partial) throws(ContentError) {
    var partial = partial
    let file = partial.file
    let place = place(of: partial)
    let open = try opened(&partial)
    let found: FileDigest
    if let hash = partial.hash {
      found = FileDigest(hash.digest)
    } else {
      found = try disk(place) { () throws(FileError) in try Self.hash(open, count: file.size) }
    }
    guard found == file.digest else {
      abandon(partial)
      throw .damaged(file, found: found)
    }
    try adopt(open, at: place, file)
    partials[file.digest] = nil
    openOrder.removeAll { $0 == file.digest }
    // What was reserved for it is what it takes, which `adopt` has counted.
    bytes -= file.size
  }

  /// Gives a file that is whole and right its name.
  private func adopt(_ open: File, at place: String, _ file: FileReference) throws(ContentError) {
    let (folder, target) = (folder(of: file.digest), self.place(of: file.digest))
    let isDurable = limits.isDurable
    try disk(place) { () throws(FileError) in
      try open.setMode(0o444)
      if isDurable { try open.synchronize() }
      let outer = File.directory(of: folder)
      for folder in [outer, folder] where try Self.makeFolder(folder) && isDurable {
        try File.synchronizeDirectory(of: folder)
      }
      try File.rename(place, target)
      if isDurable { try File.synchronizeDirectory(of: target) }
    }
    entries[file.digest] = Entry(size: file.size, usedAt: Self.now, checked: FileStatus(at: target)?.changedAt)
    bytes += file.size
  }

  /// Copies an open file in, of at most `limit` bytes.
  func copyIn(_ source: File, limit: Int) throws(ContentError) -> FileReference {
    let place = "\(partialFolder)/copy"
    var hash = SHA256Stream()
    var size = 0
    let copy = try disk(place) { () throws(FileError) in
      try File.open(place, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
    }
    defer { try? File.remove(place) }
    while true {
      let offset = size
      let piece = try disk(place) { () throws(FileError) in
        let piece = try source.read(Self.readBytes, at: offset)
        if !piece.isEmpty { try copy.write(piece, at: offset) }
        return piece
      }
      if piece.isEmpty { break }
      hash.update(piece)
      size += piece.count
      guard size <= limit else {
        throw .tooLarge(FileReference(FileDigest(hash.digest), size: size), limit: limit)
      }
    }
    let file = FileReference(FileDigest(hash.digest), size: size)
    if entries[file.digest] != nil { return file }
    if let partial = partials[file.digest] { abandon(partial) }
    try makeRoom(for: file)
    try adopt(copy, at: place, file)
    return file
  }

  // MARK: Keeping

  /// Keeps a file from being removed until `unpin`; `false` when it is not here, or not sound any more.
  func pin(_ file: FileReference) throws(ContentError) -> Bool {
    guard try state(of: file) == .whole else { return false }
    let status = FileStatus(at: place(of: file.digest))
    if status?.size != file.size || status?.changedAt != entries[file.digest]?.checked {
      // Not looked at since this process began, or changed behind its back.
      guard try verify(file.digest) else { return false }
    }
    entries[file.digest]?.pins += 1
    touch(file.digest)
    return true
  }

  func unpin(_ digest: FileDigest) {
    guard let entry = entries[digest], entry.pins > 0 else { return }
    entries[digest]?.pins -= 1
  }

  /// It was used now.
  func touch(_ digest: FileDigest) {
    guard entries[digest] != nil else { return }
    entries[digest]?.usedAt = Self.now
    FileStatus.setUsed(place(of: digest))
    if entries[digest]?.checked != nil { entries[digest]?.checked = FileStatus(at: place(of: digest))?.changedAt }
  }

  func remove(_ digest: FileDigest) {
    guard let entry = entries.removeValue(forKey: digest) else { return }
    bytes -= entry.size
    try? File.remove(place(of: digest))
  }

  /// A fresh folder on the same file system. What an earlier process left of them is removed at the start.
  func makeWorkFolder() throws(ContentError) -> String {
    if workFolders == 0 {
      FileRemoval.removeTree("\(path)/attempts")
      _ = try disk(path) { () throws(FileError) in try Self.makeFolder("\(path)/attempts") }
    }
    workFolders += 1
    let place = "\(path)/attempts/\(workFolders)"
    _ = try disk(place) { () throws(FileError) in try Self.makeFolder(place) }
    return place
  }

  // MARK: Inside

  private static var now: Int64 { Int64(time(nil)) * 1_000 }

  static func hash(_ file: File, count: Int) throws(FileError) -> FileDigest {
    var hash = SHA256Stream()
    var offset = 0
    while offset < count {
      let piece = try file.read(min(readBytes, count - offset), at: offset)
      if piece.isEmpty { break }
      hash.update(piece)
      offset += piece.count
    }
    return FileDigest(hash.digest)
  }

  /// - Returns: whether it was not there before.
  @discardableResult
  static func makeFolder(_ path: String) throws(FileError) -> Bool {
    // SAFETY: the path lives for the call.
    if unsafe mkdir(path, 0o700) == 0 { return true }
    guard errno == EEXIST else { throw FileError("mkdir") }
    return false
  }

  private func disk<T>(_ path: String, _ body: () throws(FileError) -> T) throws(ContentError) -> T {
    do throws(FileError) { return try body() } catch { throw .disk(error.storeError(path)) }
  }
}

@available(*, unavailable) extension ContentFolder: Sendable {}
