import CoordinationCore
import FaultProxy
import Glibc
import Primitives
import PostgresStorage
import Reactor
import Storage

/// The processes of a trial: coordinators, their database if it is the trial's own, and workers, all but the database this
/// program itself, each worker behind a proxy of its own for each coordinator.
final class TrialFleet {
  private let loop: EventLoop
  private let options: TrialOptions
  private let program: String
  let settings: FleetSettings
  private let lines: FleetCommandLines
  /// `coordinator`, or `coordinator-1` and so on.
  let coordinatorNames: [String]
  private(set) var coordinators: [String: ChildProcess] = [:]
  /// Where each listens, from its first start on.
  private(set) var addresses: [String: SocketAddress] = [:]
  /// How often one has said that it listens.
  private(set) var coordinatorStarts = 0
  let database: DatabaseServer?
  private let schema: TrialSchema?
  private(set) var workers: [String: ChildProcess] = [:]
  private(set) var ways: [String: WorkerWay] = [:]
  private var frozen: Set<String> = []
  private var expected: Set<Int32> = []
  private var onEmpty: (() -> Void)?
  /// Called when a worker's process has ended.
  var onWorkerEnd: ((String) -> Void)?
  /// Workers that something kills from within are started again, and counted here; nobody is accused of it.
  var revivesWorkers = false
  private(set) var revivals = 0
  private var isStopping = false
  /// Whether every coordinator has listened once.
  private var isComplete = false
  /// Called when the trial's own database cannot be started.
  var onDatabaseProblem: ((String) -> Void)?
  /// What is in front of the coordinator's command line.
  var coordinatorPrefix: [String] = []
  /// Processes that ended although nobody ended them.
  private(set) var unexpectedEnds: [String] = []
  private(set) var names: [String] = []

  init(_ options: TrialOptions, _ settings: FleetSettings, on loop: EventLoop) throws(SystemError) {
    self.loop = loop
    self.options = options
    self.settings = settings
    lines = FleetCommandLines(options: options, settings: settings)
    coordinatorNames =
      options.coordinators == 1 ? ["coordinator"] : (1...options.coordinators).map { "coordinator-\($0)" }
    program = try options.program == "/proc/self/exe" ? FleetEnvironment.program() : options.program
    guard TextFile.read("\(options.directory)/state/work.sh") == nil else {
      throw SystemError(
        call: "start", subject: options.directory, code: EEXIST,
        detail: "an earlier trial's report is in it; choose another folder with --report")
    }
    switch options.store {
    case .file: (database, schema) = (nil, nil)
    case .ownServer:
      (database, schema) = (try DatabaseServer(log: "\(options.directory)/logs/postgres.log", on: loop), nil)
    case .database(let url): (database, schema) = (nil, TrialSchema(in: url, on: loop))
    }
    for folder in ["logs", "history", "state"] { try TextFile.makeFolder("\(options.directory)/\(folder)") }
    try TextFile.write(TrialWork.script, to: script)
    names = options.isHosted ? [Self.host] : (1...max(1, options.workers)).map { "worker-\($0)" }
  }

  /// The only coordinator, or the first.
  var coordinator: ChildProcess? { coordinators[coordinatorNames.first ?? ""] }
  var address: SocketAddress? { addresses[coordinatorNames.first ?? ""] }
  /// Where clients reach them, in order.
  var urls: [String] { coordinatorNames.map { "ws://127.0.0.1:\(addresses[$0]?.port ?? 0)" } }
  var url: String { urls.joined(separator: ",") }
  /// Where a database's tasks are; `nil`: in a file.
  private var shared: TrialDatabaseURL? { schema?.url ?? database.flatMap { TrialDatabaseURL($0.secretURL) } }
  private var file: String { "\(options.directory)/state/trial.db" }
  /// What `--store` is told.
  var store: String { shared?.withoutPassword ?? file }
  /// What coordinators need beside it and no command line may say.
  private var storeEnvironment: [String: String] { shared?.password.map { ["PGPASSWORD": $0] } ?? [:] }
  /// Where the store stays when that is wanted, for people; `nil` for a file, which is in the report's folder.
  var storePlace: String? {
    if let schema { return "schema \(schema.name) of \(schema.url.withoutPassword)" }
    return database.map { "\($0.folder)/data, of which PostgreSQL's programs make a server again" }
  }

