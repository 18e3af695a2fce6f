import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  /// SIGTERM to either side, and peers that do not read.
  @Suite struct OverloadTests {
    @Test func `a drained worker's command gets SIGTERM, writes a last checkpoint, and goes on elsewhere from it`()
      throws
    {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let leaving = try fleet.startWorker("leaving", options: ["--drain-timeout", "200ms"])
      try leaving.registered()
      let id = try fleet.submit(
        "handed",
        Scripts.start + "if [ $LIFELINE_ATTEMPT = 1 ]; then\ntrap '"
          + "printf \"%s\\n\" \"{\\\"checkpoint\\\":42}\" >&$LIFELINE_CONTROL_FD; exit 0' TERM\n"
          + "echo trapped > \"$J\"\nwhile :; do sleep 0.05; done\nfi\n" + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("start \(id) 1")
      try fleet.journal.line("trapped")
      try fleet.reached("running", id)
      leaving.signal(SIGTERM)
      #expect(try leaving.exit() == .exited(0))
      try leaving.logs("the time to drain is over")
      try fleet.coordinator.logs("attempt handed back")
      _ = try fleet.worker("other")
      #expect(try fleet.journal.line("start \(id) 2").last == "42")
      fleet.open("gate")
      let task = try fleet.ended(id)
      #expect(task.outcomes == ["lost", "completed"])
      #expect(task.attempts[0].text("reason") == "handed back: the worker is draining")
      #expect(task.text("worker_id") == "other")
      #expect(try fleet.journal.count("overlap") == 0)
    }

    @Test func `a command that ignores SIGTERM is killed, and its task handed back all the same`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let leaving = try fleet.startWorker("leaving", options: ["--drain-timeout", "0"])
      try leaving.registered()
      let id = try fleet.submit(
        "stubborn",
        Scripts.start + Scripts.grandchildren + "[ $LIFELINE_ATTEMPT = 1 ] && { trap '' TERM; echo deaf > \"$J\"; }\n"
          + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("deaf")
      try fleet.reached("running", id)
      leaving.signal(SIGTERM)
      #expect(try leaving.exit() == .exited(0))
      #expect(fleet.processes("LIFELINE_TASK_ID", id).isEmpty)
      _ = try fleet.worker("other")
      fleet.open("gate", times: 2)
      let task = try fleet.ended(id)
      #expect(task.outcomes == ["lost", "completed"])
      #expect(task.attempts[0].text("reason") == "handed back: the worker is draining")
    }

    @Test func `a result that ends while the worker drains is delivered before it leaves`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let leaving = try fleet.startWorker("leaving", options: ["--drain-timeout", "60"])
      try leaving.registered()
      let id = try fleet.submit("last", Scripts.start + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("start \(id) 1")
      try fleet.reached("running", id)
      leaving.signal(SIGTERM)
      try leaving.logs("draining")
      // It is given nothing more.
      let next = try fleet.submit("next", "true")
      fleet.open("gate")
      #expect(try leaving.exit() == .exited(0))
      #expect(try fleet.task(id).outcomes == ["completed"])
      #expect(try fleet.task(next).text("status") == "queued")
    }

    @Test func `SIGTERM to the coordinator sends workers away with a hint, and they keep what they run`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      let worker = try fleet.worker("w1")
      let id = try fleet.submit("kept", Scripts.start + Scripts.wait("gate") + Scripts.done)
      try fleet.journal.line("start \(id) 1")
      try fleet.reached("running", id)
      fleet.coordinator.signal(SIGTERM)
      #expect(try fleet.coordinator.exit() == .exited(0))
      try fleet.coordinator.logs("draining")
      let told = try worker.logs("disconnected")
      #expect(told.contains("1012") && told.contains("retry after 0.5 s; the coordinator is restarting"), "\(told)")
      try fleet.restartCoordinator()
      try worker.registered(2)
      fleet.open("gate")
      let task = try fleet.ended(id)
      #expect(task.outcomes == ["completed"])
      #expect(try fleet.journal.count("start") == 1)
    }

    @Test func `a second signal ends a coordinator at once`() throws {
      let fleet = try Fleet()
      // Both are seen in one turn, before anything could have been closed.
      fleet.coordinator.signal(SIGSTOP)
      fleet.coordinator.signal(SIGTERM)
      fleet.coordinator.signal(SIGINT)
      fleet.coordinator.signal(SIGCONT)
      let status = try fleet.coordinator.exit()
      #expect([.exited(128 + SIGTERM), .exited(128 + SIGINT)].contains(status), "\(status)")
    }

    @Test func `a worker that beats and reads nothing loses its task to another, and is told why`() throws {
      let fleet = try Fleet(coordinatorOptions: ["--slow-reader-timeout", "400ms"])
      let deaf = try ScriptedPeer(fleet, "/api/v1/worker/deaf/ws", offering: Protocols.session)
      deaf.send(sealed: [
        "type": "registration", "worker_id": "deaf", "boot_id": "boot",
        "capabilities": ["slots": 1, "kinds": ["command"]],
      ])
      try deaf.hears("registration_ack")
      deaf.send(sealed: ["type": "state_sync", "tasks": [], "final": true], sequence: 1)
      try deaf.hears("state_sync_ack")
      let id = try fleet.submit("unread", Scripts.start + Scripts.done)
      try deaf.hears("task_assignment")
      // Every message acknowledges nothing.
      let close = try eventually("close") { () -> (code: UInt16, reason: String)? in
        deaf.send(sealed: ["type": "heartbeat", "sequence": 1])
        for case .closed(let code, let reason) in deaf.events.all { return (code, reason) }
        return nil
      }
      #expect(close.code == 1013)
      #expect(close.reason.hasPrefix("retry after 1.0 s; nothing was acknowledged for"), "\(close.reason)")
      try fleet.coordinator.logs("a worker does not read what it is sent")
      _ = try fleet.worker("good")
      let task = try fleet.ended(id)
      #expect(task.text("worker_id") == "good")
      #expect(task.text("status") == "completed")
    }

    @Test func `many drip feeders keep no honest client waiting, and each is gone at its deadline`() throws {
      let fleet = try Fleet()
      let crowd = try (0..<300).map { _ in
        let socket = try BlockingSocket(to: fleet.address)
        try socket.send("GET /slow HTTP/1.1\r\nX: ")
        return socket
      }
      _ = try fleet.worker("w1")
      let id = try fleet.submit("meanwhile", "echo served")
      #expect(try fleet.ended(id).text("stdout") == "served\n")
      try eventually("an answer to every drip feeder", limit: .seconds(30)) {
        let answered = crowd.count { socket in
          var byte: UInt8 = 0
          return recv(socket.descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK)) > 0
        }
        return answered == crowd.count ? true : nil
      }
      for socket in crowd {
        #expect(String(decoding: try socket.receive(), as: UTF8.self).hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
      }
    }
  }
}
