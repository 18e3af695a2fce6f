import PostgreSQL

/// The SQL of members and of what goes from one to another.
enum MemberStatements {
  static let prepared = [claim, claimOverdue, claimed, takeOver, endLapsed, forgetEnded, members]

  /// A claim's rows, as `UnfinishedTask`s: of the rows `taken`.
  private static func tasks(of taken: String) -> String {
    """
    SELECT \(ReadStatements.liveColumns), \(ReadStatements.newestColumns)
    FROM \(taken) l JOIN lifeline_tasks t ON t.seq = l.seq \(ReadStatements.newest)
    """
  }

  // MARK: Claims

  private static let wishes = """
    wishes AS (
      SELECT n.id AS needs, w.most FROM unnest($3::bytea[], $4::bigint[]) AS w (text, most)
      JOIN lifeline_needs n ON n.digest = sha256(w.text))
    """

  private static let take = """
    taken AS (
      UPDATE lifeline_unfinished l SET owner = $1::bigint, claim = $2::bigint FROM chosen
      WHERE l.seq = chosen.seq RETURNING l.*)
    """

  /// For member `$1` with transaction `$2`: by each of the needs `$3` at most `$4`, together at most `$5`.
  static let claim = PostgresStatement(
    "claim",
    """
    WITH \(wishes),
    chosen AS (
      SELECT p.seq FROM wishes CROSS JOIN LATERAL (
        SELECT seq, urgency FROM lifeline_unfinished
        WHERE needs = wishes.needs AND owner IS NULL AND ready ORDER BY urgency, seq LIMIT wishes.most
        FOR UPDATE SKIP LOCKED) p
      ORDER BY p.urgency, p.seq LIMIT $5::bigint),
    \(take)
    \(tasks(of: "taken")) ORDER BY l.urgency, l.seq
    """)

  /// As `claim`, with up to `$6` first of what was submitted before `$7`. Of each needs and urgency only the oldest `$6`
  /// are looked at, for the oldest of all are among them.
  static let claimOverdue = PostgresStatement(
    "claim_overdue",
    """
    WITH \(wishes),
    overdue AS (
      SELECT p.seq FROM wishes CROSS JOIN generate_series(0, 4) AS level CROSS JOIN LATERAL (
        SELECT seq, submitted_at FROM lifeline_unfinished
        WHERE needs = wishes.needs AND urgency = level AND owner IS NULL AND ready
        ORDER BY seq LIMIT least(wishes.most, $6::bigint) FOR UPDATE SKIP LOCKED) p
      WHERE p.submitted_at < $7::bigint ORDER BY p.submitted_at, p.seq LIMIT $6::bigint),
    strict AS (
      SELECT p.seq FROM wishes CROSS JOIN LATERAL (
        SELECT seq FROM lifeline_unfinished
        WHERE needs = wishes.needs AND owner IS NULL AND ready ORDER BY urgency, seq LIMIT wishes.most
        FOR UPDATE SKIP LOCKED) p),
    candidates AS (
      SELECT l.seq, l.urgency, l.needs, bool_or(c.is_overdue) AS is_overdue, min(l.submitted_at) AS submitted_at
      FROM (SELECT seq, true AS is_overdue FROM overdue UNION ALL SELECT seq, false FROM strict) c
      JOIN lifeline_unfinished l ON l.seq = c.seq GROUP BY l.seq, l.urgency, l.needs),
    numbered AS (
      SELECT c.*, wishes.most, row_number() OVER (
        PARTITION BY c.needs ORDER BY c.is_overdue DESC, CASE WHEN c.is_overdue THEN c.submitted_at END, c.urgency, c.seq)
        AS number
      FROM candidates c JOIN wishes ON wishes.needs = c.needs),
    chosen AS (
      SELECT seq FROM numbered WHERE number <= most
      ORDER BY is_overdue DESC, CASE WHEN is_overdue THEN submitted_at END, urgency, seq LIMIT $5::bigint),
    \(take)
    \(tasks(of: "taken")) LEFT JOIN overdue o ON o.seq = l.seq
    ORDER BY o.seq IS NULL, CASE WHEN o.seq IS NOT NULL THEN l.submitted_at END, l.urgency, l.seq
    """)

