/// The database's layout, and how an older one becomes the newest.
enum Schema {
  /// Marks a database as ours (`PRAGMA application_id`): the ASCII letters `LIFE`.
  static let applicationID: Int32 = 0x4C49_4645

  /// Migration `n` leads from version `n` to version `n + 1`; a released one is never changed again.
  static let migrations = [tasksAttemptsCheckpointsOutput, testsAndRuns]

  /// Brings a database to the newest version, each step in one transaction.
  ///
  /// Nothing is changed before the database is known to be new, or ours and of a version this program knows.
  static func migrate(
    _ connection: SQLiteConnection, through migrations: [String] = Self.migrations
  ) throws(StoreError) {
    let version = try verify(connection, supported: migrations.count)
    // In this mode a commit appends to a log and syncs that: one sync, and readers are never in the way.
    guard try connection.text("PRAGMA journal_mode = WAL") == "wal" else {
      throw .cannotOpen(path: connection.path, reason: "its file system cannot hold a write-ahead log. Use a local one")
    }
    try connection.execute(
      """
      PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;
      PRAGMA cache_size = -32768; PRAGMA journal_size_limit = 67108864
      """)
    for (number, migration) in migrations.enumerated().dropFirst(version) {
      do {
        try connection.execute(
          """
          BEGIN IMMEDIATE; \(migration);
          PRAGMA application_id = \(applicationID); PRAGMA user_version = \(number + 1); COMMIT
          """)
      } catch {
        if connection.isInTransaction { try? connection.execute("ROLLBACK") }
        throw error
      }
    }
  }

  /// The version of a database that may be opened; 0 for a new one.
  private static func verify(_ connection: SQLiteConnection, supported: Int) throws(StoreError) -> Int {
    let id = Int32(truncatingIfNeeded: try connection.integer("PRAGMA application_id"))
    let version = Int(try connection.integer("PRAGMA user_version"))
    let isEmpty = try connection.integer("SELECT count(*) FROM sqlite_schema") == 0
    guard id == applicationID || (id == 0 && version == 0 && isEmpty) else {
      throw .otherProgram(path: connection.path, applicationID: id)
    }
    guard version <= supported else {
      throw .newerSchema(path: connection.path, found: version, supported: supported)
    }
    guard version >= 0 else { throw .corrupt(path: connection.path, reason: "its schema version is \(version)") }
    return version
  }

  // `seq` is the order of submission. The indexes serve pages and counts: each of them lists, within one status, the
  // tasks in order. Output is kept in chunks so that appending does not rewrite what is there.
  private static let tasksAttemptsCheckpointsOutput = """
    CREATE TABLE tasks (
      seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      run TEXT,
      submitted_at INTEGER NOT NULL,
      status INTEGER NOT NULL,
      attempt INTEGER NOT NULL,
      failed_attempts INTEGER NOT NULL,
      lost_attempts INTEGER NOT NULL,
      worker TEXT,
      started_at INTEGER,
      finished_at INTEGER,
      exit_code INTEGER,
      reason TEXT,
      result TEXT,
      progress REAL,
      flags INTEGER NOT NULL,
      specification TEXT NOT NULL
    ) STRICT;
    CREATE INDEX tasks_by_status ON tasks (status);
    CREATE INDEX tasks_by_run ON tasks (run, status) WHERE run IS NOT NULL;
    CREATE INDEX tasks_by_worker ON tasks (worker, status) WHERE worker IS NOT NULL;

    CREATE TABLE attempts (
      task INTEGER NOT NULL REFERENCES tasks,
      attempt INTEGER NOT NULL,
      worker TEXT NOT NULL,
      started_at INTEGER NOT NULL,
      ended_at INTEGER,
      outcome INTEGER NOT NULL,
      reason TEXT NOT NULL,
      exit_code INTEGER,
      resumed_attempt INTEGER,
      resumed_number INTEGER,
      PRIMARY KEY (task, attempt)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE checkpoints (
      task INTEGER NOT NULL REFERENCES tasks,
      attempt INTEGER NOT NULL,
      number INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      data TEXT NOT NULL,
      PRIMARY KEY (task, attempt, number)
    ) STRICT;

    CREATE TABLE output (
      task INTEGER NOT NULL REFERENCES tasks,
      attempt INTEGER NOT NULL,
      stream INTEGER NOT NULL,
      start INTEGER NOT NULL,
      bytes BLOB NOT NULL,
      PRIMARY KEY (task, attempt, stream, start)
    ) STRICT;

    CREATE TABLE output_dropped (
      task INTEGER NOT NULL REFERENCES tasks,
      attempt INTEGER NOT NULL,
      bytes INTEGER NOT NULL,
      PRIMARY KEY (task, attempt)
    ) STRICT, WITHOUT ROWID
    """

  private static let testsAndRuns = """
    CREATE TABLE tests (
      suite TEXT NOT NULL,
      test TEXT NOT NULL,
      mean_us INTEGER,
      runs INTEGER NOT NULL,
      kills INTEGER NOT NULL,
      quarantined INTEGER NOT NULL,
      reason TEXT,
      changed_at INTEGER NOT NULL,
      PRIMARY KEY (suite, test)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tests_with_fate ON tests (suite, test) WHERE kills > 0 OR quarantined > 0;

    CREATE TABLE run_parts (
      run TEXT NOT NULL,
      number INTEGER NOT NULL,
      plan TEXT NOT NULL,
      PRIMARY KEY (run, number)
    ) STRICT
    """
}
