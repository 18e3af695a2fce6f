import Glibc
import TestRuns

/// The folders that patterns are looked for in.
enum TestFiles {
  /// What is in a folder; nothing when it is none, or may not be read.
  static func entries(of folder: String) -> [FileSearch.Entry] {
    // SAFETY: the stream is used and closed here; entries are valid until the next readdir.
    guard let stream = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(stream) }
    var entries: [FileSearch.Entry] = []
    while let entry = unsafe readdir(stream) {
      let bytes = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
      // What is not UTF-8 could not be named to a worker.
      guard let name = String(validating: bytes, as: UTF8.self), name != ".", name != ".." else { continue }
      let type = unsafe Int32(entry.pointee.d_type)
      let isFolder = type == DT_UNKNOWN ? isFolder("\(folder)/\(name)") : type == DT_DIR
      entries.append(FileSearch.Entry(name, isFolder: isFolder))
    }
    return entries
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: lstat fills the local it is given.
    return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
