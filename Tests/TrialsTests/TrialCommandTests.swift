import Reactor
import TestSupport
import Testing

@testable import Trials

@Suite struct TrialCommandTests {
  private func run(_ arguments: String...) throws -> (status: Reactor.ExitStatus, output: [String], errors: [String]) {
    let process = try TestProcess(TestProcess.built("lifeline"), arguments)
    let status = try process.exit()
    return (status, process.output.all, process.errors.all)
  }

  @Test func `the list names every scenario, once`() throws {
    let list = try run("stress", "--list-scenarios")
    #expect(list.status == .exited(0))
    for about in Scenarios.list { #expect(list.output.count { $0.hasPrefix(about.name + " ") } == 1, "\(about.name)") }
    #expect(Set(Scenarios.list.map(\.name)).count == Scenarios.list.count)
  }

  @Test(arguments: [
    (["stress"], "--list-scenarios"), (["stress", "--scenario", "nothing"], "thundering_herd"),
    (["e2e", "--seed", "-1"], "--seed"), (["test", "--only", "e2e,nothing"], "there is no nothing"),
    (["stress", "--scenario", "flapping", "--workers", "0"], "--workers"),
    (["stress", "--scenario", "flapping", "--workers", "51"], "at most 50"),
    (["stress", "--scenario", "flapping", "--coordinators", "2"], "several cannot share a SQLite file"),
    (["stress", "--scenario", "flapping", "--store", "trial.db"], "neither postgres://"),
    (["stress", "--scenario", "database_kill9"], "add --store postgres"),
    (["stress", "--scenario", "coordinator_frozen", "--store", "postgres", "--coordinators", "1"], "--coordinators 2"),
    (["test", "--only", "disk_full", "--store", "postgres"], "leave --store out"),
  ])
  func `what cannot be run is a usage error that says why`(arguments: [String], text: String) throws {
    let process = try TestProcess(TestProcess.built("lifeline"), arguments)
    #expect(try process.exit() == .exited(2))
    try process.errors.first("reason") { $0.contains(text) }
  }
}
