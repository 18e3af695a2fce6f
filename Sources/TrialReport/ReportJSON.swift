internal import CoordinationCore
internal import Primitives

/// Why a text is not a report.
public enum TrialReportError: Error, Equatable, CustomStringConvertible {
  case notJSON(String)
  /// The member that is missing or not what it must be.
  case badField(String)
  case unknownVersion(Int64)

  public var description: String {
    switch self {
    case .notJSON(let why): "the report is not JSON: \(why)"
    case .badField(let name):
      "the report's \"\(name)\" is missing or of a wrong type; was the file written by lifeline?"
    case .unknownVersion(let version):
      "the report has format version \(version), this program reads \(TrialReport.formatVersion); use a newer lifeline"
    }
  }
}

extension TrialReport {
  /// Changes when a field's meaning does; new fields alone do not change it.
  public static let formatVersion: Int64 = 1

  /// The content of `report.json`: one compact JSON object and a line end. The fields and their order are in README.md.
  public var json: String { JSONValue.object(object).text + "\n" }

  var object: JSONObject {
    [
      "format": .integer(Self.formatVersion),
      "title": .string(title),
      "passed": .bool(isPassed),
      "command": .string(command),
      // As text: 64 bits are more than many JSON readers keep exactly.
      "seed": .string(String(seed)),
      "started_at": .string(startedAt.iso8601),
      "started_at_ms": .integer(startedAt.milliseconds),
      "duration_s": .duration(duration),
      "options": .array(options.map { ["name": .string($0.name), "value": .string($0.value)] }),
      "criteria": .array(
        criteria.map {
          [
            "name": .string($0.name), "expected": .string($0.expected), "measured": .string($0.measured),
            "met": .bool($0.isMet),
          ]
        }),
      "violations": .array(violations.map(JSONValue.string)),
      "latencies": .array(latencies.map(\.json)),
      "marks": .array(marks.map(\.json)),
      "series": .array(series.map(\.json)),
      "logs": .array(logs.map(JSONValue.string)),
      "notes": .array(notes.map(JSONValue.string)),
    ]
  }

  /// Reads what `json` wrote. Unknown fields are skipped.
  public init(json: String) throws(TrialReportError) {
    let fields: Fields
    do {
      fields = try Fields(JSONParser.parse(json), "report")
    } catch let error as JSONError {
      throw .notJSON(error.description)
    } catch {
      throw .badField("report")
    }
    let version = try fields.integer("format")
    guard version == Self.formatVersion else { throw .unknownVersion(version) }
    guard let seed = UInt64(try fields.string("seed")) else { throw .badField("seed") }
    self.init(
      title: try fields.string("title"), command: try fields.string("command"), seed: seed,
      startedAt: WallTime(milliseconds: try fields.integer("started_at_ms")),
      duration: try fields.duration("duration_s"))
    for entry in try fields.objects("options") {
      options.append(Option(try entry.string("name"), try entry.string("value")))
    }
    for entry in try fields.objects("criteria") {
      criteria.append(
        Criterion(
          try entry.string("name"), expected: try entry.string("expected"), measured: try entry.string("measured"),
          isMet: try entry.bool("met")))
    }
    violations = try fields.strings("violations")
    for entry in try fields.objects("latencies") { latencies.append(try LatencySummary(entry)) }
    for entry in try fields.objects("marks") { marks.append(try Mark(entry)) }
    for entry in try fields.objects("series") { series.append(try Series(entry)) }
    logs = try fields.strings("logs")
    notes = try fields.strings("notes")
  }
}

