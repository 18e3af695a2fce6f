import CSQLite
import CoordinationCore
import Glibc
import History
import Primitives
import Reactor
import TestSupport
import Testing
import TrialReport

@testable import Trials

/// Runs of real processes, as short as they can be and still show something.
@Suite(.serialized) struct TrialTests {
  @Test func `stress runs a scenario to its verdict and leaves a report`() throws {
    let directory = TemporaryDirectory()
    let process = try TestProcess(
      ShortTrial.program,
      [
        "stress", "--scenario", "coordinator_kill9", "--workers", "2", "--duration", "4", "--seed", "3", "--report",
        directory.file("out"),
      ])
    #expect(try process.exit(limit: .seconds(400)) == .exited(0), "\(process.output.all.joined(separator: "\n"))")
    let text = String(decoding: TestProcess.contents(of: directory.file("out/report.json")), as: UTF8.self)
    let report = try TrialReport(json: text)
    #expect(report.isPassed)
    #expect(report.seed == 3)
    #expect(report.criteria.contains { $0.name == "nothing is lost" && $0.isMet })
    #expect(report.command == "lifeline stress --scenario coordinator_kill9 --workers 2 --duration 4 --seed 3")
    #expect(report.logs.allSatisfy { access(directory.file("out/\($0)"), R_OK) == 0 })
    #expect(!TestProcess.contents(of: directory.file("out/report.html")).isEmpty)
    #expect(process.output.all.contains { $0.hasPrefix("PASSED: coordinator_kill9") })
    // What an earlier run left would be taken for this one's.
    let again = try TestProcess(
      ShortTrial.program, ["stress", "--scenario", "steady_load", "--duration", "1", "--report", directory.file("out")])
    #expect(try again.exit() == .exited(1))
    try again.errors.first("reason") { $0.contains("choose another folder with --report") }
  }

  @Test func `e2e breaks what its seed says and loses nothing`() throws {
    let report = try ShortTrial.passed(
      ["e2e", "--workers", "2", "--duration", "4", "--disruption-interval", "1", "--seed", "5"])
    #expect(!report.marks.isEmpty)
  }

  @Test func `a task that vanishes from the store behind everyone's back fails the trial by its name`() throws {
    let report = try run { store in
      var database: OpaquePointer?
      guard sqlite3_open(store, &database) == SQLITE_OK else { return }
      sqlite3_exec(
        database, "PRAGMA foreign_keys = OFF; DELETE FROM tasks WHERE id = 'steady_load-00002'", nil, nil, nil)
      sqlite3_close(database)
    }
    #expect(!report.isPassed)
    let lost = try #require(report.criteria.first { $0.name == "nothing is lost" })
    #expect(!lost.isMet)
    #expect(lost.measured.contains("steady_load-00002 is not in the store"), "\(lost.measured)")
    // The common checker sees it by itself.
    #expect(report.violations.contains { $0.contains("steady_load-00002") }, "\(report.violations)")
  }

  @Test func `a record that is not what it must be fails the trial by its name`() throws {
    let report = try run { store in
      var database: OpaquePointer?
      guard sqlite3_open(store, &database) == SQLITE_OK else { return }
      sqlite3_exec(database, "UPDATE tasks SET exit_code = 9 WHERE id = 'steady_load-00001'", nil, nil, nil)
      sqlite3_close(database)
    }
    #expect(!report.isPassed)
    let wrong = try #require(report.criteria.first { $0.name == "every task ended as it must" })
    #expect(wrong.measured.contains("steady_load-00001 is completed, exit code 9"), "\(wrong.measured)")
  }

  /// `sabotage` comes between the run's end and its verdict, and is given the store's path.
  private func run(_ sabotage: @escaping @Sendable (String) -> Void) throws -> TrialReport {
    try ShortTrial.steady { $0.sabotage = sabotage }
  }
}
