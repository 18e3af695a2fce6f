import ArgumentParsing
import Testing

@Suite struct ArgumentParserTests {
  @Test func `options that are not given have their defaults`() throws {
    let invocation = try Sample.invocation("serve --key k")
    #expect(invocation.path == ["sample", "serve"])
    #expect(invocation[Sample.port] == 8765 && invocation[Sample.level] == .info)
    #expect(invocation[Sample.grace] == .seconds(30) && invocation[Sample.store] == nil)
    #expect(!invocation[Sample.json] && invocation[Sample.progress])
    #expect(!invocation.isGiven(Sample.port) && invocation.isGiven(Sample.key))
  }

  @Test(arguments: [
    "serve --key k --port 80 --log-level debug --grace 500ms --store a.db --json --no-progress",
    "serve --key=k --port=80 --log-level=DEBUG --grace=0.5 --store=a.db --json --progress --no-progress",
    "serve --json --port 1 --port 80 --log-level DEBUG --grace 500ms --store a.db --no-progress --key k",
  ])
  func `values follow a space or an equals sign, and the last one counts`(line: String) throws {
    let invocation = try Sample.invocation(line)
    #expect(invocation[Sample.port] == 80 && invocation[Sample.level] == .debug)
    #expect(invocation[Sample.grace] == .milliseconds(500) && invocation[Sample.store] == "a.db")
    #expect(invocation[Sample.json] && !invocation[Sample.progress] && invocation[Sample.key] == "k")
  }

  @Test func `a value may contain equals signs, and dashes after one`() throws {
    let invocation = try Sample.invocation("serve --key=--a=b")
    #expect(invocation[Sample.key] == "--a=b")
  }

  @Test func `a repeated option keeps every value in order`() throws {
    let invocation = try Sample.invocation("run --env A=1 --env=B=x=y --env C= -- env")
    #expect(invocation[Sample.variables].map(\.name) == ["A", "B", "C"])
    #expect(invocation[Sample.variables].map(\.value) == ["1", "x=y", ""])
  }

  @Test func `everything after two dashes is handed on untouched`() throws {
    let invocation = try Sample.invocation("run --json -- pytest --json -x -- --help")
    #expect(invocation[Sample.json])
    #expect(invocation.passthrough == ["pytest", "--json", "-x", "--", "--help"])
  }

  @Test func `two dashes end the options of a command that hands nothing on`() throws {
    let invocation = try Sample.invocation("logs -- --json")
    #expect(invocation[Sample.id] == "--json" && !invocation[Sample.json])
  }

  @Test func `arguments and options may stand in any order`() throws {
    let invocation = try Sample.invocation("logs task-1 --json 5")
    #expect(invocation[Sample.id] == "task-1" && invocation[Sample.count] == 5 && invocation[Sample.json])
    #expect(try Sample.invocation("logs -").self[Sample.id] == "-")
    #expect(try Sample.invocation("read a b c").self[Sample.files] == ["a", "b", "c"])
  }

  @Test func `what stands on the command line is told from what the environment says`() throws {
    let invocation = try Sample.invocation("serve --port 7", environment: ["SAMPLE_PORT": "99", "SAMPLE_KEY": "k"])
    #expect(invocation.isGivenByWord(Sample.port))
    #expect(!invocation.isGivenByWord(Sample.key) && invocation.isGiven(Sample.key))
    #expect(!invocation.isGivenByWord(Sample.json))
  }

  @Test func `the environment counts where the command line says nothing`() throws {
    let environment = ["SAMPLE_PORT": "99", "SAMPLE_KEY": "k", "SAMPLE_JSON": "1"]
    let invocation = try Sample.invocation("serve", environment: environment)
    #expect(invocation[Sample.port] == 99 && invocation[Sample.key] == "k" && invocation[Sample.json])
    #expect(try Sample.invocation("serve --port 7", environment: environment).self[Sample.port] == 7)
    #expect(try Sample.invocation("serve --key k", environment: ["SAMPLE_PORT": ""]).self[Sample.port] == 8765)
  }

