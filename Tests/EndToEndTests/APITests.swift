import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

/// What the API and its two commands do to real workers.
extension EndToEnd {
  @Suite struct APITests {
    @Test func `a worker that is drained by a command ends what it runs, and its process ends`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let leaving = try fleet.worker("w1")
      let id = try fleet.submit("before", Scripts.start + Scripts.wait("gate") + Scripts.done)
      try fleet.reached("running", id)
      #expect(try fleet.client(["drain", "w1"]) == "w1: asked to leave")
      try leaving.logs("asked by the coordinator to leave")
      let next = try fleet.submit("after", "true")
      fleet.open("gate")
      #expect(try fleet.ended(id).text("status") == "completed")
      #expect(try leaving.exit() == .exited(0))
      #expect(try fleet.task(next).text("status") == "queued")
      _ = try fleet.worker("w2")
      #expect(try fleet.ended(next).text("worker_id") == "w2")
      _ = try fleet.client(["drain", "w1", "nobody"], expecting: .exited(1))
    }

    @Test func `what a drained worker does not end in its time is handed to another`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let leaving = try fleet.startWorker("w1", options: ["--drain-timeout", "100ms"])
      try leaving.registered()
      let id = try fleet.submit("long", Scripts.wait("gate"))
      try fleet.reached("running", id)
      _ = try fleet.client(["drain", "w1"])
      #expect(try leaving.exit() == .exited(0))
      _ = try fleet.worker("w2")
      fleet.open("gate", times: 2)
      let task = try fleet.ended(id)
      #expect(task.text("status") == "completed" && task.text("worker_id") == "w2")
      #expect(task.outcomes == ["lost", "completed"])
    }

    @Test func `a task that has ended is done again under a new name`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      let id = try fleet.submit("flaky", "exit 3")
      #expect(try fleet.ended(id).number("exit_code") == 3)
      #expect(try fleet.client(["retry", id]) == "\(id): submitted again as \(id).2")
      let again = try fleet.ended("\(id).2")
      #expect(again.text("run") == "flaky" && again.number("exit_code") == 3)
      #expect(try fleet.task(id).outcomes == ["failed"])
      _ = try fleet.client(["retry", "nobody"], expecting: .exited(1))
    }
  }
}
