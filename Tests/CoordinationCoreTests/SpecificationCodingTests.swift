import CoordinationCore
import Primitives
import Testing

@Suite(.timeLimit(.minutes(5)))
struct SpecificationCodingTests {
  private static func read(_ text: String) throws -> TaskSpecification {
    let value = try JSONParser.parse(text)
    guard let object = value.object else { throw MessageError.notAnObject(found: value.typeName) }
    return try TaskSpecification(json: object)
  }

  @Test
  func `a bare command has the documented defaults`() throws {
    let specification = try Self.read(#"{"command": ["make", "check"]}"#)
    #expect(specification == TaskSpecification(name: "make check", work: .command(Command(["make", "check"]))))
    #expect(specification.priority == .normal && specification.timeout == nil && specification.retries == 0)
    #expect(specification.maxLostAttempts == 10 && specification.run == nil)
  }

  @Test(arguments: [
    (#"{"command":["sh","-c","make all"]}"#, "make all"), (#"{"command":["/bin/bash","-c","x y"]}"#, "x y"),
    (#"{"kind":"demo_task"}"#, "demo_task"), (#"{"command":["a"],"name":"mine"}"#, "mine"),
    (#"{"command":["sh","-c"]}"#, "sh -c"),
  ])
  func `a task without a name is called after its work`(text: String, name: String) throws {
    #expect(try Self.read(text).name == name)
  }

  @Test(arguments: [
    (#"{"command":["x"],"suite":"unit","test":"a"}"#, ["a"]),
    (#"{"command":["x"],"suite":"unit","tests":["a","b"]}"#, ["a", "b"]),
    (#"{"command":["x"],"suite":"unit"}"#, []),
  ])
  func `a task may say which tests it runs`(text: String, tests: [String]) throws {
    let specification = try Self.read(text)
    #expect(specification.suite == "unit" && specification.tests == tests)
    #expect(specification.testName == (tests.count == 1 ? TestName(suite: "unit", test: tests[0]) : nil))
    #expect(try TaskSpecification(json: specification.json) == specification)
  }

  @Test(arguments: [
    #"{"command":["x"],"test":"a"}"#, #"{"command":["x"],"suite":"","test":"a"}"#,
    #"{"command":["x"],"suite":"s","test":""}"#, #"{"command":["x"],"suite":"s","test":"a","tests":["b"]}"#,
    #"{"command":["x"],"suite":"s","tests":[""]}"#, #"{"command":["x"],"suite":"s","tests":[1]}"#,
    #"{"command":["x"],"suite":1}"#,
  ])
  func `tests without a suite, or without names, are refused`(text: String) {
    #expect(throws: MessageError.self) { try Self.read(text) }
  }

  @Test
  func `a name made up from a long command stays within the limit it is read back with`() throws {
    let character = "e" + String(repeating: "\u{301}", count: 100)
    let text = JSONValue.object(["command": [.string(String(repeating: character, count: 90))]]).text
    let specification = try Self.read(text)
    #expect(specification.name.utf8.count <= SpecificationLimits.maxNameBytes)
    #expect(try TaskSpecification(json: specification.json) == specification)
    let plain = try Self.read(#"{"command":["\#(String(repeating: "x", count: 200))"]}"#)
    #expect(plain.name == String(repeating: "x", count: 79) + "…")
  }

  @Test(arguments: [
    (#"{}"#, "command"), (#"{"command":null}"#, "command"), (#"{"command":"ls"}"#, "command"),
    (#"{"command":[]}"#, "command"), (#"{"command":[""]}"#, "command[0]"), (#"{"command":["a",1]}"#, "command[1]"),
    (#"{"command":["a","b\u0000c"]}"#, "command[1]"), (#"{"command":["a"],"env":[]}"#, "env"),
    (#"{"command":["a"],"env":{"A":1}}"#, "env.A"), (#"{"command":["a"],"env":{"":"x"}}"#, "env"),
    (#"{"command":["a"],"env":{"A=B":"x"}}"#, "env"), (#"{"command":["a"],"env":{"A\u0000":"x"}}"#, "env"),
    (#"{"command":["a"],"env":{"A":"x\u0000"}}"#, "env.A"), (#"{"command":["a"],"cwd":7}"#, "cwd"),
    (#"{"command":["a"],"cwd":"/x\u0000"}"#, "cwd"), (#"{"command":["a"],"priority":"urgent"}"#, "priority"),
    (#"{"command":["a"],"priority":1}"#, "priority"), (#"{"command":["a"],"timeout_s":0}"#, "timeout_s"),
    (#"{"command":["a"],"timeout_s":-1}"#, "timeout_s"), (#"{"command":["a"],"timeout_s":1e300}"#, "timeout_s"),
    (#"{"command":["a"],"timeout_s":1e-12}"#, "timeout_s"), (#"{"command":["a"],"timeout_s":"5"}"#, "timeout_s"),
    (#"{"command":["a"],"retries":-1}"#, "retries"), (#"{"command":["a"],"retries":1001}"#, "retries"),
    (#"{"command":["a"],"retries":1.5}"#, "retries"), (#"{"command":["a"],"retries":9223372036854775808}"#, "retries"),
    (#"{"command":["a"],"max_lost_attempts":-1}"#, "max_lost_attempts"), (#"{"command":["a"],"run":{}}"#, "run"),
    (#"{"command":["a"],"name":[]}"#, "name"), (#"{"kind":1}"#, "kind"), (#"{"kind":""}"#, "kind"),
    (#"{"kind":"x","input":[]}"#, "input"), (#"{"kind":"x","command":["a"]}"#, "command"),
    (#"{"kind":"x","env":{}}"#, "env"), (#"{"kind":"x","cwd":"/"}"#, "cwd"),
    (#"{"command":["a"],"input":{}}"#, "input"),
  ])
  func `a wrong field is named`(text: String, field: String) throws {
    let error = #expect(throws: MessageError.self) { try Self.read(text) }
    switch error {
    case .missingField(let name), .wrongType(let name, _, _), .badValue(let name, _): #expect(name == field)
    default: Issue.record("\(String(describing: error))")
    }
  }

  @Test
  func `an unknown field is named beside the known ones`() {
    let error = #expect(throws: MessageError.self) { try Self.read(#"{"command":["a"],"timeout":5}"#) }
    guard case .unknownField("timeout", let allowed)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(allowed.contains("timeout_s"))
  }

  @Test
  func `sizes are refused one beyond their limits`() throws {
    func command(_ arguments: [String], name: String? = nil) throws -> TaskSpecification {
      var object: JSONObject = ["command": .array(arguments.map(JSONValue.string))]
      if let name { object["name"] = .string(name) }
      return try TaskSpecification(json: object)
    }
    _ = try command(Array(repeating: "a", count: SpecificationLimits.maxArguments))
    #expect(throws: MessageError.self) {
      try command(Array(repeating: "a", count: SpecificationLimits.maxArguments + 1))
    }
    _ = try command([String(repeating: "a", count: SpecificationLimits.maxCommandBytes)])
    #expect(throws: MessageError.self) {
      try command([String(repeating: "a", count: SpecificationLimits.maxCommandBytes + 1)])
    }
    _ = try command(["a"], name: String(repeating: "a", count: SpecificationLimits.maxNameBytes))
    #expect(throws: MessageError.self) {
      try command(["a"], name: String(repeating: "a", count: SpecificationLimits.maxNameBytes + 1))
    }
    let long = String(repeating: "x", count: SpecificationLimits.maxBytes)
    #expect(throws: MessageError.self) { try TaskSpecification(json: ["kind": "x", "input": ["a": .string(long)]]) }
    var deep: JSONValue = 1
    for _ in 0..<JSONValue.maxCarriedDepth { deep = ["a": deep] }
    let deepest = deep
    #expect(throws: Never.self) { try TaskSpecification(json: ["kind": "x", "input": deepest]) }
    #expect(throws: MessageError.self) { try TaskSpecification(json: ["kind": "x", "input": ["a": deepest]]) }
  }

  @Test
  func `a specification comes back from its own text, whatever is in it`() throws {
    let seed = freshSeed()
    var random = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      var work = TaskSpecification.Work.custom(kind: "demo_task", input: ["n": 1])
      if Bool.random(using: &random) {
        var command = Command(
          ["p"] + (0..<Int.random(in: 0...3, using: &random)).map { _ in clean(randomText(using: &random)) })
        if Bool.random(using: &random) { command.environment = ["A": "1", "B": clean(randomText(using: &random))] }
        if Bool.random(using: &random) { command.workingDirectory = "/tmp" }
        work = .command(command)
      }
      let specification = TaskSpecification(
        name: "n" + randomText(using: &random), work: work,
        priority: TaskPriority.allCases.randomElement(using: &random) ?? .low,
        timeout: Bool.random(using: &random)
          ? .nanoseconds(Int64.random(in: 1...9_000_000_000_000, using: &random)) : nil,
        retries: Int.random(in: 0...1_000, using: &random), maxLostAttempts: Int.random(in: 0...1_000, using: &random),
        run: Bool.random(using: &random) ? "run" : nil)
      let value = try JSONParser.parse(specification.json.text)
      guard let object = value.object, try TaskSpecification(json: object) == specification else {
        Issue.record("\(specification)\n\(replayCommand(seed, "SpecificationCodingTests"))")
        return
      }
    }
  }

  private func clean(_ text: String) -> String { text.contains("\u{0}") ? "zero" : text }
}

struct IdentifierTests {
  @Test(arguments: ["a", "{worker_id}", "a.b_c:d@e-f", "9", String(repeating: "x", count: 128)])
  func `an identifier of allowed characters is taken`(text: String) throws { #expect(try TaskID(text).text == text) }

  @Test(arguments: [
    "", ".", "..", "a/b", "a b", "é", "a\u{0}", "a\r\n", "e\u{301}", "a\"", "😀", String(repeating: "x", count: 129),
  ])
  func `any other identifier is refused with a reason`(text: String) {
    let error = #expect(throws: IdentifierError.self) { try WorkerID(text) }
    #expect(error?.description.contains("worker id") == true)
  }
}
