import Coordination
import CoordinationCore
import FaultProxy
import Glibc
import Primitives
import Reactor
import Terminal

/// The demonstration from start to end: the fleet, the faults in their order, and what everyone sees of them.
final class DemoShow {
  enum End {
    case finished
    case interrupted
    case failed(String)
  }

  private static let workers = ["worker-1", "worker-2", "worker-3"]
  private static let limit: Duration = .seconds(55)

  private let loop: EventLoop
  private let fleet: DemoFleet
  private let console = Console.standard
  private var line: ProgressLine
  private var client: CoordinatorClient?
  private var tasks: [String: JSONObject] = [:]
  private var details: [String: JSONObject] = [:]
  private var began = Instant.zero
  private var took: Duration = .zero
  private var timers: [Timer] = []
  private var faults: [String] = []
  private var end: End?

  init(directory: String, on loop: EventLoop) {
    self.loop = loop
    fleet = DemoFleet(directory: directory, on: loop)
    line = ProgressLine(isTerminal: console.outputIsTerminal, unit: "commands")
    fleet.onUnexpectedEnd = { [weak self] name, status in self?.end(.failed("\(name) ended by itself: \(status)")) }
  }

  // MARK: The course of events

  func start() {
    attempt {
      try fleet.startCoordinator { [weak self] in self?.coordinatorIsUp() }
    }
  }

  private func coordinatorIsUp() {
    attempt {
      say("coordinator listening on \(fleet.url), three workers with four slots each")
      try fleet.startProxy()
      for worker in Self.workers { try fleet.startWorker(worker) }
      var settings = ClientSettings()
      settings.coordinator = fleet.url
      settings.patience = nil
      client = try CoordinatorClient(settings, on: loop)
      submit()
    }
  }

  private func submit() {
    let submissions = DemoTask.all.map { task -> JSONValue in
      [
        "task_id": .string(task.id), "name": .string(task.name), "command": ["sh", "-c", .string(task.script)],
      ]
    }
    client?.request("submit", ["tasks": .array(submissions)]) { [weak self] result in
      guard let self else { return }
      if case .failure(let error) = result { return end(.failed("the commands cannot be submitted: \(error)")) }
      say("\(DemoTask.all.count) shell commands submitted")
      began = loop.now
      watch()
      schedule()
    }
  }

  private func watch() {
    client?.watch(WatchRequest()) { [weak self] event in
      guard let self else { return }
      switch event {
      case .established: list()
      case .taskChanged(let task): changed(task)
      case .output: break
      case .failed(let error): end(.failed("the coordinator cannot be watched: \(error)"))
      }
    }
  }

  private func list() {
    client?.request("list_tasks") { [weak self] result in
      guard let self, case .success(let reply) = result else { return }
      for task in reply["tasks"]?.array ?? [] { if let task = task.object { changed(task) } }
    }
  }

  private func schedule() {
    after(2.5, "every connection is cut") { $0.fleet.proxy?.cut() }
    after(5, "worker-2 is killed (SIGKILL)") { $0.fleet.killWorker("worker-2") }
    after(10.5, "worker-2 is started again") { try $0.fleet.startWorker("worker-2") }
    after(12, "the coordinator is killed (SIGKILL)") { $0.fleet.killCoordinator() }
    after(13.5, "the coordinator is started again on the same store") { try $0.fleet.startCoordinator {} }
    after(16.5, "every connection is cut in the middle of a message") { $0.fleet.proxy?.cut(after: 100, .up) }
    timers.append(
      loop.schedule(after: Self.limit) { [weak self] in
        self?.end(.failed("not everything had ended after \(Self.limit)"))
      })
    tickAgain()
  }

  private func after(_ seconds: Double, _ what: String, _ body: @escaping (DemoShow) throws -> Void) {
    timers.append(
      loop.schedule(after: .seconds(seconds)) { [weak self] in
        guard let self, end == nil else { return }
        faults.append(what)
        say(what)
        attempt { try body(self) }
      })
  }

