import ArgumentParsing
import Authentication
import Coordination
import CoordinationCore
import Glibc
import Primitives
import Reactor

/// `lifeline coordinator`
enum CoordinatorCommand: Subcommand {
  static let host = Option("host", .string, default: "localhost", as: "HOST", "Where to listen.")
  static let port = Option(
    "port", .integer(0...65_535), default: Int(Protocols.defaultPort), as: "PORT",
    "Where to listen; 0 takes a free port.")
  private static let demoTasks = Option(
    "demo-tasks", .integer(0...100_000), default: 0, as: "N",
    "Submit this many tasks that count and sleep, named demo-1 and so on; those that are there already stay as they are."
  )
  private static let heartbeatInterval = Option(
    "heartbeat-interval", .duration(.milliseconds(10) ... .seconds(3_600)),
    default: CoordinatorConfiguration().heartbeatInterval, "How often workers are to send a heartbeat.")
  private static let heartbeatTimeout = Option(
    "heartbeat-timeout", .duration(.milliseconds(20) ... .seconds(86_400)),
    default: CoordinatorConfiguration().heartbeatTimeout,
    "A worker not heard of for this long is taken for disconnected.")
  private static let lease = Option(
    "lease", .duration(.milliseconds(50) ... .seconds(86_400)), default: CoordinatorConfiguration().lease,
    "How long a worker goes on with what it runs when it cannot reach the coordinator.")
  private static let closedGrace = Option(
    "closed-grace", .duration(.zero ... .seconds(86_400)), default: CoordinatorConfiguration().closedGrace,
    "A worker whose connection ended loses its tasks to others after this time.")
  private static let exclusiveLeases = Option(
    flag: "exclusive-leases",
    "Give an absent worker's tasks to others only once its lease has run out: no task runs twice at a time.")

  private static let priorityAging = Option(
    "priority-aging", .duration(.zero ... .seconds(86_400)), default: .seconds(60),
    "A task queued for this long gets every fourth turn, whatever is more urgent; 0: strict order, in which tasks may starve."
  )
  private static let maxHeartbeatRate = Option(
    "max-heartbeat-rate", .integer(0...1_000_000), default: CoordinatorConfiguration().maxHeartbeatsPerSecond, as: "N",
    "Ask a large fleet for fewer heartbeats, so that no more than this many come in a second, as far as --heartbeat-timeout "
      + "allows; 0: as many as come.")

