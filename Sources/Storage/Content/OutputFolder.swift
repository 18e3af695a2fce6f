public import CoordinationCore
import Cryptography
import Glibc

/// A folder that a task's outputs are put into. Nothing is ever written outside of it: paths are relative, without `..`,
/// and links on the way are not followed.
public final class OutputFolder {
  private let path: String
  private let tree: WorkingTree
  private var parts: [FileDigest: Part] = [:]

  private struct Part {
    let file: File
    let path: String
    var hash = SHA256Stream()
    var have = 0
  }

  public struct Failure: Error, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
  }

  /// Opens the folder, and makes it when only that itself is missing.
  public init(_ path: String) throws(Failure) {
    self.path = path
    // SAFETY: the path lives for the call.
    if unsafe mkdir(path, 0o755) != 0, errno != EEXIST {
      throw Failure("\(path) cannot be made: \(FileError("mkdir").reason)")
    }
    do throws(FileError) { tree = try WorkingTree(path, followingLink: true) } catch {
      throw Failure("\(path) cannot be used: \(error.reason)")
    }
  }

  deinit { for part in parts.values { try? File.remove(part.path) } }

  /// - Returns: what was wrong; `nil`: nothing.
  public func write(_ file: FileReference, offset: Int, _ piece: [UInt8]) -> String? {
    do throws(FileError) {
      var part = try part(of: file)
      // A second try begins at the beginning.
      if offset == 0 { (part.hash, part.have) = (SHA256Stream(), 0) }
      guard offset == part.have else { return "its pieces do not fit together" }
      try part.file.write(piece, at: offset)
      part.hash.update(piece)
      part.have += piece.count
      parts[file.digest] = part
      return nil
    } catch { return "\(path): \(error.reason)" }
  }

  private func part(of file: FileReference) throws(FileError) -> Part {
    if let part = parts[file.digest] { return part }
    let name = "\(path)/.lifeline-\(file.digest.text.prefix(16))-\(getpid())"
    let made = Part(file: try File.open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600), path: name)
    parts[file.digest] = made
    return made
  }

  /// Whether all that was written is the file.
  public func verify(_ file: FileReference) -> Bool {
    guard let part = try? part(of: file), part.have == file.size else { return false }
    return FileDigest(part.hash.digest) == file.digest
  }

  /// Puts files that were found to be right where they belong; one that is there is replaced.
  public func finish(_ outputs: [TaskOutput]) throws(Failure) {
    for output in outputs {
      if let problem = RelativePath.problem(output.path) { throw Failure(problem) }
      guard let part = parts[output.file.digest] else { throw Failure("\(output.path) did not arrive") }
      do throws(FileError) {
        try tree.copy(part.file, to: output.path, mode: mode_t(output.mode & 0o777) | 0o600)
      } catch { throw Failure("\(output.path) cannot be written in \(path): \(error.reason)") }
    }
  }
}

@available(*, unavailable) extension OutputFolder: Sendable {}
