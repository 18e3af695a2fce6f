import Coordination
import CoordinationCore
import Glibc
import Primitives
import Reactor
import WebSocket

/// Thousands of workers that are this whole process: one loop, its signals, its end.
final class FleetProcess {
  /// Workers started in one turn: connecting all in one would measure the kernel's queue of connections.
  private static let startsPerTurn = 100
  private static let startInterval: Duration = .milliseconds(10)
  private static let probeInterval: Duration = .milliseconds(10)
  private static let drainTime: Duration = .seconds(1)

  private let loop: EventLoop
  private let settings: WorkerSettings
  private let names: [String]
  private let targets: [WebSocketURL]
  private var probes = 0
  private var runtimes: [WorkerRuntime] = []
  private var isRegistered: [Bool]
  private var registered = 0
  private var stopped = 0
  private var signals = 0
  private var problem: String?
  private var outage: FleetOutage?
  private var outages: [FleetOutage] = []
  private var messagesBefore = 0

  init(_ settings: WorkerSettings, _ names: [String]) throws {
    loop = try EventLoop()
    targets = try CoordinatorAddresses(settings.coordinator).urls
    self.settings = settings
    self.names = names
    isRegistered = names.map { _ in false }
  }

  func run() throws(SystemError) -> Int32 {
    for number in [SIGTERM, SIGINT] { try loop.onSignal(number) { [self] in interrupted(by: number) } }
    try loop.onSignal(SIGUSR1) { [self] in Console.standard.write("\(summary.text)\n") }
    beginOutage()
    startSome()
    everySecond()
    loop.run()
    Console.standard.write("\(summary.text)\n")
    guard let problem else { return 0 }
    Console.standard.complain("lifeline fleet: \(problem)")
    return 1
  }

  // MARK: The workers

  private func startSome() {
    guard signals == 0 else { return }
    do {
      for index in runtimes.count..<min(runtimes.count + Self.startsPerTurn, names.count) { try start(index) }
    } catch {
      problem = "\(error)"
      return end()
    }
    if runtimes.count < names.count { _ = loop.schedule(after: Self.startInterval) { [self] in startSome() } }
  }

  private func start(_ index: Int) throws(WorkerStartError) {
    var settings = settings
    settings.workerID = names[index]
    let runtime = try WorkerRuntime.start(settings, executors: [DemoTaskExecutor()], on: loop)
    runtimes.append(runtime)
    runtime.onStateChange = { [self] state in stateChanged(index, to: state) }
    runtime.onStopped = { [self] in
      stopped += 1
      if stopped == runtimes.count { loop.drain(within: Self.drainTime) { [self] in loop.stop() } }
    }
  }

  private func stateChanged(_ index: Int, to state: WorkerConnectionState) {
    let isNow = state == .connected
    guard isNow != isRegistered[index] else { return }
    isRegistered[index] = isNow
    registered += isNow ? 1 : -1
    guard signals == 0 else { return }
    if isNow {
      outage?.registrations.append(loop.now)
      if registered == names.count, let ended = outage.take() { outages.append(ended) }
    } else if outage == nil, registered < names.count / 2 {
      beginOutage()
    }
  }

  private func interrupted(by number: Int32) {
    signals += 1
    if signals > 1 { exit(128 + number) }
    end()
  }

  private func end() {
    signals = max(signals, 1)
    if runtimes.isEmpty { return loop.stop() }
    for runtime in runtimes { runtime.stop() }
  }

  // MARK: Outages

  private func beginOutage() {
    outage = FleetOutage(notOpenBefore: loop.now)
    probe()
  }

  /// Knocks at the coordinators' ports, one after the other, until one opens: workers that wait for their next attempt
  /// would see it too late.
  private func probe() {
    guard outage != nil, outage?.opened == nil, signals == 0 else { return }
    let target = targets[probes % targets.count]
    probes += 1
    Connection.connect(host: target.host, port: target.port, on: loop) { [self] result in
      switch result {
      case .success(let connection):
        connection.close()
        if outage?.opened == nil { outage?.opened = loop.now }
      case .failure:
        outage?.notOpenBefore = loop.now
        _ = loop.schedule(after: Self.probeInterval) { [self] in probe() }
      }
    }
  }

  // MARK: What is told

  private func everySecond() {
    _ = loop.schedule(after: .seconds(1)) { [self] in
      let total = FleetTotals(runtimes)
      let rate = total.messages - messagesBefore
      messagesBefore = total.messages
      Console.standard.complain(
        "\(registered) of \(names.count) registered, \(total.reconnections) reconnections, \(total.running) tasks, "
          + "\(rate) messages/s, heartbeats at most \(total.lateness.wholeMilliseconds) ms late and answered in "
          + "\(total.roundTrip.wholeMilliseconds) ms")
      if signals == 0 { everySecond() }
    }
  }

  private var summary: JSONObject {
    let total = FleetTotals(runtimes)
    return [
      "workers": .integer(Int64(names.count)),
      "registered": .integer(Int64(registered)),
      "connect_attempts": .integer(Int64(total.attempts)),
      "reconnections": .integer(Int64(total.reconnections)),
      "disconnections": .integer(Int64(total.disconnections)),
      "running_tasks": .integer(Int64(total.running)),
      "messages_sent": .integer(Int64(total.sent)),
      "messages_received": .integer(Int64(total.received)),
      "heartbeat_lateness_max_s": .duration(total.lateness),
      "heartbeat_round_trip_max_s": .duration(total.roundTrip),
      "outages": .array((outages + (outage.map { [$0] } ?? [])).map { .object($0.json(names.count)) }),
    ]
  }
}

/// All workers' statistics, added up.
private struct FleetTotals {
  var attempts = 0
  var reconnections = 0
  var disconnections = 0
  var running = 0
  var sent = 0
  var received = 0
  var lateness: Duration = .zero
  var roundTrip: Duration = .zero
  var messages: Int { sent + received }

  init(_ runtimes: [WorkerRuntime]) {
    for runtime in runtimes {
      let statistics = runtime.statistics
      attempts += statistics.attempts
      reconnections += max(0, statistics.successes - 1)
      disconnections += statistics.disconnections
      running += runtime.activeAttempts.count
      sent += statistics.messagesSent
      received += statistics.messagesReceived
      lateness = max(lateness, statistics.longestHeartbeatDelay)
      roundTrip = max(roundTrip, statistics.longestRoundTrip)
    }
  }
}
