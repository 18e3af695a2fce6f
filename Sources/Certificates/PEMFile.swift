import Glibc

/// Why a file could not be read or written.
public struct PEMFileError: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ path: String, _ what: String, _ code: Int32 = errno) {
    // SAFETY: strerror's text is copied before anyone else could ask for another.
    description = "\(path) cannot be \(what): \(unsafe String(cString: strerror(code)))"
  }
}

/// Small texts in files, PEM and other keys: secrets for their owner alone, certificates for everybody.
public enum PEMFile {
  public enum Secrecy: Sendable {
    case secret
    case open

    var mode: mode_t { self == .secret ? 0o600 : 0o644 }
  }

  /// A coordinator's keys take the most.
  private static let maxBytes = 8 << 20

  public static func exists(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: stat fills the local it is given.
    return unsafe lstat(path, &status) == 0
  }

  public static func read(_ path: String) throws(PEMFileError) -> String {
    // SAFETY: the path lives for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw PEMFileError(path, "read") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while bytes.count <= maxBytes {
      // SAFETY: no more is written than the buffer has.
      let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw PEMFileError(path, "read") }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
    throw PEMFileError(path, "read", EFBIG)
  }

  /// Writes a file under a name of its own and renames it, so that a reader finds the old text or the new one, and a key
  /// is at no time open to others.
  public static func write(_ text: String, to path: String, _ secrecy: Secrecy) throws(PEMFileError) {
    let draft = "\(path).new"
    // SAFETY: paths live for the calls.
    _ = unsafe unlink(draft)
    let descriptor = unsafe open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, secrecy.mode)
    guard descriptor >= 0 else { throw PEMFileError(path, "written") }
    do throws(PEMFileError) {
      defer { close(descriptor) }
      try write(Array(text.utf8), to: descriptor, of: path)
      // Whatever the umask takes away from a certificate, a key has no more than its owner's bits.
      if secrecy == .open { _ = fchmod(descriptor, secrecy.mode) }
      guard fsync(descriptor) == 0 else { throw PEMFileError(path, "written") }
    } catch {
      _ = unsafe unlink(draft)
      throw error
    }
    guard unsafe rename(draft, path) == 0 else {
      let error = PEMFileError(path, "written")
      _ = unsafe unlink(draft)
      throw error
    }
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, of path: String) throws(PEMFileError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      // SAFETY: reads the slice's bytes during the call.
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw PEMFileError(path, "written") }
      rest = rest.dropFirst(count)
    }
  }
}
