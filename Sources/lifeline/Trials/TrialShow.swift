import Coordination
import Glibc
import Primitives
import Reactor
import Terminal
import TrialReport
import Trials

/// Runs trials for people: what happens as it happens, then the verdict.
enum TrialShow {
  static let interruption = "interrupted"

  /// - Returns: the exit status.
  static func run(_ plan: TrialPlan, directory: String?, printsJSON: Bool) -> Int32 {
    do {
      let folder = try directory ?? temporaryFolder()
      LineWriter.standardError.write(line: "seed \(plan.seed); again: \(plan.command)")
      let report = try perform(plan, in: folder)
      if printsJSON {
        Console.standard.write(report.json)
      } else {
        print(report)
        if directory != nil || !report.isPassed { Console.standard.write("report: \(folder)/report.html\n") }
      }
      if directory == nil, report.isPassed { FileTree.remove(folder) }
      return report.isPassed ? 0 : 1
    } catch {
      Console.standard.complain("lifeline \(plan.name): \(error)")
      return 1
    }
  }

  /// Runs one trial to its verdict, and writes its report into `folder`.
  static func perform(_ plan: TrialPlan, in folder: String) throws -> TrialReport {
    // Some scenarios are thousands of connections themselves.
    DescriptorLimit.raise()
    let loop = try EventLoop()
    let run = try TrialRun(plan.name, plan.options(in: folder), on: loop)
    let display = TrialDisplay()
    run.onProgress = { display.show($0) }
    run.onMark = { display.mark($0) }
    var report: TrialReport?
    run.start {
      report = $0
      loop.stop()
    }
    let signals = try [SIGINT, SIGTERM].map { number in try loop.onSignal(number) { run.fail(interruption) } }
    loop.run()
    for signal in signals { signal.cancel() }
    display.end()
    guard let report else { throw TrialRun.NoVerdict() }
    try run.write(report)
    if let place = run.keptStore { LineWriter.standardError.write(line: "the store stays: \(place)") }
    return report
  }

  static func temporaryFolder() throws(SystemError) -> String {
    var template = Array("/tmp/lifeline-trial-XXXXXX".utf8CString)
    // SAFETY: mkdtemp changes the six last characters in place.
    guard unsafe mkdtemp(&template) != nil else {
      throw SystemError(call: "mkdtemp", subject: "/tmp", code: errno)
    }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  static func list() {
    var table = Table([
      Table.Column("scenario"), Table.Column("what it does", mayShrink: true), Table.Column("workers", .right),
      Table.Column("duration", .right), Table.Column("passes if, beside nothing lost or doubled", mayShrink: true),
    ])
    for about in Scenarios.list {
      table.append([
        Table.Cell(about.name), Table.Cell(about.summary), Table.Cell("\(about.workers)"),
        Table.Cell("\(Int(about.duration.inSeconds)) s"), Table.Cell(about.passes),
      ])
    }
    Console.standard.write(table)
  }

  static func print(_ report: TrialReport) {
    var table = Table([
      Table.Column(""), Table.Column("what must hold"), Table.Column("expected", mayShrink: true),
      Table.Column("found", mayShrink: true),
    ])
    for criterion in report.criteria {
      table.append([
        Table.Cell(criterion.isMet ? "ok" : "FAILED", criterion.isMet ? .green : .red), Table.Cell(criterion.name),
        Table.Cell(criterion.expected), Table.Cell(criterion.measured),
      ])
    }
    Console.standard.write(table)
    for violation in report.violations { Console.standard.write("violated: \(violation)\n") }
    for latency in report.latencies {
      let values = latency.percentiles.map { percentile in
        let name = percentile.percent == 100 ? "at most" : "p\(percent(percentile.percent))"
        return "\(name) \(Int(percentile.value.rounded())) \(latency.unit)"
      }
      Console.standard.write("\(latency.name), \(latency.count) times: \(values.joined(separator: ", "))\n")
    }
    let verdict = report.isPassed ? "PASSED" : "FAILED"
    Console.standard.write(
      "\(verdict): \(report.title), \(report.marks.count) events, \(Int(report.duration.inSeconds.rounded())) s; "
        + "again: \(report.command)\n")
  }

  private static func percent(_ value: Double) -> String {
    Int(exactly: value).map { "\($0)" } ?? "\(value)"
  }
}

/// Progress on standard error: a block that changes on a terminal, now and then a line elsewhere.
private final class TrialDisplay {
  private let writer = LineWriter.standardError
  private var display = TrialProgressDisplay(
    isTerminal: LineWriter.standardError.isTerminal, environment: Surroundings.variables)

  func show(_ progress: TrialProgress) { writer.show(display.update(progress, columns: writer.columns)) }

  func mark(_ mark: TrialReport.Mark) {
    let tenths = Int((mark.start * 10).rounded())
    writer.write(line: "\(tenths / 10).\(tenths % 10) s  \(mark.label)")
  }

  func end() { writer.show(live: "") }
}
