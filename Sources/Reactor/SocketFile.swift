import Glibc

/// The file of a Unix-domain listener, known by its inode so that only our own is removed.
struct SocketFile {
  private let path: String
  private let device: UInt
  private let inode: UInt

  /// The socket file now at `path`; nil when there is none.
  init?(path: String) {
    var status = stat()
    // SAFETY: lstat fills the local it is given.
    guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
    self.path = path
    device = UInt(status.st_dev)
    inode = UInt(status.st_ino)
  }

  func remove() {
    guard let present = SocketFile(path: path), present.device == device, present.inode == inode else { return }
    // SAFETY: the string is lent to the call as a C string.
    _ = unsafe unlink(path)
  }

  /// Removes the socket file at `path` if nobody listens on it; false when it stays. Other files always stay.
  static func removeIfStale(path: String) -> Bool {
    guard let file = SocketFile(path: path), let probe = try? System.streamSocket(for: .unix(path: path)) else {
      return false
    }
    defer { System.close(probe) }
    // SAFETY: the kernel reads the form during the call.
    let code = try? unsafe SocketAddress.unix(path: path).withKernelForm {
      unsafe Glibc.connect(probe, $0, $1) == 0 ? 0 : errno
    }
    // A live listener accepts, or with a full backlog answers EAGAIN.
    guard code == ECONNREFUSED else { return false }
    file.remove()
    return true
  }
}
