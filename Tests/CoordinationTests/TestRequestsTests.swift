import CoordinationCore
import Testing

@testable import Coordination

@Suite(.timeLimit(.minutes(5)))
struct TestRequestsTests {
  private static func reader(_ text: String) throws -> FieldReader {
    FieldReader(try JSONParser.parse(text).object ?? JSONObject())
  }

  @Test func `durations are read with their tests`() throws {
    let reader = try Self.reader(
      #"{"suite": "s", "durations": [{"test": "a", "seconds": 1.5}, {"test": "b", "seconds": 0}]}"#)
    #expect(
      try TestRequests.durations(reader) == [
        TestDuration(TestName(suite: "s", test: "a"), .seconds(1.5)),
        TestDuration(TestName(suite: "s", test: "b"), .zero),
      ])
  }

  @Test(arguments: [
    #"{}"#, #"{"suite": "s"}"#, #"{"durations": []}"#, #"{"suite": "", "durations": []}"#,
    #"{"suite": "s", "durations": [1]}"#, #"{"suite": "s", "durations": [{"test": "a"}]}"#,
    #"{"suite": "s", "durations": [{"test": "", "seconds": 1}]}"#,
    #"{"suite": "s", "durations": [{"test": "a", "seconds": -1}]}"#,
    #"{"suite": "s", "durations": [{"test": "a", "seconds": 1e300}]}"#,
  ])
  func `durations that are none are refused`(_ text: String) throws {
    let reader = try Self.reader(text)
    #expect(throws: MessageError.self) { try TestRequests.durations(reader) }
  }

  @Test func `a filter may name a suite, where to go on, and how many`() throws {
    let reader = try Self.reader(#"{"suite": "s", "suspects": true, "after": {"suite": "s", "test": "t"}, "limit": 5}"#)
    #expect(
      try TestRequests.filter(reader)
        == TestFilter(suite: "s", hasFate: true, after: TestName(suite: "s", test: "t"), limit: 5))
    #expect(try TestRequests.filter(Self.reader("{}")) == TestFilter())
    for text in [#"{"limit": 0}"#, #"{"limit": 1001}"#, #"{"after": {"suite": "s"}}"#, #"{"suspects": 1}"#] {
      let reader = try Self.reader(text)
      #expect(throws: MessageError.self) { try TestRequests.filter(reader) }
    }
  }

  @Test func `a part of a plan is any object that is not too large`() throws {
    let reader = try Self.reader(#"{"run": "r", "part": 2, "plan": {"x": [1]}}"#)
    #expect(try TestRequests.runPart(reader) == RunPart(run: "r", number: 2, plan: ["x": [1]]))
    let long = JSONObject(dictionaryLiteral: ("x", .string(String(repeating: "x", count: RunPart.maxBytes))))
    let table: [JSONObject] = [
      ["run": "r"], ["plan": [:]], ["run": "r", "part": 1_000, "plan": [:]], ["run": "r", "part": -1, "plan": [:]],
      ["run": "r", "plan": .object(long)],
    ]
    for object in table { #expect(throws: MessageError.self) { try TestRequests.runPart(FieldReader(object)) } }
  }
}
