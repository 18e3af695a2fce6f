import CoordinationCore
import Glibc

/// The file in which a command may leave what its tests found (`LIFELINE_JUNIT_FILE`); it travels with the result.
///
/// A command's result is `{"junit": TEXT}`, or `{"junit_problem": …}` where the file was there and cannot be carried.
/// Nobody here looks into it: the client that wants it reads it, and trusts nothing in it.
enum JUnitFile {
  static let variable = "LIFELINE_JUNIT_FILE"
  /// A result travels in one message together with the output.
  static let maxBytes = 128 << 10
  /// As JSON text, in which quotation marks take two bytes.
  static let maxTextBytes = 240 << 10

  static func path(in folder: String) -> String { "\(folder)/junit.xml" }

  /// The result of a command whose folder this is; `nil` when it left no file.
  static func result(in folder: String) -> JSONValue? {
    let path = path(in: folder)
    // Without O_NONBLOCK a command that put a pipe there would hold its worker for ever.
    let descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      return problem("it cannot be opened (errno \(errno))")
    }
    defer { close(descriptor) }
    var status = stat()
    // SAFETY: fstat fills the local it is given.
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      return problem("it is no regular file")
    }
    guard status.st_size <= maxBytes else { return problem("\(status.st_size) bytes; at most \(maxBytes) are carried") }
    var bytes = [UInt8](repeating: 0, count: maxBytes + 1)
    var count = 0
    while count < bytes.count {
      // SAFETY: the kernel writes at most what is left of the buffer.
      let got = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe read(descriptor, buffer.baseAddress?.advanced(by: count), buffer.count - count)
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { return problem("it cannot be read (errno \(errno))") }
      guard got > 0 else { break }
      count += got
    }
    guard count <= maxBytes else { return problem("more than \(maxBytes) bytes; no more are carried") }
    guard let text = String(validating: bytes[..<count], as: UTF8.self) else { return problem("it is not UTF-8") }
    let result: JSONValue = ["junit": .string(text)]
    guard result.text.utf8.count <= maxTextBytes else { return problem("it is full of control characters") }
    return result
  }

  private static func problem(_ text: String) -> JSONValue { ["junit_problem": .string(text)] }
}
