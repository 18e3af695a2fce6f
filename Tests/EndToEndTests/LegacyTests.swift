import CoordinationCore
import Primitives
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  /// The reference's worker, word for word, against a real coordinator.
  @Suite struct LegacyTests {
    /// The stock clients connect under this very name, braces and all.
    private static let name = "{worker_id}"
    private static let target = "/api/v1/worker/{worker_id}/ws"

    private func connect(_ fleet: Fleet) throws -> ScriptedPeer {
      let peer = try ScriptedPeer(fleet, Self.target, offering: nil, headers: [("Authorization", "Bearer x")])
      #expect(peer.subprotocol == nil)
      return peer
    }

    private func say(_ type: String, _ fields: JSONObject, to peer: ScriptedPeer) {
      var object: JSONObject = ["type": .string(type), "worker_id": .string(Self.name)]
      object["timestamp"] = "2025-01-02T03:04:05.678901"
      for member in fields.members { object[member.key] = member.value }
      peer.send(object)
    }

    @Test func `a stock worker is served as the reference served it, and better where that lost work`() throws {
      let fleet = try Fleet(coordinatorOptions: ["--demo-tasks", "1"])
      let command = try fleet.submit("command", "echo never for a stock worker", options: ["--priority", "critical"])
      let demo = "demo-1"

      // Welcome comes first, unasked; then registration, heartbeat, and the only task of a kind it knows.
      let peer = try connect(fleet)
      let welcome = try peer.hears("welcome")
      #expect(peer.messages.first == welcome)
      #expect(welcome.text("worker_id") == Self.name)
      #expect(!welcome.text("timestamp").hasSuffix("Z"))
      #expect(welcome.text("timestamp").count >= 19)
      say("registration", ["capabilities": ["python_version": "3.12", "cpu_count": 8]], to: peer)
      #expect(try peer.hears("registration_ack").text("worker_id") == Self.name)
      let assignment = try peer.hears("task_assignment")
      #expect(assignment.text("task_id") == demo)
      let config = assignment["config"]?.object ?? [:]
      #expect(config.number("iterations") == 10)
      #expect(config["_checkpoint_data"] == nil)
      #expect(assignment["attempt"] == nil, "the reference knows no attempts")
      say("heartbeat", ["sequence": 1, "active_tasks": [.string(demo)]], to: peer)
      #expect(try peer.hears("heartbeat").number("response_to") == 1)

      // The placeholder is acknowledged and ends nothing.
      say("task_result", ["task_id": .string(demo), "result": ["status": "running"]], to: peer)
      #expect(try peer.hears("task_result_ack").text("task_id") == demo)
      try fleet.reached("running", demo)

      // A checkpoint is announced, acknowledged, asked for, and sent.
      say("checkpoint", ["checkpoint_id": "cp-1", "task_id": .string(demo)], to: peer)
      #expect(try peer.hears("checkpoint_ack").text("checkpoint_id") == "cp-1")
      #expect(try peer.hears("checkpoint_request").text("task_id") == demo)
      let data: JSONValue = ["iteration": 4, "state": ["x": 1.5]]
      say("checkpoint_data", ["checkpoint_id": "cp-1", "task_id": .string(demo), "data": data], to: peer)
      #expect(try peer.hears("checkpoint_data_ack").text("checkpoint_id") == "cp-1")

      // The same name again: the newest connection wins, and the old one's end does not unregister it.
      let next = try connect(fleet)
      try next.hears("welcome")
      say("registration", ["capabilities": [:]], to: next)
      try next.hears("registration_ack")
      #expect(try peer.isClosed().reason.contains("took over"))
      // It has forgotten its task; asked for it some times, it is given it again, with the checkpoint.
      for beat in 1...5 {
        say("heartbeat", ["sequence": .integer(Int64(beat)), "active_tasks": []], to: next)
        let answer = try next.hears("heartbeat") { $0.number("response_to") == beat }
        if beat == 1 {
          #expect(answer["actions"] == [["type": "resend_task_results", "task_ids": [.string(demo)]]])
        }
        if next.messages.contains(where: { $0.text("type") == "task_assignment" }) { break }
      }
      let again = try next.hears("task_assignment")
      #expect(again.text("task_id") == demo)
      #expect(again["config"]?.object?["_checkpoint_data"] == data)

      // The true result, acknowledged each time that it is sent, and counted once.
      let heard = next.events.count
      for _ in 0..<2 {
        say("task_result", ["task_id": .string(demo), "result": ["status": "completed", "value": 42]], to: next)
      }
      try next.events.wait(for: "two acknowledgements") { events in
        let acks = events.dropFirst(heard).count {
          if case .message(let message) = $0 { message.text("type") == "task_result_ack" } else { false }
        }
        return acks >= 2 ? true : nil
      }
      let task = try fleet.ended(demo)
      #expect(task.text("status") == "completed")
      #expect(task["result"] == ["status": "completed", "value": 42])
      #expect(task.outcomes == ["lost", "completed"])
      #expect(task["checkpoints"]?.array?.count == 1)

      // Whatever its priority, a command goes to nobody who would report it done without running it.
      say("heartbeat", ["sequence": 99, "active_tasks": []], to: next)
      try next.hears("heartbeat") { $0.number("response_to") == 99 }
      for messages in [peer.messages, next.messages] {
        #expect(!messages.contains { $0.text("task_id") == command })
      }
      #expect(try fleet.task(command).text("status") == "queued")
      _ = try fleet.worker("w1")
      #expect(try fleet.ended(command).text("worker_id") == "w1")
    }

    @Test func `a stock worker's task outlives the coordinator that gave it`() throws {
      let fleet = try Fleet(coordinatorOptions: ["--demo-tasks", "1"])
      let peer = try connect(fleet)
      say("registration", ["capabilities": [:]], to: peer)
      try peer.hears("task_assignment")
      say("task_result", ["task_id": "demo-1", "result": ["status": "running"]], to: peer)
      try fleet.reached("running", "demo-1")
      try fleet.killCoordinator()
      _ = try peer.isClosed()
      try fleet.restartCoordinator()
      let next = try connect(fleet)
      say("registration", ["capabilities": [:]], to: next)
      try next.hears("registration_ack")
      say("task_result", ["task_id": "demo-1", "result": ["status": "completed"]], to: next)
      try next.hears("task_result_ack")
      let task = try fleet.ended("demo-1")
      #expect(task.outcomes == ["completed"])
      #expect(task.number("attempt") == 1)
    }

    @Test func `our own worker speaks the original protocol as well`() throws {
      let fleet = try Fleet()
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      let worker = try fleet.startWorker("old", through: relay, options: ["--legacy"])
      try worker.registered()
      _ = try fleet.watch.ask(
        "submit",
        ["tasks": [["task_id": "count", "kind": "demo_task", "input": ["iterations": 6, "sleep": 0.05]]]])
      try fleet.reached("running", "count")
      relay.cut()
      try worker.registered(2)
      let task = try fleet.ended("count")
      #expect(task.text("status") == "completed")
      #expect(task["result"]?.object?["iterations"] == 6)
      #expect(task.outcomes == ["completed"])
    }
  }
}
