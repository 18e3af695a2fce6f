import PostgreSQL

/// The SQL of files. Locks are taken in one order: the row of room first, then rows of files, those by their numbers.
/// Nobody who holds a member's row waits for any of them.
enum FileStatements {
  static let prepared = [
    state, find, append, read, pieces, complete, lockRoom, begin, room, giveUp, remove, forgetUses, expire, sweep,
  ]

  /// Pieces that one `sweep` removes at most.
  static let sweptPieces = 256
  /// Files that one `expire` removes at most.
  static let expiredFiles = 1_000

  static let state = PostgresStatement(
    "file_state", "SELECT id, size, have, is_whole FROM lifeline_files WHERE sha256 = $1::text")

  /// Those of `$1` that are whole, each used now.
  static let find = PostgresStatement(
    "find_files",
    """
    WITH found AS MATERIALIZED (
      SELECT id FROM lifeline_files WHERE sha256 = ANY ($1::text[]) AND is_whole ORDER BY id FOR UPDATE)
    UPDATE lifeline_files f SET used_at = clock_timestamp() FROM found WHERE f.id = found.id
    RETURNING f.sha256, f.size
    """)

  // MARK: Pieces

  /// Adds what of the piece `$4`, which belongs at `$3`, continues a file that is not whole; answers with the file's number
  /// and where that began. Nothing when it does not continue it, or is there already.
  static let append = PostgresStatement(
    "append_piece",
    """
    WITH locked AS MATERIALIZED (
      SELECT id, have FROM lifeline_files WHERE sha256 = $1::text AND size = $2::bigint AND NOT is_whole FOR UPDATE),
    grown AS MATERIALIZED (
      SELECT id, have FROM locked WHERE have >= $3::bigint AND have < $3::bigint + length($4::bytea)),
    added AS (
      INSERT INTO lifeline_file_pieces (file, start, bytes)
      SELECT id, have, substring($4::bytea FROM (have - $3::bigint + 1)::integer) FROM grown),
    counted AS (
      UPDATE lifeline_files f SET have = $3::bigint + length($4::bytea), used_at = clock_timestamp()
      FROM grown WHERE f.id = grown.id)
    SELECT id, have FROM grown
    """)

  /// Of the file `$1` that is whole, `$3` bytes from `$2` on, in the order of the pieces that they are in.
  static let read = PostgresStatement(
    "read_file",
    """
    SELECT p.start + s.skip, substring(p.bytes FROM s.skip::integer + 1
      FOR least($2::bigint + $3::bigint - p.start - s.skip, length(p.bytes))::integer)
    FROM lifeline_files f JOIN lifeline_file_pieces p ON p.file = f.id
    CROSS JOIN LATERAL (SELECT greatest($2::bigint - p.start, 0) AS skip) s
    WHERE f.sha256 = $1::text AND f.is_whole AND p.start < $2::bigint + $3::bigint
      AND p.start + length(p.bytes) >= $2::bigint AND p.start >= coalesce((
        SELECT q.start FROM lifeline_file_pieces q WHERE q.file = f.id AND q.start <= $2::bigint
        ORDER BY q.start DESC LIMIT 1), 0)
    ORDER BY p.start
    """)

  /// The next pieces of the file number `$1`, from `$2` on.
  static let pieces = PostgresStatement(
    "file_pieces",
    """
    SELECT start, bytes FROM lifeline_file_pieces WHERE file = $1::bigint AND start >= $2::bigint ORDER BY start LIMIT 4
    """)

  /// All pieces are there and were found to be the file.
  static let complete = PostgresStatement(
    "complete_file",
    """
    UPDATE lifeline_files SET is_whole = true, used_at = clock_timestamp() WHERE id = $1::bigint AND have = size
    """)

  // MARK: Room

  static let lockRoom = PostgresStatement("lock_file_room", "SELECT FROM lifeline_file_room FOR UPDATE")

  /// Files, their bytes, and how many are not whole.
  static let room = PostgresStatement(
    "file_room",
    """
    SELECT files, bytes, (SELECT count(*) FROM lifeline_files WHERE NOT is_whole) FROM lifeline_file_room
    """)

