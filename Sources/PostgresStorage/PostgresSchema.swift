import PostgreSQL

/// The tables, and how older ones become the newest.
///
///     lifeline_tasks       one row per task: what was submitted, and how it ended; written twice in its life
///     lifeline_unfinished  one narrow row per task that has not ended: whose it is and what changes; gone with its end
///     lifeline_needs       the different needs of tasks, each text once
///     lifeline_members     one row per run of a coordinator: its lease, and the number of its last transaction
///     lifeline_files       one row per file of tasks, and its bytes in `lifeline_file_pieces`
///
/// What changes often is in no index where that can be helped: such a row is changed in place (PostgreSQL's heap-only
/// tuples).
enum PostgresSchema {
  /// Migration `n` leads from version `n` to version `n + 1`; a released one is never changed again.
  static let migrations: [[String]] = [first, files]

  /// Any number that other programs are unlikely to lock: the ASCII letters `LIFELINE`.
  private static let lock: Int64 = 0x4C49_4645_4C49_4E45

  /// What a server must be to be used.
  static let minServerVersion = 140_000

  static let acquireLock = PostgresCall.sql("SELECT pg_advisory_xact_lock(\(lock))")
  /// One row with the version table's name, or NULL when it does not exist in the schema that tables are made in.
  static let findVersionTable = PostgresCall.sql(
    """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_class
      WHERE relname = 'lifeline_schema' AND relnamespace = to_regnamespace(quote_ident(current_schema())))
    """)
  static let readVersion = PostgresCall.sql("SELECT version::bigint, cluster FROM lifeline_schema")

  /// The statements that lead from `version` to the newest, to be run in one transaction. It begins with the lock, and
  /// fails when somebody else was faster.
  static func upgrade(from version: Int, through migrations: [[String]] = migrations) -> [PostgresCall] {
    var calls = [acquireLock]
    if version == 0 {
      calls.append(
        .sql("CREATE TABLE lifeline_schema (version integer NOT NULL, cluster text NOT NULL)"))
      // Tells the notifications of clusters apart that share a database.
      calls.append(
        .sql(
          """
          INSERT INTO lifeline_schema VALUES (0, substr(md5(random()::text || clock_timestamp()::text), 1, 12))
          """))
    }
    calls.append(.sql("SELECT 1 / (SELECT count(*) FROM lifeline_schema WHERE version = $1::bigint)", .int(version)))
    for migration in migrations.dropFirst(version) { calls += migration.map { .sql($0) } }
    calls.append(.sql("UPDATE lifeline_schema SET version = $1::bigint", .int(migrations.count)))
    return calls
  }

