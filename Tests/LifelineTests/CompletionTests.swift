import Glibc
import TestSupport
import Testing

extension LifelineTests {
  /// The script that `lifeline docs completion bash` prints, in a real bash.
  @Suite struct CompletionTests {
    private let directory = TemporaryDirectory()

    /// What bash is offered for the last of `words`, which are split as bash splits them.
    private func offers(_ words: [String], environment: [String: String] = [:]) throws -> [String] {
      let script = try RunningProgram(["docs", "completion", "bash"]).end()
      #expect(script.status == 0 && script.errors.isEmpty)
      let path = directory.file("completion.bash")
      let file = try #require(fopen(path, "w"))
      fputs(script.output, file)
      fclose(file)
      let driver = """
        cd '\(directory.path)' && source ./completion.bash || exit 1
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _lifeline
        printf '%s\\n' "${COMPREPLY[@]}"
        """
      let bash = try TestProcess(
        "/bin/bash", ["--norc", "-u", "-c", driver, "bash"] + words,
        environment: ["HOME": "/nonexistent"].merging(environment) { $1 })
      try bash.exit()
      #expect(bash.errors.all.isEmpty)
      return bash.output.all.filter { !$0.isEmpty }
    }

    static let cases: [([String], [String])] = [
      (["lifeline", "coor"], ["coordinator"]), (["lifeline", "ta"], ["tasks", "task"]),
      (["lifeline", "coordinator", "--heartbeat"], ["--heartbeat-interval", "--heartbeat-timeout"]),
      (["lifeline", "coordinator", "--no-c"], ["--no-compression"]), (["lifeline", "tasks", "--conf"], ["--config"]),
      (["lifeline", "coordinator", "--log-level", ""], ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
      (["lifeline", "coordinator", "--log-level", "=", "W"], ["WARNING"]),
      (["lifeline", "coordinator", "--log-level", "="], ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
      (["lifeline", "coordinator", "--log-level", "warn"], ["WARNING"]),
      (["lifeline", "run", "--priority", "H"], ["HIGH"]),
      (["lifeline", "keys", "add", "x", "--role", "sub"], ["submitter"]),
      (["lifeline", "stress", "--scenario", "coordinator_k"], ["coordinator_kill9"]),
      (["lifeline", "keys", "ro"], ["rotate"]), (["lifeline", "config", ""], ["check", "show", "example"]),
      (["lifeline", "docs", "completion", ""], ["bash"]),
      (["lifeline", "--config", "x", "worke"], ["worker", "workers"]),
      (["lifeline", "worker", "--coordinator", "ws", ":", "//a", ":", "1", "--sl"], ["--slots"]),
      (["lifeline", "worker", "--coordinator", "=", "ws", ":", "//a", "--sl"], ["--slots"]),
      (["lifeline", "coordinator", "--store", "completion."], ["completion.bash"]),
      (["lifeline", "config", "check", "completion."], ["completion.bash"]),
      (["lifeline", "worker", "--state-dir", "completion."], []),
      (["lifeline", "run", "--", "--pri"], []), (["lifeline", "dance", "--x"], []),
      (["lifeline", "coordinator", "--port", ""], []),
    ]

    @Test(arguments: cases) func `bash is offered what the declaration permits`(words: [String], expected: [String])
      throws
    {
      #expect(try offers(words) == expected)
    }

    @Test func `tasks and workers are those that the coordinator knows`() throws {
      let fleet = try Fleet()
      try fleet.wait(for: try fleet.submit("sleep 60", "--run", "nightly"), "running")
      let environment = ["LIFELINE_COORDINATOR": fleet.url]
      #expect(try offers([RunningProgram.path, "cancel", "nig"], environment: environment) == ["nightly-0001"])
      #expect(try offers([RunningProgram.path, "tasks", "--worker", ""], environment: environment) == ["w1"])
    }

    @Test func `a coordinator that does not answer is not waited for`() throws {
      let words = [RunningProgram.path, "cancel", ""]
      #expect(try offers(words, environment: ["LIFELINE_COORDINATOR": "ws://127.0.0.1:1"]).isEmpty)
    }
  }
}
