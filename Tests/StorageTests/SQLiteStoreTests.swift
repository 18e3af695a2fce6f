import CSQLite
import CoordinationCore
import Glibc
import Primitives
import Synchronization
import Testing

@testable import Storage

@Suite(.timeLimit(.minutes(2)))
struct SQLiteStoreTests {
  let directory = TemporaryDirectory()
  var path: String { directory.file("store.db") }

  func openError(_ path: String) -> StoreError? {
    do throws(StoreError) {
      _ = try SQLiteStore.open(path: path)
      return nil
    } catch {
      return error
    }
  }

  /// Runs SQL on a file behind the store's back.
  func run(_ sql: String, on path: String) {
    var database: OpaquePointer?
    precondition(sqlite3_open(path, &database) == SQLITE_OK)
    let code = sqlite3_exec(database, sql, nil, nil, nil)
    precondition(code == SQLITE_OK, String(cString: sqlite3_errmsg(database)))
    sqlite3_close(database)
  }

  @Test func `opening again finds everything`() async throws {
    var ended = task("b", run: "r")
    ended.state = state(.failed, worker("w"))
    let attempt = AttemptRecord(taskID: id("a"), attempt: 1, workerID: worker("w"), startedAt: time(1))
    var store = try SQLiteStore.open(path: path)
    try await store.commit([
      .submit(task("a")), .submit(ended), .attempt(attempt), .checkpoint(checkpoint("a", 1, 1), keep: 3),
      .appendOutput(id("a"), attempt: 1, .stdout, offset: 0, bytes: [0, 1], limit: 9),
    ])
    let (all, detail) = (try await store.tasks(), try await store.task(id("a")))
    await store.close()
    #expect(directory.names == ["store.db"], "closing leaves one file and no lock")
    store = try SQLiteStore.open(path: path)
    #expect(try await store.tasks() == all)
    #expect(try await store.task(id("a")) == detail)
    #expect(try await store.counts() == [.queued: 1, .failed: 1])
    await store.close()
  }

  @Test func `a store that is let go of finishes what was requested`() async throws {
    let committed = Atomic(false)
    var store: SQLiteStore? = try SQLiteStore.open(path: path)
    store?.commit([.submit(task("a"))]) { _ in committed.store(true, ordering: .releasing) }
    store = nil
    let again = try await reopened { try SQLiteStore.open(path: path) }
    let wasCommitted = committed.load(ordering: .acquiring)
    #expect(wasCommitted)
    #expect(try await again.names() == ["a"])
    await again.close()
  }