  /// What transaction `$2` of member `$1` took, for one that was done without our learning of it.
  static let claimed = PostgresStatement(
    "claimed",
    """
    \(tasks(of: "lifeline_unfinished")) WHERE l.owner = $1::bigint AND l.claim = $2::bigint ORDER BY l.urgency, l.seq
    """)

  // MARK: Membership

  /// The row is written, and to what it was: a transaction that was broken off while it waited for a standby has been done
  /// here and perhaps not there. The answer to this one comes once everything before it is there.
  static func state(of member: Int64) -> PostgresCall {
    .sql(
      """
      UPDATE lifeline_members SET last_batch = last_batch WHERE id = $1::bigint
      RETURNING last_batch, ended_at IS NOT NULL
      """, .int(member))
  }

  /// Two of one name that join at once come one after the other.
  static func lockName(_ name: String) -> PostgresCall {
    .sql("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", .text(name))
  }

  static func endNamesake(_ name: String) -> PostgresCall {
    .sql("UPDATE lifeline_members SET ended_at = now() WHERE name = $1::text AND ended_at IS NULL", .text(name))
  }

  static func join(name: String, address: String, lease microseconds: Int64) -> PostgresCall {
    .sql(
      """
      INSERT INTO lifeline_members (name, address, lease, expires_at)
      SELECT $1::text, $2::text, lease, clock_timestamp() + lease
      FROM (SELECT $3::bigint * interval '1 microsecond') AS given (lease)
      RETURNING id
      """, .text(name), .text(address), .int(microseconds))
  }

  static func leave(_ member: Int64) -> PostgresCall {
    .sql("UPDATE lifeline_members SET ended_at = now() WHERE id = $1::bigint AND ended_at IS NULL", .int(member))
  }

  /// One whose row is locked is in the middle of a transaction; it is looked at again with the next renewal.
  ///
  /// `$2` says whether this member's connection has stood for long enough: when the database was away for everybody, nobody
  /// could renew, and whoever is back first must not end the others for it. A lease that ends later than any that is given
  /// now was given by the clock of another server, and never renewed at this one.
  static let endLapsed = PostgresStatement(
    "end_lapsed",
    """
    UPDATE lifeline_members m SET ended_at = now() FROM (
      SELECT id FROM lifeline_members
      WHERE ended_at IS NULL AND id <> $1::bigint AND $2::bigint > 0
        AND (expires_at < clock_timestamp() OR expires_at > clock_timestamp() + 2 * lease)
      FOR UPDATE SKIP LOCKED) lapsed
    WHERE m.id = lapsed.id
    """)

  /// Up to `$3` tasks of those that have ended; what workers hold becomes the member's, and is returned. What is queued
  /// goes to the pool, and shows as a row of NULLs.
  static let takeOver = PostgresStatement(
    "take_over",
    """
    WITH left_behind AS (
      SELECT l.seq FROM lifeline_members m JOIN lifeline_unfinished l ON l.owner = m.id
      WHERE m.ended_at IS NOT NULL ORDER BY l.seq LIMIT $3::bigint FOR UPDATE OF l SKIP LOCKED),
    taken AS (
      UPDATE lifeline_unfinished l SET owner = CASE WHEN l.status = 0 THEN NULL ELSE $1::bigint END,
        claim = CASE WHEN l.status = 0 THEN NULL ELSE $2::bigint END
      FROM left_behind WHERE l.seq = left_behind.seq RETURNING l.*)
    SELECT \(ReadStatements.liveColumns), \(ReadStatements.newestColumns)
    FROM taken l LEFT JOIN lifeline_tasks t ON t.seq = l.seq AND l.owner IS NOT NULL \(ReadStatements.newest)
    ORDER BY l.seq
    """)

  /// Those that ended an hour ago and have nothing any more.
  static let forgetEnded = PostgresStatement(
    "forget_ended",
    """
    DELETE FROM lifeline_members m WHERE m.ended_at < now() - interval '1 hour'
      AND NOT EXISTS (SELECT FROM lifeline_unfinished l WHERE l.owner = m.id)
    """)

  static let members = PostgresStatement(
    "members", "SELECT id, name, address FROM lifeline_members WHERE ended_at IS NULL ORDER BY id")

