import PostgreSQL

/// Makes fresh connections ready: their settings, the tables, the statements that they know by name.
final class LaneSetup {
  /// What notifications of this set of tables are called by.
  private(set) var cluster = ""
  /// Tells runs of servers apart; nil where a server does not say.
  private var changesServer: String?
  private var questionsServer: String?

  /// Whether the two connections lead to different servers.
  var isSplit: Bool {
    guard let changesServer, let questionsServer else { return false }
    return changesServer != questionsServer
  }

  typealias Done = (PostgresError?) -> Void

  // Not every server has each of them; one that is refused is left as it is. The first three must hold.
  private static let shared = [
    ("default_transaction_isolation", "read committed"), ("client_min_messages", "error"), ("jit", "off"),
    // A peer that is gone shall not keep its rows locked for hours.
    ("tcp_keepalives_idle", "5"), ("tcp_keepalives_interval", "1"), ("tcp_keepalives_count", "5"),
    ("idle_in_transaction_session_timeout", "15s"),
  ]
  // Rows are found by their keys, whatever the statistics of a table that was empty a minute ago say, and plans are kept.
  private static let forChanges = [
    ("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"), ("lock_timeout", "5s"),
  ]
  // What is told others may be lost with the server.
  private static let forQuestions = [("synchronous_commit", "off")]

  func prepareChanges(_ connection: PostgresConnection, _ done: @escaping Done) {
    guard connection.serverVersion >= PostgresSchema.minServerVersion else {
      return done(
        PostgresError(
          .refused, "its server has version \(connection.serverVersion / 10_000); PostgreSQL 14 or newer is needed"))
    }
    findServer(connection) { [self] in changesServer = $0 }
    apply(Self.shared + Self.forChanges, to: connection) { [self] problem in
      if let problem { return done(problem) }
      acknowledging(connection) { [self] problem in
        if let problem { done(problem) } else { migrate(connection, mayRetry: true, done) }
      }
    }
  }

  /// The tables are there: a connection for changes found them.
  func prepareFiles(_ connection: PostgresConnection, _ done: @escaping Done) {
    apply(Self.shared, to: connection) { [self] problem in
      if let problem { return done(problem) }
      acknowledging(connection) { [self] problem in
        if let problem { done(problem) } else { prepare(FileStatements.prepared, connection, done) }
      }
    }
  }

  /// What is acknowledged over it is on the disk.
  private func acknowledging(_ connection: PostgresConnection, _ done: @escaping Done) {
    // Whoever made commits lazy for the whole server did not think of this.
    connection.run([
      .sql(
        """
        SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
        """),
      .sql("SELECT current_setting('transaction_read_only') = 'on'"),
    ]) { answer in
      switch answer {
      case .failure(let error): done(error)
      case .success(let results):
        let isStandby = results[1].count > 0 && results[1].row(0).bool(0)
        done(isStandby ? PostgresError(.connection, "the server takes no changes: it stands by for another") : nil)
      }
    }
  }

  func prepareQuestions(_ connection: PostgresConnection, _ done: @escaping Done) {
    findServer(connection) { [self] in questionsServer = $0 }
    apply(Self.shared + Self.forQuestions, to: connection, done)
  }

  private func findServer(_ connection: PostgresConnection, _ body: @escaping (String?) -> Void) {
    connection.run([.sql("SELECT extract(epoch FROM pg_postmaster_start_time())::text")]) { answer in
      guard case .success(let results) = answer, results[0].count > 0 else { return body(nil) }
      body(results[0].row(0).string(0))
    }
  }

  private func apply(
    _ settings: [(String, String)], to connection: PostgresConnection, _ done: @escaping Done
  ) {
    for (index, (name, value)) in settings.enumerated() {
      let call = PostgresCall.sql("SELECT set_config($1::text, $2::text, false)", .text(name), .text(value))
      connection.run([call]) { answer in
        guard index == settings.count - 1 else { return }
        if case .failure(let error) = answer, error.kind != .statement { return done(error) }
        done(nil)
      }
    }
  }

  /// Brings the tables to the newest version; leaves alone those that are newer, or another program's.
  private func migrate(_ connection: PostgresConnection, mayRetry: Bool, _ done: @escaping Done) {
    connection.run([PostgresSchema.findVersionTable]) { [self] answer in
      switch answer {
      case .failure(let error): done(error)
      case .success(let results):
        guard results[0].row(0).bool(0) else { return upgrade(from: 0, connection, mayRetry: mayRetry, done) }
        connection.run([PostgresSchema.readVersion]) { [self] answer in
          switch answer {
          case .failure(let error):
            done(error.kind == .statement ? Self.foreign(error.message) : error)
          case .success(let results):
            guard results[0].count == 1 else { return done(Self.foreign("it has \(results[0].count) rows")) }
            let row = results[0].row(0)
            let (found, supported) = (row.int(0), PostgresSchema.migrations.count)
            guard found <= supported, found > 0 else {
              return done(
                PostgresError(
                  .refused,
                  """
                  its tables are of version \(found), this program knows versions up to \(supported); they were left as \
                  they are. Use the newer program that made them, or another database or schema
                  """))
            }
            guard found == supported else { return upgrade(from: found, connection, mayRetry: mayRetry, done) }
            cluster = row.string(1) ?? ""
            prepare(WriteStatements.all + MemberStatements.prepared, connection, done)
          }
        }
      }
    }
  }

  private func upgrade(from version: Int, _ connection: PostgresConnection, mayRetry: Bool, _ done: @escaping Done) {
    connection.run(PostgresSchema.upgrade(from: version)) { [self] answer in
      switch answer {
      case .success: migrate(connection, mayRetry: false, done)
      case .failure(let error):
        // Another coordinator may have been faster.
        if error.kind == .statement, mayRetry { return migrate(connection, mayRetry: false, done) }
        if error.code == "42P07" {
          return done(Self.foreign("\(error.message), and no table lifeline_schema says that it is ours"))
        }
        if error.code == "3F000" {
          return done(
            PostgresError(
              .refused, "there is no schema to make tables in: \(error.message). Make it, or change search_path"))
        }
        done(error.kind == .statement ? PostgresError(.refused, code: error.code, error.message) : error)
      }
    }
  }

  private static func foreign(_ reason: String) -> PostgresError {
    PostgresError(
      .refused,
      "there are tables of another program with the names of ours (\(reason)); they were left as they are. "
        + "Use another database, or another schema by options=-csearch_path=NAME")
  }

  private func prepare(_ statements: [PostgresStatement], _ connection: PostgresConnection, _ done: @escaping Done) {
    connection.run(statements.map { .prepare($0) }) { answer in
      switch answer {
      case .success: done(nil)
      case .failure(let error):
        done(error.kind == .statement ? PostgresError(.refused, code: error.code, error.message) : error)
      }
    }
  }
}
