import Glibc

/// The first bytes of a SQLite file (SQLite file format §1.3), read before SQLite itself may touch the file.
enum DatabaseHeader {
  private static let magic = Array("SQLite format 3\0".utf8)
  private static let length = 100

  /// Throws when the file exists and is certainly not ours to open; one that is missing or empty will become ours.
  ///
  /// What the header does not tell, because a newer one is in the log still, `Schema.migrate` finds out.
  static func check(_ path: String) throws(StoreError) {
    let header: [UInt8]
    do throws(FileError) {
      header = try read(path)
    } catch {
      if error.code == ENOENT { return }
      throw error.code == EACCES ? .readOnly(path: path) : error.storeError(path)
    }
    if header.isEmpty { return }
    guard header.count == length, header.starts(with: magic) else { throw .notADatabase(path: path) }
    let version = Int32(truncatingIfNeeded: header[60..<64].reduce(0) { $0 << 8 | Int($1) })
    let id = Int32(truncatingIfNeeded: header[68..<72].reduce(0) { $0 << 8 | Int($1) })
    guard id == 0 || id == Schema.applicationID else { throw .otherProgram(path: path, applicationID: id) }
    if id == Schema.applicationID, version > Schema.migrations.count {
      throw .newerSchema(path: path, found: Int(version), supported: Schema.migrations.count)
    }
  }

  private static func read(_ path: String) throws(FileError) -> [UInt8] {
    // Without waiting: a FIFO would otherwise keep us until somebody writes to it.
    let file = try File.open(path, O_RDWR | O_NONBLOCK)
    guard try file.isRegular() else { throw FileError("open", EISDIR) }
    return try file.read(length)
  }
}
