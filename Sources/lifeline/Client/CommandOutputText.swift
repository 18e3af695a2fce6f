import CoordinationCore
import Glibc
import Terminal

/// A command's output as the coordinator tells it: `stdout` and `stderr`, or base64 where it is not UTF-8.
enum CommandOutputText {
  /// More than any coordinator keeps.
  private static let maxBytes = 64 << 20

  static func bytes(_ member: String, of object: JSONObject) -> [UInt8] {
    (try? OutputText.bytes(member, in: object, limit: maxBytes)) ?? []
  }

  /// Writes a task's output to our own two streams, and says when some of it was not kept.
  static func write(_ task: JSONObject, streams: Set<OutputStream> = Set(OutputStream.allCases), to console: Console) {
    if streams.contains(.stdout) { console.write(bytes("stdout", of: task)) }
    if streams.contains(.stderr) { console.write(bytes("stderr", of: task), to: STDERR_FILENO) }
    if let dropped = task["dropped_bytes"]?.integer, dropped > 0 {
      console.remark("(\(dropped) bytes of the output were not kept)")
    }
  }
}
