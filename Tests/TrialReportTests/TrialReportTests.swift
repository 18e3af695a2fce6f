import CoordinationCore
import Primitives
import Testing
import TrialReport

extension TrialReport {
  static let met = Criterion("tasks lost", expected: "0", measured: "0", isMet: true)
  static let missed = Criterion("tasks lost", expected: "0", measured: "2", isMet: false)

  /// A report with nothing in it.
  static let bare = TrialReport(
    title: "bare", command: "lifeline e2e --seed 7", seed: 7, startedAt: WallTime(milliseconds: 1_764_000_000_000),
    duration: .seconds(60))

  /// One of everything.
  static var full: TrialReport {
    var report = bare
    report.seed = .max
    report.duration = .nanoseconds(61_234_567_891)
    report.options = [Option("workers", "5"), Option("faults", "kill9 \"half_open\"")]
    report.criteria = [met, Criterion("resumed", expected: "at most 250 ms", measured: "31 ms", isMet: true)]
    report.series = [
      Series("connected", unit: "workers", group: "Workers", points: [.init(0, 0), .init(1.5, 5), .init(60, 4)]),
      Series("nothing", unit: "", group: "Queue"),
    ]
    report.marks = [Mark(at: 10, until: 12.5, "coordinator killed"), Mark(at: 30, "reset")]
    report.latencies = [
      LatencySummary("reconnection", unit: "ms", count: 9, percentiles: [.init(50, 3.25), .init(100, 9)])
    ]
    report.logs = ["coordinator.log", "logs/worker 1.log"]
    report.notes = ["two cores"]
    return report
  }
}

@Suite struct TrialReportTests {
  @Test func `a run has passed when every criterion is met and nothing was violated`() {
    var report = TrialReport.bare
    report.criteria = [.init("a", expected: "1", measured: "1", isMet: true)]
    #expect(report.isPassed)
    report.violations = ["task t1 ended twice"]
    #expect(!report.isPassed)
    report.violations = []
    report.criteria.append(TrialReport.missed)
    #expect(!report.isPassed)
  }

  @Test func `a report without criteria has proved nothing`() {
    #expect(!TrialReport.bare.isPassed)
    #expect(!SuiteReport(title: "s", command: "c", startedAt: TrialReport.bare.startedAt, duration: .zero).isPassed)
  }

  @Test func `a suite has passed when each of its trials has`() {
    var suite = SuiteReport(title: "s", command: "c", startedAt: TrialReport.bare.startedAt, duration: .zero)
    suite.entries = [.init(directory: "1", report: .full), .init(directory: "2", report: .full)]
    #expect(suite.isPassed)
    suite.violations = ["scenario flapping could not start"]
    #expect(!suite.isPassed)
    suite.violations = []
    suite.entries[1].report.criteria = [TrialReport.missed]
    #expect(!suite.isPassed)
  }

  @Test func `a summary of a histogram has the usual percentiles in milliseconds`() {
    var histogram = LatencyHistogram()
    for milliseconds in 1...1000 { histogram.record(.milliseconds(milliseconds)) }
    let summary = TrialReport.LatencySummary("resume", histogram)
    #expect(summary.count == 1000)
    #expect(summary.percentiles.map(\.percent) == [50, 90, 99, 99.9, 100])
    #expect(summary.percentiles.last?.value == 1000)
    for (percentile, exact) in zip(summary.percentiles, [500.0, 900, 990, 999, 1000]) {
      #expect(percentile.value >= exact && percentile.value <= exact * (1 + LatencyHistogram.precision))
    }
  }

  @Test func `a summary of nothing has no percentiles`() {
    #expect(TrialReport.LatencySummary("resume", LatencyHistogram()).percentiles.isEmpty)
  }
}

@Suite struct ReportJSONTests {
  @Test(arguments: [TrialReport.bare, .full])
  func `what was written reads back as it was`(report: TrialReport) throws {
    #expect(try TrialReport(json: report.json) == report)
  }

  @Test func `the fields come in the documented order`() throws {
    let object = try #require(try JSONParser.parse(TrialReport.full.json).object)
    #expect(
      object.members.map(\.key) == [
        "format", "title", "passed", "command", "seed", "started_at", "started_at_ms", "duration_s", "options",
        "criteria", "violations", "latencies", "marks", "series", "logs", "notes",
      ])
    #expect(object["passed"] == true)
    #expect(object["seed"] == "18446744073709551615")
    #expect(object["started_at"] == "2025-11-24T16:00:00.000Z")
  }

  @Test func `a point that is not finite is left out`() throws {
    var report = TrialReport.bare
    report.series = [
      .init("a", unit: "", group: "g", points: [.init(0, 1), .init(1, .nan), .init(.infinity, 1), .init(2, 3)])
    ]
    #expect(try TrialReport(json: report.json).series[0].points == [.init(0, 1), .init(2, 3)])
  }

  @Test func `a text that is no report is refused with the reason`() {
    func refusal(_ text: String) -> TrialReportError? {
      do throws(TrialReportError) {
        _ = try TrialReport(json: text)
        return nil
      } catch {
        return error
      }
    }
    #expect(refusal("{") == .notJSON("the text ends too early at byte 1"))
    #expect(refusal("[]") == .badField("report"))
    #expect(refusal("{}") == .badField("format"))
    #expect(refusal(#"{"format":2}"#) == .unknownVersion(2))
    #expect(refusal(#"{"format":1,"seed":"-1"}"#) == .badField("seed"))
    let json = TrialReport.full.json
    #expect(refusal(json.replacing(#""met":true"#, with: #""met":1"#)) == .badField("met"))
    #expect(refusal(json.replacing(#"[1.5,5.0]"#, with: #"[1.5]"#)) == .badField("points"))
    #expect(
      refusal(json.replacing(#""duration_s":61."#, with: #""duration_s":1e300,"x":61."#)) == .badField("duration_s"))
  }

  @Test func `a suite lists its trials with their verdicts`() throws {
    let suite = SuiteReport(
      title: "all", command: "lifeline test --quick", startedAt: TrialReport.bare.startedAt, duration: .seconds(200),
      entries: [.init(directory: "01-e2e", report: .full), .init(directory: "02-bare", report: .bare)])
    let object = try #require(try JSONParser.parse(suite.json).object)
    #expect(object["passed"] == false)
    let trials = try #require(object["trials"]?.array)
    #expect(trials.map { $0.object?["passed"] } == [true, false])
    #expect(trials.map { $0.object?["directory"] } == ["01-e2e", "02-bare"])
    #expect(trials.map { $0.object?["criteria_met"] } == [2, 0])
  }
}