  @Test func `wrong words are named`() {
    let cases: [([String], UsageError.Problem)] = [
      ([], .missingSubcommand),
      (["sevre"], .unknownSubcommand("sevre", nearest: "serve")),
      (["dance"], .unknownSubcommand("dance", nearest: nil)),
      (["serve", "--prot", "1"], .unknownOption("--prot", nearest: "--port")),
      (["serve", "--log", "1"], .unknownOption("--log", nearest: "--log-level")),
      (["serve", "--no-progres"], .unknownOption("--no-progres", nearest: "--no-progress")),
      (["serve", "--no-json"], .unknownOption("--no-json", nearest: nil)),
      (["serve", "-port"], .unknownOption("-port", nearest: "--port")),
      (["serve", "--port"], .missingValue(option: "--port", placeholder: "PORT")),
      (["serve", "--port", "--json"], .missingValue(option: "--port", placeholder: "PORT")),
      (["serve", "--json=yes"], .unexpectedValue(option: "--json", value: "yes")),
      (["serve"], .missingOption("--key", environment: "SAMPLE_KEY")),
      (["run", "--json"], .missingArgument("-- COMMAND [ARG…]")),
      (["run", "ls"], .unexpectedArgument("ls", belongsAfterDashes: true)),
      (["run", "ls", "--", "ls"], .unexpectedArgument("ls", belongsAfterDashes: true)),
      (["logs"], .missingArgument("ID")),
      (["logs", "a", "5", "c"], .unexpectedArgument("c", belongsAfterDashes: false)),
      (
        ["logs", "a", "-3"],
        .invalidValue(argument: "COUNT", value: "-3", expectation: "a whole number, 0 to 9")
      ),
      (["read"], .missingArgument("FILE")),
    ]
    for (words, problem) in cases {
      #expect(Sample.problem(words) == problem, "\(words)")
    }
  }

  @Test(arguments: [
    ("--port", "0", "a whole number, 1 to 65535"), ("--port", "99999999999999999999", "a whole number, 1 to 65535"),
    ("--port", "8o", "a whole number, 1 to 65535"), ("--ratio", "nan", "a number, 0.0 to 1.0"),
    ("--ratio", "1.1", "a number, 0.0 to 1.0"), ("--log-level", "LOUD", "one of DEBUG, INFO, WARNING"),
    ("--grace", "601", "a time such as 5, 0.5, 500ms or 2m, 0s to 10m"), ("--store", "", "a text that is not empty"),
  ])
  func `a value out of range is refused with what is expected`(option: String, value: String, expectation: String) {
    let problem = UsageError.Problem.invalidValue(argument: option, value: value, expectation: expectation)
    #expect(Sample.problem(["serve", "--key", "k", option, value]) == problem)
  }

  @Test func `a wrong value in the environment is blamed on the variable`() {
    let expected = UsageError.Problem.invalidValue(
      argument: "environment variable SAMPLE_PORT", value: "x", expectation: "a whole number, 1 to 65535")
    #expect(Sample.problem(["serve", "--key", "k"], environment: ["SAMPLE_PORT": "x"]) == expected)
  }

  @Test(arguments: [
    (["--help"], ["sample"]), (["-h"], ["sample"]), (["help"], ["sample"]), (["help", "run"], ["sample", "run"]),
    (["run", "--help"], ["sample", "run"]), (["serve", "--port", "x", "--help"], ["sample", "serve"]),
  ])
  func `help is to be had everywhere, whatever else is missing`(words: [String], path: [String]) throws {
    guard case .help(let page) = try Sample.parse(words) else {
      Issue.record("no help for \(words)")
      return
    }
    #expect(page.path == path && page.command.name == path.last)
  }

  @Test(arguments: [["--version"], ["serve", "--version"]])
  func `the version is to be had everywhere`(words: [String]) throws {
    guard case .version(let text) = try Sample.parse(words) else {
      Issue.record("no version for \(words)")
      return
    }
    #expect(text == "sample 1.2.3")
  }

  /// Draws words that mean something to the parser, in any order.
  @Test(arguments: 0..<20)
  func `no command line makes the parser trap`(seed: UInt64) {
    let pieces = [
      "serve", "run", "logs", "read", "help", "--", "-", "--=", "---", "--port", "--port=", "=", "-5", "--key",
      "--json",
      "--no-", "--no-json", "x", "", "\u{0}", "--env", "A=1", "9999999999999999999999", "🧵", "--🧵=\n", "-h-",
    ]
    var state = seed
    func draw(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    for _ in 0..<500 {
      let words = (0..<draw(8)).map { _ in pieces[draw(pieces.count)] }
      do throws(UsageError) { _ = try Sample.parse(words) } catch {
        #expect(error.description.split(separator: "\n").count == 2, "\(words)")
      }
    }
  }
}