extension SuiteReport {
  /// The content of the suite's `index.json`: the trials' verdicts; their figures are in their own reports.
  public var json: String {
    let trials = entries.map { entry -> JSONValue in
      [
        "directory": .string(entry.directory), "title": .string(entry.report.title),
        "passed": .bool(entry.report.isPassed), "command": .string(entry.report.command),
        "seed": .string(String(entry.report.seed)), "duration_s": .duration(entry.report.duration),
        "criteria_met": .integer(Int64(entry.report.criteria.count(where: \.isMet))),
        "criteria": .integer(Int64(entry.report.criteria.count)),
        "violations": .array(entry.report.violations.map(JSONValue.string)),
      ]
    }
    let object: JSONObject = [
      "format": .integer(TrialReport.formatVersion), "title": .string(title), "passed": .bool(isPassed),
      "command": .string(command), "started_at": .string(startedAt.iso8601),
      "started_at_ms": .integer(startedAt.milliseconds), "duration_s": .duration(duration),
      "violations": .array(violations.map(JSONValue.string)), "trials": .array(trials),
    ]
    return object.text + "\n"
  }
}

extension TrialReport.LatencySummary {
  fileprivate var json: JSONValue {
    [
      "name": .string(name), "unit": .string(unit), "count": .integer(Int64(clamping: count)),
      "percentiles": .array(percentiles.map { ["percent": .number($0.percent), "value": .number($0.value)] }),
    ]
  }

  fileprivate init(_ fields: Fields) throws(TrialReportError) {
    self.init(
      try fields.string("name"), unit: try fields.string("unit"), count: UInt64(clamping: try fields.integer("count")),
      percentiles: [])
    for entry in try fields.objects("percentiles") {
      percentiles.append(Percentile(try entry.number("percent"), try entry.number("value")))
    }
  }
}

extension TrialReport.Mark {
  fileprivate var json: JSONValue {
    ["start_s": .number(start), "end_s": end.map(JSONValue.number) ?? .null, "label": .string(label)]
  }

  fileprivate init(_ fields: Fields) throws(TrialReportError) {
    self.init(at: try fields.number("start_s"), until: fields.optionalNumber("end_s"), try fields.string("label"))
  }
}

extension TrialReport.Series {
  fileprivate var json: JSONValue {
    let finite = points.lazy.filter { $0.seconds.isFinite && $0.value.isFinite }
    return [
      "name": .string(name), "unit": .string(unit), "group": .string(group),
      "points": .array(finite.map { [.number($0.seconds), .number($0.value)] }),
    ]
  }

  fileprivate init(_ fields: Fields) throws(TrialReportError) {
    self.init(try fields.string("name"), unit: try fields.string("unit"), group: try fields.string("group"))
    for element in try fields.array("points") {
      guard let pair = element.array, pair.count == 2, let seconds = pair[0].number, let value = pair[1].number else {
        throw .badField("points")
      }
      points.append(Point(seconds, value))
    }
  }
}

/// An object whose members are asked for by name and type.
private struct Fields {
  let object: JSONObject

  init(_ value: JSONValue, _ name: String) throws(TrialReportError) {
    guard let object = value.object else { throw .badField(name) }
    self.object = object
  }

  private func required<Value>(_ name: String, _ value: Value?) throws(TrialReportError) -> Value {
    guard let value else { throw .badField(name) }
    return value
  }

  func string(_ name: String) throws(TrialReportError) -> String { try required(name, object[name]?.string) }
  func bool(_ name: String) throws(TrialReportError) -> Bool { try required(name, object[name]?.bool) }
  func integer(_ name: String) throws(TrialReportError) -> Int64 { try required(name, object[name]?.integer) }
  func number(_ name: String) throws(TrialReportError) -> Double { try required(name, object[name]?.number) }
  func optionalNumber(_ name: String) -> Double? { object[name]?.number }
  func array(_ name: String) throws(TrialReportError) -> [JSONValue] { try required(name, object[name]?.array) }

  func duration(_ name: String) throws(TrialReportError) -> Duration {
    guard let nanoseconds = Int64(exactly: (try number(name) * 1e9).rounded()) else { throw .badField(name) }
    return .nanoseconds(nanoseconds)
  }

  func strings(_ name: String) throws(TrialReportError) -> [String] {
    var result: [String] = []
    for element in try array(name) { result.append(try required(name, element.string)) }
    return result
  }

  func objects(_ name: String) throws(TrialReportError) -> [Fields] {
    var result: [Fields] = []
    for element in try array(name) { result.append(try Fields(element, name)) }
    return result
  }
}
