import ArgumentParsing
import Coordination
import Primitives
import Reactor
import Terminal
import TrialReport
import Trials

/// `lifeline test`
enum TestCommand: Subcommand {
  private static let quick = Option(flag: "quick", "Fewer workers and shorter runs: all of it within 5 minutes.")
  private static let only = Option(
    "only", optional: .string, as: "A,B", "Run these alone: e2e or names of scenarios, separated by commas.")

  static let command = ArgumentParsing.Command(
    "test", "runs e2e and every stress scenario in sequence, with one verdict",
    details: [
      "Scenarios that the store, or the number of coordinators, does not allow are left out.",
      "Each trial leaves a folder with its own report; the table at the end, and index.html beside them, say what became of "
        + "all. Exit status 1 if any of them failed.",
    ],
    options: [quick, only, TrialOption.seed, TrialOption.report, ClientOptions.json],
    sections: [OptionSection("Several coordinators", TrialStore.options)],
    examples: [
      Example("lifeline test --quick", "Everything, within 5 minutes."),
      Example("lifeline test --quick --only e2e,thundering_herd --seed 7", "Two of them, with the faults of a seed."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let seed = try TrialOption.seed(invocation)
    let isQuick = invocation[quick]
    let store = try TrialStore(invocation)
    let wanted = invocation[only].map { $0.split(separator: ",").map(String.init) }
    var plans: [TrialPlan] = []
    for about in [Scenarios.endToEnd] + Scenarios.list {
      if let wanted {
        guard wanted.contains(about.name) else { continue }
        try store.check(about, invocation)
      } else if about.objection(to: store.place, coordinators: store.coordinators) != nil {
        continue
      }
      let isEndToEnd = about.name == Scenarios.endToEnd.name
      plans.append(
        TrialPlan(
          name: about.name, workers: isQuick ? about.quickWorkers : about.workers,
          duration: isQuick ? about.quickDuration : about.duration,
          interval: isEndToEnd ? (isQuick ? .seconds(2) : .seconds(30)) : nil, seed: seed, store: store))
    }
    var words = ["lifeline test"] + (isQuick ? ["--quick"] : [])
    if let wanted {
      let known = ([Scenarios.endToEnd] + Scenarios.list).map(\.name)
      for name in wanted where !known.contains(name) {
        throw invocation.error("--only: there is no \(name); known are \(known.joined(separator: ", "))")
      }
      words.append("--only \(wanted.joined(separator: ","))")
    }
    if store.place != .file { words.append(String(store.words.dropFirst())) }
    let suite = TrialSuite(plans, command: (words + ["--seed \(seed)"]).joined(separator: " "))
    return suite.run(in: invocation[TrialOption.report], printsJSON: invocation[ClientOptions.json])
  }
}

/// Several trials, one after the other.
struct TrialSuite {
  private let plans: [TrialPlan]
  private let command: String

  init(_ plans: [TrialPlan], command: String) {
    self.plans = plans
    self.command = command
  }

  /// - Returns: the exit status.
  func run(in directory: String?, printsJSON: Bool) -> Int32 {
    do {
      let folder = try directory ?? TrialShow.temporaryFolder()
      let began = MonotonicClock.now()
      var report = SuiteReport(
        title: "lifeline test", command: command, startedAt: SystemWallClock.now(), duration: .zero)
      LineWriter.standardError.write(line: "again: \(command)")
      for (index, plan) in plans.enumerated() {
        LineWriter.standardError.write(line: "\(index + 1) of \(plans.count): \(plan.name)")
        do {
          let trial = try TrialShow.perform(plan, in: "\(folder)/\(plan.name)")
          report.entries.append(SuiteReport.Entry(directory: plan.name, report: trial))
          if !trial.isPassed { TrialShow.print(trial) }
          if trial.violations.contains(TrialShow.interruption) { break }
        } catch { report.violations.append("\(plan.name) could not be run: \(error)") }
      }
      report.duration = MonotonicClock.now() - began
      try TrialRun.write(report, in: folder)
      if printsJSON { Console.standard.write(report.json) } else { show(report, folder) }
      if directory == nil, report.isPassed { FileTree.remove(folder) }
      return report.isPassed ? 0 : 1
    } catch {
      Console.standard.complain("lifeline test: \(error)")
      return 1
    }
  }

  private func show(_ report: SuiteReport, _ folder: String) {
    var table = Table([
      Table.Column(""), Table.Column("trial"), Table.Column("criteria met", .right), Table.Column("faults", .right),
      Table.Column("took", .right), Table.Column("again", mayShrink: true),
    ])
    for entry in report.entries {
      let trial = entry.report
      table.append([
        Table.Cell(trial.isPassed ? "ok" : "FAILED", trial.isPassed ? .green : .red), Table.Cell(trial.title),
        Table.Cell("\(trial.criteria.count(where: \.isMet)) of \(trial.criteria.count)"),
        Table.Cell("\(trial.marks.count)"), Table.Cell("\(Int(trial.duration.inSeconds.rounded())) s"),
        Table.Cell(trial.command),
      ])
    }
    Console.standard.write(table)
    for violation in report.violations { Console.standard.write("\(violation)\n") }
    let passed = report.entries.count(where: \.report.isPassed)
    Console.standard.write(
      "\(report.isPassed ? "PASSED" : "FAILED"): \(passed) of \(plans.count) trials in "
        + "\(Int(report.duration.inSeconds.rounded())) s; again: \(command)\n")
    Console.standard.write(report.isPassed ? "" : "report: \(folder)/index.html\n")
  }
}
