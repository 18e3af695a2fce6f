import CoordinationCore
import Glibc
import Reactor
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct ProxyCommandTests {
    private let directory = TemporaryDirectory()

    /// A proxy process to a port where nobody listens, or where `target` says.
    private func proxy(_ options: [String], to target: String = "127.0.0.1:9") throws -> (TestProcess, String) {
      let process = try TestProcess(TestProcess.built("lifeline"), ["proxy", "--to", target] + options, input: "")
      let line = try process.output.first("address") { $0.hasPrefix("listening on 127.0.0.1:") }
      return (process, String(line.dropFirst("listening on ".count)))
    }

    private func control(_ address: String, _ words: [String], expecting status: Reactor.ExitStatus = .exited(0)) throws
      -> JSONObject
    {
      let process = try TestProcess(TestProcess.built("lifeline"), ["proxy-control", address] + words, input: "")
      #expect(try process.exit() == status)
      let line = try process.output.first("an answer") { !$0.isEmpty }
      return (try? JSONParser.parse(line))?.object ?? [:]
    }

    @Test func `a fleet works through a proxy and faults are switched while it runs`() throws {
      let coordinator = try TestProcess(
        TestProcess.built("lifeline"), ["coordinator", "--host", "127.0.0.1", "--port", "0", "--store", "memory"],
        input: "")
      let url = try coordinator.output.first("address") { $0.hasPrefix("listening on ws://") }
      let target = String(url.dropFirst("listening on ws://".count))
      let socket = "unix:\(directory.file("control"))"
      let (process, address) = try proxy(
        ["--control", socket, "--seed", "7", "--disruption-interval", "1h"], to: target)
      let worker = try TestProcess(
        TestProcess.built("lifeline"),
        [
          "worker", "--coordinator", "ws://\(address)", "--worker-id", "w", "--state-dir", directory.path,
          "--reconnect-delay", "50ms", "--max-reconnect-delay", "100ms",
        ], input: "")
      try worker.errors.first("registration") { $0.contains("registered") }
      var state = try control(socket, ["show"])
      #expect(state["accepted"] == 1)
      state = try control(socket, ["up", "latency=5ms", "slice=3"])
      #expect(state["up"]?.object?["latency_ms"] == 5)
      #expect(state["down"]?.object?["latency_ms"] == 0)
      let run = try TestProcess(
        TestProcess.built("lifeline"), ["run", "--coordinator", "ws://\(target)", "--", "true"], input: "")
      #expect(try run.exit() == .exited(0))
      #expect(try control(socket, ["cut"])["resets"] == 1)
      try worker.errors.wait(for: "second registration") { lines in
        lines.count { $0.contains("worker: registered") } >= 2 ? true : nil
      }
      try process.errors.first("faults are told") { $0.contains("up latency=5ms slice=3") }
      process.signal(SIGTERM)
      #expect(try process.exit() == .exited(0))
      #expect(access(directory.file("control"), F_OK) != 0, "it leaves no socket behind")
    }

    @Test func `commands on standard input are answered in order`() throws {
      let process = try TestProcess(
        TestProcess.built("lifeline"), ["proxy", "--to", "127.0.0.1:9"], input: "latncy=3\nrefuse on\n")
      let lines = try process.output.wait(for: "two answers") { $0.count >= 3 ? Array($0.dropFirst()) : nil }
      let answers = lines.compactMap { (try? JSONParser.parse($0))?.object }
      #expect(answers.map { $0["ok"] } == [false, true])
      #expect(answers.first?["error"]?.string == "there is no setting latncy; did you mean latency?")
      #expect(answers.last?["refusing"] == true)
      process.signal(SIGINT)
      #expect(try process.exit() == .exited(0))
    }

    @Test func `a schedule is carried out and what was told is a schedule`() throws {
      var text = "10ms up latency=1ms\n20ms both clear\n"
      for name in ["schedule", "replay"] {
        let file = directory.file(name)
        let descriptor = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
        let (process, _) = try proxy(["--schedule", file, "--seed", "1", "--disruption-interval", "1h"])
        try process.errors.first("the last entry") { $0.hasSuffix("ms both clear") }
        process.signal(SIGTERM)
        #expect(try process.exit() == .exited(0))
        text = process.errors.all.map { $0 + "\n" }.joined()
        #expect(text.contains("# faults are drawn from seed 1\n") && text.contains("ms up latency=1ms\n"), "\(text)")
      }
    }

    @Test(arguments: [
      (["--to", "here"], 2, "--to here: expected HOST:PORT"),
      (["--to", "127.0.0.1:9", "--up", "slow"], 2, "slow is no command and no setting"),
      (["--to", "127.0.0.1:9", "--schedule", "/nonexistent"], 2, "/nonexistent cannot be read"),
      (["--to", "127.0.0.1:9", "--control", "somewhere"], 2, "--control somewhere: expected unix:PATH"),
      ([], 2, "--to"),
    ])
    func `wrong use says what is right`(options: [String], status: Int, problem: String) throws {
      let process = try TestProcess(TestProcess.built("lifeline"), ["proxy"] + options, input: "")
      #expect(try process.exit() == .exited(Int32(status)))
      // The last words may still be in the pipe when the process has ended.
      try process.errors.first(problem) { $0.contains(problem) }
    }

    @Test func `a control command that no proxy hears fails with a reason`() throws {
      let process = try TestProcess(
        TestProcess.built("lifeline"), ["proxy-control", "unix:\(directory.file("none"))", "heal"], input: "")
      #expect(try process.exit() == .exited(1))
      try process.errors.first("the reason") { $0.contains("there is no such file") }
    }
  }
}
