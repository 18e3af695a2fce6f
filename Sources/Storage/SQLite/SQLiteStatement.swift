import CSQLite

/// One prepared statement, used again and again: bind, step until it returns false, reset.
@safe final class SQLiteStatement {
  // SAFETY: set in `init`, finalized in `deinit`, and never handed out.
  private let handle: OpaquePointer
  private let connection: SQLiteConnection

  init(_ handle: OpaquePointer, _ connection: SQLiteConnection) {
    unsafe self.handle = handle
    self.connection = connection
  }

  deinit {
    // SAFETY: the handle is valid, and its connection still open.
    unsafe sqlite3_finalize(handle)
  }

  /// Runs a statement that returns no rows; its parameters were bound before.
  func run() throws(StoreError) {
    defer { reset() }
    while try step() {}
  }

  /// Whether there is another row.
  func step() throws(StoreError) -> Bool {
    // SAFETY: the handle is valid.
    let code = unsafe sqlite3_step(handle)
    switch code {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    default: throw connection.error(code)
    }
  }

  func reset() {
    // SAFETY: the handle is valid. What it returns repeats the error that `step` has thrown.
    _ = unsafe sqlite3_reset(handle)
  }

  // Binding fails when a value exceeds the length limit or memory is out. Parameters count from 1.

  func bind(_ index: Int32, _ value: Int64) throws(StoreError) {
    // SAFETY: the handle is valid.
    try connection.check(unsafe sqlite3_bind_int64(handle, index, value))
  }

  func bind(_ index: Int32, _ value: Int) throws(StoreError) { try bind(index, Int64(value)) }

  func bindNull(_ index: Int32) throws(StoreError) {
    // SAFETY: the handle is valid.
    try connection.check(unsafe sqlite3_bind_null(handle, index))
  }

  func bind(_ index: Int32, _ value: Int64?) throws(StoreError) {
    if let value { try bind(index, value) } else { try bindNull(index) }
  }

  func bind(_ index: Int32, _ value: Int?) throws(StoreError) { try bind(index, value.map(Int64.init)) }

  func bind(_ index: Int32, _ value: Double?) throws(StoreError) {
    guard let value else { return try bindNull(index) }
    // SAFETY: the handle is valid.
    try connection.check(unsafe sqlite3_bind_double(handle, index, value))
  }

  func bind(_ index: Int32, _ value: String?) throws(StoreError) {
    guard var value else { return try bindNull(index) }
    let code = value.withUTF8 { utf8 in
      // SAFETY: the handle is valid; SQLite copies the bytes before it returns. An empty string's base address may be
      // nil, which would bind NULL, so it gets another address.
      unsafe withUnsafePointer(to: 0 as CChar) { empty in
        let start = unsafe UnsafeRawPointer(utf8.baseAddress)?.assumingMemoryBound(to: CChar.self) ?? empty
        return unsafe sqlite3_bind_text64(
          handle, index, start, UInt64(utf8.count), lifeline_sqlite_transient(), UInt8(SQLITE_UTF8))
      }
    }
    try connection.check(code)
  }

  /// Binds UTF-8 text.
  func bind(_ index: Int32, text: [UInt8]) throws(StoreError) {
    let code = unsafe text.withUnsafeBytes { bytes in
      // SAFETY: as for strings.
      unsafe withUnsafePointer(to: 0 as CChar) { empty in
        let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) ?? empty
        return unsafe sqlite3_bind_text64(
          handle, index, start, UInt64(bytes.count), lifeline_sqlite_transient(), UInt8(SQLITE_UTF8))
      }
    }
    try connection.check(code)
  }

  func bind(_ index: Int32, blob: ArraySlice<UInt8>) throws(StoreError) {
    let code = unsafe blob.withUnsafeBytes { bytes in
      // SAFETY: the handle is valid; SQLite copies the bytes before it returns. Callers bind no empty blob as such.
      unsafe sqlite3_bind_blob64(handle, index, bytes.baseAddress, UInt64(bytes.count), lifeline_sqlite_transient())
    }
    try connection.check(code)
  }

  // Columns count from 0 and may be read until the next step or reset.

  func isNull(_ column: Int32) -> Bool {
    // SAFETY: the handle is valid and stands on a row.
    unsafe sqlite3_column_type(handle, column) == SQLITE_NULL
  }

  func int64(_ column: Int32) -> Int64 {
    // SAFETY: as above.
    unsafe sqlite3_column_int64(handle, column)
  }

  func int(_ column: Int32) -> Int { Int(int64(column)) }

  func optionalInt64(_ column: Int32) -> Int64? { isNull(column) ? nil : int64(column) }

  func optionalInt(_ column: Int32) -> Int? { isNull(column) ? nil : int(column) }

  func optionalDouble(_ column: Int32) -> Double? {
    // SAFETY: as above.
    isNull(column) ? nil : unsafe sqlite3_column_double(handle, column)
  }

  /// A text or blob column as it is; empty for NULL.
  func bytes(_ column: Int32) -> [UInt8] {
    // SAFETY: as above. The pointer, taken before the length as SQLite asks, is valid until the next call on the
    // statement; the bytes are copied at once.
    guard let start = unsafe sqlite3_column_blob(handle, column) else { return [] }
    let count = unsafe Int(sqlite3_column_bytes(handle, column))
    return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
  }

  func string(_ column: Int32) -> String? {
    if isNull(column) { return nil }
    // SAFETY: as for `bytes`.
    guard let start = unsafe sqlite3_column_blob(handle, column) else { return "" }
    let count = unsafe Int(sqlite3_column_bytes(handle, column))
    return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
  }
}
