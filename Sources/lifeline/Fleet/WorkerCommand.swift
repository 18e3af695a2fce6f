import ArgumentParsing
import Coordination
import CoordinationCore
import Glibc
import Primitives
import Reactor
import Storage

/// `lifeline worker`
enum WorkerCommand: Subcommand {
  private static let workerID = Option(
    "worker-id", optional: .string, as: "ID", whenMissing: "HOST-XXXXXXXX, new with every start",
    "The worker's name. One started again under its name delivers what it still owed.")
  private static let host = Option(
    "coordinator-host", optional: .string, as: "HOST", "The coordinator's host, instead of --coordinator.")
  private static let port = Option(
    "coordinator-port", optional: .integer(1...65_535), as: "PORT", "The coordinator's port, instead of --coordinator.")
  private static let slots = Option(
    "slots", optional: .integer(1...4_096), as: "N", whenMissing: "one for each processor",
    "How many tasks run at once.")
  private static let stateDirectory = Option(
    "state-dir", optional: .string, as: "DIR", whenMissing: "$XDG_STATE_HOME/lifeline or ~/.local/state/lifeline",
    "Where results wait until the coordinator has them.")
  private static let simulateDisconnect = Option(
    "simulate-disconnect", optional: .duration(), "Cut the connection once, this long after the start.")
  private static let maxReconnectAttempts = Option(
    "max-reconnect-attempts", .integer(0...1_000_000), default: 0, as: "N",
    "Give up after so many attempts in a row; 0: never.")
  private static let drainTimeout = Option(
    "drain-timeout", .duration(.zero ... .seconds(7 * 86_400)), default: .seconds(25),
    "After SIGTERM, how long what runs may go on before it is asked for a checkpoint, ended, and handed to other workers."
  )
  private static let telemetryInterval = Option(
    "telemetry-interval", .duration(), default: TelemetrySettings().interval,
    "How often to tell the coordinator how the worker fares; 0: only when asked.")
  private static let metricsInterval = Option(
    "metrics-interval", .duration(), default: TelemetrySettings().logInterval,
    "How often to log the worker's own figures; 0: never.")
  private static let cacheDirectory = Option(
    "cache-dir", optional: .string, as: "DIR", whenMissing: "cache in the state folder",
    "Where the files of tasks are kept; workers of one machine may share it.")
  private static let cacheMaxBytes = Option(
    "cache-max-bytes", .integer(1...FileLimits.maxBytes), default: FileCacheSettings().maxBytes, as: "N",
    "What these may have together; those not used for longest go first. A task whose inputs or outputs have more fails."
  )
  private static let legacy = Option(
    flag: "legacy", "Speak the original protocol, which numbers and checks nothing.")

