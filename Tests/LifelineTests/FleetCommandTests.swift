import CoordinationCore
import Glibc
import Reactor
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct FleetCommandTests {
    @Test func `a process of many workers does demo tasks and counts how its workers came`() throws {
      let coordinator = try TestProcess(
        TestProcess.built("lifeline"),
        ["coordinator", "--host", "127.0.0.1", "--port", "0", "--store", "memory", "--demo-tasks", "2"], input: "")
      let line = try coordinator.output.first("address") { $0.hasPrefix("listening on ws://") }
      let url = String(line.dropFirst("listening on ".count))
      let fleet = try TestProcess(
        TestProcess.built("lifeline"), ["fleet", "--workers", "150", "--coordinator", url, "--worker-prefix", "many"],
        input: "")
      try fleet.errors.first("two at work") { $0.contains(", 2 tasks, ") }
      try fleet.errors.first("all are there") { $0.hasPrefix("150 of 150 registered, 0 reconnections") }
      fleet.signal(SIGUSR1)
      let text = try fleet.output.first("summary") { $0.hasPrefix("{") }
      let summary = try JSONParser.parse(text).object ?? [:]
      #expect(summary["workers"] == 150)
      #expect(summary["registered"] == 150)
      let start = summary["outages"]?.array?.first?.object
      #expect(start?["is_over"] == true)
      #expect(start?["registrations"] == 150)
      #expect((start?["registered_after_s"]?.object?["max"]?.number ?? -1) > 0)
      fleet.signal(SIGTERM)
      #expect(try fleet.exit() == .exited(0))
    }
  }
}
