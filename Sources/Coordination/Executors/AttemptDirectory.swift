import CoordinationCore
import Glibc
import Reactor

/// A worker's private folder (mode 0700) for what its commands read: one folder in it per attempt.
///
/// The folder is locked as long as its worker lives, so what a killed worker left can be told from what is in use.
@safe
final class AttemptDirectory {
  let path: String
  private let lock: Int32
  private var count = 0

  private static let prefix = "lifeline-worker-"

  /// Makes a folder of a fresh name inside `parent`.
  init(in parent: String) throws(SystemError) {
    for _ in 0..<8 {
      var template = Array("\(parent)/\(Self.prefix)XXXXXX".utf8CString)
      // SAFETY: mkdtemp replaces the six letters in place.
      guard unsafe mkdtemp(&template) != nil else {
        throw SystemError(call: "mkdtemp", subject: parent, code: errno, detail: "commands need a folder there")
      }
      let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard descriptor >= 0 else { throw SystemError(call: "open", subject: path, code: errno) }
      // Between the two calls another worker may have taken the folder for a leftover and removed it.
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0, Self.isStillThere(path, descriptor) {
        self.path = path
        lock = descriptor
        return
      }
      close(descriptor)
    }
    throw SystemError(call: "mkdtemp", subject: parent, code: EBUSY, detail: "another process keeps removing folders")
  }

  deinit {
    FileTree.remove(path)
    close(lock)
  }

  /// A new folder for one attempt; holds the checkpoint's text when there is one.
  func makeAttempt(checkpoint: JSONValue?) throws(SystemError) -> String {
    count += 1
    let folder = "\(path)/\(count)"
    guard unsafe mkdir(folder, 0o700) == 0 else { throw SystemError(call: "mkdir", subject: folder, code: errno) }
    guard let checkpoint else { return folder }
    let file = Self.checkpointFile(in: folder)
    let descriptor = unsafe open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SystemError(call: "open", subject: file, code: errno) }
    defer { close(descriptor) }
    var text = Array(checkpoint.text.utf8)[...]
    while !text.isEmpty {
      // SAFETY: the kernel reads the slice's bytes during the call.
      let written = unsafe text.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw SystemError(call: "write", subject: file, code: errno) }
      text = text.dropFirst(written)
    }
    return folder
  }

  static func checkpointFile(in folder: String) -> String { "\(folder)/checkpoint.json" }

  /// Ends the commands and removes the folders of workers of this user that no longer live.
  static func cleanUp(in parent: String) {
    for name in FileTree.entries(of: parent) where name.hasPrefix(prefix) {
      let path = "\(parent)/\(name)"
      let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      var status = stat()
      // SAFETY: fstat fills the local it is given.
      guard unsafe fstat(descriptor, &status) == 0, status.st_uid == getuid(),
        flock(descriptor, LOCK_EX | LOCK_NB) == 0
      else { continue }
      Leftovers(folder: path).killAll()
      FileTree.remove(path)
    }
  }

  private static func isStillThere(_ path: String, _ descriptor: Int32) -> Bool {
    var named = stat()
    var opened = stat()
    // SAFETY: both calls fill the locals they are given.
    return unsafe lstat(path, &named) == 0 && fstat(descriptor, &opened) == 0 && named.st_ino == opened.st_ino
  }
}

@available(*, unavailable) extension AttemptDirectory: Sendable {}
