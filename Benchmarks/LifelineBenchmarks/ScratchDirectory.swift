import Glibc

/// A folder for one benchmark's files, removed with them. It is made in `TMPDIR`, or else in the system's temporary folder:
/// durable commits are as fast as the disk below it.
final class ScratchDirectory {
  private let path: String

  static var parent: String { getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp" }

  init() throws {
    var template = Array("\(Self.parent)/lifeline-bench-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw BenchmarkError(description: "no folder can be made in \(Self.parent): errno \(errno)")
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  deinit {
    guard let folder = opendir(path) else { return }
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { unlink("\(path)/\(name)") }
    }
    closedir(folder)
    rmdir(path)
  }
}
