import Glibc
import Reactor

/// Files that are read and written as a whole.
enum WholeFile {
  struct Problem: Error, CustomStringConvertible {
    let description: String
  }

  static func read(_ path: String, maxBytes: Int) throws -> [UInt8] {
    // SAFETY: the path lives for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError(call: "open", subject: path, code: errno) }
    defer { close(descriptor) }
    guard let bytes = StandardInput.read(from: descriptor, maxBytes: maxBytes) else {
      throw Problem(description: "\(path) cannot be read, or has more than \(maxBytes >> 20) MiB")
    }
    return bytes
  }

  /// Writes a file beside `path` and gives it that name: whoever reads `path` finds the whole of it, or what was there.
  static func replace(_ path: String, with text: String) throws(SystemError) {
    let draft = "\(path).\(getpid()).tmp"
    // SAFETY: the path lives for the call.
    let descriptor = unsafe open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw SystemError(call: "open", subject: draft, code: errno) }
    do throws(SystemError) {
      defer { close(descriptor) }
      var rest = Array(text.utf8)[...]
      while !rest.isEmpty {
        // SAFETY: the kernel reads at most the slice's bytes during the call.
        let count = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw SystemError(call: "write", subject: draft, code: errno) }
        rest = rest.dropFirst(count)
      }
      guard fsync(descriptor) == 0 else { throw SystemError(call: "fsync", subject: draft, code: errno) }
      // SAFETY: both paths live for the call.
      guard unsafe rename(draft, path) == 0 else { throw SystemError(call: "rename", subject: path, code: errno) }
    } catch {
      // SAFETY: the path lives for the call.
      _ = unsafe unlink(draft)
      throw error
    }
  }

  /// Found out before anything has run, rather than when the report is due.
  static func checkWritable(_ path: String) throws(SystemError) {
    let folder = path.lastIndex(of: "/").map { path[..<$0].isEmpty ? "/" : String(path[..<$0]) } ?? "."
    // SAFETY: the path lives for the call.
    guard unsafe access(folder, W_OK | X_OK) == 0 else {
      throw SystemError(call: "access", subject: folder, code: errno, detail: "a report cannot be written there")
    }
    var status = stat()
    // SAFETY: stat fills the local it is given.
    if unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      throw SystemError(call: "open", subject: path, code: EISDIR)
    }
  }
}
