import PostgreSQL
import Storage

/// The SQL that changes something. Each statement takes a whole column of values per parameter; those about tasks that
/// must be there answer with the numbers, from 1, of the rows that were left out.
///
/// The first parameter of those about tasks is the member that writes, or NULL where nobody has joined: then a task may be
/// anybody's.
enum WriteStatements {
  static let all = [
    fence, fenceAndRenew, needs, needsFound, keepNeeds, needsKept, submit, useFiles, change, end, attempts, checkpoints,
    dropOutput, insertOutput,
    appendOutput, release, transfer, testsRan, knowTests, testsKilled, putTests, forgiveTests, clearFates, forgetTests,
    runParts,
  ]

  // MARK: Membership

  /// Fails with a division by zero when the member has ended, or when this transaction's number is not its next: it has
  /// been done already.
  static let fence = PostgresStatement(
    "fence",
    """
    WITH fenced AS (
      UPDATE lifeline_members SET last_batch = $2::bigint
      WHERE id = $1::bigint AND ended_at IS NULL AND last_batch = $2::bigint - 1 RETURNING 1)
    SELECT 1 / count(*) FROM fenced
    """)

  static let fenceAndRenew = PostgresStatement(
    "fence_and_renew",
    """
    WITH fenced AS (
      UPDATE lifeline_members SET last_batch = $2::bigint,
        expires_at = clock_timestamp() + $3::bigint * interval '1 microsecond'
      WHERE id = $1::bigint AND ended_at IS NULL AND last_batch = $2::bigint - 1 RETURNING 1)
    SELECT 1 / count(*) FROM fenced
    """)

  // MARK: Tasks

  static let needs = PostgresStatement(
    "needs",
    """
    INSERT INTO lifeline_needs (digest, text) SELECT sha256(t), t FROM unnest($1::bytea[]) t ORDER BY 1
    ON CONFLICT (digest) DO NOTHING
    """)

  static let needsFound = PostgresStatement(
    "needs_found",
    """
    SELECT n.id, n.text FROM unnest($1::bytea[]) t JOIN lifeline_needs n ON n.digest = sha256(t)
    """)

  /// Keeps others from forgetting needs until this transaction ends; `$1` names the cluster. What follows sees what was
  /// forgotten before.
  static let keepNeeds = PostgresStatement(
    "keep_needs", "SELECT pg_advisory_xact_lock_shared(hashtextextended('lifeline needs ' || $1::text, 0))")

  /// Fails with a division by zero when one of the needs of these numbers, `$2` of them, was forgotten.
  static let needsKept = PostgresStatement(
    "needs_kept",
    "SELECT 1 / (count(*) = $2::bigint)::integer FROM lifeline_needs WHERE id = ANY ($1::bigint[])")

  private static let stateColumns = """
    status, attempt, failed_attempts, lost_attempts, worker, started_at, finished_at, exit_code, reason, result,
      progress, flags
    """

  /// `$first` and the eleven behind it: the columns of states.
  private static func stateArrays(from first: Int) -> String {
    [
      "bigint", "bigint", "bigint", "bigint", "text", "bigint", "bigint", "bigint", "bytea", "bytea",
      "double precision", "bigint",
    ].enumerated().map { "$\(first + $0)::\($1)[]" }.joined(separator: ", ")
  }

  private static let states = """
    u AS (
      SELECT * FROM unnest($2::text[], \(stateArrays(from: 3))) WITH ORDINALITY AS x (id, \(stateColumns), n))
    """

  private static let stateAssignments = """
    status = u.status, attempt = u.attempt, failed_attempts = u.failed_attempts, lost_attempts = u.lost_attempts,
      worker = u.worker, started_at = u.started_at, finished_at = u.finished_at, exit_code = u.exit_code,
      reason = u.reason, result = u.result, progress = u.progress, flags = u.flags
    """

  static let submit = PostgresStatement(
    "submit",
    """
    WITH new AS (
      INSERT INTO lifeline_tasks (id, run, submitted_at, specification, needs, urgency, owner, \(stateColumns))
      SELECT u.id, u.run, u.submitted_at, u.specification, u.needs, u.urgency, $1::bigint, \(stateColumns)
      FROM unnest($2::text[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bigint[],
        \(stateArrays(from: 8)))
        AS u (id, run, submitted_at, specification, needs, urgency, \(stateColumns))
      ON CONFLICT (id) DO NOTHING
      RETURNING *)
    INSERT INTO lifeline_unfinished (seq, submitted_at, needs, urgency, ready, last_worker, \(stateColumns))
    SELECT seq, submitted_at, needs, urgency, status = 0 AND flags & 2 = 0, worker, \(stateColumns)
    FROM new WHERE status < 4
    """)

