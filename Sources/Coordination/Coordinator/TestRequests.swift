import CoordinationCore

/// Reads what clients ask about tests and runs.
enum TestRequests {
  static let maxReasonBytes = 1_024
  private static let maxDurations = 1_000
  /// A duration that is longer than any task may run was measured wrongly.
  private static let maxSeconds = 366.0 * 24 * 3_600

  static func name(_ reader: FieldReader) throws(MessageError) -> TestName {
    let suite = try text("suite", reader, SpecificationLimits.maxSuiteBytes)
    return TestName(suite: suite, test: try text("test", reader, SpecificationLimits.maxTestBytes))
  }

  static func filter(_ reader: FieldReader) throws(MessageError) -> TestFilter {
    var filter = TestFilter()
    filter.suite = try reader.optionalString("suite", maxBytes: SpecificationLimits.maxSuiteBytes)
    filter.hasFate = try reader.optionalBool("suspects") ?? false
    if let after = try reader.optionalObject("after") { filter.after = try name(FieldReader(after)) }
    filter.limit = try reader.optionalInteger("limit", in: 1...TestFilter.maxLimit) ?? TestFilter.maxLimit
    return filter
  }

  static func durations(_ reader: FieldReader) throws(MessageError) -> [TestDuration] {
    let suite = try text("suite", reader, SpecificationLimits.maxSuiteBytes)
    guard let values = try reader.optionalArray("durations", maxCount: maxDurations) else {
      throw .missingField("durations")
    }
    var durations: [TestDuration] = []
    for (index, value) in values.enumerated() {
      guard let object = value.object else {
        throw .wrongType("durations[\(index)]", expected: "an object", found: value.typeName)
      }
      let reader = FieldReader(object)
      let test = try text("test", reader, SpecificationLimits.maxTestBytes)
      guard let seconds = try reader.optionalNumber("seconds") else { throw .missingField("seconds") }
      guard seconds >= 0, seconds <= maxSeconds else {
        throw .badValue("seconds", problem: "\(seconds) is not between 0 and \(maxSeconds)")
      }
      durations.append(TestDuration(TestName(suite: suite, test: test), .seconds(seconds)))
    }
    return durations
  }

  static func runPartName(_ reader: FieldReader) throws(MessageError) -> (run: String, number: Int) {
    let run = try text("run", reader, 128)
    return (run, try reader.optionalInteger("part", in: 0...RunPart.maxParts - 1) ?? 0)
  }

  static func runPart(_ reader: FieldReader) throws(MessageError) -> RunPart {
    let (run, number) = try runPartName(reader)
    guard let plan = try reader.optionalObject("plan") else { throw .missingField("plan") }
    guard JSONValue.object(plan).nests(atMost: JSONValue.maxCarriedDepth) else {
      throw .badValue("plan", problem: "nested more than \(JSONValue.maxCarriedDepth) levels deep")
    }
    let bytes = plan.text.utf8.count
    guard bytes <= RunPart.maxBytes else {
      throw .badValue("plan", problem: "\(bytes) bytes; at most \(RunPart.maxBytes) are allowed in one part")
    }
    return RunPart(run: run, number: number, plan: plan)
  }

  private static func text(_ name: String, _ reader: FieldReader, _ limit: Int) throws(MessageError) -> String {
    let text = try reader.string(name, maxBytes: limit)
    guard !text.isEmpty else { throw .badValue(name, problem: "it is empty") }
    return text
  }
}
