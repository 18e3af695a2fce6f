import CoordinationCore
import FaultProxy
import Glibc
import Primitives
import Reactor

/// The processes of a trial: a coordinator and its workers, this program itself, each worker behind a proxy of its own.
final class TrialFleet {
  private let loop: EventLoop
  private let options: TrialOptions
  private let program: String
  let settings: FleetSettings
  private(set) var coordinator: ChildProcess?
  private(set) var workers: [String: ChildProcess] = [:]
  private(set) var proxies: [String: FaultProxy] = [:]
  private(set) var address: SocketAddress?
  private var frozen: Set<String> = []
  private var expected: Set<Int32> = []
  private var onEmpty: (() -> Void)?
  /// Called when a worker's process has ended.
  var onWorkerEnd: ((String) -> Void)?
  /// Workers that something kills from within are started again, and counted here; nobody is accused of it.
  var revivesWorkers = false
  private(set) var revivals = 0
  private var isStopping = false
  /// What is in front of the coordinator's command line.
  var coordinatorPrefix: [String] = []
  /// Processes that ended although nobody ended them.
  private(set) var unexpectedEnds: [String] = []
  private(set) var names: [String] = []

  init(_ options: TrialOptions, _ settings: FleetSettings, on loop: EventLoop) throws(SystemError) {
    self.loop = loop
    self.options = options
    self.settings = settings
    program = try options.program == "/proc/self/exe" ? Self.thisProgram() : options.program
    guard TextFile.read("\(options.directory)/state/work.sh") == nil else {
      throw SystemError(
        call: "start", subject: options.directory, code: EEXIST,
        detail: "an earlier trial's report is in it; choose another folder with --report")
    }
    for folder in ["logs", "history", "state"] { try TextFile.makeFolder("\(options.directory)/\(folder)") }
    try TextFile.write(TrialWork.script, to: script)
    names = options.isHosted ? [Self.host] : (1...max(1, options.workers)).map { "worker-\($0)" }
  }

