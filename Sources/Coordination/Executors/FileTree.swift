import Glibc

/// Folders and what is in them.
package enum FileTree {
  /// Removes `path` and everything in it; follows no links and ignores what cannot be removed.
  package static func remove(_ path: String) {
    var status = stat()
    // SAFETY: lstat fills the local it is given.
    guard unsafe lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      _ = unsafe unlink(path)
      return
    }
    for name in entries(of: path) { remove("\(path)/\(name)") }
    _ = unsafe rmdir(path)
  }

  static func entries(of path: String) -> [String] {
    // SAFETY: the stream is used and closed here; entries are valid until the next readdir.
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let bytes = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
      let name = String(decoding: bytes, as: UTF8.self)
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }
}
