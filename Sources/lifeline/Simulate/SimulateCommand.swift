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
        + "time is over the fault happens: to the coordinator, or to a tenth of the workers.",
      "With --seeds it looks for faults of Lifeline itself: the exit status is 1 if a rule was broken, and what was drawn is "
        + "printed with the command that replays it.",
    ],
    options: [workers, tasks, duration, faults, outage, seed, json],
    sections: [OptionSection("Checking", [seeds, replay])],
    examples: [
      Example(
        "lifeline simulate --workers 100000 --tasks 1000 --duration 60",
        "What does a coordinator's restart do to 100,000 workers?"),
      Example(
        "lifeline simulate --workers 20000 --faults unreachable --outage 30",
        "And a network that is away for half a minute?"),
      Example("lifeline simulate --seeds 2000", "Two thousand small fleets under every fault there is."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let kinds = try invocation[faults].map { text throws(UsageError) in try read(text, invocation) }
    if let text = invocation[replay] {
      guard let seed = UInt64(text) else { throw invocation.error("--replay \(text): expected a seed, a whole number") }
      return replay(seed, kinds ?? FaultKind.allCases)
    }
    let seed = invocation[seed].map { UInt64($0) } ?? UInt64.random(in: 0...999_999_999)
    if let count = invocation[seeds] { return check(count, from: seed, kinds ?? FaultKind.allCases, invocation[json]) }
    var options = CapacityOptions()
    options.seed = seed
    options.workers = invocation[workers]
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

  private static func replay(_ seed: UInt64, _ kinds: [FaultKind]) -> Int32 {
    var run = SeededRun(seed: seed, traces: true, faults: kinds)
    let problems = run.run()
    for line in run.trace { Console.standard.write(line + "\n") }
    Console.standard.write("drawn:\n" + run.drawn.map { "  \($0)\n" }.joined())
    for problem in problems { Console.standard.write("PROBLEM: \(problem)\n") }
    Console.standard.write(problems.isEmpty ? "no rule was broken\n" : "\(problems.count) problems\n")
    return problems.isEmpty ? 0 : 1
  }

  private static func check(_ count: Int, from first: UInt64, _ kinds: [FaultKind], _ json: Bool) -> Int32 {
    let start = MonotonicClock.now()
    var (failed, workerSeconds) = (0, 0.0)
    for offset in 0..<count {
      let (failure, time) = runSeed(first &+ UInt64(offset), faults: kinds)
      workerSeconds += time
      guard let failure else { continue }
      failed += 1
      let names = kinds == FaultKind.allCases ? "" : " --faults " + kinds.map(\.rawValue).joined(separator: ",")
      if failed <= 5 { Console.standard.complain(failure.text + names) }
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

/// The answer to a capacity question.
struct CapacityReport {
  private let options: CapacityOptions
  private let result: CapacityResult
  private let took: Duration

  init(_ options: CapacityOptions, _ result: CapacityResult, took: Duration) {
    self.options = options
    self.result = result
    self.took = took
  }

  private var rate: Int { Int(result.workerSeconds / max(took.inSeconds, 0.001)) }

  private func percentile(_ share: Double) -> UInt64 { result.reconnections.percentile(share / 100) ?? 0 }

  var text: String {
    let faults = options.faults.map(\.rawValue).joined(separator: ", ")
    let times = [50.0, 90, 99, 99.9].map { "p\($0 == 99.9 ? "99.9" : "\(Int($0))") \(percentile($0)) ms" }
    return """
      \(result.workers) workers, \(Int(options.duration.inSeconds)) s, \(faults), seed \(options.seed)
      registered at the end       \(result.registered)
      tasks ended                 \(result.ended) of \(result.submitted)
      registered since its start  \(times.joined(separator: ", ")), last \(result.reconnections.maximum) ms (\(result.reconnections.count))
      messages, both ways         \(result.messages), at most \(result.peakMessagesPerSecond) in a second
      coordinator's memory        about \(result.peakBytes >> 20) MiB (an estimate: sockets and store not counted)
      simulated                   \(Int(result.workerSeconds)) worker-seconds in \(took.wholeMilliseconds) ms: \(rate) in a second

      """
  }

  var json: String {
    let object: JSONObject = [
      "seed": .integer(Int64(clamping: options.seed)), "workers": .integer(Int64(result.workers)),
      "faults": .array(options.faults.map { .string($0.rawValue) }),
      "registered": .integer(Int64(result.registered)), "submitted": .integer(Int64(result.submitted)),
      "ended": .integer(Int64(result.ended)),
      "registration_ms": [
        "p50": .integer(Int64(clamping: percentile(50))), "p90": .integer(Int64(clamping: percentile(90))),
        "p99": .integer(Int64(clamping: percentile(99))),
        "max": .integer(Int64(clamping: result.reconnections.maximum)),
      ],
      "messages": .integer(Int64(result.messages)),
      "peak_messages_per_second": .integer(Int64(result.peakMessagesPerSecond)),
      "estimated_peak_bytes": .integer(Int64(result.peakBytes)), "worker_seconds": .number(result.workerSeconds),
      "seconds": .number(took.inSeconds),
    ]
    return JSONValue.object(object).text
  }
}
