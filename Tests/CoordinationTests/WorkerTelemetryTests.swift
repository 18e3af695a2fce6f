import CoordinationCore
import Primitives
import Reactor
import TestSupport
import Testing

@testable import Coordination

/// What workers say about themselves, over real sockets.
@Suite(.timeLimit(.minutes(5))) struct WorkerTelemetryTests {
  private final class Fleet {
    let coordinator: TestCoordinator
    let worker: LoopBound<WorkerRuntime>
    let log: EventLog<LogEntry>
    private let thread: EventLoopThread

    init(_ adjust: @escaping @Sendable (inout WorkerSettings) -> Void = { _ in }) throws {
      coordinator = try TestCoordinator()
      let url = coordinator.url
      let made = Exchange<LoopBound<WorkerRuntime>>()
      let log = EventLog<LogEntry>("worker's log")
      self.log = log
      thread = try EventLoopThread(name: "worker") { loop in
        do {
          var settings = WorkerSettings.short("w1", url, slots: 3)
          settings.log = { log.put($0) }
          adjust(&settings)
          made.put(LoopBound(try WorkerRuntime.start(settings, executors: [InstantExecutor()], on: loop), to: loop))
        } catch { Issue.record("\(error)") }
      }
      worker = made.take()
    }

    func run(_ count: Int) throws {
      for number in 1...count {
        let specification = TaskSpecification(name: "t", work: .custom(kind: "instant", input: [:]))
        let id = try TaskID("t\(number)")
        guard coordinator.ask(.submit([TaskSubmission(id: id, specification)])) == .submitted([id]) else {
          throw TimedOut("task \(number) was not submitted")
        }
        _ = try coordinator.ended(id)
      }
    }

    /// What the coordinator has of the worker.
    func telemetry() throws -> JSONObject {
      try eventually("telemetry") { coordinator.workers.first?.telemetry?.fields }
    }

    deinit {
      thread.stop()
      thread.join()
      coordinator.stop()
    }
  }

  private func member(_ name: String, _ object: JSONObject) throws -> JSONObject {
    try #require(object[name]?.object)
  }

  @Test func `a worker that is asked tells what it has done`() throws {
    let fleet = try Fleet()
    _ = fleet.coordinator.registered("w1")
    try fleet.run(3)
    #expect(fleet.coordinator.workers.first?.telemetry == nil)
    #expect(fleet.coordinator.ask(.telemetry(try WorkerID("w1"))) == .done)
    let telemetry = try fleet.telemetry()
    let metrics = try member("metrics", telemetry)
    #expect(metrics["tasks_started"] == 3)
    #expect(metrics["tasks_completed"] == 3)
    #expect(metrics["tasks_failed"] == 0)
    #expect(try #require(metrics["messages_sent"]?.integer) > 3)
    #expect(try #require(metrics["resident_bytes"]?.integer) > 1 << 20)
    let queue = try member("queue_status", telemetry)
    #expect(queue["slots"] == 3)
    #expect(queue["running"] == 0)
    let connection = try member("connection_stats", telemetry)
    #expect(connection["state"] == "connected")
    #expect(connection["mode"] == "session")
    #expect(connection["successful_connections"] == 1)
    #expect(connection["reconnections"] == 0)
  }

  @Test func `all workers may be asked at once, and one that is not there is an answer that says so`() throws {
    let fleet = try Fleet()
    _ = fleet.coordinator.registered("w1")
    #expect(fleet.coordinator.ask(.telemetry(nil)) == .done)
    _ = try fleet.telemetry()
    guard case .refused(let reason) = fleet.coordinator.ask(.telemetry(try WorkerID("nobody"))) else {
      Issue.record("a worker that is not there was asked")
      return
    }
    #expect(reason.contains("nobody"))
  }

  @Test(arguments: [true, false]) func `telemetry comes by itself, in either mode`(offersSession: Bool) throws {
    let fleet = try Fleet {
      $0.telemetry.interval = .milliseconds(50)
      $0.offersSession = offersSession
    }
    let connection = try member("connection_stats", fleet.telemetry())
    #expect(connection["mode"] == .string(offersSession ? "session" : "legacy"))
  }

  @Test func `the worker logs its figures as one entry`() throws {
    let fleet = try Fleet { $0.telemetry.logInterval = .milliseconds(20) }
    _ = fleet.coordinator.registered("w1")
    try fleet.run(2)
    let entry = try fleet.log.first("figures") { entry in
      entry.message == "metrics" && entry.facts.contains { $0.key == "completed" && $0.value == "2" }
    }
    #expect(entry.level == .info)
    let keys = Set(entry.facts.map(\.key))
    #expect(
      keys.isSuperset(of: [
        "state", "uptime_s", "connected_s", "sent", "received", "reconnections", "completed", "failed", "checkpoints",
        "compression", "waiting", "outbox", "rtt_ms",
      ]))
  }

  @Test func `without an interval nothing is logged or told`() throws {
    let fleet = try Fleet {
      $0.telemetry.logInterval = .zero
      $0.telemetry.interval = .zero
    }
    _ = fleet.coordinator.registered("w1")
    try fleet.run(1)
    #expect(!fleet.log.all.contains { $0.message == "metrics" })
    #expect(fleet.coordinator.workers.first?.telemetry == nil)
  }
}
