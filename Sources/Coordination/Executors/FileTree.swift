import Glibc

/// Folders and what is in them, whatever their names are made of, however deep they nest, and with or without permissions.
///
/// Everything goes by descriptors of folders: a path ends at `PATH_MAX`, and what a command left may lie deeper.
package enum FileTree {
  /// Folders held open at once, one in another.
  static let maxLevels = 64
  private static let namesAtOnce = 1_024
  /// How often what lies deeper than `maxLevels` is brought up, before the rest is left to people.
  private static let maxPasses = 4_096

  // MARK: Removing

  /// Removes `path` and everything in it; follows no links and ignores what cannot be removed.
  package static func remove(_ path: String) {
    // SAFETY: here and below, names and locals live for the calls that they are handed to.
    if unsafe unlink(path) == 0 || errno == ENOENT { return }
    guard let folder = openFolder(AT_FDCWD, Array(path.utf8CString)) else { return }
    var moved = 0
    for _ in 0..<maxPasses {
      let before = moved
      empty(folder, root: folder, level: 0, &moved)
      if moved == before { break }
    }
    close(folder)
    _ = unsafe rmdir(path)
  }

  private static func empty(_ folder: Int32, root: Int32, level: Int, _ moved: inout Int) {
    // Not all names at once: there may be millions.
    while true {
      var hasChanged = false
      for name in names(in: folder, atMost: namesAtOnce) {
        if unsafe unlinkat(folder, name, 0) == 0 {
          hasChanged = true
          continue
        }
        guard level < maxLevels else {
          // Up to the top, where it is met again as a folder of the first level.
          let other = Array(".removed-\(moved)".utf8CString)
          moved += 1
          if unsafe renameat(folder, name, root, other) == 0 { hasChanged = true }
          continue
        }
        guard let inner = openFolder(folder, name) else { continue }
        empty(inner, root: root, level: level + 1, &moved)
        close(inner)
        if unsafe unlinkat(folder, name, AT_REMOVEDIR) == 0 { hasChanged = true }
      }
      if !hasChanged { return }
    }
  }

  /// Opens a folder of ours, and takes the right to change it.
  private static func openFolder(_ parent: Int32, _ name: [CChar]) -> Int32? {
    var descriptor = unsafe openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if descriptor < 0, errno == EACCES, unsafe fchmodat(parent, name, 0o700, 0) == 0 {
      descriptor = unsafe openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }
    guard descriptor >= 0 else { return nil }
    _ = fchmod(descriptor, 0o700)
    return descriptor
  }

  // MARK: Measuring

  /// What a tree takes on its disk.
  struct Usage: Equatable {
    /// Of blocks, as `du` counts them: sparse files by what they take, files of several names once.
    var bytes: Int64 = 0
    var entries = 0
    /// Something lies deeper than `maxLevels` and was not counted.
    var isTooDeep = false
  }

  /// Counts until a bound is exceeded. What comes and goes meanwhile may be missed.
  static func usage(of path: String, maxBytes: Int64, maxEntries: Int) -> Usage {
    var measure = Measure(maxBytes: maxBytes, maxEntries: maxEntries)
    if let folder = openReading(AT_FDCWD, Array(path.utf8CString)) { measure.add(folder, level: 0) }
    return measure.usage
  }

  private static func openReading(_ parent: Int32, _ name: [CChar]) -> Int32? {
    let descriptor = unsafe openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    return descriptor < 0 ? nil : descriptor
  }

  private struct Measure {
    private struct Inode: Hashable {
      let device: UInt64
      let number: UInt64
    }

    let maxBytes: Int64
    let maxEntries: Int
    var usage = Usage()
    private var seen: Set<Inode> = []

    init(maxBytes: Int64, maxEntries: Int) {
      self.maxBytes = maxBytes
      self.maxEntries = maxEntries
    }

    private var isDone: Bool { usage.bytes > maxBytes || usage.entries > maxEntries }

    /// - Parameter folder: closed here.
    mutating func add(_ folder: Int32, level: Int) {
      guard let stream = unsafe fdopendir(folder) else {
        close(folder)
        return
      }
      defer { unsafe closedir(stream) }
      while !isDone, let name = unsafe FileTree.nextName(stream) {
        var status = stat()
        guard unsafe fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
        usage.entries += 1
        let isFolder = status.st_mode & S_IFMT == S_IFDIR
        if isFolder || status.st_nlink < 2
          || seen.insert(Inode(device: UInt64(status.st_dev), number: UInt64(status.st_ino))).inserted
        {
          usage.bytes = usage.bytes.addingReportingOverflow(Int64(status.st_blocks) * 512).partialValue
        }
        guard isFolder else { continue }
        guard level < FileTree.maxLevels else {
          usage.isTooDeep = true
          continue
        }
        if let inner = FileTree.openReading(folder, name) { add(inner, level: level + 1) }
      }
    }
  }

  // MARK: Names

  static func entries(of path: String) -> [String] {
    guard let folder = openReading(AT_FDCWD, Array(path.utf8CString)) else { return [] }
    defer { close(folder) }
    return names(in: folder, atMost: .max).map { name in
      String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }

  /// Names with their ending zero, without `.` and `..`.
  private static func names(in folder: Int32, atMost count: Int) -> [[CChar]] {
    // Its own description, whose position is its own.
    guard let copy = openReading(folder, Array(".".utf8CString)) else { return [] }
    guard let stream = unsafe fdopendir(copy) else {
      close(copy)
      return []
    }
    defer { unsafe closedir(stream) }
    var names: [[CChar]] = []
    while names.count < count, let name = unsafe nextName(stream) { names.append(name) }
    return names
  }

  private static func nextName(_ stream: OpaquePointer) -> [CChar]? {
    // SAFETY: the entry is valid until the next readdir, and copied before that.
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
      }
      if name != [46, 0], name != [46, 46, 0] { return name }
    }
    return nil
  }
}
