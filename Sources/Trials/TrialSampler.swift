import Coordination
import CoordinationCore
import Primitives
import Reactor
import TrialReport

/// Looks at the fleet from outside: ten times a second who is there, once a second everything else.
final class TrialSampler {
  private unowned let run: TrialRun
  private var timer: Timer?
  /// A connection to each coordinator. Each tells of all workers, if it can reach the others, and at least of its own.
  private var clients: [String: CoordinatorClient] = [:]
  private var asked: Set<String> = []
  private var ticks = 0
  private var lastEnded = 0
  private var isLost = false
  /// By coordinator.
  private var workers: [String: [JSONObject]] = [:]
  private(set) var connected = 0
  private(set) var reconnections = 0
  private var lastReconnections: [String: Int] = [:]
  private(set) var refusedWrites = 0
  /// The longest round trip of a heartbeat that a worker has reported lately, in seconds.
  private(set) var longestRoundTrip = 0.0
  /// The longest of the whole run, in seconds.
  private(set) var worstRoundTrip = 0.0
  /// Called with each look at the workers, ten times a second.
  var onLook: ((TrialSampler) -> Void)?
  private(set) var counts: [TaskStatus: Int] = [:]
  /// A coordinator's resident memory in KiB, at its most: the largest one's.
  private(set) var peakMemory = 0
  private(set) var memory = 0
  private var points: [String: [TrialReport.Series.Point]] = [:]

  private static let shape: [(name: String, unit: String, group: String)] = [
    ("connected workers", "workers", "workers"), ("reconnections", "connections", "reconnections"),
    ("tasks ended", "tasks/s", "throughput"), ("queued", "tasks", "queue"), ("assigned", "tasks", "queue"),
    ("running", "tasks", "queue"), ("coordinator memory", "MiB", "memory"),
    ("heartbeat round trip", "ms", "heartbeats"),
  ]

  init(_ run: TrialRun) { self.run = run }

  var series: [TrialReport.Series] {
    Self.shape.map { TrialReport.Series($0.name, unit: $0.unit, group: $0.group, points: points[$0.name] ?? []) }
  }

  func start() throws {
    for (name, url) in zip(run.fleet.coordinatorNames, run.fleet.urls) {
      var settings = ClientSettings()
      settings.coordinator = url
      settings.patience = nil
      clients[name] = try CoordinatorClient(settings, on: run.loop)
    }
    timer = run.loop.makeTimer { [weak self] in self?.tick() }
    tick()
  }

  func stop() {
    timer?.cancel()
    for client in clients.values { client.close() }
  }

  /// From now on only what comes counts.
  func forgetPeaks() { peakMemory = 0 }

  private func tick() {
    timer?.start(after: .milliseconds(100))
    // A list of thousands is not looked at ten times a second.
    // Several coordinators ask each other.
    let pace = run.options.isHosted ? 20 : clients.count > 1 ? 5 : 1
    if ticks.isMultiple(of: pace) { for name in clients.keys { ask(name) } }
    readMemory()
    ticks += 1
    if ticks.isMultiple(of: 10), run.phase != .starting { sample() }
  }

  private func readMemory() {
    let kibibytes = run.fleet.coordinators.values.compactMap { TextFile.processMemory($0.pid, "VmRSS") }
    guard let most = kibibytes.max() else { return }
    memory = most
    peakMemory = max(peakMemory, most)
  }

  private func ask(_ coordinator: String) {
    // One that is down is not heard of, and what it said is history.
    if run.fleet.coordinators[coordinator] == nil { workers[coordinator] = nil }
    guard asked.insert(coordinator).inserted else { return }
    clients[coordinator]?.request("list_workers") { [weak self] answer in
      guard let self else { return }
      asked.remove(coordinator)
      guard case .success(let reply) = answer else { return }
      heard((reply["workers"]?.array ?? []).compactMap(\.object), from: coordinator)
    }
    guard ticks.isMultiple(of: 10), coordinator == run.fleet.coordinators.keys.min() else { return }
    clients[coordinator]?.request("count_tasks") { [weak self] answer in
      guard let self, case .success(let reply) = answer, let object = reply["counts"]?.object else { return }
      for status in TaskStatus.allCases { counts[status] = Int(object[status.rawValue]?.integer ?? 0) }
    }
  }

  private func heard(_ list: [JSONObject], from coordinator: String) {
    workers[coordinator] = list
    for worker in list where worker["state"]?.string == "connected" {
      guard let name = worker["worker_id"]?.string, let count = worker["reconnections"]?.integer else { continue }
      // A coordinator that was started again, or that the worker came to from another, counts from zero.
      let before = lastReconnections.updateValue(Int(count), forKey: name) ?? 0
      reconnections += Int(count) >= before ? Int(count) - before : Int(count)
    }
    let all = workers.values.joined()
    connected = Set(all.filter { $0["state"]?.string == "connected" }.compactMap { $0["worker_id"]?.string }).count
    refusedWrites = all.reduce(0) { $0 + Int($1["refused_writes"]?.integer ?? 0) }
    longestRoundTrip = all.compactMap { $0["rtt_s"]?.number }.max() ?? 0
    worstRoundTrip = max(worstRoundTrip, longestRoundTrip)
    onLook?(self)
    run.saw(connected: connected)
  }

  private func sample() {
    let isDown = run.fleet.coordinators.isEmpty
    let ended = run.ended
    record("connected workers", isDown ? 0 : Double(connected))
    record("reconnections", Double(reconnections))
    record("tasks ended", Double(ended - lastEnded))
    for status in [TaskStatus.queued, .assigned, .running] { record(status.rawValue, Double(counts[status] ?? 0)) }
    record("coordinator memory", isDown ? 0 : Double(memory) / 1_024)
    record("heartbeat round trip", longestRoundTrip * 1_000)
    lastEnded = ended
    run.onProgress?(progress)
  }

  private var progress: TrialProgress {
    let marks = run.report.marks
    let isRecent = marks.last.map { run.seconds < ($0.end ?? $0.start) + 3 } ?? false
    return TrialProgress(
      name: run.report.title, elapsed: .seconds(run.seconds), total: run.options.duration,
      connectedWorkers: run.fleet.coordinators.isEmpty ? 0 : connected, workers: run.options.workers,
      reconnections: reconnections, endedTasks: run.ended, runningTasks: counts[.running] ?? 0,
      queuedTasks: counts[.queued] ?? 0, tasks: run.orders.count, faults: marks.count,
      fault: run.phase == .draining ? "the faults are over, the work ends" : isRecent ? marks.last?.label : nil)
  }

  private func record(_ name: String, _ value: Double) {
    points[name, default: []].append(TrialReport.Series.Point(run.seconds, value))
  }
}