  private func tickAgain() {
    timers.append(
      loop.schedule(after: .milliseconds(200)) { [weak self] in
        guard let self, end == nil else { return }
        console.show(line.update(progress, columns: console.outputColumns ?? TerminalDevice.usualColumns))
        tickAgain()
      })
  }

  private func changed(_ task: JSONObject) {
    guard let id = task["task_id"]?.string else { return }
    tasks[id] = task
    if ended.count == DemoTask.all.count, end == nil { collect() }
  }

  private var ended: [JSONObject] {
    tasks.values.filter { ["completed", "failed", "cancelled"].contains($0["status"]?.string) }
  }

  private var progress: Progress {
    return Progress(
      done: ended.count, running: tasks.values.count { $0["status"]?.string == "running" },
      total: DemoTask.all.count, elapsed: loop.now - began)
  }

  /// Everything has ended: asks for the whole story of each task.
  private func collect() {
    took = loop.now - began
    for task in DemoTask.all {
      client?.request("get_task", ["task_id": .string(task.id)]) { [weak self] result in
        guard let self else { return }
        switch result {
        case .success(let reply): details[task.id] = reply["task"]?.object ?? [:]
        case .failure(let error): end(.failed("task \(task.id) cannot be read: \(error)"))
        }
        if details.count == DemoTask.all.count { end(.finished) }
      }
    }
  }

  func end(_ end: End) {
    guard self.end == nil else { return }
    self.end = end
    for timer in timers { timer.cancel() }
    client?.close()
    fleet.stop { [loop] in loop.stop() }
  }

  private func attempt(_ body: () throws -> Void) {
    do { try body() } catch { end(.failed("\(error)")) }
  }

  private func say(_ text: String) {
    let seconds = began == .zero ? 0 : (loop.now - began).inSeconds
    let tenths = Int((seconds * 10).rounded())
    let time = "\(tenths / 10).\(tenths % 10) s"
    console.write(line: String(repeating: " ", count: max(0, 7 - time.count)) + time + "  " + text)
  }

  // MARK: The table

  /// - Returns: whether every command ended as it must.
  func report(to console: Console) -> Bool {
    console.show(live: "")
    switch end {
    case .failed(let reason):
      console.complain("lifeline demo: \(reason)")
      return false
    case .interrupted, nil:
      console.complain("lifeline demo: interrupted")
      return false
    case .finished: break
    }
    let verdicts = DemoTask.all.map { DemoVerdict($0, details[$0.id] ?? [:]) }
    console.write(line: "")
    for line in DemoVerdict.table(verdicts).lines(width: console.outputColumns, style: console.outputStyle) {
      console.write(line: line)
    }
    let wrong = verdicts.filter { !$0.problems.isEmpty }
    let continued = verdicts.filter { $0.continuedFrom != nil }
    let restarted = verdicts.filter { $0.attempts > 1 }
    console.write(line: "")
    console.write(
      line:
        "\(verdicts.count - wrong.count) of \(verdicts.count) commands ended exactly once, with the exit code and output "
        + "they must have, in \(Int(took.inSeconds.rounded())) s")
    console.write(
      line: "\(restarted.count) lost their worker and were started again; "
        + "\(continued.count) of them continued from a checkpoint")
    for verdict in wrong { console.complain("\(verdict.task.id): \(verdict.problems.joined(separator: "; "))") }
    let unfinished = restarted.filter { $0.continuedFrom == nil && $0.task.name.hasPrefix("count") && $0.hadCheckpoint }
    for verdict in unfinished { console.complain("\(verdict.task.id) had a checkpoint and did not continue from it") }
    if restarted.isEmpty { console.complain("no attempt was lost: the faults came too late to show anything") }
    return wrong.isEmpty && unfinished.isEmpty && !continued.isEmpty
  }
}