  /// Tasks and the files that they need, which count as used now: whoever is about to remove one sees that at its row. A
  /// row that is locked is not waited for: somebody else says the same, or removes what nobody may count on any more.
  static let useFiles = PostgresStatement(
    "use_files",
    """
    WITH u AS (
      SELECT DISTINCT x.sha256, l.seq FROM unnest($1::text[], $2::text[]) AS x (id, sha256)
      JOIN lifeline_tasks t ON t.id = x.id JOIN lifeline_unfinished l ON l.seq = t.seq),
    stale AS MATERIALIZED (
      SELECT f.id FROM lifeline_files f
      WHERE f.sha256 = ANY ($2::text[]) AND f.used_at < clock_timestamp() - interval '10 seconds'
      ORDER BY f.id FOR UPDATE SKIP LOCKED),
    used AS (UPDATE lifeline_files f SET used_at = clock_timestamp() FROM stale WHERE f.id = stale.id)
    INSERT INTO lifeline_file_uses (sha256, task) SELECT sha256, seq FROM u ON CONFLICT DO NOTHING
    """)

  /// The rows whose numbers are not in `done`.
  private static let missing = "SELECT n FROM u WHERE n NOT IN (SELECT n FROM done)"

  /// Changes that are no end.
  static let change = PostgresStatement(
    "change",
    """
    WITH \(states),
    done AS (
      UPDATE lifeline_unfinished l SET \(stateAssignments), ready = (u.status = 0 AND u.flags & 2 = 0),
        last_worker = coalesce(u.worker, l.last_worker)
      FROM u JOIN lifeline_tasks t ON t.id = u.id
      WHERE l.seq = t.seq AND l.attempt <= u.attempt AND ($1::bigint IS NULL OR l.owner = $1::bigint)
      RETURNING u.n)
    \(missing)
    """)

  /// Changes that end tasks.
  static let end = PostgresStatement(
    "end_tasks",
    """
    WITH \(states),
    gone AS (
      DELETE FROM lifeline_unfinished l USING u JOIN lifeline_tasks t ON t.id = u.id
      WHERE l.seq = t.seq AND l.attempt <= u.attempt AND ($1::bigint IS NULL OR l.owner = $1::bigint)
      RETURNING l.seq, u.*),
    done AS (
      UPDATE lifeline_tasks t SET \(stateAssignments), owner = $1::bigint FROM gone u WHERE t.seq = u.seq
      RETURNING u.n)
    \(missing)
    """)

  /// Whether the task `t` is the member's, or was when it ended.
  private static let isMine = """
    ($1::bigint IS NULL OR (t.status >= 4 AND t.owner = $1::bigint)
      OR EXISTS (SELECT FROM lifeline_unfinished l WHERE l.seq = t.seq AND l.owner = $1::bigint))
    """

  static let attempts = PostgresStatement(
    "attempts",
    """
    WITH u AS (
      SELECT * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bytea[],
        $9::bigint[], $10::bigint[], $11::bigint[]) WITH ORDINALITY
        AS x (id, attempt, worker, started_at, ended_at, outcome, reason, exit_code, resumed_attempt, resumed_number, n)),
    done AS (SELECT u.*, t.seq FROM u JOIN lifeline_tasks t ON t.id = u.id WHERE \(isMine)),
    written AS (
      INSERT INTO lifeline_attempts (task, attempt, worker, started_at, ended_at, outcome, reason, exit_code,
        resumed_attempt, resumed_number)
      SELECT seq, attempt, worker, started_at, ended_at, outcome, reason, exit_code, resumed_attempt, resumed_number
      FROM done
      ON CONFLICT (task, attempt) DO UPDATE SET worker = EXCLUDED.worker, started_at = EXCLUDED.started_at,
        ended_at = EXCLUDED.ended_at, outcome = EXCLUDED.outcome, reason = EXCLUDED.reason,
        exit_code = EXCLUDED.exit_code, resumed_attempt = EXCLUDED.resumed_attempt,
        resumed_number = EXCLUDED.resumed_number)
    \(missing)
    """)

