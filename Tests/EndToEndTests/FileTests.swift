import CoordinationCore
import FaultProxy
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  /// Files in and out, over connections that break, and past coordinators and workers that die.
  @Suite struct FileTests {
    static let size = 20_000_000
    /// Makes an output of its input that is not the same, or the coordinator would have it already, and says how long the
    /// input was.
    static let copy = "mkdir -p out/deep && { printf x; cat in.bin; } > out/deep/copy && wc -c < in.bin"
    static func copied(_ bytes: [UInt8]) -> [UInt8] { [UInt8(ascii: "x")] + bytes }

    /// Bytes that no line shrinks; the same for one seed.
    static func content(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
      var random = SeededGenerator(seed: seed)
      var bytes: [UInt8] = []
      bytes.reserveCapacity(count + 8)
      while bytes.count < count {
        let word: UInt64 = random.next()
        for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
      }
      bytes.removeLast(bytes.count - count)
      return bytes
    }

    func write(_ bytes: [UInt8], to path: String) throws {
      let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
      defer { close(descriptor) }
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { throw TimedOut("write \(path): errno \(errno)") }
        rest = rest.dropFirst(count)
      }
    }

    /// `lifeline fetch`, and whether the bytes are those.
    private func expectOutput(
      _ fleet: Fleet, of id: String, _ path: String, _ bytes: [UInt8], through relay: FaultRelay? = nil
    ) throws {
      let target = fleet.directory.file("fetched-\(id)")
      let process = try TestProcess(
        Fleet.program, ["fetch", id, "--to", target], environment: ["LIFELINE_COORDINATOR": relay?.url ?? fleet.url])
      #expect(try process.exit() == .exited(0), "\(process.errors.all)")
      #expect(process.output.all.contains(path))
      #expect(TestProcess.contents(of: "\(target)/\(path)") == bytes)
    }

    /// Cuts connections in the middle of what comes through, again and again while something does.
    ///
    /// - Returns: how often; on a busy machine the end may come first.
    private func cutAgainAndAgain(_ relay: FaultRelay, up isUp: Bool, every bytes: Int) -> Int {
      for cuts in 0..<4 {
        let accepted = relay.accepted
        if isUp { relay.cut(after: bytes, .up) } else { relay.cut(after: bytes, .down) }
        let isCut = try? eventually("a connection after a cut", limit: .seconds(8)) {
          relay.accepted > accepted ? true : nil
        }
        if isCut == nil { return cuts }
      }
      return 4
    }

    @Test func `files go in and out byte for byte, in folders, and with the right to be executed`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      let bytes = Self.content(300_000)
      mkdir(fleet.directory.file("data"), 0o755)
      try write(bytes, to: fleet.directory.file("data/large"))
      try write([], to: fleet.directory.file("data/empty"))
      try write(
        Array("#!/bin/sh\ncat data/large > out.bin; ls data; echo no > other\n".utf8), to: fleet.directory.file("go"))
      chmod(fleet.directory.file("go"), 0o755)
      let text = try fleet.client([
        "run", "--run", "plain", "--input", fleet.directory.file("data"), "--input",
        fleet.directory.file("go") + "=bin/go", "--output", "*.bin", "--", "bin/go",
      ])
      #expect(text.contains("empty\nlarge"))
      let task = try fleet.task("plain-0001")
      #expect(task["result"]?.object?["outputs"]?.array?.map { $0.object?["path"]?.string } == ["out.bin"])
      try expectOutput(fleet, of: "plain-0001", "out.bin", bytes)
    }

    @Test func `a command that fails leaves its outputs all the same`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      let id = try fleet.submit("failing", "echo why > report.txt; exit 3", options: ["--output", "report.txt"])
      let task = try fleet.ended(id)
      #expect(task.text("status") == "failed" && task.number("exit_code") == 3)
      try expectOutput(fleet, of: id, "report.txt", Array("why\n".utf8))
    }

    @Test func `an input cannot be changed, and the next task finds it as it was`() throws {
      let fleet = try Fleet()
      _ = try fleet.worker("w1")
      try write(Array("original\n".utf8), to: fleet.directory.file("in.txt"))
      // As the superuser it can be, whatever its permissions.
      let spoil = try fleet.submit(
        "spoil", "chmod u+w in.txt; echo spoilt > in.txt; true", options: ["--input", fleet.directory.file("in.txt")])
      _ = try fleet.ended(spoil)
      let next = try fleet.submit("next", "cat in.txt", options: ["--input", fleet.directory.file("in.txt")])
      #expect(try fleet.ended(next).text("stdout") == "original\n")
    }

    @Test func `20 MB in and out over a connection that is cut again and again cost little more than 20 MB`() throws {
      let fleet = try Fleet()
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      relay.setBandwidth(6_000_000, .up)
      relay.setBandwidth(6_000_000, .down)
      let worker = try fleet.worker("w1", through: relay)
      let bytes = Self.content(Self.size)
      try write(bytes, to: fleet.directory.file("in.bin"))
      let id = try fleet.submit(
        "cut", Self.copy, options: ["--input", fleet.directory.file("in.bin"), "--output", "out/**"])
      #expect(cutAgainAndAgain(relay, up: false, every: 2_000_000) >= 2)
      #expect(cutAgainAndAgain(relay, up: true, every: 2_000_000) >= 2)
      let task = try fleet.ended(id, limit: .seconds(60))
      #expect(task.text("status") == "completed", "\(task)")
      #expect(task.text("stdout") == "\(Self.size)\n")
      #expect(task.number("attempt") == 1)
      // A cut costs at most the window of what was on its way.
      #expect(relay.bytesDown < Self.size * 3 / 2, "\(relay.bytesDown) bytes down")
      #expect(relay.bytesUp < Self.size * 3 / 2, "\(relay.bytesUp) bytes up")
      try expectOutput(fleet, of: id, "out/deep/copy", Self.copied(bytes))
      _ = worker
    }

    @Test func `a client whose connection is cut again and again sends and gets little more than the file`() throws {
      let fleet = try Fleet()
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      relay.setBandwidth(6_000_000, .up)
      relay.setBandwidth(6_000_000, .down)
      _ = try fleet.worker("w1")
      let bytes = Self.content(Self.size, seed: 2)
      try write(bytes, to: fleet.directory.file("in.bin"))
      let submitting = try TestProcess(
        Fleet.program,
        [
          "submit", "--run", "client", "--input", fleet.directory.file("in.bin"), "--output", "out/**", "--", "sh",
          "-c",
          Self.copy,
        ], environment: ["LIFELINE_COORDINATOR": relay.url])
      #expect(cutAgainAndAgain(relay, up: true, every: 2_000_000) >= 2)
      #expect(try submitting.exit() == .exited(0), "\(submitting.errors.all)")
      #expect(relay.bytesUp < Self.size * 3 / 2, "\(relay.bytesUp) bytes up")
      _ = try fleet.ended("client-0001", limit: .seconds(60))
      let fetching = try TestProcess(
        Fleet.program, ["fetch", "client-0001", "--to", fleet.directory.file("fetched")],
        environment: ["LIFELINE_COORDINATOR": relay.url])
      #expect(cutAgainAndAgain(relay, up: false, every: 2_000_000) >= 2)
      #expect(try fetching.exit() == .exited(0), "\(fetching.errors.all)")
      #expect(TestProcess.contents(of: fleet.directory.file("fetched/out/deep/copy")) == Self.copied(bytes))
      #expect(relay.bytesDown < Self.size * 3 / 2, "\(relay.bytesDown) bytes down")
    }

    @Test func `bytes that change on the way are sent again, and the files are right in the end`() throws {
      let fleet = try Fleet()
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      _ = try fleet.worker("w1", through: relay)
      let bytes = Self.content(Self.size, seed: 3)
      try write(bytes, to: fleet.directory.file("in.bin"))
      relay.setCorruption(oneIn: 4_000_000, .up)
      relay.setCorruption(oneIn: 4_000_000, .down)
      let id = try fleet.submit(
        "corrupt", Self.copy, options: ["--input", fleet.directory.file("in.bin"), "--output", "out/**"])
      let task = try fleet.ended(id, limit: .seconds(60))
      #expect(task.text("status") == "completed", "\(task)")
      #expect(relay.corruptedBytes > 0)
      try expectOutput(fleet, of: id, "out/deep/copy", Self.copied(bytes))
    }

    @Test func `an upload goes on where it was when its coordinator is killed and started again`() throws {
      let fleet = try Fleet()
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      relay.setBandwidth(10_000_000, .up)
      let bytes = Self.content(Self.size, seed: 4)
      try write(bytes, to: fleet.directory.file("in.bin"))
      let submitting = try TestProcess(
        Fleet.program,
        [
          "submit", "--run", "upload", "--input", fleet.directory.file("in.bin"), "--output", "out/**", "--", "sh",
          "-c",
          Self.copy,
        ], environment: ["LIFELINE_COORDINATOR": relay.url])
      try eventually("the middle of the upload") { relay.bytesUp > Self.size / 2 ? true : nil }
      try fleet.killCoordinator()
      try fleet.restartCoordinator()
      #expect(try submitting.exit() == .exited(0), "\(submitting.errors.all)")
      #expect(relay.bytesUp < Self.size + 3 * TransferWindow.maxBytes, "\(relay.bytesUp) bytes up")
      _ = try fleet.worker("w1")
      let id = "upload-0001"
      #expect(try fleet.ended(id, limit: .seconds(60)).text("status") == "completed")
      // What is acknowledged survives the coordinator once more.
      try fleet.killCoordinator()
      try fleet.restartCoordinator()
      try expectOutput(fleet, of: id, "out/deep/copy", Self.copied(bytes))
    }

    @Test func `a worker that is killed while it gets a file goes on from the bytes in its cache`() throws {
      let fleet = try Fleet()
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      relay.setBandwidth(10_000_000, .down)
      let first = try fleet.worker("w1", through: relay)
      let bytes = Self.content(Self.size, seed: 5)
      try write(bytes, to: fleet.directory.file("in.bin"))
      let id = try fleet.submit(
        "killed", Self.copy, options: ["--input", fleet.directory.file("in.bin"), "--output", "out/**"])
      try eventually("the middle of the file") { relay.bytesDown > Self.size / 2 ? true : nil }
      try first.kill()
      let second = try fleet.worker("w1", through: relay)
      let task = try fleet.ended(id, limit: .seconds(60))
      #expect(task.text("status") == "completed")
      #expect(task.number("attempt") == 2)
      #expect(relay.bytesDown < Self.size + 4 * TransferWindow.maxBytes, "\(relay.bytesDown) bytes down")
      try expectOutput(fleet, of: id, "out/deep/copy", Self.copied(bytes))
      _ = second
    }

    @Test func `several attempts that need one file get it once, and heartbeats keep their pace meanwhile`() throws {
      let fleet = try Fleet()
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      // Ten seconds for the file, and 1.2 without a heartbeat would end the connection.
      relay.setBandwidth(1_000_000, .down)
      _ = try fleet.worker("w1", slots: 3, through: relay)
      let bytes = Self.content(6_000_000, seed: 6)
      try write(bytes, to: fleet.directory.file("in.bin"))
      let ids = try (1...3).map {
        try fleet.submit("shared\($0)", "wc -c < in.bin", options: ["--input", fleet.directory.file("in.bin")])
      }
      for id in ids {
        let task = try fleet.ended(id, limit: .seconds(60))
        #expect(task.text("stdout") == "6000000\n")
        #expect(task.number("attempt") == 1)
      }
      #expect(relay.accepted == 1)
      #expect(relay.bytesDown < 7_000_000, "\(relay.bytesDown) bytes down")
    }

    @Test func `a cancelled task that waits for its files ends at once, and another still gets them`() throws {
      let fleet = try Fleet()
      let relay = try FaultRelay(to: fleet.address)
      defer { relay.stop() }
      relay.setBandwidth(2_000_000, .down)
      _ = try fleet.worker("w1", slots: 2, through: relay)
      try write(Self.content(8_000_000, seed: 7), to: fleet.directory.file("in.bin"))
      let options = ["--input", fleet.directory.file("in.bin")]
      let (first, second) = (
        try fleet.submit("first", "true", options: options),
        try fleet.submit("second", "wc -c < in.bin", options: options)
      )
      try eventually("bytes of the file") { relay.bytesDown > 1_000_000 ? true : nil }
      _ = try fleet.client(["cancel", first])
      #expect(try fleet.ended(first).text("status") == "cancelled")
      #expect(relay.bytesDown < 8_000_000)
      #expect(try fleet.ended(second, limit: .seconds(60)).text("stdout") == "8000000\n")
    }

    @Test func `a task whose input was never sent, or leads out of its folder, is refused by name`() throws {
      let fleet = try Fleet()
      let digest = String(repeating: "ab", count: 32)
      func submit(_ path: String) throws -> String {
        let input: JSONObject = ["path": .string(path), "sha256": .string(digest), "size": 3]
        let task: JSONObject = ["command": ["true"], "inputs": [.object(input)]]
        do {
          _ = try fleet.watch.ask("submit", ["tasks": [.object(task)]])
          return "taken"
        } catch { return "\(error)" }
      }
      let missing = try submit("data/set.csv")
      #expect(missing.contains("data/set.csv") && missing.contains(digest), "\(missing)")
      for path in ["../set.csv", "/etc/passwd", "a/../../b"] {
        let refusal = try submit(path)
        #expect(refusal.contains("tasks[0]") && refusal.contains("inputs[0]"), "\(refusal)")
      }
      let wrong = try fleet.start(["run", "--input", "/dev/null/x=../y", "--", "true"])
      #expect(try wrong.exit() == .exited(2))
    }

    @Test func `a file beyond the coordinator's bound is refused, and the bound is named`() throws {
      let fleet = try Fleet(coordinatorOptions: ["--max-file-bytes", "100000"])
      try write(Self.content(100_001), to: fleet.directory.file("in.bin"))
      let process = try fleet.start(["submit", "--input", fleet.directory.file("in.bin"), "--", "true"])
      #expect(try process.exit() == .exited(1))
      #expect(process.errors.all.joined().contains("--max-file-bytes"), "\(process.errors.all)")
      // An output has the same bound, and the task says so.
      _ = try fleet.worker("w1")
      let id = try fleet.submit("large", "head -c 100001 /dev/zero > x", options: ["--output", "x"])
      let task = try fleet.ended(id)
      #expect(task.text("status") == "failed")
      #expect(task.text("reason").contains("--max-file-bytes"), "\(task.text("reason"))")
    }

    @Test func `files that no task needs are removed, and those that one needs are not`() throws {
      let fleet = try Fleet(coordinatorOptions: ["--files-keep", "1s"])
      try write(Array("needed".utf8), to: fleet.directory.file("needed"))
      try write(Array("done".utf8), to: fleet.directory.file("done"))
      let worker = try fleet.worker("w1")
      let first = try fleet.submit("done", "true", options: ["--input", fleet.directory.file("done")])
      _ = try fleet.ended(first)
      try worker.kill()
      // Nobody is there to run it, for as long as it takes.
      let second = try fleet.submit("needed", "cat needed", options: ["--input", fleet.directory.file("needed")])
      try fleet.coordinator.errors.wait(for: "the file's removal") { lines in
        lines.contains { $0.contains("files removed that nobody needs") } ? true : nil
      }
      _ = try fleet.worker("w2")
      #expect(try fleet.ended(second).text("stdout") == "needed")
    }
  }
}