  /// Opens what coordinators have left, to read it.
  func openStore() throws(StoreError) -> any TaskStore {
    guard let shared else { return try SQLiteStore.open(path: file) }
    return try PostgresStore.connect(shared.text, on: loop)
  }

  var script: String { "\(options.directory)/state/work.sh" }
  var journal: String { "\(options.directory)/state/journal" }
  func history(of name: String) -> String { "\(options.directory)/history/\(name).jsonl" }
  /// Whose logs and histories there are.
  var processNames: [String] { coordinatorNames + names }

  // MARK: Coordinators

  /// Those that serve a worker now.
  var servingCoordinators: [String] {
    coordinatorNames.enumerated().filter { index, _ in ways.values.contains { $0.leads(to: index) } }.map(\.element)
  }

  /// Starts every coordinator for the first time; `ready` is called once all listen.
  func startCoordinators(_ ready: @escaping () -> Void) throws(SystemError) {
    for name in coordinatorNames {
      try startCoordinator(name) { [weak self] in
        guard let self, addresses.count == coordinatorNames.count, !isComplete else { return }
        isComplete = true
        ready()
      }
    }
  }

  /// Starts a coordinator unless it runs; `ready` is called once it says that it listens.
  func startCoordinator(_ name: String, _ ready: @escaping () -> Void) throws(SystemError) {
    guard coordinators[name] == nil else { return }
    let arguments = lines.coordinator(
      name, port: addresses[name]?.port ?? 0, store: store, history: history(of: name))
    var line = ""
    var isReady = false
    coordinators[name] = try spawn(
      name, arguments, prefix: coordinatorPrefix,
      output: .pipe(onBytes: { [weak self] bytes in
        guard let self, !isReady else { return }
        line += Self.text(bytes)
        guard let end = line.firstIndex(of: "\n") else { return }
        isReady = true
        coordinatorStarts += 1
        if addresses[name] == nil {
          addresses[name] = .loopback(port: UInt16(line[..<end].split(separator: ":").last ?? "") ?? 0)
        }
        ready()
      })
    ) { [weak self] in
      self?.coordinators[name] = nil
      self?.frozen.remove(name)
    }
  }

  private static func text(_ bytes: RawSpan) -> String {
    // SAFETY: the pointer is used within the closure only.
    unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }

  func killCoordinator(_ name: String) { end(coordinators[name], SIGKILL) }

  // MARK: Workers

  /// The process that is all workers of a hosted fleet.
  private static let host = "fleet"
  /// What it said last of how its workers fared.
  private(set) var hostSummary: JSONObject?

  private func startHost() throws(SystemError) {
    let arguments = lines.host(coordinators: urls, history: history(of: Self.host))
    var text = ""
    let output = ChildProcess.Output.pipe(
      onBytes: { text += Self.text($0) },
      onEnd: { [weak self] in
        self?.hostSummary = text.split(separator: "\n").last.flatMap { try? JSONParser.parse(String($0)).object }
      })
    workers[Self.host] = try spawn(Self.host, arguments, output: output) { [weak self] in
      self?.workers[Self.host] = nil
    }
  }

  /// Starts a worker unless it runs; its proxies outlive it.
  func startWorker(_ name: String) throws(SystemError) {
    guard workers[name] == nil, isComplete else { return }
    if options.isHosted { return try startHost() }
    let way: WorkerWay
    if let known = ways[name] {
      way = known
    } else {
      let seed = options.seed &+ UInt64(ways.count)
      way = try WorkerWay(to: coordinatorNames.compactMap { addresses[$0] }, seed: seed, on: loop)
      ways[name] = way
    }
    let arguments = lines.worker(
      name, coordinators: way.urls, history: history(of: name), environment: Self.journalVariable)
    workers[name] = try spawn(name, arguments, output: .null) { [weak self] in
      guard let self else { return }
      workers[name] = nil
      frozen.remove(name)
      onWorkerEnd?(name)
    }
  }

  func killWorker(_ name: String) { end(workers[name], SIGKILL) }

  /// Ends a worker in order: it finishes what it runs.
  func drainWorker(_ name: String) { end(workers[name], SIGTERM) }

  /// Stops a worker or a coordinator as it is (SIGSTOP).
  func freeze(_ name: String) {
    if (workers[name] ?? coordinators[name])?.signal(SIGSTOP) == true { frozen.insert(name) }
  }

