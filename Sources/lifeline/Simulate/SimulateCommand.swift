import ArgumentParsing
import CoordinationCore
import Primitives
import Reactor
import Simulation

/// `lifeline simulate`
enum SimulateCommand: Subcommand {
  private static let seed = Option(
    "seed", optional: .integer(0...Int.max), as: "N", whenMissing: "drawn, and printed",
    "What everything that happens follows from; with --seeds the first one.")
  private static let coordinators = Option(
    "coordinators", optional: .integer(1...100), as: "N", whenMissing: "1; with --seeds from 1 to 3, as each seed says",
    "How many coordinators share a store. Each worker goes to any of them.")
  private static let workers = Option("workers", .integer(1...1_000_000), default: 1_000, as: "N", "How many workers.")
  private static let tasks = Option(
    "tasks", .integer(0...10_000_000), default: 1_000, as: "N", "How many tasks of two seconds, spread over the time.")
  private static let duration = Option(
    "duration", .duration(.seconds(1) ... .seconds(86_400)), default: .seconds(60), "How much time is simulated.")
  private static let outage = Option(
    "outage", .duration(.milliseconds(1) ... .seconds(3_600)), default: .seconds(2),
    "How long a coordinator, or whoever else is away, stays away.")
  private static let faults = Option(
    "faults", optional: .string, as: "LIST", whenMissing: "kill-coordinator; with --seeds all",
    "What breaks, separated by commas: " + FaultKind.allCases.map(\.rawValue).joined(separator: ", "))
  private static let seeds = Option(
    "seeds", optional: .integer(1...1_000_000_000), as: "N",
    "Instead: run so many short seeds of small fleets, everything checked after each step.")
  private static let replay = Option(
    "replay", optional: .string, as: "SEED", "Instead: run one of those again, and print everything that happens.")
  private static let json = Option(flag: "json", "Print the result as JSON.")

  static let command = ArgumentParsing.Command(
    "simulate", "runs coordinator and workers under a simulated clock, network and disk",
    details: [
      "The cores are the real ones; time, network, disks and processes are simulated, and all that happens follows from the "
        + "seed. By default it answers what a fault does to a large fleet with the timing of production. When a third of the "
        + "time is over the fault happens: to the coordinator (of several to the first), or to a tenth of the workers.",
      "With --seeds it looks for faults of Lifeline itself: the exit status is 1 if a rule was broken, and what was drawn is "
        + "printed with the command that replays it.",
    ],
    options: [coordinators, workers, tasks, duration, faults, outage, seed, json],
    sections: [OptionSection("Checking", [seeds, replay])],
    examples: [
      Example(
        "lifeline simulate --workers 100000 --tasks 1000 --duration 60",
        "What does a coordinator's restart do to 100,000 workers?"),
      Example(
        "lifeline simulate --workers 20000 --faults unreachable --outage 30",
        "And a network that is away for half a minute?"),
      Example(
        "lifeline simulate --workers 100000 --coordinators 3",
        "How soon are a killed coordinator's sessions back at the two others?"),
      Example("lifeline simulate --seeds 2000", "Two thousand small fleets under every fault there is."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let kinds = try invocation[faults].map { text throws(UsageError) in try read(text, invocation) }
    if let text = invocation[replay] {
      guard let seed = UInt64(text) else { throw invocation.error("--replay \(text): expected a seed, a whole number") }
      return replay(seed, kinds ?? FaultKind.allCases, invocation[coordinators])
    }
    let seed = invocation[seed].map { UInt64($0) } ?? UInt64.random(in: 0...999_999_999)
    if let count = invocation[seeds] {
      return check(count, from: seed, kinds ?? FaultKind.allCases, invocation[coordinators], invocation[json])
    }
    var options = CapacityOptions()
    options.seed = seed
    options.workers = invocation[workers]
    options.coordinators = invocation[coordinators] ?? 1
    options.tasks = invocation[tasks]
    options.duration = invocation[duration]
    options.outage = invocation[outage]
    if let kinds { options.faults = kinds }
    let start = MonotonicClock.now()
    let result = CapacityRun(options).run()
    let report = CapacityReport(options, result, took: MonotonicClock.now() - start)
    Console.standard.write(invocation[json] ? report.json + "\n" : report.text)
    return 0
  }

  private static func read(_ text: String, _ invocation: Invocation) throws(UsageError) -> [FaultKind] {
    var kinds: [FaultKind] = []
    for word in text.split(separator: ",").map(String.init) {
      guard let kind = FaultKind(rawValue: word) else {
        let names = FaultKind.allCases.map(\.rawValue)
        let nearest =
          NearestWord.find(word, in: names).map { "did you mean \($0)?" } ?? "one of \(names.joined(separator: ", "))"
        throw invocation.error("--faults: there is no fault \(word); \(nearest)")
      }
      kinds.append(kind)
    }
    guard !kinds.isEmpty else { throw invocation.error("--faults names no fault") }
    return kinds
  }

  private static func replay(_ seed: UInt64, _ kinds: [FaultKind], _ coordinators: Int?) -> Int32 {
    var run = SeededRun(seed: seed, traces: true, faults: kinds, coordinators: coordinators)
    let problems = run.run()
    for line in run.trace { Console.standard.write(line + "\n") }
    Console.standard.write("drawn:\n" + run.drawn.map { "  \($0)\n" }.joined())
    for problem in problems { Console.standard.write("PROBLEM: \(problem)\n") }
    Console.standard.write(problems.isEmpty ? "no rule was broken\n" : "\(problems.count) problems\n")
    return problems.isEmpty ? 0 : 1
  }

  private static func check(
    _ count: Int, from first: UInt64, _ kinds: [FaultKind], _ coordinators: Int?, _ json: Bool
  ) -> Int32 {
    let start = MonotonicClock.now()
    var (failed, workerSeconds) = (0, 0.0)
    for offset in 0..<count {
      let (failure, time) = runSeed(first &+ UInt64(offset), faults: kinds, coordinators: coordinators)
      workerSeconds += time
      guard let failure else { continue }
      failed += 1
      if failed <= 5 { Console.standard.complain(failure.text) }
    }
    let seconds = (MonotonicClock.now() - start).inSeconds
    let rate = Int(workerSeconds / max(seconds, 0.001))
    if json {
      let object: JSONObject = [
        "first_seed": .integer(Int64(clamping: first)), "seeds": .integer(Int64(count)),
        "failed": .integer(Int64(failed)), "worker_seconds": .number(workerSeconds), "seconds": .number(seconds),
      ]
      Console.standard.write(JSONValue.object(object).text + "\n")
    } else {
      Console.standard.write(
        "seeds \(first) to \(first &+ UInt64(count - 1)): \(Int(workerSeconds)) worker-seconds simulated, \(rate) in a second\n"
          + "\(count - failed) passed, \(failed) failed\n")
    }
    return failed == 0 ? 0 : 1
  }
}
