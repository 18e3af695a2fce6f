import Glibc

/// The right to be the only user of a file, held through a lock file beside it.
///
/// The kernel takes the lock away when its holder dies, however it dies. The file itself must not be locked: SQLite
/// loses its own locks on a file when any descriptor of that file is closed, and compaction replaces an outbox.
struct FileLock: ~Copyable {
  private let file: File
  private let path: String

  /// - Parameter held: what to throw when another process, or another part of this one, holds the lock on `target`.
  static func acquire(for target: String, held: StoreError) throws(StoreError) -> FileLock {
    let path = File.resolved(target) + ".lock"
    do throws(FileError) {
      while true {
        let file = try File.open(path, O_RDWR | O_CREAT)
        guard try file.tryLock() else { break }
        // The former holder may have removed the name between our opening and our locking.
        if try file.isNamed(path) { return FileLock(file: file, path: path) }
      }
    } catch {
      throw error.storeError(target)
    }
    throw held
  }

  private init(file: File, path: String) {
    self.file = file
    self.path = path
  }

  deinit {
    // Removed while still locked, so that nobody can lock a file that is about to lose its name unnoticed.
    try? File.remove(path)
  }
}
