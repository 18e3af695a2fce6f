import Glibc

/// When a file's bytes were last changed, as exactly as its file system knows.
struct FileTime: Equatable {
  let seconds: Int
  let nanoseconds: Int
  var milliseconds: Int64 { Int64(clamping: seconds) &* 1_000 + Int64(nanoseconds / 1_000_000) }
}

/// What a file system says about a name; links are not followed.
struct FileStatus {
  let size: Int
  let mode: mode_t
  let changedAt: FileTime

  var isRegular: Bool { mode & S_IFMT == S_IFREG }
  var isFolder: Bool { mode & S_IFMT == S_IFDIR }

  init?(at path: String) {
    var status = stat()
    // SAFETY: lstat fills the local it is given; the path lives for the call.
    guard unsafe lstat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  init(_ status: stat) {
    size = Int(status.st_size)
    mode = status.st_mode
    changedAt = FileTime(seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
  }

  /// Sets a file's times to now.
  static func setUsed(_ path: String) {
    // SAFETY: the path lives for the call, and no times are given.
    _ = unsafe utimensat(AT_FDCWD, path, nil, AT_SYMLINK_NOFOLLOW)
  }
}

enum FolderListing {
  /// The names in a folder, in order; none when it cannot be read.
  static func names(in path: String) -> [String] {
    // SAFETY: the stream is used and closed here; entries are valid until the next readdir.
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(folder) }
    return unsafe names(folder)
  }

  /// - Parameter folder: not closed.
  @unsafe static func names(_ folder: OpaquePointer) -> [String] {
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let bytes = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
      let name = String(decoding: bytes, as: UTF8.self)
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
