import Glibc

/// A folder in which files are put and found by relative paths, without ever following a link: every part of a path is
/// opened by itself, from its parent's descriptor, and only if it is a folder and no link to one.
@safe
final class WorkingTree {
  private let root: Int32

  /// - Parameter followingLink: whether `path` itself, which somebody trusted has named, may be a link.
  init(_ path: String, followingLink: Bool = false) throws(FileError) {
    let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (followingLink ? 0 : O_NOFOLLOW)
    // SAFETY: the path lives for the call.
    root = try Self.check("open") { unsafe open(path, flags) }
  }

  deinit { close(root) }

  /// With a place to read from of its own.
  private var reopenedRoot: Int32 { unsafe openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }

  private static func check(_ call: String, _ body: () -> Int32) throws(FileError) -> Int32 {
    while true {
      let result = body()
      if result >= 0 { return result }
      if errno != EINTR { throw FileError(call) }
    }
  }

  /// Puts a file at a path that `RelativePath` allows, where nothing is yet; the folders above it are made.
  func place(_ source: String, at path: String, isExecutable: Bool) throws(FileError) {
    let (folder, name) = try parent(of: path)
    defer { close(folder) }
    // A link shares its permissions with the file in the cache, which nobody may execute.
    // SAFETY: the names live for the call.
    if !isExecutable, unsafe linkat(AT_FDCWD, source, folder, name, 0) == 0 { return }
    try copy(try File.open(source, O_RDONLY | O_NOFOLLOW), folder, name, mode: isExecutable ? 0o555 : 0o444)
  }

  /// Puts a copy of a file at a path, in the place of a file that may be there.
  func copy(_ source: File, to path: String, mode: mode_t) throws(FileError) {
    let (folder, name) = try parent(of: path)
    defer { close(folder) }
    let fresh = ".\(name.prefix(maxPrefix))-\(getpid())"
    do throws(FileError) {
      try copy(source, folder, fresh, mode: mode)
      // SAFETY: the names live for the call.
      _ = try Self.check("rename") { unsafe renameat(folder, fresh, folder, name) }
    } catch {
      // SAFETY: as above.
      _ = unsafe unlinkat(folder, fresh, 0)
      throw error
    }
  }

  private let maxPrefix = 60

  /// The folder that a path's last part belongs in, opened, and that part.
  private func parent(of path: String) throws(FileError) -> (folder: Int32, name: String) {
    var parts = path.split(separator: "/").map(String.init)
    guard let name = parts.popLast() else { throw FileError("open", EINVAL) }
    var folder = try Self.check("open") { reopenedRoot }
    for part in parts {
      // SAFETY: the names live for the calls.
      _ = unsafe mkdirat(folder, part, 0o755)
      let inner = unsafe openat(folder, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      let error = FileError("open")
      close(folder)
      guard inner >= 0 else { throw error }
      folder = inner
    }
    return (folder, name)
  }

  private func copy(_ source: File, _ folder: Int32, _ name: String, mode: mode_t) throws(FileError) {
    let output = File(
      owning: try Self.check("open") {
        unsafe openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
      })
    var offset = 0
    while true {
      let piece = try source.read(ContentFolder.readBytes, at: offset)
      if piece.isEmpty { break }
      try output.write(piece, at: offset)
      offset += piece.count
    }
    try output.setMode(mode)
  }

  /// Calls `body` with every regular file below, in order of the names, until it throws or has had enough.
  ///
  /// - Parameters:
  ///   - maxEntries: names looked at; beyond them `tooMany` is called, and nothing more is looked at.
  ///   - body: gets the path, the open file, and its nine bits of permissions.
  func walk<Failure: Error>(
    maxEntries: Int, tooMany: () -> Failure, isWanted: (String) -> Bool,
    _ body: (String, File, Int) throws(Failure) -> Void
  ) throws(Failure) {
    var entries = 0
    try walk(
      reopenedRoot, "", depth: 0, &entries, maxEntries: maxEntries, tooMany: tooMany, isWanted: isWanted, body)
  }

  private static let maxDepth = 64

  private func walk<Failure: Error>(
    _ descriptor: Int32, _ prefix: String, depth: Int, _ entries: inout Int, maxEntries: Int, tooMany: () -> Failure,
    isWanted: (String) -> Bool, _ body: (String, File, Int) throws(Failure) -> Void
  ) throws(Failure) {
    guard descriptor >= 0 else { return }
    // SAFETY: the stream owns the descriptor and is closed here.
    guard let stream = unsafe fdopendir(descriptor) else {
      close(descriptor)
      return
    }
    defer { unsafe closedir(stream) }
    for name in unsafe FolderListing.names(stream) {
      entries += 1
      guard entries <= maxEntries else { throw tooMany() }
      let path = prefix + name
      var status = stat()
      // SAFETY: fstatat fills the local it is given.
      guard unsafe fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
      let kind = FileStatus(status)
      if kind.isFolder, depth < Self.maxDepth {
        let inner = unsafe openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        try walk(
          inner, path + "/", depth: depth + 1, &entries, maxEntries: maxEntries, tooMany: tooMany, isWanted: isWanted,
          body)
      } else if kind.isRegular, isWanted(path) {
        // Nonblocking: between the two calls it may have become a pipe.
        let opened = unsafe openat(descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard opened >= 0 else { continue }
        let file = File(owning: opened)
        guard (try? file.isRegular()) == true else { continue }
        try body(path, file, Int(status.st_mode & 0o777))
      }
    }
  }
}

enum FileRemoval {
  /// Removes a folder and everything in it; follows no links, and leaves what cannot be removed.
  static func removeTree(_ path: String) {
    if FileStatus(at: path)?.isFolder == true {
      // A command may have taken our right to look into its folders.
      // SAFETY: the path lives for the calls.
      _ = unsafe chmod(path, 0o700)
      for name in FolderListing.names(in: path) { removeTree("\(path)/\(name)") }
      _ = unsafe rmdir(path)
    } else {
      try? File.remove(path)
    }
  }
}
