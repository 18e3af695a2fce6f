import CSQLite

/// One connection to one database file; used by one thread at a time.
@safe final class SQLiteConnection {
  let path: String
  // SAFETY: set in `init`, closed in `deinit`, and never handed out; statements keep their connection alive.
  private let handle: OpaquePointer
  /// Given back when the connection is gone, and not before.
  private let lock: FileLock

  /// How long a statement waits for a lock that another program holds, in milliseconds.
  static let busyTimeout: Int32 = 2_000

  init(path: String, lock: consuming FileLock) throws(StoreError) {
    self.path = path
    self.lock = lock
    var opened: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    // SAFETY: the path is a Swift string, passed as a C string for the call.
    let code = unsafe sqlite3_open_v2(path, &opened, flags, nil)
    guard let handle = unsafe opened, code == SQLITE_OK else {
      let error = unsafe Self.error(code, opened, path)
      unsafe sqlite3_close_v2(opened)
      throw error
    }
    unsafe self.handle = handle
    // SAFETY: the handle is open.
    unsafe sqlite3_busy_timeout(handle, Self.busyTimeout)
    // Until the file is known to be ours, closing must not move the log into it.
    checkpointsOnClose(false)
  }

  deinit {
    // SAFETY: the handle is open, and the last statement is gone: each holds a reference to this object.
    unsafe sqlite3_close_v2(handle)
  }

  func checkpointsOnClose(_ enabled: Bool) {
    // SAFETY: the handle is open.
    _ = unsafe lifeline_sqlite_checkpoint_on_close(handle, enabled ? 1 : 0)
  }

  /// Runs statements that return no rows.
  func execute(_ sql: String) throws(StoreError) {
    // SAFETY: the handle is open; the text is a Swift string, passed as a C string for the call.
    try check(unsafe sqlite3_exec(handle, sql, nil, nil, nil))
  }

  func prepare(_ sql: String) throws(StoreError) -> SQLiteStatement {
    var statement: OpaquePointer?
    // SAFETY: as above.
    try check(unsafe sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil))
    guard let statement = unsafe statement else { preconditionFailure("an empty statement: \(sql)") }
    return unsafe SQLiteStatement(statement, self)
  }

  /// The first column of the only row.
  func integer(_ sql: String) throws(StoreError) -> Int64 {
    let statement = try prepare(sql)
    return try statement.step() ? statement.int64(0) : 0
  }

  /// The first column of the only row.
  func text(_ sql: String) throws(StoreError) -> String {
    let statement = try prepare(sql)
    return try statement.step() ? statement.string(0) ?? "" : ""
  }

  /// How many rows the last INSERT, UPDATE or DELETE changed.
  // SAFETY: the handle is open.
  var changes: Int { Int(unsafe sqlite3_changes(handle)) }
  var lastInsertedRow: Int64 { unsafe sqlite3_last_insert_rowid(handle) }
  var isInTransaction: Bool { unsafe sqlite3_get_autocommit(handle) == 0 }

  /// The longest text or blob that may be written, in bytes; lowered by tests to make one write fail.
  func limitLength(_ bytes: Int32) {
    // SAFETY: the handle is open.
    _ = unsafe sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, bytes)
  }

  func check(_ code: Int32) throws(StoreError) {
    if code != SQLITE_OK { throw error(code) }
  }

  func error(_ code: Int32) -> StoreError {
    // SAFETY: the handle is open.
    unsafe Self.error(code, handle, path)
  }

  private static func error(_ code: Int32, _ handle: OpaquePointer?, _ path: String) -> StoreError {
    // SAFETY: the message lives until the next call on the handle, and is copied at once.
    let message = unsafe String(cString: handle != nil ? sqlite3_errmsg(handle) : sqlite3_errstr(code))
    return switch code & 0xFF {
    case SQLITE_NOTADB: .notADatabase(path: path)
    case SQLITE_FULL: .diskFull(path: path)
    case SQLITE_READONLY: .readOnly(path: path)
    case SQLITE_BUSY, SQLITE_LOCKED: .busy(path: path)
    case SQLITE_IOERR: .ioError(path: path, reason: "\(message) (SQLite \(code))")
    case SQLITE_CORRUPT: .corrupt(path: path, reason: "\(message) (SQLite \(code))")
    case SQLITE_CANTOPEN: .cannotOpen(path: path, reason: "\(message) (SQLite \(code))")
    default: .other(code: code, message: message)
    }
  }
}