  /// By its path: behind another program `/proc/self/exe` would be that one.
  private static func thisProgram() throws(SystemError) -> String {
    var path = [CChar](repeating: 0, count: 4_096)
    // SAFETY: the kernel writes at most the buffer's bytes.
    let count = unsafe readlink("/proc/self/exe", &path, path.count)
    guard count > 0 else { throw SystemError(call: "readlink", subject: "/proc/self/exe", code: errno) }
    return String(decoding: path.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  var url: String { "ws://127.0.0.1:\(address?.port ?? 0)" }
  var store: String { "\(options.directory)/state/trial.db" }
  var script: String { "\(options.directory)/state/work.sh" }
  var journal: String { "\(options.directory)/state/journal" }
  func history(of name: String) -> String { "\(options.directory)/history/\(name).jsonl" }

  private static func text(_ duration: Duration) -> String { "\(duration.wholeMilliseconds)ms" }

  private var heartbeats: [String] {
    [
      "--heartbeat-interval", Self.text(settings.heartbeatInterval), "--heartbeat-timeout",
      Self.text(settings.heartbeatTimeout),
    ]
  }

  // MARK: The coordinator

  /// Starts the coordinator; `ready` is called once it says that it listens.
  func startCoordinator(_ ready: @escaping () -> Void) throws(SystemError) {
    guard coordinator == nil else { return }
    var arguments = [
      "coordinator", "--host", "127.0.0.1", "--port", "\(address?.port ?? 0)", "--store", store, "--lease",
      Self.text(settings.lease), "--closed-grace", Self.text(settings.closedGrace), "--history",
      history(of: "coordinator"),
    ]
    arguments += heartbeats
    var line = ""
    var isReady = false
    coordinator = try spawn(
      "coordinator", arguments, prefix: coordinatorPrefix,
      output: .pipe(onBytes: { [weak self] bytes in
        guard let self, !isReady else { return }
        line += Self.text(bytes)
        guard let end = line.firstIndex(of: "\n") else { return }
        isReady = true
        if address == nil {
          address = SocketAddress.loopback(port: UInt16(line[..<end].split(separator: ":").last ?? "") ?? 0)
        }
        ready()
      })
    ) { [weak self] in self?.coordinator = nil }
  }

  private static func text(_ bytes: RawSpan) -> String {
    // SAFETY: the pointer is used within the closure only.
    unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }

  func killCoordinator() { end(coordinator, SIGKILL) }

  // MARK: Workers

  /// The process that is all workers of a hosted fleet.
  private static let host = "fleet"
  /// What it said last of how its workers fared.
  private(set) var hostSummary: JSONObject?

  private func startHost() throws(SystemError) {
    let arguments = [
      "fleet", "--workers", "\(options.workers)", "--worker-prefix", "worker", "--coordinator", url, "--slots",
      "\(settings.slots)", "--reconnect-delay", Self.text(settings.reconnectDelay), "--max-reconnect-delay",
      Self.text(settings.maxReconnectDelay), "--history", history(of: Self.host),
    ]
    var text = ""
    let output = ChildProcess.Output.pipe(
      onBytes: { text += Self.text($0) },
      onEnd: { [weak self] in
        self?.hostSummary = text.split(separator: "\n").last.flatMap { try? JSONParser.parse(String($0)).object }
      })
    workers[Self.host] = try spawn(Self.host, arguments + heartbeats, output: output) { [weak self] in
      self?.workers[Self.host] = nil
    }
  }

  /// Starts a worker unless it runs; its proxy outlives it.
  func startWorker(_ name: String) throws(SystemError) {
    guard workers[name] == nil, let address else { return }
    if options.isHosted { return try startHost() }
    if proxies[name] == nil {
      proxies[name] = try FaultProxy(to: address, seed: options.seed &+ UInt64(proxies.count), on: loop)
    }
    let arguments = [
      "worker", "--worker-id", name, "--coordinator", "ws://127.0.0.1:\(proxies[name]?.address.port ?? 0)", "--slots",
      "\(settings.slots)", "--state-dir", "\(options.directory)/state/\(name)", "--reconnect-delay",
      Self.text(settings.reconnectDelay), "--max-reconnect-delay", Self.text(settings.maxReconnectDelay), "--history",
      history(of: name), "--pass-env", Self.journalVariable,
    ]
    workers[name] = try spawn(name, arguments + heartbeats, output: .null) { [weak self] in
      guard let self else { return }
      workers[name] = nil
      frozen.remove(name)
      onWorkerEnd?(name)
    }
  }

  func killWorker(_ name: String) { end(workers[name], SIGKILL) }

  /// Ends a worker in order: it finishes what it runs.
  func drainWorker(_ name: String) { end(workers[name], SIGTERM) }

  func freezeWorker(_ name: String) {
    if workers[name]?.signal(SIGSTOP) == true { frozen.insert(name) }
  }

  func thawWorker(_ name: String) {
    frozen.remove(name)
    workers[name]?.signal(SIGCONT)
  }

  private func end(_ process: ChildProcess?, _ signal: Int32) {
    guard let process else { return }
    expected.insert(process.pid)
    process.signal(signal)
  }

  /// Ends every fault on a worker's way. A connection that lost bytes has a hole in it, and is nobody's any more.
  func mend(_ name: String) {
    guard let proxy = proxies[name] else { return }
    let hasHole = FaultDirection.allCases.contains { proxy.faults[$0].delivery == .dropped }
    proxy.heal()
    if hasHole { proxy.cut() }
  }

  /// Ends every fault: what is frozen goes on, what was killed is started, and nothing is cut.
  func heal(_ ready: @escaping () -> Void) throws(SystemError) {
    for name in names { mend(name) }
    for name in frozen { thawWorker(name) }
    // What was told to end has to be gone before it can be started again.
    guard (Array(workers.values) + [coordinator].compactMap { $0 }).allSatisfy({ !expected.contains($0.pid) }) else {
      loop.schedule(after: .milliseconds(20)) { [weak self] in
        guard let self, !isStopping else { return }
        do { try heal(ready) } catch { note("the fleet cannot be healed: \(error)") }
      }
      return
    }
    for name in names { try startWorker(name) }
    if coordinator == nil { try startCoordinator(ready) } else { ready() }
  }

  // MARK: The end

  /// Ends everything in order, what does not end within ten seconds by force, and calls `done`.
  func stop(_ done: @escaping () -> Void) {
    onEmpty = done
    isStopping = true
    for name in frozen { thawWorker(name) }
    for worker in workers.values { end(worker, SIGTERM) }
    // Workers first: what they still owe is delivered before the coordinator goes.
    _ = loop.schedule(after: .seconds(10)) { [self] in
      for process in Array(workers.values) + [coordinator].compactMap({ $0 }) {
        note("\(process.pid) had to be ended by force")
        end(process, SIGKILL)
      }
    }
    callIfEmpty()
  }

  private func judgeEnd(of name: String, _ pid: Int32, _ status: Reactor.ExitStatus) {
    if expected.remove(pid) != nil {
      // One that was asked to end must do so in order.
      if case .exited(let code) = status, code != 0 { note("\(name) ended with \(status)") }
      return
    }
    guard revivesWorkers, status == .signalled(SIGKILL), name != "coordinator" else {
      return note("\(name) ended by itself: \(status)")
    }
    revivals += 1
    loop.schedule(after: .milliseconds(300)) { [weak self] in
      guard let self, !isStopping else { return }
      do { try startWorker(name) } catch { note("\(error)") }
    }
  }

  private func note(_ text: String) { unexpectedEnds.append(text) }

  private func callIfEmpty() {
    guard let onEmpty, workers.isEmpty else { return }
    if let coordinator {
      if !expected.contains(coordinator.pid) { end(coordinator, SIGTERM) }
      return
    }
    self.onEmpty = nil
    for proxy in proxies.values { proxy.close() }
    onEmpty()
  }

  private func spawn(
    _ name: String, _ arguments: [String], prefix: [String] = [], output: ChildProcess.Output,
    _ ended: @escaping () -> Void
  ) throws(SystemError) -> ChildProcess {
    let words = prefix + [program] + arguments
    var configuration = ChildProcess.Configuration(executable: words[0], arguments: Array(words.dropFirst()))
    configuration.standardOutput = output
    configuration.group = .newSession
    configuration.environment = FleetEnvironment.variables.merging([Self.journalVariable: journal]) { $1 }
    let path = "\(options.directory)/logs/\(name).log"
    // SAFETY: the path lives for the call.
    let log = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard log >= 0 else { throw SystemError(call: "open", subject: path, code: errno) }
    defer { _ = close(log) }
    configuration.standardError = .descriptor(log)
    var pid: Int32 = 0
    let process = try ChildProcess.spawn(configuration, on: loop) { [weak self] status in
      ended()
      guard let self else { return }
      judgeEnd(of: name, pid, status)
      callIfEmpty()
    }
    pid = process.pid
    return process
  }

  /// Where commands write down what they did.
  private static let journalVariable = "LIFELINE_TRIAL_JOURNAL"
}