  func thaw(_ name: String) {
    frozen.remove(name)
    (workers[name] ?? coordinators[name])?.signal(SIGCONT)
  }

  private func end(_ process: ChildProcess?, _ signal: Int32) {
    guard let process else { return }
    expected.insert(process.pid)
    process.signal(signal)
  }

  /// Ends every fault on a worker's way.
  func mend(_ name: String) { ways[name]?.mend() }

  /// Ends every fault: what is frozen goes on, what was killed is started, and nothing is cut.
  func heal(_ ready: @escaping () -> Void) throws(SystemError) {
    for way in ways.values { way.mend() }
    for name in frozen { thaw(name) }
    if let database, !database.isRunning {
      return startDatabase { [weak self] in
        guard let self, !isStopping else { return }
        do { try heal(ready) } catch { note("the fleet cannot be healed: \(error)") }
      }
    }
    // What was told to end has to be gone before it can be started again.
    guard (Array(workers.values) + coordinators.values).allSatisfy({ !expected.contains($0.pid) }) else {
      loop.schedule(after: .milliseconds(20)) { [weak self] in
        guard let self, !isStopping else { return }
        do { try heal(ready) } catch { note("the fleet cannot be healed: \(error)") }
      }
      return
    }
    for name in names { try startWorker(name) }
    let missing = coordinatorNames.filter { coordinators[$0] == nil }
    guard !missing.isEmpty else { return ready() }
    var left = missing.count
    for name in missing {
      try startCoordinator(name) {
        left -= 1
        if left == 0 { ready() }
      }
    }
  }

  // MARK: The database

  /// Makes the trial's place in somebody's database, if it is to be there; once, before `startDatabase`.
  func prepareStore(_ ready: @escaping () -> Void) {
    guard let schema else { return ready() }
    schema.make { [weak self] problem in
      if let problem { self?.onDatabaseProblem?("no schema can be made: \(problem)") } else { ready() }
    }
  }

  /// Starts the trial's own database; `ready` is called once it lets anybody in, or at once where there is none.
  func startDatabase(_ ready: @escaping () -> Void) {
    guard let database, !database.isRunning else { return ready() }
    database.onUnexpectedEnd = { [weak self] in self?.note($0) }
    database.start { [weak self] problem in
      if let problem { self?.onDatabaseProblem?("\(problem)") } else { ready() }
    }
  }

  // MARK: The end

  /// Ends everything in order, what does not end within ten seconds by force, and calls `done`.
  func stop(_ done: @escaping () -> Void) {
    onEmpty = done
    isStopping = true
    for name in frozen { thaw(name) }
    for worker in workers.values { end(worker, SIGTERM) }
    // Workers first: what they still owe is delivered before the coordinators go.
    _ = loop.schedule(after: .seconds(10)) { [self] in
      for process in Array(workers.values) + coordinators.values {
        note("\(process.pid) had to be ended by force")
        end(process, SIGKILL)
      }
    }
    callIfEmpty()
  }

  /// Ends the trial's own database, and removes what was stored unless that is wanted; `done` is called with what could
  /// not be removed.
  func end(keepingStore: Bool, _ done: @escaping (String?) -> Void) {
    if let schema, !keepingStore { return schema.drop(done) }
    guard let database else { return done(nil) }
    database.stop {
      if !keepingStore { database.remove() }
      done(nil)
    }
  }

  private func judgeEnd(of name: String, _ pid: Int32, _ status: Reactor.ExitStatus) {
    if expected.remove(pid) != nil {
      // One that was asked to end must do so in order.
      if case .exited(let code) = status, code != 0 { note("\(name) ended with \(status)") }
      return
    }
    guard revivesWorkers, status == .signalled(SIGKILL), !coordinatorNames.contains(name) else {
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
    guard coordinators.isEmpty else {
      for coordinator in coordinators.values where !expected.contains(coordinator.pid) { end(coordinator, SIGTERM) }
      return
    }
    self.onEmpty = nil
    for way in ways.values { way.close() }
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
    if coordinatorNames.contains(name) { configuration.environment?.merge(storeEnvironment) { $1 } }
    let path = "\(options.directory)/logs/\(name).log"
    let log = try FleetLog.open(path)
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
