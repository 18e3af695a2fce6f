import CoordinationCore
import Primitives
import TestSupport
import Testing

extension EndToEnd {
  /// Which worker runs a command, in which folder, and with what around it.
  @Suite struct PlacementTests {
    private func registeredWorker(_ id: String, _ fleet: Fleet, slots: Int = 1, options: [String]) throws -> TestProcess
    {
      let worker = try fleet.startWorker(id, slots: slots, options: options)
      try worker.registered()
      return worker
    }

    @Test func `a task waits until a worker with the label joins, says so, and holds up nobody`() throws {
      let fleet = try Fleet()
      _ = try registeredWorker("plain", fleet, options: ["--label", "zone=eu"])
      let waiting = try fleet.submit("gpu", "true", options: ["--require", "gpu=1", "--require", "memory_mb>=1"])
      let other = try fleet.submit("any", "true", options: ["--require", "zone=eu,us", "--require", "os=linux"])
      #expect(try fleet.ended(other).text("worker_id") == "plain")
      #expect(try fleet.task(waiting).text("status") == "queued")
      #expect(try fleet.task(waiting).text("waiting_for") == "no connected worker has gpu=1")
      #expect(try fleet.tasks().map { $0.text("waiting_for") }.sorted() == ["", "no connected worker has gpu=1"])
      #expect(try fleet.client(["task", waiting]).contains("no connected worker has gpu=1"))
      _ = try registeredWorker("special", fleet, options: ["--label", "gpu=1"])
      let task = try fleet.ended(waiting)
      #expect(task.text("worker_id") == "special" && task["waiting_for"] == nil)
      #expect(task["requires"] == ["gpu": "1", "memory_mb": [">=": 1]])
      let workers = try JSONParser.parse(fleet.client(["workers", "--json"])).array ?? []
      let labels = workers.compactMap { $0.object?["labels"]?.object }
      #expect(labels.compactMap { $0["gpu"]?.string } == ["1"] && labels.compactMap { $0["zone"]?.string } == ["eu"])
      #expect(labels.allSatisfy { $0["os"] == "linux" && Int($0.text("cpus")) ?? 0 > 0 && !$0.text("arch").isEmpty })
    }

    @Test func `a task of two slots runs when both are free`() throws {
      let fleet = try Fleet()
      try fleet.gate("gate")
      _ = try fleet.worker("w1", slots: 2)
      let first = try fleet.submit("first", Scripts.start + Scripts.wait("gate"))
      try fleet.journal.line("start \(first)")
      let big = try fleet.submit("big", Scripts.start, options: ["--task-slots", "2"])
      let small = try fleet.submit("small", Scripts.start)
      #expect(try fleet.task(big).text("status") == "queued")
      fleet.open("gate")
      #expect(try fleet.ended(big).outcomes == ["completed"])
      #expect(try fleet.ended(small).outcomes == ["completed"])
      let tooBig = try fleet.submit("huge", "true", options: ["--task-slots", "3"])
      #expect(try fleet.task(tooBig).text("waiting_for") == "no connected worker has 3 slots")
    }

    @Test func `a command runs in a folder of its own where the worker says, and is ended when that is too full`()
      throws
    {
      let fleet = try Fleet()
      _ = try registeredWorker(
        "w1", fleet, options: ["--work-dir", fleet.directory.path, "--work-dir-max-bytes", "1000000"])
      let first = try fleet.submit("where", "pwd; ls -A; echo x > file", options: ["--workdir"])
      let again = try fleet.submit("again", "ls -A", options: ["--workdir"])
      let text = try fleet.ended(first).text("stdout")
      #expect(text.hasPrefix("\(fleet.directory.path)/") && text.split(separator: "\n").count == 1)
      #expect(try fleet.ended(again).text("stdout") == "")
      let full = try fleet.submit(
        "full", "head -c 3000000 /dev/zero > file; read -r _ < \"$E2E/never\" || sleep 1000",
        options: ["--workdir-max-bytes", "2000000"])
      let task = try fleet.ended(full)
      #expect(task.text("status") == "failed")
      #expect(task.text("reason").contains("the worker's --work-dir-max-bytes"))
    }

    @Test func `a command finds of the worker's environment only what passes`() throws {
      let fleet = try Fleet()
      let variables = ["SECRET_TOKEN": "1", "CUDA_HOME": "2"]
      let worker = try TestProcess(
        Fleet.program,
        [
          "worker", "--worker-id", "w1", "--coordinator", fleet.url, "--state-dir", fleet.directory.file("other"),
          "--pass-env", "CUDA_*",
        ], environment: variables.merging(["TMPDIR": fleet.directory.path]) { $1 })
      defer { try? worker.kill() }
      try worker.registered()
      let id = try fleet.submit("env", "env", options: ["--env", "MINE=3"])
      let found = Set(try fleet.ended(id).text("stdout").split(separator: "\n").map(String.init))
      #expect(found.isSuperset(of: ["CUDA_HOME=2", "MINE=3", "TMPDIR=\(fleet.directory.path)"]))
      #expect(found.contains { $0.hasPrefix("PATH=") })
      #expect(!found.contains { $0.hasPrefix("SECRET_TOKEN") })
    }
  }
}
