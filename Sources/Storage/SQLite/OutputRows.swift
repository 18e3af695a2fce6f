package import CoordinationCore

/// The tables `output` and `output_dropped`: what attempts wrote, in chunks that follow one another.
final class OutputRows {
  private let readLength: SQLiteStatement
  private let insert: SQLiteStatement
  private let delete: SQLiteStatement
  private let deleteDropped: SQLiteStatement
  private let insertDropped: SQLiteStatement
  private let readAll: SQLiteStatement
  private let readDropped: SQLiteStatement

  init(_ connection: SQLiteConnection) throws(StoreError) {
    readLength = try connection.prepare(
      """
      SELECT start + length(bytes) FROM output WHERE task = ?1 AND attempt = ?2 AND stream = ?3
      ORDER BY start DESC LIMIT 1
      """)
    insert = try connection.prepare(
      "INSERT INTO output (task, attempt, stream, start, bytes) VALUES (?1, ?2, ?3, ?4, ?5)")
    delete = try connection.prepare("DELETE FROM output WHERE task = ?1 AND attempt = ?2")
    deleteDropped = try connection.prepare("DELETE FROM output_dropped WHERE task = ?1 AND attempt = ?2")
    insertDropped = try connection.prepare(
      "INSERT INTO output_dropped (task, attempt, bytes) VALUES (?1, ?2, ?3)")
    readAll = try connection.prepare(
      "SELECT attempt, stream, bytes FROM output WHERE task = ?1 ORDER BY attempt, stream, start")
    readDropped = try connection.prepare("SELECT attempt, bytes FROM output_dropped WHERE task = ?1")
  }

  func append(
    _ bytes: [UInt8], at offset: Int, of stream: OutputStream, attempt: Int, limit: Int, _ place: Int64
  ) throws(StoreError) {
    let length = try length(of: stream, attempt: attempt, place)
    let range = OutputSplice.extending(length: length, offset: offset, count: bytes.count, limit: limit)
    if let range { try put(bytes[range], at: length, of: stream, attempt: attempt, place) }
  }

  func replace(_ attempt: Int, with output: AttemptOutput, _ place: Int64) throws(StoreError) {
    for statement in [delete, deleteDropped] {
      try statement.bind(1, place)
      try statement.bind(2, attempt)
      try statement.run()
    }
    if !output.stdout.isEmpty { try put(output.stdout[...], at: 0, of: .stdout, attempt: attempt, place) }
    if !output.stderr.isEmpty { try put(output.stderr[...], at: 0, of: .stderr, attempt: attempt, place) }
    if output.droppedBytes != 0 {
      try insertDropped.bind(1, place)
      try insertDropped.bind(2, attempt)
      try insertDropped.bind(3, output.droppedBytes)
      try insertDropped.run()
    }
  }

  /// By attempt; one that wrote nothing is missing.
  func all(_ place: Int64) throws(StoreError) -> [Int: AttemptOutput] {
    defer {
      readAll.reset()
      readDropped.reset()
    }
    var output: [Int: AttemptOutput] = [:]
    try readAll.bind(1, place)
    while try readAll.step() {
      let isStdout = readAll.int64(1) == OutputStream.stdout.code
      let stream = isStdout ? \AttemptOutput.stdout : \AttemptOutput.stderr
      output[readAll.int(0), default: AttemptOutput()][keyPath: stream].append(contentsOf: readAll.bytes(2))
    }
    try readDropped.bind(1, place)
    while try readDropped.step() {
      output[readDropped.int(0), default: AttemptOutput()].droppedBytes = readDropped.int(1)
    }
    return output
  }

  private func length(of stream: OutputStream, attempt: Int, _ place: Int64) throws(StoreError) -> Int {
    defer { readLength.reset() }
    try readLength.bind(1, place)
    try readLength.bind(2, attempt)
    try readLength.bind(3, stream.code)
    return try readLength.step() ? readLength.int(0) : 0
  }

  private func put(
    _ bytes: ArraySlice<UInt8>, at start: Int, of stream: OutputStream, attempt: Int, _ place: Int64
  ) throws(StoreError) {
    try insert.bind(1, place)
    try insert.bind(2, attempt)
    try insert.bind(3, stream.code)
    try insert.bind(4, start)
    try insert.bind(5, blob: bytes)
    try insert.run()
  }
}

extension OutputStream {
  // Part of the file format.
  package var code: Int64 {
    switch self {
    case .stdout: 0
    case .stderr: 1
    }
  }
}
