import Glibc
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct ConfigCommandTests {
    private let directory = TemporaryDirectory()

    private func run(_ words: [String], _ environment: [String: String] = [:]) throws -> RunningProgram.Outcome {
      try RunningProgram(words, environment: environment).end()
    }

    private func write(_ text: String, as name: String = "config.toml", mode: mode_t = 0o600) throws -> String {
      var folders = name.split(separator: "/").map(String.init)
      _ = folders.popLast()
      var path = directory.path
      for folder in folders {
        path += "/\(folder)"
        mkdir(path, 0o755)
      }
      let file = try #require(fopen(directory.file(name), "w"))
      fputs(text, file)
      fclose(file)
      chmod(directory.file(name), mode)
      return directory.file(name)
    }

    /// Where `config show` says that the coordinator's port comes from, and what it is.
    private func port(_ words: [String] = [], _ environment: [String: String] = [:]) throws -> String {
      let outcome = try run(["config", "show", "coordinator"] + words, environment)
      let line = try #require(outcome.lines.first { $0.hasPrefix("port ") }, "\(outcome.output)\(outcome.errors)")
      return line.split(separator: " ").dropFirst().joined(separator: " ")
    }

    @Test func `command line, variable, file and default count in this order`() throws {
      let path = try write("[coordinator]\nport = 1\n")
      let (file, variable) = (["LIFELINE_CONFIG": path], ["LIFELINE_COORDINATOR_PORT": "2"])
      let words = ["--", "--port", "3"]
      #expect(try port() == "8765 default")
      #expect(try port([], file) == "1 \(path):2")
      #expect(try port([], variable) == "2 environment LIFELINE_COORDINATOR_PORT")
      #expect(try port(words) == "3 command line")
      #expect(try port([], file.merging(variable) { $1 }) == "2 environment LIFELINE_COORDINATOR_PORT")
      #expect(try port(words, file) == "3 command line")
      #expect(try port(words, variable) == "3 command line")
      #expect(try port(words, file.merging(variable) { $1 }) == "3 command line")
    }

    @Test func `the file is the one named, the user's or the machine's`() throws {
      let named = try write("[coordinator]\nport = 1\n", as: "named.toml")
      let other = try write("[coordinator]\nport = 2\n", as: "other.toml")
      _ = try write("[coordinator]\nport = 3\n", as: "xdg/lifeline/config.toml")
      _ = try write("[coordinator]\nport = 4\n", as: ".config/lifeline/config.toml")
      let home = ["HOME": directory.path, "LIFELINE_CONFIG": ""]
      let xdg = home.merging(["XDG_CONFIG_HOME": directory.file("xdg")]) { $1 }
      let variable = xdg.merging(["LIFELINE_CONFIG": other]) { $1 }
      #expect(try port(["--config", named], variable).hasPrefix("1 "))
      #expect(try port([], variable).hasPrefix("2 "))
      #expect(try port([], xdg).hasPrefix("3 "))
      #expect(try port([], home).hasPrefix("4 "))
      // Where a relative folder is depends on the current one, so it counts as none.
      #expect(try port([], home.merging(["XDG_CONFIG_HOME": "xdg"]) { $1 }).hasPrefix("4 "))
      #expect(try port(["--config", "/dev/null"], variable) == "8765 default")
    }

    @Test func `a file of the current folder is not read`() throws {
      for name in ["lifeline.toml", "config.toml", ".lifeline.toml"] {
        _ = try write("[coordinator]\nport = 1\n", as: name)
      }
      let script =
        "cd '\(directory.path)' && LIFELINE_CONFIG= HOME=/nonexistent exec '\(RunningProgram.path)' config show coordinator"
      let shell = try TestProcess("/bin/sh", ["-c", script])
      try shell.exit()
      #expect(shell.output.all.contains { $0.hasPrefix("port ") && $0.hasSuffix(" default") })
    }

    @Test func `a file that was named and is not there is an error`() throws {
      let path = directory.file("missing.toml")
      for outcome in [
        try run(["--config", path, "tasks"]), try run(["tasks", "--config", path]),
        try run(["tasks"], ["LIFELINE_CONFIG": path]),
      ] {
        #expect(outcome.status == 2)
        #expect(outcome.errors.contains("the configuration file \(path) cannot be read: No such file"))
      }
    }

    @Test func `a coordinator runs as its file says`() throws {
      let path = try write("[coordinator]\nport = 0\nhost = \"127.0.0.1\"\nstore = \"memory\"\nlog-level = 'error'\n")
      let coordinator = try RunningProgram(["coordinator", "--config", path])
      try coordinator.wait("address") { $0.output.contains("listening on ws://127.0.0.1:") }
      coordinator.signal(SIGTERM)
      #expect(try coordinator.end().status == 0)
    }

    @Test func `a mistake in the file keeps the command that reads it from running, and says how to go on`() throws {
      let path = try write("[coordinator]\nprot = 1\nhost = 5\n[worker]\nslots = 1\n")
      let outcome = try run(["coordinator", "--config", path])
      #expect(outcome.status == 2 && outcome.output.isEmpty)
      #expect(outcome.errors.contains("\(path):2:1: there is no option prot in [coordinator]; did you mean port?"))
      #expect(outcome.errors.contains("\(path):3:8: host: expected a text in quotes"))
      #expect(outcome.errors.contains("lifeline config check"))
      #expect(try run(["config", "show", "worker", "--config", path]).status == 0)
    }

    @Test func `check tells everything that is wrong with its place`() throws {
      let path = try write("[coordinator]\nprot = 1\n\n[runn]\n[worker]\nslots = 0\nbad line\n")
      let outcome = try run(["config", "check", path])
      #expect(outcome.status == 1 && outcome.output.isEmpty)
      let lines = outcome.errors.split(separator: "\n").map(String.init)
      #expect(lines.map { $0.dropFirst(path.count).prefix(4) } == [":2:1", ":4:2", ":6:9", ":7:5", ""])
      #expect(lines.last == "4 problems")
      let good = try run(["config", "check", try write("[worker]\nslots = 1\n")])
      #expect(good.status == 0 && good.errors.isEmpty)
    }

    @Test func `the example has nothing wrong in it, commented out or not`() throws {
      let text = try run(["config", "example"]).output
      #expect(try run(["config", "check", try write(text, mode: 0o644)]).status == 0)
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        line.hasPrefix("#") && !line.hasPrefix("# ") && line != "#" ? line.dropFirst() : line
      }
      #expect(lines.count { $0.hasPrefix("heartbeat-timeout = \"15s\"") } >= 2)
      let outcome = try run(["config", "check", try write(lines.joined(separator: "\n"))])
      #expect(outcome.status == 0, "\(outcome.errors)")
    }

    @Test func `the example has every option that help shows`() throws {
      let example = try run(["config", "example"]).output
      for command in HelpTests.commands {
        for line in try run([command, "--help"]).lines {
          guard let word = line.split(separator: " ").first, line.hasPrefix("  --"), word != "--" else { continue }
          let option = word.dropFirst(2).replacing("[no-]", with: "")
          guard !["config", "help", "version"].contains(option) else { continue }
          // With a blank where the option takes none of the samples.
          let isThere = example.contains("\n#\(option) = ") || example.contains("\n# \(option) = ")
          #expect(isThere, "\(command) \(option)")
        }
      }
    }

    @Test func `no two options of the program share a variable, and none takes one that means something else`() throws {
      var owners = [
        "LIFELINE_CONFIG": "--config", "LIFELINE_TASK_ID": "a command's", "LIFELINE_ATTEMPT": "a command's",
        "LIFELINE_CONTROL_FD": "a command's", "LIFELINE_CHECKPOINT_FILE": "a command's",
      ]
      for name in ["COORDINATOR", "API_KEY", "API_KEY_FILE", "TLS_CA", "TLS_CERTIFICATE", "TLS_KEY"] {
        owners["LIFELINE_\(name)"] = "every command's"
      }
      var table = ""
      for line in try run(["config", "example"]).lines where line.hasPrefix("[") || line.hasPrefix("#") {
        if line.hasPrefix("[") { table = String(line.dropFirst().dropLast()) }
        guard line.hasPrefix("#"), !line.hasPrefix("# "), let key = line.dropFirst().split(separator: " ").first else {
          continue
        }
        let variable = "LIFELINE_\(table)_\(key)".uppercased().replacing("-", with: "_").replacing(".", with: "_")
        let owner = owners.updateValue("\(table) \(key)", forKey: variable)
        #expect(owner == nil, "\(variable) of \(table) \(key) is \(owner ?? "") too")
      }
      #expect(owners.count > 200)
    }

    @Test func `show names what is set, for programs too, and no secret`() throws {
      let path = try write("[client]\napi-key = 'a-very-secret-key'\n[tasks]\nstatus = ['failed', 'queued']\n")
      let environment = ["LIFELINE_CONFIG": path, "LIFELINE_TASKS_LIMIT": "7", "LIFELINE_TASKS_LIMTI": "8"]
      let text = try run(["config", "show"], environment)
      #expect(text.status == 0)
      #expect(
        text.output.contains("failed, queued  \(path):4") && text.output.contains("environment LIFELINE_TASKS_LIMIT"))
      #expect(text.errors.contains("LIFELINE_TASKS_LIMTI is no option's variable; did you mean LIFELINE_TASKS_LIMIT?"))
      let json = try run(["config", "show", "tasks", "--json"], environment)
      let keyLine = #"{"command":"tasks","option":"api-key","hidden":true,"source":"file","file":"\#(path)","line":2}"#
      #expect(json.output.replacing("\\/", with: "/").contains(keyLine), "\(json.output)")
      for outcome in [text, json] { #expect(!(outcome.output + outcome.errors).contains("a-very-secret-key")) }
    }

    @Test func `a key counts from where it is nearest to the user`() throws {
      let missing = directory.file("missing.key")
      let path = try write("[client]\napi-key = 'short'\n")
      let byFile = try run(["tasks", "--config", path])
      #expect(byFile.status == 2 && byFile.errors.contains("an API key has 8 to 256 characters, this one has 5"))
      let byVariable = try run(["tasks", "--config", path], ["LIFELINE_API_KEY_FILE": missing])
      #expect(byVariable.errors.contains("--api-key-file: \(missing) cannot be read"))
      let own = try write("[client]\napi-key = 'short'\n[tasks]\napi-key-file = '\(missing)'\n")
      #expect(try run(["tasks", "--config", own]).errors.contains("--api-key-file: \(missing) cannot be read"))
    }

    @Test func `a key in a file that others may read is refused`() throws {
      let path = try write("[client]\napi-key = 'a-very-secret-key'\n", mode: 0o640)
      let outcome = try run(["tasks", "--config", path])
      #expect(outcome.status == 2)
      #expect(
        outcome.errors.contains(
          "\(path):2:1: others may read this file, so api-key is no secret; do: chmod 600 \(path)"))
      #expect(!outcome.errors.contains("a-very-secret-key"))
    }

    @Test func `a coordinator takes no client's key`() throws {
      let path = try write("[client]\napi-key-file = '\(directory.file("missing.key"))'\n")
      let coordinator = try RunningProgram(["coordinator", "--config", path, "--port", "0", "--store", "memory"])
      try coordinator.wait("address") { $0.output.contains("listening on ws://") }
      coordinator.signal(SIGTERM)
      #expect(try coordinator.end().status == 0)
    }

    @Test func `an address on the command line counts before one in parts in the file`() throws {
      let path = try write("[worker]\ncoordinator-host = 'elsewhere.invalid'\nmax-reconnect-attempts = 1\n")
      let outcome = try run([
        "worker", "--config", path, "--coordinator", "ws://127.0.0.1:1", "--state-dir", directory.file("state"),
      ])
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("no coordinator could be reached at ws://127.0.0.1:1 in 1 attempts"))
    }

    @Test func `keys that come by variables of any name stay with the worker`() throws {
      let key = "a-very-secret-key"
      let fleet = try Fleet(coordinator: ["--api-key", key], workers: 0)
      let variables = ["LIFELINE_COORDINATOR": fleet.url]
      let worker = try RunningProgram(
        ["worker", "--worker-id", "w1", "--slots", "1", "--state-dir", directory.file("state")],
        environment: variables.merging(["LIFELINE_WORKER_API_KEY": key]) { $1 }, errorFile: directory.file("w1.log"))
      let outcome = try RunningProgram(
        ["run", "--", "env"], environment: variables.merging(["LIFELINE_CLIENT_API_KEY": key]) { $1 }
      ).end()
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output.contains("LIFELINE_TASK_ID=") && !outcome.output.contains(key))
      worker.signal(SIGTERM)
      #expect(try worker.end().status == 0)
    }
  }
}
