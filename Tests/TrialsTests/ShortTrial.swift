import Primitives
import Reactor
import TestSupport
import Testing
import TrialReport

@testable import Trials

/// Trials as short as they can be and still show something.
enum ShortTrial {
  static let program = TestProcess.built("lifeline")

  /// Runs `lifeline` with arguments that make it a trial, which must pass.
  static func passed(_ arguments: [String], limit: Duration = .seconds(120)) throws -> TrialReport {
    let process = try TestProcess(program, arguments + ["--json"])
    let status = try process.exit(limit: limit)
    let report = try TrialReport(json: process.output.all.joined(separator: "\n"))
    #expect(status == .exited(0), "\(report.criteria.filter { !$0.isMet }) \(report.violations)")
    #expect(report.isPassed)
    return report
  }

  /// A steady run of two seconds with one worker, within this process.
  static func steady(_ adjust: (inout TrialOptions) throws -> Void) throws -> TrialReport {
    let directory = TemporaryDirectory()
    var options = TrialOptions(
      workers: 1, duration: .seconds(2), seed: 1, directory: directory.file("out"), command: "none")
    options.program = program
    try adjust(&options)
    let loop = try EventLoop()
    let run = try TrialRun("steady_load", options, on: loop)
    var report: TrialReport?
    run.start {
      report = $0
      loop.stop()
    }
    loop.run()
    return try #require(report)
  }
}
