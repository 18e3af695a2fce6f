import Glibc
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct SecurityOptionTests {
    private let directory = TemporaryDirectory()

    private func tasks(_ options: [String], _ environment: [String: String] = [:]) throws -> RunningProgram.Outcome {
      try RunningProgram(["tasks", "--patience", "1"] + options, environment: environment).end()
    }

    @Test func `a key file on the command line counts before a key in the environment`() throws {
      let missing = directory.file("missing.key")
      let outcome = try tasks(["--api-key-file", missing], ["LIFELINE_API_KEY": "from the environment"])
      #expect(outcome.status == 2)
      #expect(outcome.errors.contains("--api-key-file: \(missing) cannot be read"))
    }

    @Test func `a key on the command line counts before a key file in the environment`() throws {
      let outcome = try tasks(["--api-key", "short"], ["LIFELINE_API_KEY_FILE": directory.file("missing.key")])
      #expect(outcome.status == 2)
      #expect(outcome.errors.contains("an API key has 8 to 256 characters, this one has 5"))
    }

    @Test(arguments: ["tasks", "worker", "fleet"])
    func `who asks for TLS does not go without`(command: String) throws {
      let state = directory.file("state")
      let outcome = try RunningProgram(
        [command, "--coordinator", "ws://localhost:1", "--tls-ca", "ca.pem"], environment: ["XDG_STATE_HOME": state]
      ).end()
      #expect(outcome.status == 2)
      #expect(access(state, F_OK) != 0, "it left something behind")
      #expect(outcome.errors.contains("--tls-ca is for a wss:// address, and ws://localhost:1 is none"))
    }

    @Test func `a variable for TLS does not forbid a plain address`() throws {
      let outcome = try tasks(["--coordinator", "ws://127.0.0.1:1"], ["LIFELINE_TLS_CA": "ca.pem"])
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("no coordinator answered"))
    }

    @Test func `a worker does not show its key to the network`() throws {
      let outcome = try RunningProgram(
        [
          "worker", "--legacy", "--coordinator", "ws://192.0.2.1:8765", "--api-key", "a-long-enough-key",
          "--state-dir", directory.file("state"),
        ]
      ).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("the API key itself is sent"))
    }
  }
}
