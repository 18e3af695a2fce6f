import Primitives
import Reactor
import TestSupport
import Testing
import TrialReport

@testable import Trials

/// Runs of several coordinators on PostgreSQL, as short as they can be and still show something.
@Suite(.serialized, .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
struct SharedStoreTrialTests {
  private static let program = TestProcess.built("lifeline")

  private func stress(_ scenario: String, _ arguments: String...) throws -> TrialReport {
    let process = try TestProcess(
      Self.program, ["stress", "--scenario", scenario, "--store", "postgres", "--json"] + arguments)
    let status = try process.exit(limit: .seconds(400))
    let report = try TrialReport(json: process.output.all.joined(separator: "\n"))
    #expect(status == .exited(0), "\(report.criteria.filter { !$0.isMet }) \(report.violations)")
    return report
  }

  @Test func `a coordinator of two is killed, and the other has its sessions without losing an attempt`() throws {
    let report = try stress("coordinator_kill9", "--workers", "3", "--duration", "7", "--seed", "3")
    #expect(report.isPassed)
    #expect(report.command.contains("--store postgres --coordinators 2"))
    #expect(report.criteria.contains { $0.name == "sessions of a lost coordinator are back" && $0.isMet })
  }

  @Test func `a database is killed under two coordinators, and nothing is lost`() throws {
    let report = try stress("database_kill9", "--workers", "2", "--duration", "9", "--seed", "2")
    #expect(report.isPassed)
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

  /// A steady run of two seconds; `sabotage` comes between its end and its verdict.
  private func run(_ url: String, _ sabotage: @escaping @Sendable () -> Void = {}) throws -> TrialReport {
    let directory = TemporaryDirectory()
    var options = TrialOptions(
      workers: 1, duration: .seconds(2), seed: 1, directory: directory.file("out"), command: "none")
    options.program = Self.program
    options.store = .database(try #require(TrialDatabaseURL(url)))
    options.coordinators = 2
    options.sabotage = { _ in sabotage() }
    let loop = try EventLoop()
    let run = try TrialRun("steady_load", options, on: loop)
    var report: TrialReport?
    run.start {
      report = $0
      loop.stop()
    }
    loop.run()
    return try #require(report)
  }
}
