import Primitives

/// Limits on what a submission may hold; a submitter is a peer too.
public enum SpecificationLimits {
  public static let maxNameBytes = 512
  public static let maxArguments = 4_096
  public static let maxCommandBytes = 128 * 1024
  public static let maxRetries = 1_000
  /// No worker may claim more.
  public static let maxSlots = 4_096
  /// Of the whole specification as JSON text: an assignment carries it together with a checkpoint in one message.
  public static let maxBytes = 512 * 1024
  public static let maxSuiteBytes = 256
  public static let maxTestBytes = 1_024
  /// Tests that one task runs.
  public static let maxTests = maxArguments
  public static let maxTimeout: Duration = .seconds(366 * 24 * 3600)
}

extension TaskSpecification {
  /// The specification as the wire and the store write it:
  /// `{"name", "command": […] | "kind" + "input": {…}, "env", "cwd", "workdir", "priority", "timeout_s", "retries",
  /// "max_lost_attempts", "run", "requires", "slots", "inputs": [{"path", "sha256", "size", "mode"}], "outputs": ["pattern"],
  /// "suite", "test" | "tests": […]}`.
  public var json: JSONObject {
    var object = JSONObject()
    object.append("name", .string(name))
    switch work {
    case .command(let command):
      object.append("command", .array(command.arguments.map(JSONValue.string)))
      if !command.environment.isEmpty {
        // Sorted, so that one specification has one text.
        let members = command.environment.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) }
        object.append("env", .object(JSONObject(members: members)))
      }
      if let directory = command.workingDirectory { object.append("cwd", .string(directory)) }
      if let own = command.ownDirectory { object.append("workdir", ["max_bytes": .integer(own.maxBytes)]) }
    case .custom(let kind, let input):
      object.append("kind", .string(kind))
      object.append("input", .object(input))
    }
    if priority != .normal { object.append("priority", .string(priority.name)) }
    if let timeout { object.append("timeout_s", .duration(timeout)) }
    if retries != 0 { object.append("retries", .integer(Int64(retries))) }
    if maxLostAttempts != Self.defaultMaxLostAttempts {
      object.append("max_lost_attempts", .integer(Int64(maxLostAttempts)))
    }
    if let run { object.append("run", .string(run)) }
    if !requirements.isEmpty { object.append("requires", .object(requirements.json)) }
    if slots != 1 { object.append("slots", .integer(Int64(slots))) }
    if !inputs.isEmpty { object.append("inputs", .array(inputs.map { .object($0.json) })) }
    if !outputs.isEmpty { object.append("outputs", .array(outputs.map { .string($0.text) })) }
    for member in testMembers.members { object.append(member.key, member.value) }
    return object
  }

  /// `{"suite", "test" | "tests"}`; empty for work that is no test.
  public var testMembers: JSONObject {
    guard let suite else { return JSONObject() }
    var object: JSONObject = ["suite": .string(suite)]
    if tests.count == 1 {
      object.append("test", .string(tests[0]))
    } else if !tests.isEmpty {
      object.append("tests", .array(tests.map(JSONValue.string)))
    }
    return object
  }

  /// Reads what `json` writes, from a peer: every member is checked, and an unknown one is an error that names it,
  /// because a misspelt `timeout_s` that is silently ignored is found out too late.
  public init(json object: JSONObject) throws(MessageError) {
    let known: Set<String> = [
      "name", "command", "kind", "input", "env", "cwd", "priority", "timeout_s", "retries", "max_lost_attempts", "run",
      "task_id", "requires", "slots", "workdir", "inputs", "outputs", "suite", "test", "tests",
    ]
    for member in object.members where !known.contains(member.key) {
      throw .unknownField(member.key, allowed: known.sorted())
    }
    let reader = FieldReader(object)
    let work = try Self.work(from: reader)
    let name = try reader.optionalString("name", maxBytes: SpecificationLimits.maxNameBytes)
    var priority = TaskPriority.normal
    if let text = try reader.optionalString("priority", maxBytes: 32) {
      guard let value = TaskPriority(name: text) else {
        throw .badValue("priority", problem: "\(text) is none of CRITICAL HIGH NORMAL LOW BACKGROUND")
      }
      priority = value
    }
    var timeout: Duration?
    if let seconds = try reader.optionalNumber("timeout_s") {
      // From a nanosecond up: anything smaller would be read back as zero.
      guard seconds >= 1e-9, seconds <= SpecificationLimits.maxTimeout.inSeconds else {
        throw .badValue(
          "timeout_s", problem: "\(seconds) is not between 0 and \(SpecificationLimits.maxTimeout.inSeconds)")
      }
      // Rounded to whole nanoseconds: the wire and the store must give back the very same specification.
      timeout = .nanoseconds(Int64((seconds * 1e9).rounded()))
    }
    self.init(
      name: name ?? Self.defaultName(of: work), work: work, priority: priority, timeout: timeout,
      retries: try reader.optionalInteger("retries", in: 0...SpecificationLimits.maxRetries) ?? 0,
      maxLostAttempts: try reader.optionalInteger("max_lost_attempts", in: 0...SpecificationLimits.maxRetries)
        ?? Self.defaultMaxLostAttempts,
      run: try reader.optionalString("run", maxBytes: IdentifierError.maxLength),
      requirements: try reader.optionalObject("requires").map { object throws(MessageError) in
        try Requirements(json: object)
      } ?? Requirements(),
      slots: try reader.optionalInteger("slots", in: 1...SpecificationLimits.maxSlots) ?? 1,
      inputs: try Self.inputs(from: reader), outputs: try Self.outputs(from: reader))
    (suite, tests) = try Self.tests(from: reader)
    if hasFiles, case .command(let command) = work, command.workingDirectory != nil {
      throw .badValue("cwd", problem: "a command with inputs or outputs runs in a folder of its own")
    }
    let bytes = object.text.utf8.count
    guard bytes <= SpecificationLimits.maxBytes else {
      throw .badValue("task", problem: "\(bytes) bytes; at most \(SpecificationLimits.maxBytes) are allowed")
    }
  }

  private static func inputs(from reader: FieldReader) throws(MessageError) -> [TaskInput] {
    let values = try reader.optionalArray("inputs", maxCount: FileLimits.maxInputs) ?? []
    return try TaskFileReader.read(values, "inputs") { path, file, mode in
      TaskInput(path: path, file, isExecutable: (mode ?? 0) & 0o111 != 0)
    }
  }

  private static func outputs(from reader: FieldReader) throws(MessageError) -> [GlobPattern] {
    var patterns: [GlobPattern] = []
    for value in try reader.optionalArray("outputs", maxCount: FileLimits.maxOutputPatterns) ?? [] {
      guard let text = value.string else {
        throw .wrongType("outputs", expected: "an array of strings", found: value.typeName)
      }
      patterns.append(try GlobPattern(text))
    }
    return patterns
  }

  private static func tests(from reader: FieldReader) throws(MessageError) -> (String?, [String]) {
    let suite = try reader.optionalString("suite", maxBytes: SpecificationLimits.maxSuiteBytes)
    let test = try reader.optionalString("test", maxBytes: SpecificationLimits.maxTestBytes)
    let several = try reader.optionalArray("tests", maxCount: SpecificationLimits.maxTests)
    guard suite != nil || (test == nil && several == nil) else { throw .missingField("suite") }
    if let suite, suite.isEmpty { throw .badValue("suite", problem: "it is empty") }
    guard test == nil || several == nil else {
      throw .badValue("tests", problem: "a task has either a test or several tests, not both")
    }
    if let test {
      guard !test.isEmpty else { throw .badValue("test", problem: "it is empty") }
      return (suite, [test])
    }
    var tests: [String] = []
    for (index, value) in (several ?? []).enumerated() {
      let test = try FieldReader(["tests[\(index)]": value])
        .string("tests[\(index)]", maxBytes: SpecificationLimits.maxTestBytes)
      guard !test.isEmpty else { throw .badValue("tests[\(index)]", problem: "it is empty") }
      tests.append(test)
    }
    return (suite, tests)
  }

  private static func work(from reader: FieldReader) throws(MessageError) -> Work {
    if let kind = try reader.optionalString("kind", maxBytes: 64), kind != "command" {
      guard reader.object["command"] == nil else {
        throw .badValue("command", problem: "a task has either a command or a kind, not both")
      }
      guard !kind.isEmpty else { throw .badValue("kind", problem: "it is empty") }
      for name in ["env", "cwd", "workdir", "inputs", "outputs"] where reader.object[name] != nil {
        throw .badValue(name, problem: "only a command has it; this is a task of kind \(kind)")
      }
      let input = try reader.optionalObject("input") ?? JSONObject()
      guard JSONValue.object(input).nests(atMost: JSONValue.maxCarriedDepth) else {
        throw .badValue("input", problem: "nested more than \(JSONValue.maxCarriedDepth) levels deep")
      }
      return .custom(kind: kind, input: input)
    }
    guard reader.object["input"] == nil else {
      throw .badValue("input", problem: "a command has none; it belongs to a task with a kind")
    }
    guard let value = reader.object["command"] else { throw .missingField("command") }
    guard let elements = value.array else {
      throw .wrongType("command", expected: "an array of strings", found: value.typeName)
    }
    guard !elements.isEmpty else { throw .badValue("command", problem: "it is empty; name at least a program") }
    guard elements.count <= SpecificationLimits.maxArguments else {
      throw .badValue("command", problem: "\(elements.count) arguments; at most \(SpecificationLimits.maxArguments)")
    }
    var arguments: [String] = []
    var bytes = 0
    for (index, element) in elements.enumerated() {
      guard let argument = element.string else {
        throw .wrongType("command[\(index)]", expected: "a string", found: element.typeName)
      }
      try check(argument, "command[\(index)]")
      bytes += argument.utf8.count
      arguments.append(argument)
    }
    guard !arguments[0].isEmpty else { throw .badValue("command[0]", problem: "the program's name is empty") }
    guard bytes <= SpecificationLimits.maxCommandBytes else {
      throw .badValue("command", problem: "\(bytes) bytes; at most \(SpecificationLimits.maxCommandBytes)")
    }
    var command = Command(arguments)
    for (name, value) in try reader.optionalObject("env")?.members ?? [] {
      guard let value = value.string else {
        throw .wrongType("env.\(name)", expected: "a string", found: value.typeName)
      }
      try check(value, "env.\(name)")
      guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "=")), !name.utf8.contains(0) else {
        throw .badValue("env", problem: "\(JSONValue.string(name).text) cannot be a variable's name")
      }
      command.environment[name] = value
    }
    command.workingDirectory = try reader.optionalString("cwd", maxBytes: 4_096)
    if let directory = command.workingDirectory { try check(directory, "cwd") }
    command.ownDirectory = try ownDirectory(reader)
    guard command.workingDirectory == nil || command.ownDirectory == nil else {
      throw .badValue("workdir", problem: "a command runs either in a folder of its own or in cwd, not both")
    }
    return .command(command)
  }

  /// `true`, or an object with the bound.
  private static func ownDirectory(_ reader: FieldReader) throws(MessageError) -> OwnDirectory? {
    switch reader.object["workdir"] {
    case nil, .null?, .bool(false)?: return nil
    case .bool(true)?: return OwnDirectory()
    case .object(let object)?:
      for member in object.members where member.key != "max_bytes" {
        throw .unknownField("workdir.\(member.key.prefix(maxBytes: 64))", allowed: ["max_bytes"])
      }
      guard let value = object["max_bytes"] else { return OwnDirectory() }
      guard let bytes = value.integer else {
        throw .wrongType("workdir.max_bytes", expected: "an integer", found: value.typeName)
      }
      guard bytes >= 1, bytes <= OwnDirectory.maxBytesLimit else {
        throw .badValue("workdir.max_bytes", problem: "\(bytes) is not between 1 and \(OwnDirectory.maxBytesLimit)")
      }
      return OwnDirectory(maxBytes: bytes)
    case let value?: throw .wrongType("workdir", expected: "true or an object", found: value.typeName)
    }
  }

  /// The kernel ends an argument at its first zero byte; passing one on would run something else than was asked for.
  private static func check(_ text: String, _ field: String) throws(MessageError) {
    if text.utf8.contains(0) { throw .badValue(field, problem: "it contains a zero byte") }
  }

  private static func defaultName(of work: Work) -> String {
    switch work {
    case .custom(let kind, _): return kind
    case .command(let command):
      // `sh -c SCRIPT` is how a line of shell arrives; the script is what its author would recognise.
      let arguments = command.arguments
      let isShell = arguments.count == 3 && arguments[1] == "-c" && arguments[0].hasSuffix("sh")
      let text = isShell ? arguments[2] : arguments.joined(separator: " ")
      let short = text.count > 80 ? String(text.prefix(79)) + "…" : text
      // One character may be any number of bytes long.
      return short.prefix(maxBytes: SpecificationLimits.maxNameBytes)
    }
  }
}