  /// Makes room for the file `$1` of `$2` bytes, unless it is there: there may be `$3` files of `$4` bytes, of which `$5`
  /// are not whole.
  static let begin = PostgresStatement(
    "begin_file",
    """
    WITH fresh AS (
      INSERT INTO lifeline_files (sha256, size, have, is_whole, used_at)
      SELECT $1::text, $2::bigint, 0, false, clock_timestamp() FROM lifeline_file_room
      WHERE files < $3::bigint AND bytes + $2::bigint <= $4::bigint
        AND (SELECT count(*) FROM lifeline_files WHERE NOT is_whole) < $5::bigint
      ON CONFLICT (sha256) DO NOTHING RETURNING size)
    UPDATE lifeline_file_room r SET files = r.files + 1, bytes = r.bytes + fresh.size FROM fresh
    """)

  // MARK: Removing

  /// Takes the rows that `condition` chooses out at once; their pieces, which may be many, go in `sweep`.
  private static func removal(where condition: String) -> String {
    """
    WITH chosen AS MATERIALIZED (
      SELECT id FROM lifeline_files f WHERE \(condition) ORDER BY id LIMIT \(expiredFiles) FOR UPDATE SKIP LOCKED),
    gone AS (
      DELETE FROM lifeline_files f USING chosen WHERE f.id = chosen.id RETURNING f.id, f.size),
    waste AS (INSERT INTO lifeline_file_waste SELECT id FROM gone)
    UPDATE lifeline_file_room r SET files = r.files - t.files, bytes = r.bytes - t.bytes
    FROM (SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes FROM gone) t RETURNING t.files
    """
  }

  private static func isOld(_ microseconds: Int) -> String {
    "used_at < clock_timestamp() - $\(microseconds)::bigint * interval '1 microsecond'"
  }

  /// What nobody came back for in `$3`; and what would be the file `$1` with another size than `$2`: one of the two is
  /// wrong, and most likely the one that stands still.
  static let giveUp = PostgresStatement(
    "give_up_files",
    removal(where: "NOT is_whole AND (\(isOld(3)) OR (f.sha256 = $1::text AND f.size <> $2::bigint))"))

  /// The file number `$1`, which is damaged.
  static let remove = PostgresStatement("remove_file", removal(where: "id = $1::bigint"))

  static let forgetUses = PostgresStatement(
    "forget_file_uses",
    """
    DELETE FROM lifeline_file_uses u WHERE NOT EXISTS (SELECT FROM lifeline_unfinished l WHERE l.seq = u.task)
    """)

  /// What no task needs and nobody used for `$1`, and what nobody came back for in `$2`. A use that is recorded while
  /// this runs is seen at the row itself, by its time.
  static let expire = PostgresStatement(
    "expire_files",
    removal(
      where: """
        CASE WHEN is_whole THEN \(isOld(1))
          AND NOT EXISTS (SELECT FROM lifeline_file_uses u WHERE u.sha256 = f.sha256)
        ELSE \(isOld(2)) END
        """))

  /// Removes some pieces of a file that is gone; answers with a row while there may be more to do.
  static let sweep = PostgresStatement(
    "sweep_pieces",
    """
    WITH file AS MATERIALIZED (
      SELECT file FROM lifeline_file_waste ORDER BY file LIMIT 1 FOR UPDATE SKIP LOCKED),
    doomed AS MATERIALIZED (
      SELECT p.file, p.start FROM file JOIN lifeline_file_pieces p ON p.file = file.file
      ORDER BY p.start LIMIT \(sweptPieces)),
    gone AS (
      DELETE FROM lifeline_file_pieces p USING doomed d WHERE p.file = d.file AND p.start = d.start),
    done AS (
      DELETE FROM lifeline_file_waste w USING file
      WHERE w.file = file.file AND (SELECT count(*) FROM doomed) < \(sweptPieces))
    SELECT file FROM file
    """)
}
