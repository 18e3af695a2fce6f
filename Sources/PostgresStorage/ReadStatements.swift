import CoordinationCore
import PostgreSQL
import Storage

/// The SQL that answers questions, and what a claim returns.
enum ReadStatements {
  /// As `TaskRow` reads them. An unfinished task's state is in its row there.
  static let columns = "t.seq, t.id, t.submitted_at, t.specification, " + state("t")
  static let liveColumns = "t.seq, t.id, t.submitted_at, t.specification, " + state("l")

  static func state(_ table: String) -> String {
    [
      "status", "attempt", "failed_attempts", "lost_attempts", "worker", "started_at", "finished_at", "exit_code",
      "reason", "result", "progress", "flags",
    ].map { "\(table).\($0)" }.joined(separator: ", ")
  }

  /// As `TaskRow` reads them behind the others.
  static let newestColumns = """
    c.attempt, c.number, c.created_at, c.data, a.attempt, a.worker, a.started_at, a.ended_at, a.outcome, a.reason,
      a.exit_code, a.resumed_attempt, a.resumed_number
    """

  /// The newest checkpoint `c` and the newest attempt `a` of a task `t`.
  static let newest = """
    LEFT JOIN LATERAL (
      SELECT * FROM lifeline_checkpoints WHERE task = t.seq ORDER BY attempt DESC, number DESC LIMIT 1) c ON true
    LEFT JOIN LATERAL (
      SELECT * FROM lifeline_attempts WHERE task = t.seq ORDER BY attempt DESC LIMIT 1) a ON true
    """

  static let unfinished = PostgresCall.sql(
    """
    SELECT \(liveColumns), \(newestColumns)
    FROM lifeline_unfinished l JOIN lifeline_tasks t ON t.seq = l.seq \(newest) ORDER BY t.seq
    """)

  static func detail(_ id: TaskID) -> [PostgresCall] {
    let place = "(SELECT seq FROM lifeline_tasks WHERE id = $1::text)"
    return [
      .sql(
        """
        SELECT \(columns) FROM lifeline_tasks t WHERE t.id = $1::text AND t.status >= 4 UNION ALL
        SELECT \(liveColumns) FROM lifeline_tasks t JOIN lifeline_unfinished l ON l.seq = t.seq WHERE t.id = $1::text
        """, .text(id.text)),
      .sql(
        """
        SELECT attempt, worker, started_at, ended_at, outcome, reason, exit_code, resumed_attempt, resumed_number
        FROM lifeline_attempts WHERE task = \(place) ORDER BY attempt
        """, .text(id.text)),
      .sql(
        """
        SELECT attempt, number, created_at, data FROM lifeline_checkpoints WHERE task = \(place)
        ORDER BY attempt, number
        """, .text(id.text)),
      .sql(
        """
        SELECT attempt, stream, start, bytes FROM lifeline_output WHERE task = \(place)
        ORDER BY attempt, stream, start
        """, .text(id.text)),
    ]
  }

  static func page(_ filter: TaskFilter) -> PostgresCall {
    var parameters: [SQLValue] = []
    func parameter(_ value: SQLValue, _ type: String) -> String {
      parameters.append(value)
      return "$\(parameters.count)::\(type)"
    }
    var shared: [String] = []
    if let after = filter.after {
      shared.append("t.seq > (SELECT seq FROM lifeline_tasks WHERE id = \(parameter(.text(after.text), "text")))")
    }
    if let run = filter.run { shared.append("t.run = \(parameter(.bytes(Array(run.utf8)), "bytea"))") }
    if let ids = filter.ids {
      var column = SQLColumn(.text)
      for id in ids { column.append(id.text) }
      shared.append("t.id = ANY (\(parameter(column.value, "text[]")))")
    }
    let statuses = filter.statuses.map { statuses in
      var column = SQLColumn(.int)
      for status in statuses { column.append(status.code) }
      return parameter(column.value, "bigint[]")
    }
    let worker = filter.workerID.map { parameter(.text($0.text), "text") }
    let limit = parameter(.int(min(max(filter.limit, 1), TaskFilter.maxLimit)), "bigint")
    func conditions(_ table: String, _ more: [String]) -> String {
      var all = shared + more
      if let statuses { all.append("\(table).status = ANY (\(statuses))") }
      if let worker { all.append("\(table).worker = \(worker)") }
      return all.isEmpty ? "" : "WHERE \(all.joined(separator: " AND "))"
    }
    let sql = """
      (SELECT \(columns) FROM lifeline_tasks t \(conditions("t", ["t.status >= 4"])) ORDER BY t.seq LIMIT \(limit))
      UNION ALL
      (SELECT \(liveColumns) FROM lifeline_unfinished l JOIN lifeline_tasks t ON t.seq = l.seq
        \(conditions("l", [])) ORDER BY t.seq LIMIT \(limit))
      ORDER BY 1 LIMIT \(limit)
      """
    return .sql(sql, parameters)
  }

  static func counts(run: String?) -> PostgresCall {
    let of = run == nil ? "" : "AND t.run = $1::bytea"
    return .sql(
      """
      SELECT t.status, count(*) FROM lifeline_tasks t WHERE t.status >= 4 \(of) GROUP BY 1 UNION ALL
      SELECT l.status, count(*) FROM lifeline_unfinished l
        \(run == nil ? "" : "JOIN lifeline_tasks t ON t.seq = l.seq \(of)") GROUP BY 1
      """, run.map { [.bytes(Array($0.utf8))] } ?? [])
  }

  static func tests(_ filter: TestFilter) -> PostgresCall {
    func bytes(_ text: String?) -> SQLValue { .bytes(text.map { Array($0.utf8) }) }
    // Names are never empty, so nothing is hidden behind two empty ones.
    return .sql(
      """
      SELECT suite, test, mean_us, runs, kills, quarantined, reason, changed_at FROM lifeline_tests
      WHERE (suite, test) > ($1::bytea, $2::bytea) AND ($3::bytea IS NULL OR suite = $3::bytea)
        AND (NOT $4::boolean OR kills > 0 OR quarantined)
      ORDER BY suite, test LIMIT $5::bigint
      """,
      [
        bytes(filter.after?.suite ?? filter.suite ?? ""), bytes(filter.after?.test ?? ""), bytes(filter.suite),
        .bool(filter.hasFate), .int(max(filter.limit, 1)),
      ])
  }

  static func runPart(_ run: String, _ number: Int) -> PostgresCall {
    .sql(
      "SELECT plan FROM lifeline_run_parts WHERE run = $1::bytea AND number = $2::bigint",
      [.bytes(Array(run.utf8)), .int(number)])
  }

  /// Goes from one kind of needs to the next by the pool's index, however many tasks there are of each.
  static let poolNeeds = PostgresCall.sql(
    """
    WITH RECURSIVE found AS (
      (SELECT needs FROM lifeline_unfinished WHERE owner IS NULL AND ready ORDER BY needs, urgency, seq LIMIT 1)
      UNION ALL
      SELECT (SELECT l.needs FROM lifeline_unfinished l WHERE l.owner IS NULL AND l.ready AND l.needs > found.needs
        ORDER BY l.needs, l.urgency, l.seq LIMIT 1) FROM found WHERE found.needs IS NOT NULL)
    SELECT n.text FROM found JOIN lifeline_needs n ON n.id = found.needs
    """)

  static let poolStatus = PostgresCall.sql(
    """
    SELECT urgency, count(*), min(submitted_at) FROM lifeline_unfinished WHERE owner IS NULL AND ready GROUP BY 1
    """)
}
