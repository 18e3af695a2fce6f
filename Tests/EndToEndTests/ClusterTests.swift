import CoordinationCore
import Glibc
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  /// Two coordinators on one PostgreSQL, as real processes.
  @Suite(.serialized, .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
  struct ClusterTests {
    private func cluster(memberLease: String = "1s") throws -> Cluster {
      try Cluster(store: PostgresServer.shared().freshURL(), memberLease: memberLease)
    }

    @Test func `a worker whose coordinator is killed goes on at the other with the same attempt`() throws {
      let cluster = try cluster()
      try cluster.gate("gate")
      let worker = try cluster.worker("w1")
      let holder = try cluster.firstHolder(of: "w1")
      let script = Scripts.start + Scripts.checkpoint("1") + Scripts.wait("gate") + Scripts.done
      let id = try cluster.submit("moved", script, at: holder)
      try cluster.journal.line("start \(id) 1")
      try cluster.reached("running", id)
      try cluster.coordinator(holder).kill()
      try worker.registered(2)
      try cluster.coordinator(holder.other).logs("worker registered")
      cluster.open("gate")
      let task = try cluster.ended(id, at: holder.other)
      #expect(task.text("status") == "completed")
      #expect(task.outcomes == ["completed"])
      #expect(task.text("stdout") == "output of attempt 1\n")
      #expect(try cluster.journal.all().count { $0.hasPrefix("start \(id)") } == 1)
    }

    @Test func `a coordinator that is stopped in order hands over at once`() throws {
      // Nobody could take over from one that had only fallen silent.
      let cluster = try cluster(memberLease: "600s")
      try cluster.gate("gate")
      let worker = try cluster.worker("w1")
      let holder = try cluster.firstHolder(of: "w1")
      let id = try cluster.submit("handed", Scripts.start + Scripts.wait("gate") + Scripts.done, at: holder)
      try cluster.journal.line("start \(id) 1")
      try cluster.reached("running", id)
      let coordinator = try cluster.coordinator(holder)
      coordinator.signal(SIGTERM)
      #expect(try coordinator.exit(limit: .seconds(60)) == .exited(0))
      try worker.registered(2)
      cluster.open("gate")
      let task = try cluster.ended(id, at: holder.other)
      #expect(task.text("status") == "completed")
      #expect(task.outcomes == ["completed"])
    }

    @Test func `a task is controlled at the coordinator that does not hold it`() throws {
      let cluster = try cluster()
      try cluster.gate("gate")
      _ = try cluster.worker("w1", at: .a)
      let id = try cluster.submit("held", Scripts.start + Scripts.wait("gate") + Scripts.done, at: .a)
      try cluster.journal.line("start \(id) 1")
      try cluster.reached("running", id)
      _ = try cluster.client(.b, ["pause", id])
      try cluster.reached("paused", id)
      #expect(try cluster.task(id, at: .a).text("status") == "paused")
      _ = try cluster.client(.b, ["resume", id])
      _ = try eventually("resumption") {
        try cluster.task(id, at: .b).text("status") == "running" ? true : nil
      }
      _ = try cluster.client(.b, ["cancel", id])
      #expect(try cluster.ended(id, at: .b).text("status") == "cancelled")
      #expect(try cluster.task(id, at: .a).text("status") == "cancelled")
    }

    @Test func `a run at one coordinator is done by a worker of the other, and seen at either`() throws {
      let cluster = try cluster()
      _ = try cluster.worker("w1", at: .a)
      let text = try cluster.client(.b, ["run", "--name", "far", "--", "sh", "-c", "echo from afar"])
      #expect(text == "from afar")
      let tasks = try Cluster.Name.allCases.map { name in
        try JSONParser.parse(cluster.client(name, ["tasks", "--json"])).array?.compactMap(\.object) ?? []
      }
      #expect(tasks[0] == tasks[1])
      let task = try #require(tasks[0].first)
      #expect(task.text("worker_id") == "w1")
      let id = task.text("task_id")
      for name in Cluster.Name.allCases {
        #expect(try cluster.client(name, ["logs", id]) == "from afar")
      }
      #expect(try cluster.client(.a, ["workers"]).contains("w1"))
    }

    @Test func `a task says what no worker of any coordinator has, until one of them has it`() throws {
      let cluster = try cluster()
      try cluster.gate("gate")
      _ = try cluster.worker("w1", at: .a, options: ["--label", "gpu=1"])
      _ = try cluster.worker("w2", at: .b, options: ["--label", "zone=eu"])
      let busy = try cluster.submit(
        "busy", Scripts.start + Scripts.wait("gate"), at: .b, options: ["--require", "gpu=1"])
      try cluster.journal.line("start \(busy)")
      let nowhere = try cluster.submit("nowhere", "true", at: .a, options: ["--require", "arm=1"])
      let apart = try cluster.submit("apart", "true", at: .a, options: ["--require", "gpu=1", "--require", "zone=eu"])
      let queued = try cluster.submit("queued", "true", at: .b, options: ["--require", "gpu=1"])
      for name in Cluster.Name.allCases {
        #expect(try cluster.task(nowhere, at: name).text("waiting_for") == "no connected worker has arm=1")
        #expect(
          try cluster.task(apart, at: name).text("waiting_for") == "no connected worker has gpu=1 zone=eu together")
        #expect(try cluster.task(queued, at: name)["waiting_for"] == nil, "the other coordinator's worker can do it")
        let all = try JSONParser.parse(cluster.client(name, ["tasks", "--json"])).array?.compactMap(\.object) ?? []
        #expect(all.count == 4)
        #expect(all.count { $0["waiting_for"] != nil } == 2)
        #expect(try cluster.client(name, ["task", nowhere]).contains("no connected worker has arm=1"))
        let shown = try cluster.get("/api/v1/tasks/\(nowhere)", at: name)
        #expect(shown.text("waiting_for") == "no connected worker has arm=1")
      }
      _ = try cluster.worker("w3", at: .b, options: ["--label", "arm=1"])
      #expect(try cluster.ended(nowhere, at: .a).text("worker_id") == "w3")
      cluster.open("gate")
      #expect(try cluster.ended(queued, at: .b).text("worker_id") == "w1")
    }

    @Test func `telemetry is asked of all coordinators' workers, and seen at either`() throws {
      let cluster = try cluster()
      // More is said of the first than one notification holds.
      let labels = (0..<50).flatMap { ["--label", "label-\($0)=\(String(repeating: "x", count: 250))"] }
      _ = try cluster.worker("w1", at: .a, options: labels)
      _ = try cluster.worker("w2", at: .b)
      let id = try cluster.submit("once", "echo hello", at: .a)
      #expect(try cluster.ended(id, at: .a).text("status") == "completed")
      for name in Cluster.Name.allCases {
        let text = try cluster.client(name, ["workers", "--telemetry", "--json"])
        let workers = try #require(try JSONParser.parse(text).array).compactMap(\.object)
        #expect(workers.map { $0["worker_id"] } == ["w1", "w2"])
        #expect(workers.map { $0["labels"]?.object?["label-49"] == nil } == [false, true])
        let done = workers.compactMap { $0["telemetry"]?.object?["metrics"]?.object?["tasks_completed"]?.integer }
        #expect(done.count == 2)
        #expect(done.reduce(0, +) == 1)
        for worker in ["w1", "w2"] {
          #expect(try cluster.get("/api/v1/workers/\(worker)", at: name).text("worker_id") == worker)
          #expect(try cluster.get("/api/v1/workers/\(worker)/metrics", at: name)["telemetry"]?.object != nil)
        }
      }
    }

    @Test func `a task that waits is cancelled wherever that is asked`() throws {
      let cluster = try cluster()
      let id = try cluster.submit("waiting", "true", at: .a)
      _ = try cluster.client(.b, ["cancel", id])
      #expect(try cluster.ended(id, at: .a).text("status") == "cancelled")
      // Nothing of it is given to whoever comes.
      _ = try cluster.worker("w1")
      #expect(try cluster.task(id, at: .b).attempts.isEmpty)
    }

    @Test func `what ends while the database is away is recorded once it is back, and readiness tells of it`() throws {
      let server = try PostgresServer(synchronizes: true)
      let cluster = try Cluster(store: server.freshURL(), memberLease: "1s")
      try cluster.gate("gate")
      _ = try cluster.worker("w1", at: .a)
      let id = try cluster.submit(
        "through", Scripts.start + Scripts.checkpoint("1") + Scripts.wait("gate") + Scripts.done + "exit 3", at: .b)
      try cluster.journal.line("start \(id) 1")
      try cluster.reached("running", id)
      for name in Cluster.Name.allCases { #expect(try cluster.client(name, ["health", "--ready"]) == "ready") }
      try server.kill9()
      for name in Cluster.Name.allCases {
        try eventually("an unready \(name)") {
          (try? cluster.client(name, ["health", "--ready"], expecting: .exited(1))) != nil ? true : nil
        }
      }
      cluster.open("gate")
      try cluster.journal.line("done \(id) 1")
      try server.start()
      for name in Cluster.Name.allCases {
        try eventually("a ready \(name)") {
          (try? cluster.client(name, ["health", "--ready"])) == "ready" ? true : nil
        }
      }
      let task = try cluster.ended(id, at: .b)
      #expect(task.text("status") == "failed")
      #expect(task.number("exit_code") == 3)
      #expect(task.outcomes == ["failed"])
      #expect(try cluster.journal.all().count { $0.hasPrefix("start \(id)") } == 1)
    }

    @Test func `a fleet goes on at the standby that is promoted, and each task is done once`() throws {
      let first = try PostgresServer(synchronizes: true)
      _ = try first.url(database: "work")
      let second = try PostgresServer(standbyOf: first)
      let cluster = try Cluster(
        store: PostgresServer.url(database: "work", of: [first, second]), memberLease: "3s")
      let workers = [try cluster.worker("w1", slots: 2, at: .a), try cluster.worker("w2", slots: 2, at: .b)]
      func script(_ number: Int) throws -> String {
        try cluster.gate("gate\(number)")
        return Scripts.start + Scripts.checkpoint("1") + Scripts.wait("gate\(number)") + Scripts.done
      }
      // The first four are begun, the others wait.
      var ids: [String] = []
      for number in 0..<8 {
        ids.append(try cluster.submit("r\(number)", script(number), at: number.isMultiple(of: 2) ? .a : .b))
      }
      for id in ids.prefix(4) { try cluster.journal.line("start \(id) 1") }
      try first.kill9()
      for name in Cluster.Name.allCases {
        try eventually("an unready \(name)") {
          (try? cluster.client(name, ["health", "--ready"], expecting: .exited(1))) != nil ? true : nil
        }
      }
      // Two end while there is no database, and one is submitted.
      for number in 0..<2 {
        cluster.open("gate\(number)")
        try cluster.journal.line("done \(ids[number]) 1")
      }
      let submission = try TestProcess(
        Fleet.program, ["submit", "--run", "meanwhile", "--", "sh", "-c", script(8)],
        environment: ["LIFELINE_COORDINATOR": cluster.url(.b)])
      for number in 2..<9 { cluster.open("gate\(number)") }
      for number in 2..<4 { try cluster.journal.line("done \(ids[number]) 1") }
      #expect(!submission.hasEnded)
      #expect(try cluster.journal.count("start \(ids[4])") == 0, "nothing new is given out meanwhile")
      try second.promote()
      for name in Cluster.Name.allCases {
        try eventually("a ready \(name)") {
          (try? cluster.client(name, ["health", "--ready"])) == "ready" ? true : nil
        }
      }
      #expect(try submission.exit(limit: .seconds(60)) == .exited(0))
      ids += submission.output.all
      #expect(ids.count == 9)
      for (number, id) in ids.enumerated() {
        let task = try cluster.ended(id, at: number.isMultiple(of: 2) ? .b : .a)
        #expect(task.text("status") == "completed")
        #expect(task.outcomes == ["completed"])
        #expect(try cluster.journal.count("start \(id)") == 1)
        #expect(try cluster.journal.count("done \(id)") == 1)
      }
      // Nobody was sent away for it.
      for worker in workers { #expect(worker.errors.all.count { $0.contains("worker: registered") } == 1) }
      for coordinator in cluster.coordinators.values {
        #expect(!coordinator.errors.all.contains { $0.contains("membership in the store") })
      }
    }
  }
}