  static let command = ArgumentParsing.Command(
    "coordinator", "keeps the tasks and hands them to workers",
    details: [
      "The first line on standard output says where it listens. SIGTERM or Ctrl-C stops it: everyone is sent away with a "
        + "hint when to come back, and a second time ends it at once. Workers go on with what they run and come back to "
        + "whoever is started next on the same file."
    ],
    options: [
      host, port, StoreOptions.store, LogSink.level, demoTasks, heartbeatInterval, heartbeatTimeout, HistoryOption.file,
    ],
    sections: [
      OptionSection("Absent workers", [closedGrace, lease, exclusiveLeases]),
      OptionSection("Several coordinators", StoreOptions.shared),
      OptionSection("Security", CoordinatorSecurity.options),
      OptionSection("Overload", OverloadOptions.all),
      OptionSection("Files", FileOptions.all),
      OptionSection(
        "Order and messages",
        [
          priorityAging, TrafficOptions.priorityQueue, TrafficOptions.adaptiveParameters, maxHeartbeatRate,
          TrafficOptions.compression, TrafficOptions.compressionLevel,
        ]),
    ],
    examples: [
      Example("lifeline coordinator", "Listen on port 8765 of this machine and keep tasks in lifeline.db."),
      Example(
        "lifeline coordinator --host 0.0.0.0 --tls-certificate server.pem --tls-key server-key.pem --keys lifeline.keys",
        "Serve workers on other machines, by TLS and to those who have a key."),
      Example(
        "lifeline coordinator --port 8766 --store postgres://lifeline@db.example/lifeline",
        "One of several coordinators: whoever dies, the others go on with its work."),
      Example("lifeline coordinator --port 0 --store memory", "Try something out and leave nothing behind."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    var settings = CoordinatorSettings()
    settings.host = invocation[host]
    settings.port = UInt16(clamping: invocation[port])
    settings.core.heartbeatInterval = invocation[heartbeatInterval]
    settings.core.heartbeatTimeout = invocation[heartbeatTimeout]
    settings.core.lease = invocation[lease]
    settings.core.closedGrace = invocation[closedGrace]
    settings.core.exclusiveLeases = invocation[exclusiveLeases]
    settings.core.priorityAging = invocation[priorityAging] == .zero ? nil : invocation[priorityAging]
    settings.core.usesPriorities = invocation[TrafficOptions.priorityQueue]
    settings.core.adaptsParameters = invocation[TrafficOptions.adaptiveParameters]
    settings.core.maxHeartbeatsPerSecond = invocation[maxHeartbeatRate]
    settings.compression = TrafficOptions.compressionSettings(invocation)
    guard settings.core.heartbeatInterval < settings.core.heartbeatTimeout else {
      throw invocation.error("--heartbeat-timeout must be longer than --heartbeat-interval")
    }
    settings.log = LogSink.make("coordinator", invocation[LogSink.level])
    settings.store = try StoreOptions.kind(invocation, log: settings.log)
    OverloadOptions.apply(invocation, to: &settings)
    FileOptions.apply(invocation, to: &settings.files)
    settings.security.isInsecure = CoordinatorSecurity.isInsecure(invocation)
    do {
      let keys = try CoordinatorSecurity.keys(invocation)
      settings.security.keys = try keys.read()
      settings.tls = try CoordinatorSecurity.tls(invocation)
      settings.record = try HistoryOption.recorder(invocation)
      return try CoordinatorProcess(
        settings, keys: keys, demoTasks: invocation[demoTasks], drainTimeout: invocation[OverloadOptions.drainTimeout]
      ).run()
    } catch let error as UsageError {
      throw error
    } catch {
      Console.standard.complain("lifeline coordinator: \(error)")
      return 1
    }
  }
}

/// A coordinator that is this whole process: its loop, its signals, its end.
private final class CoordinatorProcess {
  /// How long connections may take to close once everything else is done.
  private static let drainTime: Duration = .seconds(1)
  /// How long the store may take with its last commit: what a service manager should wait for.
  private static let storeTime: Duration = .seconds(30)

  private let loop: EventLoop
  private let settings: CoordinatorSettings
  private let keys: CoordinatorSecurity.Keys
  private let demoTasks: Int
  private let drainTimeout: Duration
  private let service: ServiceNotifier
  private var runtime: CoordinatorRuntime?
  private var status: Int32 = 0
  private var isStopping = false

  init(
    _ settings: CoordinatorSettings, keys: CoordinatorSecurity.Keys, demoTasks: Int, drainTimeout: Duration
  ) throws(SystemError) {
    loop = try EventLoop()
    self.settings = settings
    self.keys = keys
    self.demoTasks = demoTasks
    self.drainTimeout = drainTimeout
    service = ServiceNotifier(.current, on: loop, log: settings.log)
  }

  func run() throws(SystemError) -> Int32 {
    for number in [SIGTERM, SIGINT] {
      try loop.onSignal(number) { [self] in
        if isStopping { exit(128 + number) }
        stop()
      }
    }
    try loop.onSignal(SIGHUP) { [self] in service.reload { reload() } }
    CoordinatorRuntime.start(settings, on: loop) { [self] result in
      switch result {
      case .success(let runtime): started(runtime)
      case .failure(let error): end(1, "\(error)")
      }
    }
    loop.run()
    return status
  }

  private func started(_ runtime: CoordinatorRuntime) {
    self.runtime = runtime
    runtime.onFailure = { [self] error in end(1, "the store failed: \(error)") }
    if isStopping { return close() }
    Console.standard.write("listening on \(runtime.url)\n")
    service.ready { runtime.summary }
    submitDemoTasks(to: runtime)
  }

  /// Files may have been replaced: those who are connected notice nothing of it.
  private func reload() {
    do {
      if let tls = settings.tls {
        try tls.reload()
        settings.log(LogEntry(.info, "certificate reloaded"))
      }
    } catch {
      settings.log(LogEntry(.error, "certificate not reloaded; the old one stays", ["error": "\(error)"]))
    }
    do {
      if let ring = try keys.read() {
        runtime?.replace(keys: ring)
        settings.log(LogEntry(.info, "keys reloaded", ["keys": "\(ring.records.count)"]))
      }
    } catch {
      settings.log(LogEntry(.error, "keys not reloaded; the old ones stay", ["error": "\(error)"]))
    }
  }

  private func stop() {
    isStopping = true
    service.stopping(within: drainTimeout + Self.drainTime + Self.storeTime, "sending everybody away")
    if runtime != nil { close() }
  }

  private func close() {
    settings.log(LogEntry(.info, "stopping; a second signal ends it at once"))
    runtime?.drain(within: drainTimeout) { [self] in loop.drain(within: Self.drainTime) { [self] in loop.stop() } }
  }

  private func end(_ status: Int32, _ problem: String) {
    Console.standard.complain("lifeline coordinator: \(problem)")
    service.stopping(within: Self.drainTime, problem)
    self.status = status
    loop.stop()
  }

  private func submitDemoTasks(to runtime: CoordinatorRuntime) {
    guard demoTasks > 0 else { return }
    var submissions: [TaskSubmission] = []
    for number in 1...demoTasks {
      let specification = TaskSpecification(
        name: "demo task \(number)", work: .custom(kind: "demo_task", input: ["iterations": 10, "sleep": 1]),
        run: "demo")
      submissions.append(TaskSubmission(id: try? TaskID("demo-\(number)"), specification))
    }
    runtime.request(.submit(submissions)) { [settings] answer in
      if case .refused(let reason) = answer {
        settings.log(LogEntry(.error, "the demo tasks were refused", ["reason": reason]))
      }
    }
  }
}
