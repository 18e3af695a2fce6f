import ArgumentParsing
import Authentication
import Glibc
import Reactor

/// An API key, from wherever it is given.
enum KeyOptions {
  static let key = Option(
    "api-key", optional: .string, as: "KEY", environment: "LIFELINE_API_KEY",
    "What proves to the coordinator who this is, and to us that it is the coordinator. Other users of this machine can see "
      + "a command line: rather set the variable or use --api-key-file.")
  static let file = Option(
    "api-key-file", optional: .string, as: "FILE", environment: "LIFELINE_API_KEY_FILE",
    "A file with the key, which nobody else may read.")

  /// The key that was given; the option counts before the file, and the file before the variables.
  static func key(_ invocation: Invocation) throws(UsageError) -> APIKey? {
    let text: String
    if let given = invocation[key] {
      text = given
    } else if let path = invocation[file] {
      do { text = try PrivateFile.read(path) } catch { throw invocation.error("--api-key-file: \(error)") }
    } else {
      return nil
    }
    do { return try APIKey(trimmed(text)) } catch { throw invocation.error("the API key is none: \(error)") }
  }

  private static func trimmed(_ text: String) -> String {
    String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}

/// A small file that must be its owner's alone.
enum PrivateFile {
  static let maxBytes = 8 << 20

  struct Problem: Error, CustomStringConvertible {
    let description: String
  }

  static func read(_ path: String) throws(Problem) -> String {
    // SAFETY: the path lives for the calls; fstat and read fill locals of the sizes they are told.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Problem(description: "\(path): \(SystemError.message(of: errno))") }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw Problem(description: "\(path): \(SystemError.message(of: errno))")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw Problem(description: "others may read \(path), so what is in it is no secret; do: chmod 600 \(path)")
    }
    guard status.st_size <= maxBytes else { throw Problem(description: "\(path) has more than \(maxBytes) bytes") }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while bytes.count <= maxBytes {
      let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
      guard count >= 0 else { throw Problem(description: "\(path): \(SystemError.message(of: errno))") }
      if count == 0 { break }
      bytes += buffer[..<count]
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Problem(description: "\(path) is no text") }
    return text
  }

  /// Puts the whole text there or nothing, with mode 600.
  static func write(_ text: String, to path: String) throws(Problem) {
    let temporary = "\(path).new"
    // SAFETY: as above.
    unsafe unlink(temporary)
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Problem(description: "\(temporary): \(SystemError.message(of: errno))") }
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else {
        let code = errno
        close(descriptor)
        unsafe unlink(temporary)
        throw Problem(description: "\(temporary): \(SystemError.message(of: code))")
      }
      rest = rest.dropFirst(count)
    }
    let isKept = fsync(descriptor) == 0
    close(descriptor)
    guard isKept, unsafe rename(temporary, path) == 0 else {
      throw Problem(description: "\(path): \(SystemError.message(of: errno))")
    }
  }

  static func exists(_ path: String) -> Bool {
    // SAFETY: as above.
    unsafe access(path, F_OK) == 0
  }
}
