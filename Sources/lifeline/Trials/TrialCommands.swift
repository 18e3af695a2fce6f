import ArgumentParsing
import Glibc
import Primitives
import Reactor
import Trials

/// What commands that run trials have in common.
enum TrialOption {
  static let seed = Option(
    "seed", optional: .string, as: "N", whenMissing: "drawn, and printed",
    "Decides which faults come when: a whole number, 0 to 18446744073709551615.")
  static let report = Option(
    "report", optional: .string, as: "DIR", whenMissing: "a new folder in /tmp, kept when the run fails",
    "Where report.json, report.html, logs and histories go.")
  static let workers = Option(
    "workers", optional: .integer(1...20_000), as: "N", whenMissing: "the scenario's own",
    "How many workers; up to 50 each is a process of its own, beyond that `lifeline fleet` is all of them.")
  static let duration = Option(
    "duration", optional: .duration(.seconds(1) ... .seconds(86_400)), whenMissing: "the scenario's own",
    "How long work is submitted and things are broken.")

  static func workers(_ invocation: Invocation, _ about: ScenarioAbout) throws(UsageError) -> Int {
    let count = invocation[workers] ?? about.workers
    guard count <= about.maxWorkers else {
      throw invocation.error("--workers: \(about.name) is for at most \(about.maxWorkers), this is \(count)")
    }
    return count
  }

  static func seed(_ invocation: Invocation) throws(UsageError) -> UInt64 {
    guard let text = invocation[seed] else { return UInt64.random(in: .min ... .max) }
    guard let number = UInt64(text) else {
      throw invocation.error("--seed must be a whole number from 0 to \(UInt64.max), this is \(text)")
    }
    return number
  }
}

/// `lifeline e2e`
enum EndToEndCommand: Subcommand {
  private static let interval = Option(
    "disruption-interval", .duration(.milliseconds(500) ... .seconds(3_600)), default: .seconds(30),
    "The time between two faults.")

  static let command = ArgumentParsing.Command(
    "e2e", "breaks a real fleet on purpose for a while, and proves that nothing was lost",
    details: [
      "Starts a coordinator and workers as processes of their own, each worker behind a proxy, keeps them busy, and cuts, "
        + "freezes and kills them as the seed says. In the end every task's record, every process's history and what the "
        + "commands themselves wrote down are compared. Exit status 1 if anything was lost, doubled or too late.",
      "The same seed gives the same faults at the same times; how the processes interleave is the machine's own.",
    ],
    options: [
      TrialOption.workers, TrialOption.duration, interval, TrialOption.seed, TrialOption.report, ClientOptions.json,
    ],
    sections: [OptionSection("Several coordinators", TrialStore.options)],
    examples: [
      Example("lifeline e2e --workers 5 --duration 300 --disruption-interval 30", "Five minutes, ten faults."),
      Example(
        "lifeline e2e --duration 20 --disruption-interval 2 --seed 7 --report out", "A short run, to be repeated."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let about = Scenarios.endToEnd
    let plan = TrialPlan(
      name: about.name, workers: try TrialOption.workers(invocation, about),
      duration: invocation[TrialOption.duration] ?? about.duration, interval: invocation[interval],
      seed: try TrialOption.seed(invocation), store: try TrialStore(invocation))
    return TrialShow.run(plan, directory: invocation[TrialOption.report], printsJSON: invocation[ClientOptions.json])
  }
}

/// `lifeline stress`
enum StressCommand: Subcommand {
  private static let scenario = Option(
    "scenario", optional: .choice(Scenarios.list.map(\.name)), as: "NAME", "What is done to the fleet.")
  private static let list = Option(flag: "list-scenarios", "List the scenarios, and what each must show.")

  static let command = ArgumentParsing.Command(
    "stress", "breaks a real fleet in one particular way, and checks what must then hold",
    details: [
      "Like e2e, but with one kind of trouble and criteria of its own, beside those that hold for every run: no task lost, "
        + "none recorded twice, everything continued from its checkpoint, and everything done soon after the trouble ends."
    ],
    options: [
      scenario, list, TrialOption.workers, TrialOption.duration, TrialOption.seed, TrialOption.report,
      ClientOptions.json,
    ],
    sections: [OptionSection("Several coordinators", TrialStore.options)],
    examples: [
      Example("lifeline stress --list-scenarios", "What there is."),
      Example("lifeline stress --scenario thundering_herd", "Twenty workers lose their coordinator at once."),
      Example("lifeline stress --scenario coordinator_kill9 --seed 7 --report out", "The same kills every time."),
      Example("lifeline stress --scenario database_kill9 --store postgres", "Two coordinators and their PostgreSQL."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    if invocation[list] {
      TrialShow.list()
      return 0
    }
    guard let name = invocation[scenario] else {
      throw invocation.error("say with --scenario what is to be done; --list-scenarios shows what there is")
    }
    guard let about = Scenarios.list.first(where: { $0.name == name }) else {
      throw invocation.error("there is no scenario \(name)")
    }
    let store = try TrialStore(invocation)
    try store.check(about, invocation)
    let plan = TrialPlan(
      name: about.name, workers: try TrialOption.workers(invocation, about),
      duration: invocation[TrialOption.duration] ?? about.duration, interval: nil,
      seed: try TrialOption.seed(invocation), store: store)
    return TrialShow.run(plan, directory: invocation[TrialOption.report], printsJSON: invocation[ClientOptions.json])
  }
}
