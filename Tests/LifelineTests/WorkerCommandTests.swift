import CoordinationCore
import Glibc
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct WorkerCommandTests {
    @Test func `it gives up after as many attempts as it was told`() throws {
      let directory = TemporaryDirectory()
      let outcome = try RunningProgram([
        "worker", "--coordinator-host", "127.0.0.1", "--coordinator-port", "1", "--max-reconnect-attempts", "3",
        "--reconnect-delay", "0.01", "--state-dir", directory.file("state"),
      ]).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("no coordinator could be reached at ws://127.0.0.1:1"), "\(outcome.errors)")
    }

    @Test func `a state folder that cannot be is named`() throws {
      let directory = TemporaryDirectory()
      write([], to: directory.file("taken"))
      let outcome = try RunningProgram(["worker", "--state-dir", directory.file("taken")]).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("\(directory.file("taken")) is not a folder"))
    }

    @Test func `the state folder is for its user alone`() throws {
      let fleet = try Fleet(workers: 0)
      let worker = try fleet.startWorker("w1", ["--state-dir", fleet.directory.file("deep/state")])
      try waitForWorker("w1", in: fleet)
      var status = stat()
      #expect(stat(fleet.directory.file("deep/state"), &status) == 0)
      #expect(status.st_mode & 0o777 == 0o700)
      #expect(exists(fleet.directory.file("deep/state/w1.outbox")))
      worker.signal(SIGTERM)
      #expect(try worker.end().status == 0)
    }

    @Test func `a worker under a name of its own leaves nothing behind`() throws {
      let fleet = try Fleet(workers: 0)
      let worker = try RunningProgram(
        ["worker", "--state-dir", fleet.directory.file("own")], environment: fleet.environment)
      try worker.wait("registration") { $0.errors.contains("registered") }
      worker.signal(SIGINT)
      #expect(try worker.end().status == 0)
      let folder = try #require(opendir(fleet.directory.file("own")))
      defer { closedir(folder) }
      var names: [String] = []
      while let entry = readdir(folder) {
        names.append(
          withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
          })
      }
      #expect(names.filter { $0.hasSuffix(".outbox") } == [])
    }

    @Test func `the first signal waits for what runs, and takes nothing new`() throws {
      let fleet = try Fleet(workers: 0)
      let worker = try fleet.startWorker("w1")
      let gate = fleet.directory.file("gate")
      let first = try fleet.submit("until [ -e \(gate) ]; do sleep 0.02; done; echo done")
      try fleet.wait(for: first, "running")
      worker.signal(SIGTERM)
      let second = try fleet.submit("true")
      #expect(try fleet.task(second)["status"] == "queued")
      #expect(!worker.hasEnded)
      write([], to: gate)
      #expect(try worker.end().status == 0)
      #expect(try fleet.task(first)["status"] == "completed")
      #expect(try fleet.task(second)["status"] == "queued")
    }

    @Test func `the second signal ends what runs, which another worker takes over`() throws {
      let fleet = try Fleet(workers: 0)
      let worker = try fleet.startWorker("w1")
      let gate = fleet.directory.file("gate")
      let id = try fleet.submit("until [ -e \(gate) ]; do sleep 0.02; done; echo done")
      try fleet.wait(for: id, "running")
      worker.signal(SIGINT)
      // Both signals are seen: the log tells of the first before the second is sent.
      while !String(decoding: contents(of: fleet.directory.file("w1.log")), as: UTF8.self).contains("draining") {
        #expect(!worker.hasEnded)
      }
      worker.signal(SIGINT)
      #expect(try worker.end().status == 0)
      write([], to: gate)
      try fleet.startWorker("w2")
      let task = try fleet.wait(for: id, "completed")
      #expect(task["attempt"]?.integer == 2)
      #expect(task["worker_id"] == "w2")
    }

    private func waitForWorker(_ name: String, in fleet: Fleet) throws {
      for _ in 0..<500 {
        if try fleet.lifeline("workers", "--json").output.contains("\"\(name)\"") { return }
      }
      Issue.record("worker \(name) never registered")
    }
  }
}