  /// One of each task at most. What is there already is left alone, and then nothing is removed either.
  static let checkpoints = PostgresStatement(
    "checkpoints",
    """
    WITH u AS (
      SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bigint[])
        WITH ORDINALITY AS x (id, attempt, number, created_at, data, keep, n)),
    done AS (SELECT u.*, t.seq AS task FROM u JOIN lifeline_tasks t ON t.id = u.id WHERE \(isMine)),
    fresh AS (
      SELECT * FROM done WHERE NOT EXISTS (SELECT FROM lifeline_checkpoints c
        WHERE c.task = done.task AND c.attempt = done.attempt AND c.number = done.number)),
    ranked AS (
      SELECT task, attempt, number, keep, is_new,
        row_number() OVER (PARTITION BY task ORDER BY attempt DESC, number DESC) AS rank
      FROM (
        SELECT c.task, c.attempt, c.number, f.keep, false AS is_new
        FROM fresh f JOIN lifeline_checkpoints c ON c.task = f.task
        UNION ALL SELECT task, attempt, number, keep, true FROM fresh) AS known),
    removed AS (
      DELETE FROM lifeline_checkpoints c USING ranked r
      WHERE NOT r.is_new AND r.rank > r.keep AND c.task = r.task AND c.attempt = r.attempt AND c.number = r.number),
    added AS (
      INSERT INTO lifeline_checkpoints (task, attempt, number, created_at, data)
      SELECT f.task, f.attempt, f.number, f.created_at, f.data FROM fresh f
      WHERE EXISTS (SELECT FROM ranked r WHERE r.is_new AND r.task = f.task AND r.rank <= r.keep))
    \(missing)
    """)

  /// Removes what is known of attempts.
  static let dropOutput = PostgresStatement(
    "drop_output",
    """
    WITH u AS (SELECT * FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS x (id, attempt, n)),
    done AS (SELECT u.*, t.seq AS task FROM u JOIN lifeline_tasks t ON t.id = u.id WHERE \(isMine)),
    removed AS (DELETE FROM lifeline_output o USING done WHERE o.task = done.task AND o.attempt = done.attempt)
    \(missing)
    """)

  static let insertOutput = PostgresStatement(
    "insert_output",
    """
    INSERT INTO lifeline_output (task, attempt, stream, start, bytes)
    SELECT t.seq, u.attempt, u.stream, u.start, u.bytes
    FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[])
      AS u (id, attempt, stream, start, bytes)
    JOIN lifeline_tasks t ON t.id = u.id WHERE \(isMine)
    """)

  /// Chunks where they belong (`OutputSplice`), one of each stream at most.
  static let appendOutput = PostgresStatement(
    "append_output",
    """
    WITH u AS (
      SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bigint[])
        WITH ORDINALITY AS x (id, attempt, stream, start, bytes, most, n)),
    done AS (
      SELECT u.*, t.seq AS task, coalesce((
        SELECT o.start + length(o.bytes) FROM lifeline_output o
        WHERE o.task = t.seq AND o.attempt = u.attempt AND o.stream = u.stream ORDER BY o.start DESC LIMIT 1), 0) AS known
      FROM u JOIN lifeline_tasks t ON t.id = u.id WHERE \(isMine)),
    added AS (
      INSERT INTO lifeline_output (task, attempt, stream, start, bytes)
      SELECT task, attempt, stream, known,
        substring(bytes FROM (known - start + 1)::integer FOR least(length(bytes) - (known - start), most - known)::integer)
      FROM done WHERE start >= 0 AND start <= known AND known < most AND known - start < length(bytes))
    \(missing)
    """)

  static let release = PostgresStatement(
    "release",
    """
    WITH u AS (SELECT * FROM unnest($2::text[]) WITH ORDINALITY AS x (id, n)),
    done AS (
      UPDATE lifeline_unfinished l SET owner = NULL, claim = NULL FROM u JOIN lifeline_tasks t ON t.id = u.id
      WHERE l.seq = t.seq AND l.owner = $1::bigint AND l.status = 0 RETURNING u.n)
    \(missing)
    """)

