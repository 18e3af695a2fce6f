import Glibc

/// A system call on a file that failed.
struct FileError: Error, Equatable {
  let call: String
  let code: Int32

  init(_ call: String, _ code: Int32 = errno) {
    self.call = call
    self.code = code
  }

  var reason: String {
    // SAFETY: `strerror` returns a string that lives until the next call on this thread; it is copied at once.
    "\(call): \(unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error") (errno \(code))"
  }

  /// This error as the store tells it.
  func storeError(_ path: String) -> StoreError {
    switch code {
    case ENOSPC, EDQUOT: .diskFull(path: path)
    case EROFS: .readOnly(path: path)
    case EIO: .ioError(path: path, reason: reason)
    case ENOENT: .cannotOpen(path: path, reason: "its directory does not exist. Create the directory first")
    case ENOTDIR: .cannotOpen(path: path, reason: "a part of the path is not a directory")
    case EISDIR: .cannotOpen(path: path, reason: "it is not a file. Name a file")
    case EACCES, EPERM: .cannotOpen(path: path, reason: "permission denied. Check the owner of its directory")
    default: .cannotOpen(path: path, reason: reason)
    }
  }

  /// Runs `body` and tells its errors as the store does.
  static func telling<T>(_ path: String, _ body: () throws(FileError) -> T) throws(StoreError) -> T {
    do throws(FileError) { return try body() } catch { throw error.storeError(path) }
  }
}