  static let command = ArgumentParsing.Command(
    "worker", "runs tasks on this machine",
    details: [
      "SIGUSR1: writes the worker's telemetry to standard error, as one line of JSON.",
      "SIGTERM or Ctrl-C: takes nothing new and leaves once what runs has ended. What still runs after --drain-timeout gets "
        + "SIGTERM, two seconds to write a last checkpoint, and is handed to other workers. A second time: ends what runs "
        + "at once.",
      "The default of --drain-timeout fits into the 30 seconds that Kubernetes gives; four more are needed at most. Raise "
        + "both for tasks that are long and write no checkpoints.",
    ],
    options: [
      workerID, ClientOptions.coordinator, host, port, slots, stateDirectory, drainTimeout, LogSink.level,
      HistoryOption.file,
    ],
    sections: [
      OptionSection("Placement and commands", PlacementOptions.all),
      OptionSection("Files", [cacheDirectory, cacheMaxBytes]),
      OptionSection("Figures", [metricsInterval, telemetryInterval]),
      OptionSection("Connection", LinkOptions.all + [maxReconnectAttempts, simulateDisconnect, legacy]),
      ClientOptions.security,
      OptionSection(
        "Messages",
        [
          TrafficOptions.priorityQueue, TrafficOptions.adaptiveParameters, TrafficOptions.compression,
          TrafficOptions.compressionLevel,
        ]),
    ],
    examples: [
      Example("lifeline worker", "Work for the coordinator on this machine, one task for each processor."),
      Example(
        "lifeline worker --coordinator ws://10.0.0.5:8765 --worker-id rack7 --slots 16",
        "Work for another machine's coordinator, under a name that lasts."),
      Example(
        "lifeline worker --label gpu=1 --label zone=eu --pass-env 'CUDA_*'",
        "Take tasks that ask for a GPU or for this zone, and let commands see where CUDA is."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    var settings = WorkerSettings()
    let hasName = invocation[workerID] != nil
    let name = invocation[workerID] ?? generatedName
    do { settings.workerID = try WorkerID(name).text } catch { throw invocation.error("--worker-id: \(error)") }
    settings.coordinator = try address(invocation)
    settings.slots = invocation[slots] ?? Surroundings.processors
    settings.labels = try PlacementOptions.labels(invocation)
    var commands = CommandExecutor.Configuration()
    try PlacementOptions.apply(invocation, to: &commands)
    try LinkOptions.apply(invocation, to: &settings)
    settings.maxReconnectAttempts = invocation[maxReconnectAttempts]
    settings.simulateDisconnect = invocation[simulateDisconnect]
    settings.drainTimeout = invocation[drainTimeout]
    settings.telemetry.interval = invocation[telemetryInterval]
    settings.telemetry.logInterval = invocation[metricsInterval]
    settings.offersSession = !invocation[legacy]
    settings.apiKey = try KeyOptions.key(invocation)
    settings.usesPriorities = invocation[TrafficOptions.priorityQueue]
    settings.adaptsParameters = invocation[TrafficOptions.adaptiveParameters]
    settings.compression = TrafficOptions.compressionSettings(invocation)
    settings.log = LogSink.make("worker", invocation[LogSink.level])
    guard let directory = invocation[stateDirectory] ?? StateDirectory.usual(Surroundings.variables) else {
      throw invocation.error("neither XDG_STATE_HOME nor HOME is set; say with --state-dir where results are to wait")
    }
    do {
      // First, so that a command line that is refused leaves nothing behind.
      settings.tls = try ClientOptions.tls(invocation, for: settings.coordinator)
      try StateDirectory.create(directory)
      settings.record = try HistoryOption.recorder(invocation)
      settings.outboxPath = "\(directory)/\(name).outbox"
      if let cache = invocation[cacheDirectory] { try StateDirectory.create(cache) }
      settings.files.path = invocation[cacheDirectory] ?? "\(directory)/cache"
      settings.files.maxBytes = invocation[cacheMaxBytes]
      return try WorkerProcess(settings, commands, outboxIsForOnce: !hasName).run()
    } catch let error as UsageError {
      throw error
    } catch {
      Console.standard.complain("lifeline worker: \(error)")
      return 1
    }
  }

  private static func address(_ invocation: Invocation) throws(UsageError) -> String {
    // Among those given in the same way, the address in parts counts; what was given nearer to the user counts first.
    guard invocation[host] != nil || invocation[port] != nil,
      min(invocation.rank(of: host), invocation.rank(of: port)) <= invocation.rank(of: ClientOptions.coordinator)
    else { return try ClientOptions.address(invocation) }
    let host = invocation[host] ?? "localhost"
    return "ws://\(host.contains(":") ? "[\(host)]" : host):\(invocation[port] ?? Int(Protocols.defaultPort))"
  }

  private static var generatedName: String {
    let host = (Surroundings.hostName ?? "worker").filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
    return "\(host.isEmpty ? "worker" : String(host.prefix(64)))-\(Surroundings.randomText(8))"
  }
}

/// A worker that is this whole process: its loop, its signals, its end.
private final class WorkerProcess {
  private static let drainTime: Duration = .seconds(1)
  /// After `--drain-timeout`: a last checkpoint, the end of what runs, its delivery, and some more.
  private static let handingBackTime: Duration = .seconds(10)
  /// Instead of a bound that there is not.
  private static let longTime: Duration = .seconds(365 * 86_400)

  private let loop: EventLoop
  private let settings: WorkerSettings
  private let service: ServiceNotifier
  private let configuration: CommandExecutor.Configuration
  /// Nobody will ever start under this worker's name again.
  private let outboxIsForOnce: Bool
  private var runtime: WorkerRuntime?
  private var signals = 0
  private var hasFailed = false

  init(
    _ settings: WorkerSettings, _ configuration: CommandExecutor.Configuration, outboxIsForOnce: Bool
  ) throws(SystemError) {
    loop = try EventLoop()
    self.settings = settings
    self.configuration = configuration
    self.outboxIsForOnce = outboxIsForOnce
    service = ServiceNotifier(.current, on: loop, log: settings.log)
  }

  func run() throws -> Int32 {
    var configuration = configuration
    // This program, whatever its file is called, and even once another has taken its place.
    configuration.supervisor = "/proc/self/exe"
    let commands = CommandExecutor(configuration)
    commands.log = settings.log
    let runtime = try WorkerRuntime.start(settings, executors: [commands, DemoTaskExecutor()], on: loop)
    self.runtime = runtime
    runtime.onStateChange = { [self] state in
      if state == .connected { service.ready { [self] in status(runtime) } }
      guard state == .failed, !hasFailed else { return }
      hasFailed = true
      Console.standard.complain(
        "lifeline worker: no coordinator could be reached at \(settings.coordinator) in "
          + "\(settings.maxReconnectAttempts) attempts")
      service.stopping(within: Self.handingBackTime, "no coordinator could be reached")
      // What is still running goes on to its end under another worker, which the coordinator sees to.
      loop.afterTurn { runtime.stop() }
    }
    runtime.onStopped = { [self] in loop.drain(within: Self.drainTime) { [self] in loop.stop() } }
    try loop.onSignal(SIGUSR1) { Self.showTelemetry(runtime.report) }
    for number in [SIGTERM, SIGINT] { try loop.onSignal(number) { [self] in interrupted(by: number) } }
    loop.run()
    if outboxIsForOnce { removeEmptyOutbox() }
    return hasFailed ? 1 : 0
  }

  private func status(_ runtime: WorkerRuntime) -> String {
    let link = runtime.state == .connected ? "works for" : "is cut off from"
    return
      "\(runtime.workerID) \(link) \(settings.coordinator): \(runtime.activeAttempts.count) of \(settings.slots) slots used"
  }

  /// A line of its own among those of the log, whole and as JSON: a program may want to read it.
  private static func showTelemetry(_ report: WorkerReport) {
    Console.standard.complain(JSONValue.object(report.telemetry).text)
  }

  private func interrupted(by number: Int32) {
    signals += 1
    switch signals {
    case 1:
      let count = runtime?.activeAttempts.count ?? 0
      settings.log(
        LogEntry(.info, "draining; a second signal ends what runs", ["running": "\(count)"]))
      service.stopping(
        within: (settings.drainTimeout ?? Self.longTime) + Self.handingBackTime,
        "draining; \(count) tasks ran when it was told to")
      runtime?.drain()
    case 2: runtime?.stop()
    default: exit(128 + number)
    }
  }

  private func removeEmptyOutbox() {
    guard let path = settings.outboxPath, let outbox = try? OutboxWriter.open(path: path) else { return }
    // Removed while it is still locked, so that nobody can have begun to write to it.
    // SAFETY: the path lives for the call.
    if outbox.recovered.isEmpty { _ = unsafe unlink(path) }
    outbox.close {}
  }
}
