import Glibc
import TestSupport
import Testing
import TrialReport

/// The report of a real run that README.md shows.
@Suite struct ExampleReportTests {
  /// Docs/example-report, beside Tests.
  private static let folder: String = {
    let here = "\(#filePath)".split(separator: "/").dropLast(3).joined(separator: "/")
    return "/\(here)/Docs/example-report"
  }()

  /// `LIFELINE_WRITE_EXAMPLE=1 swift test --filter ExampleReportTests` writes the page again from the figures; then
  /// `Scripts/report-picture.sh Docs/example-report/report.html Docs/report.png 1280 1900` takes its picture.
  @Test func `the committed example is what its figures look like today`() throws {
    let json = String(decoding: TestProcess.contents(of: "\(Self.folder)/report.json"), as: UTF8.self)
    let report = try TrialReport(json: json)
    #expect(report.isPassed && report.json == json)
    let page = "\(Self.folder)/report.html"
    if getenv("LIFELINE_WRITE_EXAMPLE") != nil {
      let bytes = Array(report.html.utf8)
      let file = try #require(fopen(page, "w"))
      #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
      #expect(fclose(file) == 0)
    }
    // A name of its own, or a failure would print every byte of both.
    let isCurrent = TestProcess.contents(of: page) == Array(report.html.utf8)
    #expect(isCurrent, "\(page) is older than the code that writes it")
  }
}
