import ArgumentParsing
import Coordination
import CoordinationCore
import Primitives
import Reactor
import StructuredLog

/// `lifeline fleet`
enum FleetCommand: Subcommand {
  private static let workers = Option(
    "workers", .integer(1...100_000), default: 1_000, as: "N", "How many workers this process is.")
  private static let prefix = Option(
    "worker-prefix", .string, default: "herd", as: "PREFIX", "The workers are PREFIX-1 to PREFIX-N.")
  private static let slots = Option(
    "slots", .integer(1...4_096), default: 1, as: "N", "How many tasks each worker runs at once.")
  private static let level = Option(
    "log-level", ArgumentType<StructuredLog.LogLevel>.choice, default: .error, as: "LEVEL",
    "The least that is logged; from warnings on, thousands of workers have much to say.")

  static let command = ArgumentParsing.Command(
    "fleet", "runs thousands of workers in one process, to try a coordinator",
    details: [
      "Each is a whole worker with a connection of its own, which executes demo_task and nothing else. What they owe is "
        + "kept in memory only: end the process in order, or its results are lost with it.",
      "A line on standard error says every second how they are. SIGUSR1 prints a summary as JSON on standard output, and "
        + "so does the end, which SIGTERM or Ctrl-C brings.",
    ],
    options: [workers, ClientOptions.coordinator, prefix, slots, level, HistoryOption.file],
    sections: [
      OptionSection("Connection", LinkOptions.all),
      ClientOptions.security,
      OptionSection(
        "Messages",
        [
          TrafficOptions.priorityQueue, TrafficOptions.adaptiveParameters, TrafficOptions.compression,
          TrafficOptions.compressionLevel,
        ]),
    ],
    examples: [
      Example("lifeline fleet --workers 5000", "See what 5,000 workers do to the coordinator on this machine."),
      Example(
        "lifeline fleet --workers 5000 | jq '.outages[-1].registered_after_s'",
        "How long after its port opened everyone was back, at the end of the last outage."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    var settings = WorkerSettings()
    settings.coordinator = try ClientOptions.address(invocation)
    settings.slots = invocation[slots]
    try LinkOptions.apply(invocation, to: &settings)
    settings.apiKey = try KeyOptions.key(invocation)
    settings.usesPriorities = invocation[TrafficOptions.priorityQueue]
    settings.adaptsParameters = invocation[TrafficOptions.adaptiveParameters]
    settings.compression = TrafficOptions.compressionSettings(invocation)
    settings.log = LogSink.make("fleet", invocation[level])
    let names = (1...invocation[workers]).map { "\(invocation[prefix])-\($0)" }
    do { _ = try WorkerID(names[names.count - 1]) } catch { throw invocation.error("--worker-prefix: \(error)") }
    DescriptorLimit.raise()
    do {
      settings.tls = try ClientOptions.tls(invocation, for: settings.coordinator)
      settings.record = try HistoryOption.recorder(invocation)
      return try FleetProcess(settings, names).run()
    } catch let error as UsageError {
      throw error
    } catch {
      Console.standard.complain("lifeline fleet: \(error)")
      return 1
    }
  }
}
