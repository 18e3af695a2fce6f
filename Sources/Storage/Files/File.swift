import Glibc

/// An open regular file; not thread-safe.
final class File {
  private let descriptor: Int32

  private init(_ descriptor: Int32) { self.descriptor = descriptor }

  /// Takes over a descriptor.
  convenience init(owning descriptor: Int32) { self.init(descriptor) }

  deinit { Glibc.close(descriptor) }

  static func open(_ path: String, _ flags: Int32, mode: mode_t = 0o644) throws(FileError) -> File {
    // SAFETY: the path is a Swift string, passed as a C string for the call.
    let descriptor = try Self.retrying("open") { unsafe Glibc.open(path, flags | O_CLOEXEC, mode) }
    return File(Int32(descriptor))
  }

  private static func retrying(_ call: String, _ body: () -> Int) throws(FileError) -> Int {
    while true {
      let result = body()
      if result >= 0 { return result }
      if errno != EINTR { throw FileError(call) }
    }
  }

  private static func retrying(_ call: String, _ body: () -> Int32) throws(FileError) -> Int {
    try retrying(call) { Int(body()) }
  }

  private func status() throws(FileError) -> stat {
    var status = stat()
    // SAFETY: `status` is ours for the call.
    _ = try Self.retrying("fstat") { unsafe fstat(descriptor, &status) }
    return status
  }

  func size() throws(FileError) -> Int { Int(try status().st_size) }

  func isRegular() throws(FileError) -> Bool { try status().st_mode & S_IFMT == S_IFREG }

  /// Whether `path` still names this file.
  func isNamed(_ path: String) throws(FileError) -> Bool {
    let mine = try status()
    var named = stat()
    // SAFETY: `named` is ours for the call.
    guard unsafe stat(path, &named) == 0 else { return false }
    return mine.st_dev == named.st_dev && mine.st_ino == named.st_ino
  }

  /// Takes the lock that the kernel gives to one open file at a time; false when another has it.
  func tryLock() throws(FileError) -> Bool {
    do {
      _ = try Self.retrying("flock") { flock(descriptor, LOCK_EX | LOCK_NB) }
      return true
    } catch {
      if error.code == EWOULDBLOCK { return false }
      throw error
    }
  }

  /// Up to `count` bytes from `offset`; fewer only at the end of the file.
  func read(_ count: Int, at offset: Int = 0) throws(FileError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var length = 0
    while length < count {
      let done = try Self.retrying("pread") { () -> Int in
        // SAFETY: the rest of the buffer from `length` is inside it, as the loop's condition says.
        unsafe bytes.withUnsafeMutableBytes { buffer in
          unsafe pread(
            descriptor, buffer.baseAddress.map { unsafe $0 + length }, count - length, off_t(offset + length))
        }
      }
      if done == 0 { break }
      length += done
    }
    bytes.removeLast(count - length)
    return bytes
  }

  func write(_ bytes: [UInt8], at offset: Int) throws(FileError) {
    var length = 0
    while length < bytes.count {
      length += try Self.retrying("pwrite") { () -> Int in
        // SAFETY: the rest of the buffer from `length` is inside it, as the loop's condition says.
        unsafe bytes.withUnsafeBytes { buffer in
          unsafe pwrite(
            descriptor, buffer.baseAddress.map { unsafe $0 + length }, buffer.count - length, off_t(offset + length))
        }
      }
    }
  }

  func truncate(to size: Int) throws(FileError) {
    _ = try Self.retrying("ftruncate") { ftruncate(descriptor, off_t(size)) }
  }

  func setMode(_ mode: mode_t) throws(FileError) {
    _ = try Self.retrying("fchmod") { fchmod(descriptor, mode) }
  }

  /// Returns once the contents are on the disk.
  func synchronize() throws(FileError) {
    _ = try Self.retrying("fdatasync") { fdatasync(descriptor) }
  }

  static func rename(_ old: String, _ new: String) throws(FileError) {
    // SAFETY: Swift strings, passed as C strings for the call.
    _ = try retrying("rename") { unsafe Glibc.rename(old, new) }
  }

  /// Gives a file a second name, which must be free.
  static func link(_ old: String, _ new: String) throws(FileError) {
    // SAFETY: Swift strings, passed as C strings for the call.
    _ = try retrying("link") { unsafe Glibc.link(old, new) }
  }

  static func remove(_ path: String) throws(FileError) {
    // SAFETY: a Swift string, passed as a C string for the call.
    _ = try retrying("unlink") { unsafe unlink(path) }
  }

  /// Makes new, renamed and removed names in the directory of `path` durable.
  static func synchronizeDirectory(of path: String) throws(FileError) {
    let directory = try open(Self.directory(of: path), O_RDONLY | O_DIRECTORY)
    _ = try retrying("fsync") { fsync(directory.descriptor) }
  }

  static func directory(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The absolute path with links resolved, so that one file has one name, whether it exists yet or not.
  static func resolved(_ path: String) -> String {
    if let whole = realPath(path) { return whole }
    guard let directory = realPath(directory(of: path)) else { return path }
    let name = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[path.index(after: $0)...] } ?? path[...]
    return directory == "/" ? "/\(name)" : "\(directory)/\(name)"
  }

  private static func realPath(_ path: String) -> String? {
    // SAFETY: `realpath` returns memory that is ours to free, or nil.
    guard let resolved = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }
}
