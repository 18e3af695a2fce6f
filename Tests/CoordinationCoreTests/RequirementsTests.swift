@testable import CoordinationCore
import Testing

@Suite(.timeLimit(.minutes(5)))
struct RequirementsTests {
  private static let labels: WorkerLabels = {
    var labels = WorkerLabels()
    for (name, value) in [("gpu", "1"), ("zone", "eu"), ("memory_mb", "2048"), ("load", "0.5"), ("fast", "")] {
      try? labels.set(name, value)
    }
    return labels
  }()

  private static func read(_ text: String) throws -> Requirements {
    guard let object = try JSONParser.parse(text).object else { throw MessageError.notAnObject(found: text) }
    return try Requirements(json: object)
  }

  @Test(arguments: [
    ("{}", true), (#"{"gpu": "1"}"#, true), (#"{"gpu": "2"}"#, false), (#"{"gpu": "1.0"}"#, false),
    (#"{"zone": ["us", "eu"]}"#, true), (#"{"zone": ["us", "cn"]}"#, false), (#"{"fast": true}"#, true),
    (#"{"arm": true}"#, false), (#"{"arm": false}"#, true), (#"{"gpu": false}"#, false), (#"{"fast": ""}"#, true),
    (#"{"memory_mb": {">=": 2048}}"#, true), (#"{"memory_mb": {">": 2048}}"#, false),
    (#"{"memory_mb": {">=": 1024, "<": 4096}}"#, true), (#"{"memory_mb": {">=": 1024, "<=": 2000}}"#, false),
    (#"{"memory_mb": {"<": 2048.5}}"#, true), (#"{"load": {"<": 1}}"#, true), (#"{"zone": {">": 0}}"#, false),
    (#"{"fast": {">=": 0}}"#, false), (#"{"none": {">=": 0}}"#, false), (#"{"gpu": "1", "zone": "us"}"#, false),
  ])
  func `requirements are met by labels or not, and come back from their own text`(text: String, isMet: Bool) throws {
    let requirements = try Self.read(text)
    #expect(requirements.isMet(by: Self.labels) == isMet)
    #expect(try Requirements(json: requirements.json) == requirements)
    #expect(try Self.read(JSONValue.object(requirements.json).text) == requirements)
  }

  @Test(arguments: ["nan", "inf", "0x1000", "1e999", "", " 5", "5 ", "1,000", "--5"])
  func `a label that is no plain decimal lies within no bounds`(value: String) throws {
    var labels = WorkerLabels()
    try labels.set("n", value)
    #expect(try !Self.read(#"{"n": {">=": -1e300}}"#).isMet(by: labels) || value == "1e999")
    #expect(try !Self.read(#"{"n": {"<=": 1e300}}"#).isMet(by: labels))
  }

  private static let refused: [(String, String)] = [
    (#"{"gpu": 1}"#, "requires.gpu"), (#"{"gpu": null}"#, "requires.gpu"), (#"{"gpu": 1.5}"#, "requires.gpu"),
    (#"{"gpu": []}"#, "requires.gpu"), (#"{"gpu": ["a", 1]}"#, "requires.gpu[1]"), (#"{"gpu": {}}"#, "requires.gpu"),
    (#"{"gpu": {">=": "1"}}"#, "requires.gpu.>="), (#"{"gpu": {"=": 1}}"#, "requires.gpu.="),
    (#"{"gpu": {"~": 1}}"#, "requires.gpu.~"), (#"{"": "x"}"#, "requires"), (#"{"a b": "x"}"#, "requires"),
    (#"{"é": "x"}"#, "requires"),

    ("{\"\(String(repeating: "x", count: 64))\": true}", "requires"),
    ("{\"a\": \"\(String(repeating: "x", count: 256))\"}", "requires.a"),
    ("{\"a\": [\(Array(repeating: "\"x\"", count: 65).joined(separator: ","))]}", "requires.a"),
    ("{\(( 1...33).map { "\"l\($0)\": true" }.joined(separator: ","))}", "requires"),
  ]

  @Test(arguments: refused)
  func `a wrong requirement is refused with the name of its member`(text: String, field: String) {
    let error = #expect(throws: MessageError.self) { try Self.read(text) }
    switch error {
    case .wrongType(let name, _, _), .badValue(let name, _), .unknownField(let name, _): #expect(name == field)
    default: Issue.record("\(String(describing: error))")
    }
  }

  private static let arguments: [([String], String)] = [
    (["gpu=1"], #"{"gpu":"1"}"#), (["zone=us,eu"], #"{"zone":["eu","us"]}"#), (["fast"], #"{"fast":true}"#),
    (["!arm"], #"{"arm":false}"#), (["m>=2048"], #"{"m":{">=":2048}}"#), (["m<1.5"], #"{"m":{"<":1.5}}"#),
    (["m>1", "m<=9"], #"{"m":{"<=":9,">":1}}"#), (["a="], #"{"a":""}"#), (["b", "a"], #"{"a":true,"b":true}"#),
  ]

  @Test(arguments: arguments)
  func `what is said on the command line is the same as JSON`(arguments: [String], text: String) throws {
    var requirements = Requirements()
    for argument in arguments { try requirements.add(argument: argument) }
    #expect(JSONValue.object(requirements.json).text == text)
    var again = Requirements()
    for part in requirements.description.split(separator: " ") { try again.add(argument: String(part)) }
    #expect(again == requirements)
  }

  @Test(arguments: ["", "!", "=1", "a b=1", "m>=", "m>=x", "m<nan", "m>=inf", "!!a", "m>1,2", "!m>1"])
  func `a condition that means nothing is refused`(text: String) {
    var requirements = Requirements()
    #expect(throws: MessageError.self) { try requirements.add(argument: text) }
  }

  @Test(arguments: [["a=1", "a=2"], ["a", "!a"], ["a>1", "a>2"], ["a>1", "a=2"]])
  func `a label is named once, except with another bound`(texts: [String]) throws {
    var requirements = Requirements()
    try requirements.add(argument: texts[0])
    #expect(throws: MessageError.self) { try requirements.add(argument: texts[1]) }
  }

  @Test
  func `labels have bounds`() throws {
    var labels = WorkerLabels()
    try labels.set("A-Z_a/z.0-9", "any text, ü")
    try labels.set(String(repeating: "n", count: 63), String(repeating: "v", count: 255))
    let wrong = [
      ("", "x"), (String(repeating: "n", count: 64), "x"), ("a b", "x"), ("a=b", "x"), ("ü", "x"),
      ("a", String(repeating: "v", count: 256)), ("a", "x\ny"), ("a", "x\u{0}"),
    ]
    for (name, value) in wrong { #expect(throws: LabelError.self) { try labels.set(name, value) } }
    #expect(labels.names.count == 2)
    for number in 3...(WorkerLabels.maxCount + WorkerLabels.maxBuiltIn) { try labels.set("l\(number)", "x") }
    #expect(throws: LabelError.tooMany) { try labels.set("one-more", "x") }
    try labels.set("l3", "another value")
    #expect(try WorkerLabels(json: labels.json, field: "labels") == labels)
  }

  @Test(arguments: [
    (#"{"command":["a"],"slots":0}"#, "slots"), (#"{"command":["a"],"slots":4097}"#, "slots"),
    (#"{"command":["a"],"requires":[]}"#, "requires"), (#"{"command":["a"],"requires":{"x":1}}"#, "requires.x"),
    (#"{"command":["a"],"workdir":1}"#, "workdir"),
    (#"{"command":["a"],"workdir":{"max_bytes":0}}"#, "workdir.max_bytes"),
    (#"{"command":["a"],"workdir":{"max_bytes":"1"}}"#, "workdir.max_bytes"),
    (#"{"command":["a"],"workdir":{"size":1}}"#, "workdir.size"),
    (#"{"command":["a"],"workdir":true,"cwd":"/tmp"}"#, "workdir"), (#"{"kind":"x","workdir":true}"#, "workdir"),
  ])
  func `a specification's wrong member is named`(text: String, field: String) throws {
    let object = try JSONParser.parse(text).object ?? [:]
    let error = #expect(throws: MessageError.self) { try TaskSpecification(json: object) }
    switch error {
    case .wrongType(let name, _, _), .badValue(let name, _), .unknownField(let name, _): #expect(name == field)
    default: Issue.record("\(String(describing: error))")
    }
  }

  private static let directories: [(String, Int64?)] = [
    (#"{"command":["a"],"workdir":true}"#, Int64(1 << 30)), (#"{"command":["a"],"workdir":{}}"#, Int64(1 << 30)),
    (#"{"command":["a"],"workdir":{"max_bytes":5}}"#, 5), (#"{"command":["a"],"workdir":false}"#, nil),
  ]

  @Test(arguments: directories)
  func `a working directory is asked for with a bound or without`(text: String, bytes: Int64?) throws {
    let specification = try TaskSpecification(json: try JSONParser.parse(text).object ?? [:])
    guard case .command(let command) = specification.work else { return }
    #expect(command.ownDirectory?.maxBytes == bytes)
    #expect(try TaskSpecification(json: specification.json) == specification)
  }
}