  static let transfer = PostgresStatement(
    "transfer",
    """
    WITH u AS (SELECT * FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS x (id, heir, n)),
    done AS (
      UPDATE lifeline_unfinished l SET owner = u.heir, claim = NULL FROM u JOIN lifeline_tasks t ON t.id = u.id
      WHERE l.seq = t.seq AND l.owner = $1::bigint AND EXISTS (SELECT FROM lifeline_members m WHERE m.id = u.heir)
      RETURNING u.n)
    \(missing)
    """)

  // MARK: Tests and runs

  static let testsRan = PostgresStatement(
    "tests_ran",
    """
    INSERT INTO lifeline_tests AS x (suite, test, mean_us, runs, kills, quarantined, changed_at)
    SELECT suite, test, round(us), 1, 0, false, 0
    FROM unnest($1::bytea[], $2::bytea[], $3::double precision[]) AS u (suite, test, us) ORDER BY 1, 2
    ON CONFLICT (suite, test) DO UPDATE SET runs = x.runs + 1,
      mean_us = round(coalesce(x.mean_us + (EXCLUDED.mean_us - x.mean_us) * $4::double precision, EXCLUDED.mean_us))
    """)

  // What happens to a test's fate comes to what `TestFate.after` says.

  /// Makes rows of tests that have none, and locks the others in one order: the next statement sees what others have
  /// written by then, and nobody writes until this transaction ends.
  static let knowTests = PostgresStatement(
    "know_tests",
    """
    INSERT INTO lifeline_tests AS x (suite, test, runs, kills, quarantined, changed_at)
    SELECT suite, test, 0, 0, false, 0 FROM unnest($1::bytea[], $2::bytea[]) AS u (suite, test) ORDER BY 1, 2
    ON CONFLICT (suite, test) DO UPDATE SET kills = x.kills
    """)

  /// The kills of `x` with one more; those of long ago do not count.
  private static let killed = """
    (CASE WHEN x.quarantined OR u.at - x.changed_at <= $7::bigint THEN x.kills ELSE 0 END + 1)
    """

  static let testsKilled = PostgresStatement(
    "tests_killed",
    """
    UPDATE lifeline_tests x SET kills = \(killed), quarantined = x.quarantined OR \(killed) >= $6::bigint,
      reason = CASE WHEN x.quarantined THEN x.reason
        WHEN \(killed) >= $6::bigint THEN convert_to(\(killed)::text, 'UTF8') || u.last_reason
        ELSE u.reason END,
      changed_at = u.at
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[])
      AS u (suite, test, reason, last_reason, at)
    WHERE x.suite = u.suite AND x.test = u.test
    """)

  static let putTests = PostgresStatement(
    "put_tests",
    """
    UPDATE lifeline_tests x SET quarantined = true, reason = u.reason, changed_at = u.at
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) AS u (suite, test, reason, at)
    WHERE x.suite = u.suite AND x.test = u.test
    """)

  /// Of one that this clears nothing is left.
  static let forgiveTests = PostgresStatement(
    "forgive_tests",
    """
    UPDATE lifeline_tests x SET kills = x.kills - 1, quarantined = x.quarantined AND x.kills <> $5::bigint,
      reason = CASE WHEN x.kills = 1 AND NOT x.quarantined THEN '' ELSE x.reason END,
      changed_at = CASE WHEN x.kills = 1 AND NOT x.quarantined THEN 0 ELSE u.at END
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) AS u (suite, test, reason, at)
    WHERE x.suite = u.suite AND x.test = u.test AND x.kills > 0
    """)

  static let clearFates = PostgresStatement(
    "clear_fates",
    """
    UPDATE lifeline_tests x SET kills = 0, quarantined = false, reason = '', changed_at = 0
    FROM unnest($1::bytea[], $2::bytea[]) AS u (suite, test) WHERE x.suite = u.suite AND x.test = u.test
    """)

  /// Those of which nothing is known any more.
  static let forgetTests = PostgresStatement(
    "forget_tests",
    """
    DELETE FROM lifeline_tests x USING unnest($1::bytea[], $2::bytea[]) AS u (suite, test)
    WHERE x.suite = u.suite AND x.test = u.test AND x.runs = 0 AND x.kills = 0 AND NOT x.quarantined
    """)

  static let runParts = PostgresStatement(
    "run_parts",
    """
    INSERT INTO lifeline_run_parts (run, number, plan)
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) ORDER BY 1, 2
    ON CONFLICT (run, number) DO UPDATE SET plan = EXCLUDED.plan
    """)
}
