import Testing

extension LifelineTests {
  @Suite struct HelpTests {
    static let commands = [
      "coordinator", "worker", "run", "submit", "tasks", "task", "workers", "logs", "cancel", "pause", "resume",
      "retry", "drain", "checkpoint", "fleet", "certs", "keys", "queue", "config", "docs", "health", "fetch",
      "quarantine",
    ]

    private func run(_ arguments: [String], _ environment: [String: String] = [:]) throws -> RunningProgram.Outcome {
      try RunningProgram(arguments, environment: environment).end()
    }

    @Test(arguments: commands)
    func `every command explains itself with examples`(command: String) throws {
      let outcome = try run([command, "--help"])
      #expect(outcome.status == 0)
      #expect(outcome.output.hasPrefix("Usage: lifeline \(command)"))
      #expect(outcome.output.contains("\nExamples:\n  "))
      #expect(outcome.errors.isEmpty)
    }

    @Test func `the program's help names every command`() throws {
      let outcome = try run(["--help"])
      #expect(outcome.status == 0)
      for command in Self.commands { #expect(outcome.output.contains("\n  \(command) ")) }
      #expect(!outcome.output.contains("supervise"))
    }

    @Test func `it knows its version`() throws {
      let outcome = try run(["--version"])
      #expect(outcome.status == 0)
      #expect(outcome.output.hasPrefix("lifeline "))
    }

    @Test(
      arguments: [
        (["cordinator"], "unknown command cordinator; did you mean coordinator?"),
        (["run", "--retrys", "3"], "unknown option --retrys; did you mean --retries?"),
        (["coordinator", "--ports", "1"], "unknown option --ports; did you mean --port?"),
        (["coordinator", "--port", "65536"], "--port: 65536 is not valid"),
        (["worker", "--slots", "0"], "--slots: 0 is not valid"),
        (["worker", "--worker-id", "a b"], "--worker-id: the worker id contains"),
        (["worker", "--heartbeat-timeout", "1"], "--heartbeat-timeout must be longer"),
        (["worker", "--compression-level", "10"], "--compression-level: 10 is not valid"),
        (["run", "make"], "put -- before the command"),
        (["run", "--run", "ü", "--", "true"], "--run: the task id contains"),
        (["tasks", "--status", "done"], "--status: done is not valid"), (["task"], "ID is missing"),
        (["cancel"], "ID is missing"), (["logs", "a/b"], "the task id contains"),
        (["workers", "--coordinator", "http://x"], "the coordinator's address http://x is wrong"),
        (["workers", "--coordinator", "ws://a:1,ws://a:1"], "address ws://a:1 is wrong: it is in the list twice"),
        (["worker", "--coordinator", "ws://a:1", "--coordinator", "wss://b:1"], "ws://a:1 is in the same list"),
        (["fleet", "--coordinator", "ws://a:1,"], "is no address"),
        (["checkpoint", "{}"], "LIFELINE_CONTROL_FD is not set"),
        (["checkpoint", "--latest"], "LIFELINE_CHECKPOINT_FILE is not set"),
        (["checkpoint", "--latest", "--task", "a"], "exclude each other"), ([], "a command is missing"),
      ] as [([String], String)])
    func `wrong usage ends with status 2 and says what is right`(arguments: [String], message: String) throws {
      let outcome = try run(arguments)
      #expect(outcome.status == 2)
      #expect(outcome.errors.contains(message), "\(outcome.errors)")
      #expect(outcome.errors.contains("--help'"))
      #expect(outcome.output.isEmpty)
    }

    @Test func `a wrong address in the environment is wrong usage too`() throws {
      let outcome = try run(["tasks"], ["LIFELINE_COORDINATOR": "localhost:8765"])
      #expect(outcome.status == 2)
      #expect(outcome.errors.contains("expected ws://HOST:PORT"))
    }

    @Test(arguments: [
      ["tasks"], ["workers"], ["task", "a"], ["logs", "a"], ["cancel", "a"], ["submit", "--", "true"],
    ])
    func `without a coordinator a command gives up with its address and the cause`(arguments: [String]) throws {
      // Nothing can listen at port 1 of this address without being root, and nothing does.
      let url = ["--coordinator", "ws://127.0.0.1:1", "--patience", "0.3"]
      let outcome = try run([arguments[0]] + url + arguments.dropFirst())
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("no coordinator answered at ws://127.0.0.1:1 for 0.3 s:"), "\(outcome.errors)")
      #expect(outcome.errors.contains("Connection refused"))
    }

    @Test func `a reader that has gone ends the program quietly`() throws {
      let outcome = try RunningProgram(["--help"], closesOutput: true).end()
      #expect(outcome.status == 128 + 13)
      #expect(outcome.errors.isEmpty)
    }
  }
}