  // MARK: Needs

  /// Up to `limit` needs that no unfinished task has. Where a great many tasks wait nothing is looked for: there the needs
  /// are few beside them, and each row would have to be looked at.
  static func unusedNeeds(atMost limit: Int) -> PostgresCall {
    .sql(
      """
      SELECT n.id FROM lifeline_needs n
      WHERE (SELECT reltuples FROM pg_class WHERE oid = 'lifeline_unfinished'::regclass) < 1000000
        AND NOT EXISTS (SELECT FROM lifeline_unfinished l WHERE l.needs = n.id) ORDER BY n.id LIMIT $1::bigint
      """, .int(limit))
  }

  /// Forgets those of these numbers that no unfinished task has by now. The first answers `true` when nobody was submitting
  /// tasks just then, which may have one of them; otherwise the second does nothing.
  static func forgetNeeds(_ numbers: [Int64], of cluster: String) -> [PostgresCall] {
    var column = SQLColumn(.int)
    for number in numbers { column.append(number) }
    return [
      .sql(
        """
        SELECT set_config('lifeline.may_forget', pg_try_advisory_xact_lock(
          hashtextextended('lifeline needs ' || $1::text, 0))::text, true)
        """, .text(cluster)),
      .sql(
        """
        DELETE FROM lifeline_needs n WHERE n.id = ANY ($1::bigint[]) AND current_setting('lifeline.may_forget') = 'true'
          AND NOT EXISTS (SELECT FROM lifeline_unfinished l WHERE l.needs = n.id)
        """, column.value),
    ]
  }

  // MARK: One task, one worker

  static func claimOne(_ id: String, _ member: Int64, _ batch: Int64) -> PostgresCall {
    .sql(
      """
      UPDATE lifeline_unfinished l SET owner = $2::bigint, claim = $3::bigint FROM lifeline_tasks t
      WHERE t.id = $1::text AND l.seq = t.seq AND l.owner IS NULL
      """, .text(id), .int(member), .int(batch))
  }

  /// The task's row with its owner behind the other columns.
  static func place(of id: String) -> PostgresCall {
    .sql(
      """
      SELECT \(ReadStatements.liveColumns), \(ReadStatements.newestColumns), l.owner
      FROM lifeline_tasks t JOIN lifeline_unfinished l ON l.seq = t.seq \(ReadStatements.newest)
      WHERE t.id = $1::text
      """, .text(id))
  }

  /// Outcomes as `AttemptRecord.Outcome.code` has them: 0 is running, 4 is lost.
  static func gather(_ worker: String, _ member: Int64, _ batch: Int64) -> PostgresCall {
    .sql(
      """
      UPDATE lifeline_unfinished l SET owner = $2::bigint, claim = $3::bigint FROM (
        SELECT u.seq FROM lifeline_unfinished u WHERE u.last_worker = $1::text AND u.owner IS NULL
          AND coalesce((SELECT a.outcome FROM lifeline_attempts a WHERE a.task = u.seq
            ORDER BY a.attempt DESC LIMIT 1), 0) IN (0, 4)
        FOR UPDATE SKIP LOCKED) found
      WHERE l.seq = found.seq
      """, .text(worker), .int(member), .int(batch))
  }

  static func gathered(_ worker: String, _ member: Int64) -> PostgresCall {
    .sql(
      """
      \(tasks(of: "lifeline_unfinished")) WHERE l.owner = $2::bigint AND l.last_worker = $1::text ORDER BY l.seq
      """, .text(worker), .int(member))
  }

  static func holders(_ worker: String, _ member: Int64) -> PostgresCall {
    .sql(
      """
      SELECT DISTINCT owner FROM lifeline_unfinished
      WHERE last_worker = $1::text AND owner IS NOT NULL AND owner <> $2::bigint
      """, .text(worker), .int(member))
  }

  // MARK: Notifications

  static func listen(_ channel: String) -> PostgresCall { .sql("LISTEN \"\(channel)\"") }
  static func unlisten() -> PostgresCall { .sql("UNLISTEN *") }
  static func notify(_ channel: String, _ text: String) -> PostgresCall {
    .sql("SELECT pg_notify($1::text, $2::text)", .text(channel), .text(text))
  }
}
