public import CoordinationCore
import Cryptography
import Glibc

/// Files of the one who submits a task.
public enum LocalFile {
  public struct Failure: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
  }

  /// A file as a task's input: where, what, and whether it may be executed.
  public struct Found: Sendable {
    public let path: String
    /// Relative to what was asked for; empty when that was a file.
    public let name: String
    public let file: FileReference
    public let isExecutable: Bool
  }

  private static let maxDepth = 64

  public static func exists(_ path: String) -> Bool { FileStatus(at: path) != nil }

  /// Reads a file, or every file in a folder and in those in it, to know their digests. Links to files are followed, and
  /// links to folders refused, so that the walk has an end.
  public static func find(_ path: String, limit: Int) throws(Failure) -> [Found] {
    var found: [Found] = []
    try find(path, "", depth: 0, limit: limit, &found)
    return found
  }

  private static func find(
    _ path: String, _ name: String, depth: Int, limit: Int, _ found: inout [Found]
  ) throws(Failure) {
    var status = stat()
    // SAFETY: stat fills the local it is given; the path lives for the call.
    guard unsafe stat(path, &status) == 0 else { throw Failure("\(path): \(FileError("stat").reason)") }
    switch status.st_mode & S_IFMT {
    case S_IFREG:
      guard found.count < limit else { throw Failure("more than \(limit) files; a task may have that many") }
      do throws(FileError) {
        let file = try File.open(path, O_RDONLY)
        let size = try file.size()
        let digest = try ContentFolder.hash(file, count: size)
        let isExecutable = status.st_mode & 0o111 != 0
        found.append(Found(path: path, name: name, file: FileReference(digest, size: size), isExecutable: isExecutable))
      } catch { throw Failure("\(path): \(error.reason)") }
    case S_IFDIR:
      guard depth == 0 || FileStatus(at: path)?.isFolder == true else {
        throw Failure("\(path) is a link to a folder; name that folder itself")
      }
      guard depth < maxDepth else { throw Failure("\(path): folders are nested too deeply") }
      for entry in FolderListing.names(in: path) {
        let inner = name.isEmpty ? entry : "\(name)/\(entry)"
        try find("\(path)/\(entry)", inner, depth: depth + 1, limit: limit, &found)
      }
    default: throw Failure("\(path) is neither a file nor a folder")
    }
  }

  /// A piece of a file; `nil` when it cannot be read, or is not that long any more.
  public static func read(_ path: String, offset: Int, count: Int) -> [UInt8]? {
    guard let bytes = try? File.open(path, O_RDONLY).read(count, at: offset), bytes.count == count else { return nil }
    return bytes
  }
}