  @Test(arguments: [0, 1, 3, 50, 600, 20_000])
  func `a file that is not a database is refused and left as it is`(_ size: Int) throws {
    let original = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 65) }
    directory.write(original, "store.db")
    if size == 0 {
      #expect(openError(path) == nil, "an empty file is a new store")
      return
    }
    #expect(openError(path) == .notADatabase(path: path))
    #expect(directory.bytes("store.db") == original)
    #expect(directory.names == ["store.db"])
  }

  @Test func `a database with a good header and nothing behind it is refused and left as it is`() async throws {
    let store = try SQLiteStore.open(path: path)
    try await store.commit([.submit(task("a"))])
    await store.close()
    var bytes = try #require(directory.bytes("store.db"))
    for index in 100..<bytes.count { bytes[index] = 0xA5 }
    directory.write(bytes, "store.db")
    guard case .corrupt(path, _) = openError(path) else {
      Issue.record("\(String(describing: openError(path)))")
      return
    }
    #expect(directory.bytes("store.db") == bytes)
  }

  @Test(arguments: ["", "PRAGMA application_id = 77;", "PRAGMA journal_mode = WAL;"])
  func `a database of another program is refused and left as it is`(_ pragma: String) throws {
    run("\(pragma) CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')", on: path)
    let original = try #require(directory.bytes("store.db"))
    guard case .otherProgram(path, _) = openError(path) else {
      Issue.record("\(String(describing: openError(path)))")
      return
    }
    #expect(directory.bytes("store.db") == original)
  }

  @Test func `a newer schema is refused and left as it is`() async throws {
    let store = try SQLiteStore.open(path: path)
    await store.close()
    run("PRAGMA user_version = 9", on: path)
    let original = try #require(directory.bytes("store.db"))
    #expect(openError(path) == .newerSchema(path: path, found: 9, supported: Schema.migrations.count))
    #expect(directory.bytes("store.db") == original)
    #expect(directory.names == ["store.db"])
  }

  @Test func `a newer schema that only the log tells of is refused and left as it is`() async throws {
    let store = try SQLiteStore.open(path: path)
    await store.close()
    // A newer program that died after its migration: the file's header is old, the log has the new version.
    let other = TemporaryDirectory()
    var database: OpaquePointer?
    #expect(sqlite3_open(path, &database) == SQLITE_OK)
    #expect(sqlite3_exec(database, "PRAGMA user_version = 9", nil, nil, nil) == SQLITE_OK)
    for name in ["store.db", "store.db-wal"] { other.write(try #require(directory.bytes(name)), name) }
    sqlite3_close(database)
    let original = try #require(other.bytes("store.db"))
    let log = try #require(other.bytes("store.db-wal"))
    let path = other.file("store.db")
    #expect(openError(path) == .newerSchema(path: path, found: 9, supported: Schema.migrations.count))
    #expect(other.bytes("store.db") == original)
    #expect(other.bytes("store.db-wal") == log)
  }

  @Test func `migrations lead forward one by one and a failing one changes nothing`() throws {
    let target = path
    func connection() throws(StoreError) -> SQLiteConnection {
      try SQLiteConnection(path: target, lock: FileLock.acquire(for: target, held: .locked(path: target)))
    }
    func version() throws -> Int64 { try connection().integer("PRAGMA user_version") }
    try Schema.migrate(connection(), through: ["CREATE TABLE one (x)"])
    #expect(try version() == 1)
    #expect(throws: StoreError.self) {
      try Schema.migrate(
        connection(), through: ["never", "CREATE TABLE two (x)", "CREATE TABLE three (x); CREATE TABLE three (x)"])
    }
    #expect(try version() == 2)
    #expect(try connection().integer("SELECT count(*) FROM sqlite_schema") == 2)
    try Schema.migrate(connection(), through: ["never", "never", "CREATE TABLE three (x)"])
    #expect(try version() == 3)
  }

  @Test func `a store in use is refused and can be opened once it is closed`() async throws {
    let store = try SQLiteStore.open(path: path)
    #expect(openError(path) == .locked(path: path))
    symlink(path, directory.file("alias.db"))
    #expect(openError(directory.file("alias.db")) == .locked(path: directory.file("alias.db")))
    try await store.commit([.submit(task("a"))])
    await store.close()
    #expect(openError(path) == nil)
  }

  @Test func `a place that cannot hold a store is named with what to do`() throws {
    let missing = directory.file("none/store.db")
    #expect(
      openError(missing)
        == .cannotOpen(path: missing, reason: "its directory does not exist. Create the directory first"))
    directory.write([1], "file")
    let below = directory.file("file/store.db")
    #expect(openError(below) == .cannotOpen(path: below, reason: "a part of the path is not a directory"))
    #expect(
      openError(directory.path) == .cannotOpen(path: directory.path, reason: "it is not a file. Name a file"))
    mkfifo(directory.file("fifo"), 0o600)
    #expect(openError(directory.file("fifo")) != nil)
  }

  @Test(.enabled(if: geteuid() != 0, "root may write everywhere"))
  func `a file or directory without permission is refused`() async throws {
    let store = try SQLiteStore.open(path: path)
    await store.close()
    chmod(path, 0o400)
    #expect(openError(path) == .readOnly(path: path))
    chmod(path, 0o600)
    chmod(directory.path, 0o500)
    guard case .cannotOpen = openError(path) else {
      Issue.record("\(String(describing: openError(path)))")
      return
    }
    chmod(directory.path, 0o700)
  }

  @Test func `a full disk fails the commit alone and it succeeds when there is space`() async throws {
    let store = try SQLiteStore.open(path: path)
    try await store.commit([.submit(task("a"))])
    store.perform { connection in
      let pages = (try? connection.integer("PRAGMA page_count")) ?? 0
      _ = try? connection.integer("PRAGMA max_page_count = \(pages + 2)")
    }
    let large: [StoreWrite] = [
      .submit(task("b")), .output(id("a"), attempt: 1, AttemptOutput(stdout: .init(repeating: 7, count: 200_000))),
    ]
    let error = await storeError { try await store.commit(large) }
    #expect(error == .diskFull(path: path))
    #expect(error?.isTransient == true)
    #expect(try await store.names() == ["a"])
    try await store.commit([.update(id("a"), state(.running))])
    store.perform { connection in _ = try? connection.integer("PRAGMA max_page_count = 100000") }
    try await store.commit(large)
    #expect(try await store.names() == ["a", "b"])
    #expect(try await store.task(id("a"))?.output[1]?.stdout.count == 200_000)
    await store.close()
  }

  @Test func `another program's lock is a transient error`() async throws {
    let store = try SQLiteStore.open(path: path)
    store.perform { connection in try? connection.execute("PRAGMA busy_timeout = 1") }
    try await store.commit([.submit(task("a"))])
    var database: OpaquePointer?
    #expect(sqlite3_open(path, &database) == SQLITE_OK)
    #expect(sqlite3_exec(database, "BEGIN IMMEDIATE", nil, nil, nil) == SQLITE_OK)
    let error = await storeError { try await store.commit([.submit(task("b"))]) }
    #expect(error == .busy(path: path))
    #expect(error?.isTransient == true)
    #expect(try await store.names() == ["a"])
    #expect(sqlite3_exec(database, "ROLLBACK", nil, nil, nil) == SQLITE_OK)
    sqlite3_close(database)
    try await store.commit([.submit(task("b"))])
    #expect(try await store.names() == ["a", "b"])
    await store.close()
  }

  @Test func `a damaged row is reported with the task it belongs to`() async throws {
    let store = try SQLiteStore.open(path: path)
    try await store.commit([.submit(task("a"))])
    store.perform { connection in try? connection.execute("UPDATE tasks SET specification = '{\"name\":'") }
    let error = await storeError { _ = try await store.unfinished() }
    guard case .corrupt(path, let reason) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.contains("task a"))
    await store.close()
  }

  @Test func `every error says what to do`() {
    let errors: [StoreError] = [
      .notADatabase(path: "p"), .otherProgram(path: "p", applicationID: 1), .locked(path: "p"),
      .newerSchema(path: "p", found: 2, supported: 1), .diskFull(path: "p"), .readOnly(path: "p"), .busy(path: "p"),
      .ioError(path: "p", reason: "r"), .corrupt(path: "p", reason: "r"), .outboxLocked(path: "p"),
      .outboxFull(path: "p", entries: 1, bytes: 2, limits: OutboxLimits()), .cannotOpen(path: "p", reason: "r"),
    ]
    for error in errors {
      #expect("\(error)".contains("p"))
      #expect(!"\(error)".contains("StoreError"))
    }
  }
}
