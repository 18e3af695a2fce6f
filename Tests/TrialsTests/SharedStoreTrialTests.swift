import Primitives
import Reactor
import TestSupport
import Testing
import TrialReport

@testable import Trials

/// Runs of several coordinators on PostgreSQL, as short as they can be and still show something.
@Suite(.serialized, .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
struct SharedStoreTrialTests {
  private func stress(_ scenario: String, _ arguments: String...) throws -> TrialReport {
    try ShortTrial.passed(
      ["stress", "--scenario", scenario, "--store", "postgres"] + arguments, limit: .seconds(400))
  }

  @Test func `a coordinator of two is killed, and the other has its sessions without losing an attempt`() throws {
    let report = try stress("coordinator_kill9", "--workers", "3", "--duration", "7", "--seed", "3")
    #expect(report.command.contains("--store postgres --coordinators 2"))
    #expect(report.criteria.contains { $0.name == "sessions of a lost coordinator are back" && $0.isMet })
  }

  @Test func `a database is killed under two coordinators, and nothing is lost`() throws {
    let report = try stress("database_kill9", "--workers", "2", "--duration", "9", "--seed", "2")
    #expect(report.criteria.contains { $0.name == "coordinators say so" && $0.isMet })
  }

  @Test func `a trial in somebody's database leaves it as it was`() throws {
    let server = try PostgresServer.shared()
    let url = try server.freshURL()
    let database = PostgresServer.database(of: url)
    try server.execute(
      "CREATE TABLE lifeline_tasks (mine text); INSERT INTO lifeline_tasks VALUES ('x')", database: database)
    let report = try run(url)
    #expect(report.isPassed, "\(report.criteria.filter { !$0.isMet }) \(report.violations)")
    #expect(try server.execute("SELECT mine FROM lifeline_tasks", database: database) == ["x"])
    #expect(try schemas(server, database).isEmpty)
  }

  @Test func `a task that vanishes from PostgreSQL fails the trial by its name`() throws {
    let server = try PostgresServer.shared()
    let url = try server.freshURL()
    let database = PostgresServer.database(of: url)
    let report = try run(url) {
      for schema in (try? schemas(server, database)) ?? [] {
        _ = try? server.execute(
          "DELETE FROM \(schema).lifeline_tasks WHERE id = 'steady_load-00002'", database: database)
      }
    }
    #expect(!report.isPassed)
    let lost = try #require(report.criteria.first { $0.name == "nothing is lost" })
    #expect(lost.measured.contains("steady_load-00002 is not in the store"), "\(lost.measured)")
  }

  private func schemas(_ server: PostgresServer, _ database: String) throws -> [String] {
    try server.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'lifeline%'", database: database)
  }

  /// `sabotage` comes between the run's end and its verdict.
  private func run(_ url: String, _ sabotage: @escaping @Sendable () -> Void = {}) throws -> TrialReport {
    try ShortTrial.steady {
      $0.store = .database(try #require(TrialDatabaseURL(url)))
      $0.coordinators = 2
      $0.sabotage = { _ in sabotage() }
    }
  }
}
