import ArgumentParsing
import Configuration
import TOML
import Testing

@Suite struct ConfigurationFileTests {
  @Test func `every kind of option can stand in a file`() throws {
    let invocation = try Sample.invocation(
      "serve",
      file: """
        [serve]
        port = 9_000
        grace = "500ms"
        ratio = 0.25
        log-level = "debug"
        compression = false
        store = "tasks.db"
        label = { gpu = "1", "a b" = "" }
        name = ["one", "two"]
        key = "secret"
        """)
    #expect(invocation[Sample.port] == 9_000 && invocation[Sample.grace] == .milliseconds(500))
    #expect(invocation[Sample.ratio] == 0.25 && invocation[Sample.level] == .debug)
    #expect(!invocation[Sample.compression] && invocation[Sample.store] == "tasks.db")
    #expect(invocation[Sample.labels].map { "\($0.name)=\($0.value)" } == ["gpu=1", "a b="])
    #expect(invocation[Sample.names] == ["one", "two"] && invocation[Sample.key] == "secret")
    #expect(invocation.source(of: Sample.grace) == .file(path: "f.toml", line: 3))
  }

  @Test(arguments: [
    ("grace = 15", Duration.seconds(15)), ("grace = 0.5", .milliseconds(500)), ("grace = '2m'", .seconds(120)),
  ]) func `a time is a text with a unit or a number of seconds`(line: String, expected: Duration) throws {
    #expect(try Sample.invocation("serve", file: "[serve]\n\(line)").self[Sample.grace] == expected)
  }

  @Test(arguments: ["'x=1'", "['x=1']", "{ x = '1' }"])
  func `pairs are a text, a list or a table`(value: String) throws {
    let invocation = try Sample.invocation("serve", file: "[serve]\nlabel = \(value)")
    #expect(invocation[Sample.labels] == [try #require(ArgumentType.namedText.read("x=1"))])
  }

  @Test func `a folder of one's own is found as a shell would find it`() throws {
    let invocation = try Sample.invocation("serve", file: "[serve]\nstore = '~/a.db'\nname = '~/x'")
    #expect(invocation[Sample.store] == "/tmp/someone/a.db" && invocation[Sample.names] == ["~/x"])
  }

  @Test func `a command within a command has a table within a table`() throws {
    let invocation = try Sample.invocation("set name", file: "[set.name]\nprefix = 'p'")
    #expect(invocation[Sample.prefix] == "p")
  }

  static let wrong: [(String, String)] = [
    ("[serve]\nprot = 1", "f.toml:2:1: there is no option prot in [serve]; did you mean port?"),
    ("[serve]\nlog_level = 'INFO'", "f.toml:2:1: there is no option log_level in [serve]; did you mean log-level?"),
    ("[serve]\ndance = 1", "f.toml:2:1: there is no option dance in [serve]"),
    ("[serve]\nno-compression = true", "f.toml:2:1: there is no no-compression in [serve]; write compression = false"),
    ("[sevre]\nport = 1", "f.toml:1:2: there is no table [sevre]; did you mean [serve]?"),
    ("[zzz]", "f.toml:1:2: there is no table [zzz]; lifeline config example shows those there are"),
    ("port = 1", "f.toml:1:1: port stands outside of every table; it belongs into [serve]"),
    ("xyz = 1", "f.toml:1:1: xyz stands outside of every table; it belongs into the table of its command"),
    ("serve = 1", "f.toml:1:1: serve is a command; its options stand in a table: [serve]"),
    ("config = 'x'", "f.toml:1:1: config stands outside of every table"),
    ("[config]\ncount = 1", "f.toml:1:2: there is no table [config]"),
    ("[serve]\nport = 0", "f.toml:2:8: port: \"0\" is not valid; expected a whole number, 1 to 65535"),
    ("[serve]\nport = 1.5", "f.toml:2:8: port: expected a whole number, this is a number"),
    ("[serve]\nport = [1]", "f.toml:2:8: port: takes one value, this is a list"),
    ("[serve]\nport = true", "f.toml:2:8: port: expected a whole number, this is true or false"),
    ("[serve]\ncompression = 'no'", "f.toml:2:15: compression: expected true or false without quotes, this is a text"),
    ("[serve]\nstore = 5", "f.toml:2:9: store: expected a text in quotes, this is a whole number"),
    ("[serve]\nstore = ''", "f.toml:2:9: store: \"\" is not valid; expected a text that is not empty"),
    ("[serve]\ngrace = 'soon'", "f.toml:2:9: grace: \"soon\" is not valid; expected a time"),
    ("[serve]\nratio = nan", "f.toml:2:9: ratio: expected a number that is finite"),
    ("[serve]\nlog-level = 'LOUD'", "f.toml:2:13: log-level: \"LOUD\" is not valid; expected one of DEBUG, INFO"),
    ("[serve]\nname = ['a',\n 5]", "f.toml:3:2: name: expected a text in quotes, this is a whole number"),
    ("[serve]\nlabel = 'x'", "f.toml:2:9: label: \"x\" is not valid; expected NAME=VALUE"),
    ("[serve]\nlabel = { x = 1 }", "f.toml:2:15: label: expected a text in quotes for x, this is a whole number"),
    ("[serve]\nport = { a = 1 }", "f.toml:2:8: port: expected a whole number, this is a table"),
    ("[serve]\nkey = 5", "f.toml:2:7: key: expected a text in quotes"), ("[serve\n", "f.toml:1:7: expected ] after"),
  ]

  @Test(arguments: wrong) func `what is wrong is named with its place and what is right`(text: String, message: String)
  {
    let problems = Sample.read(text).problems
    #expect(problems.count == 1)
    #expect(problems.first?.description.hasPrefix(message) == true, "\(problems)")
  }

  @Test func `all that is wrong is told at once, in the order of the file`() {
    let problems = Sample.read("[serve]\nport = 0\nprot = 1\nratio = =\n[list]\ncount = 10\n[nothing]\n").problems
    #expect(problems.map { $0.position?.line } == [2, 3, 4, 6, 7])
  }

  @Test func `another command's mistakes keep no command from running`() throws {
    let text = "[serve]\nport = 0\n[list]\ncount = 5"
    #expect(try Sample.invocation("list", file: text).self[Sample.count] == 5)
    #expect(throws: ConfigurationProblems.self) { try Sample.invocation("serve", file: text) }
  }

  @Test(arguments: ["[serve\n", "[sevre]\n", "port = 1\n"])
  func `a file that cannot be relied on keeps every command from running`(beginning: String) {
    #expect(throws: ConfigurationProblems.self) { try Sample.invocation("list", file: beginning + "[list]\ncount = 5") }
  }

  @Test func `a key in a file that others may read is refused and not shown`() throws {
    let problems = Sample.read("[serve]\nkey = 'very secret'", isPrivate: false).problems
    #expect(
      problems.map(\.description) == [
        "f.toml:2:1: others may read this file, so key is no secret; do: chmod 600 f.toml"
      ])
    #expect(Sample.read("[serve]\nkey = 'very secret'").problems.isEmpty)
    #expect(Sample.read("[serve]\nport = 1", isPrivate: false).problems.isEmpty)
  }

  @Test func `a required option may stand in the file`() throws {
    #expect(throws: UsageError.self) { try Sample.invocation("set name") }
  }
}
