import CoordinationCore
import Glibc
import TestSupport
import Testing

extension EndToEnd {
  /// What real processes say about themselves.
  @Suite struct TelemetryTests {
    @Test func `a worker asked by signal prints its telemetry as one line of JSON`() throws {
      let fleet = try Fleet()
      let worker = try fleet.worker("w1")
      _ = try fleet.ended(try fleet.submit("once", "echo hello"))
      worker.signal(SIGUSR1)
      let line = try worker.errors.first("telemetry") { $0.hasPrefix("{") }
      let telemetry = try #require(try JSONParser.parse(Array(line.utf8)).object)
      #expect(telemetry["metrics"]?.object?["tasks_completed"] == 1)
      #expect(telemetry["queue_status"]?.object?["running"] == 0)
      #expect(telemetry["connection_stats"]?.object?["state"] == "connected")
    }

    @Test func `the client asks all workers and shows what each has done`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      _ = try fleet.worker("w2")
      _ = try fleet.ended(try fleet.submit("once", "echo hello"))
      let list = try fleet.client(["workers", "--telemetry", "--json"])
      let workers = try #require(try JSONParser.parse(Array(list.utf8)).array).compactMap(\.object)
      #expect(workers.map { $0["worker_id"] } == ["w1", "w2"])
      let done = workers.compactMap { $0["telemetry"]?.object?["metrics"]?.object?["tasks_completed"]?.integer }
      #expect(done.count == 2)
      #expect(done.reduce(0, +) == 1)
      let table = try fleet.client(["workers", "--telemetry"]).split(separator: "\n")
      #expect(table.first?.hasPrefix("WORKER") == true)
      #expect(table.count == 3)
    }

    @Test func `the worker's log has its figures each interval`() throws {
      let fleet = try Fleet()
      let worker = try fleet.startWorker("w1", options: ["--metrics-interval", "100ms"])
      let line = try worker.errors.first("figures") { $0.contains(" metrics state=connected") }
      for name in ["uptime_s=", "sent=", "received=", "completed=", "checkpoints=", "compression=", "rtt_ms="] {
        #expect(line.contains(name), "\(line)")
      }
    }
  }
}
