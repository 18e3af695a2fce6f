import CoordinationCore
import Glibc
import Reactor

/// The folder that one attempt runs in and that is its own: fresh, empty, private (mode 0700), and gone after the attempt.
///
/// It lies in the attempt's private folder and goes with it. A later attempt finds nothing of it: what is to outlive an
/// attempt belongs into a checkpoint.
struct WorkingDirectory {
  let path: String
  /// As `du` counts: blocks on the disk.
  let maxBytes: Int64
  /// Whether `maxBytes` is the worker's own bound, and not what the task asked for.
  let isBoundByWorker: Bool

  static let maxEntries = 1_000_000

  /// Makes it inside an attempt's private folder.
  ///
  /// - Parameter limit: the most that the worker allows; `nil`: whatever a task asks for.
  init(_ request: OwnDirectory, in folder: String, limit: Int64?) throws(SystemError) {
    path = "\(folder)/work"
    maxBytes = min(request.maxBytes, limit ?? .max)
    isBoundByWorker = maxBytes < request.maxBytes
    guard unsafe mkdir(path, 0o700) == 0 else { throw SystemError(call: "mkdir", subject: path, code: errno) }
  }

  /// Takes over a folder that somebody else has made and removes, because there are files in it already.
  init(_ request: OwnDirectory, at path: String, limit: Int64?) {
    self.path = path
    maxBytes = min(request.maxBytes, limit ?? .max)
    isBoundByWorker = maxBytes < request.maxBytes
  }

  /// Looks at everything in it; not for the loop's thread.
  func measure() -> FileTree.Usage { FileTree.usage(of: path, maxBytes: maxBytes, maxEntries: Self.maxEntries) }

  /// Why a command may not go on that has brought its folder there; `nil` while it may.
  func problem(_ usage: FileTree.Usage) -> String? {
    if usage.bytes > maxBytes {
      let whose = isBoundByWorker ? "the worker's --work-dir-max-bytes" : "the task's workdir.max_bytes"
      return "its working directory holds more than the \(maxBytes) bytes that \(whose) allows"
    }
    if usage.entries > Self.maxEntries {
      return "its working directory holds more than \(Self.maxEntries) files and folders"
    }
    return usage.isTooDeep ? "its working directory nests more than \(FileTree.maxLevels) folders" : nil
  }
}