  // `seq` is the order of submission. In `lifeline_tasks` a status below 4 says only that the task has not ended.
  private static let first = [
    """
    CREATE TABLE lifeline_needs (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      digest bytea NOT NULL UNIQUE,
      text bytea NOT NULL
    )
    """,
    """
    CREATE TABLE lifeline_members (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      name text NOT NULL,
      address text NOT NULL,
      lease interval NOT NULL,
      expires_at timestamptz NOT NULL,
      ended_at timestamptz,
      last_batch bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 20)
    """,
    """
    CREATE TABLE lifeline_tasks (
      seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      submitted_at bigint NOT NULL,
      needs bigint NOT NULL,
      owner bigint,
      \(state),
      urgency smallint NOT NULL,
      id text COLLATE "C" NOT NULL UNIQUE,
      run bytea,
      specification bytea NOT NULL
    )
    """,
    "CREATE INDEX lifeline_tasks_by_run ON lifeline_tasks (run, seq) WHERE run IS NOT NULL",
    "CREATE INDEX lifeline_tasks_ended ON lifeline_tasks (status, seq) WHERE status >= 4",
    "CREATE INDEX lifeline_tasks_by_worker ON lifeline_tasks (worker, seq) WHERE status >= 4 AND worker IS NOT NULL",
    """
    CREATE TABLE lifeline_unfinished (
      seq bigint PRIMARY KEY,
      submitted_at bigint NOT NULL,
      needs bigint NOT NULL,
      owner bigint,
      claim bigint,
      \(state),
      urgency smallint NOT NULL,
      ready boolean NOT NULL,
      last_worker text COLLATE "C"
    ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)
    """,
    "CREATE INDEX lifeline_pool ON lifeline_unfinished (needs, urgency, seq) WHERE owner IS NULL AND ready",
    "CREATE INDEX lifeline_unfinished_by_owner ON lifeline_unfinished (owner) WHERE owner IS NOT NULL",
    "CREATE INDEX lifeline_unfinished_by_worker ON lifeline_unfinished (last_worker) WHERE last_worker IS NOT NULL",
    """
    CREATE TABLE lifeline_attempts (
      task bigint NOT NULL,
      attempt bigint NOT NULL,
      started_at bigint NOT NULL,
      ended_at bigint,
      exit_code bigint,
      resumed_attempt bigint,
      resumed_number bigint,
      outcome smallint NOT NULL,
      worker text COLLATE "C" NOT NULL,
      reason bytea NOT NULL,
      PRIMARY KEY (task, attempt)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TABLE lifeline_checkpoints (
      task bigint NOT NULL,
      attempt bigint NOT NULL,
      number bigint NOT NULL,
      created_at bigint NOT NULL,
      data bytea NOT NULL,
      PRIMARY KEY (task, attempt, number)
    )
    """,
    """
    CREATE TABLE lifeline_output (
      task bigint NOT NULL,
      attempt bigint NOT NULL,
      stream smallint NOT NULL,
      start bigint NOT NULL,
      bytes bytea NOT NULL,
      PRIMARY KEY (task, attempt, stream, start)
    )
    """,
    """
    CREATE TABLE lifeline_tests (
      suite bytea NOT NULL,
      test bytea NOT NULL,
      mean_us bigint,
      runs bigint NOT NULL,
      kills bigint NOT NULL,
      quarantined boolean NOT NULL,
      reason bytea NOT NULL DEFAULT '',
      changed_at bigint NOT NULL,
      PRIMARY KEY (suite, test)
    )
    """,
    """
    CREATE INDEX lifeline_tests_with_fate ON lifeline_tests (suite, test) WHERE kills > 0 OR quarantined
    """,
    """
    CREATE TABLE lifeline_run_parts (
      run bytea NOT NULL,
      number bigint NOT NULL,
      plan bytea NOT NULL,
      PRIMARY KEY (run, number)
    )
    """,
  ]

  // A file's number never means other bytes: one that is sent again after it was removed gets another.
  private static let files = [
    """
    CREATE TABLE lifeline_files (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      sha256 text COLLATE "C" NOT NULL UNIQUE,
      size bigint NOT NULL,
      have bigint NOT NULL,
      is_whole boolean NOT NULL,
      used_at timestamptz NOT NULL
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX lifeline_files_partial ON lifeline_files (id) WHERE NOT is_whole",
    """
    CREATE TABLE lifeline_file_pieces (
      file bigint NOT NULL,
      start bigint NOT NULL,
      bytes bytea NOT NULL,
      PRIMARY KEY (file, start)
    )
    """,
    // Compressed, a part of a piece could not be read without the whole.
    "ALTER TABLE lifeline_file_pieces ALTER COLUMN bytes SET STORAGE EXTERNAL",
    // Which tasks need which files; looked at only together with the tasks that have not ended.
    """
    CREATE TABLE lifeline_file_uses (
      sha256 text COLLATE "C" NOT NULL,
      task bigint NOT NULL,
      PRIMARY KEY (sha256, task)
    )
    """,
    // Numbers of files that are gone, and whose pieces are still to be removed.
    "CREATE TABLE lifeline_file_waste (file bigint PRIMARY KEY)",
    // One row: how many files there are, and what they have, or will have once they are whole.
    "CREATE TABLE lifeline_file_room (files bigint NOT NULL, bytes bigint NOT NULL)",
    "INSERT INTO lifeline_file_room VALUES (0, 0)",
  ]

  private static let state = """
    attempt bigint NOT NULL,
      failed_attempts bigint NOT NULL,
      lost_attempts bigint NOT NULL,
      started_at bigint,
      finished_at bigint,
      exit_code bigint,
      progress double precision,
      status smallint NOT NULL,
      flags smallint NOT NULL,
      worker text COLLATE "C",
      reason bytea,
      result bytea
    """
}
