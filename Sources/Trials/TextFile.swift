import Glibc
import Reactor

/// Whole files, for a program without Foundation.
enum TextFile {
  /// A file's bytes; `nil` when it cannot be read.
  static func read(_ path: String) -> [UInt8]? {
    // SAFETY: the path lives for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      // SAFETY: the kernel writes at most the buffer's bytes.
      let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count < 0 { return nil }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
  }

  static func write(_ text: String, to path: String) throws(SystemError) {
    // SAFETY: the path lives for the call.
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw SystemError(call: "open", subject: path, code: errno) }
    defer { close(descriptor) }
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      // SAFETY: the kernel reads at most the slice's bytes during the call.
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw SystemError(call: "write", subject: path, code: errno) }
      rest = rest.dropFirst(count)
    }
  }

  /// Makes a folder and those above it; one that is there already is fine.
  static func makeFolder(_ path: String) throws(SystemError) {
    var part = path.hasPrefix("/") ? "/" : ""
    for name in path.split(separator: "/") {
      part += part.isEmpty || part == "/" ? String(name) : "/\(name)"
      // SAFETY: the path lives for the call.
      guard unsafe mkdir(part, 0o755) == 0 || errno == EEXIST else {
        throw SystemError(call: "mkdir", subject: part, code: errno)
      }
    }
  }

  /// A number of kibibytes that `/proc/PID/status` says of a process; `nil` once it is gone.
  static func processMemory(_ pid: Int32, _ name: String) -> Int? {
    guard let bytes = read("/proc/\(pid)/status") else { return nil }
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name + ":") {
      return line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
    }
    return nil
  }

  /// How many descriptors this process may have open; `nil` when the system does not say.
  static var descriptorLimit: Int? {
    guard let bytes = read("/proc/self/limits") else { return nil }
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("Max open files") {
      return line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
    }
    return nil
  }
}
