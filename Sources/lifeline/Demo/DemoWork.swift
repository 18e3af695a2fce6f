import Coordination
import CoordinationCore
import Primitives
import Reactor
import Terminal

/// The commands of a demonstration: submitted, watched until all have ended, and then read.
final class DemoWork {
  private static let pageSize: Int64 = 100
  private static let retryInterval: Duration = .milliseconds(200)

  private let all: [DemoTask]
  private let stage: DemoStage
  private let client: CoordinatorClient
  private var tasks: [String: JSONObject] = [:]
  private var details: [String: JSONObject] = [:]
  private var took: Duration = .zero
  private var isReading = false
  /// One of them has ended.
  var onTaskEnd: (() -> Void)?

  init(_ all: [DemoTask], _ settings: ClientSettings, on stage: DemoStage) throws {
    self.all = all
    self.stage = stage
    client = try CoordinatorClient(settings, on: stage.loop)
  }

  /// Submits all of them; `begun` is called when they are, and the stage's clock has begun.
  func submit(_ begun: @escaping () -> Void) {
    let submissions = all.map { task -> JSONValue in
      ["task_id": .string(task.id), "name": .string(task.name), "command": ["sh", "-c", .string(task.script)]]
    }
    client.request("submit", ["tasks": .array(submissions)]) { [weak self] result in
      guard let self else { return }
      if case .failure(let error) = result { return stage.end(.failed("the commands cannot be submitted: \(error)")) }
      stage.say("\(all.count) shell commands submitted")
      stage.begin { [weak self] in self?.progress ?? Progress(done: 0, running: 0, total: 0, elapsed: .zero) }
      watch()
      begun()
    }
  }

  func close() { client.close() }

  // MARK: Following them

  private func watch() {
    client.watch(WatchRequest()) { [weak self] event in
      guard let self else { return }
      switch event {
      case .established: list(after: nil)
      case .taskChanged(let task): changed(task)
      case .output: break
      case .failed(let error): stage.end(.failed("the commands cannot be watched: \(error)"))
      }
    }
  }

  private func list(after: String?) {
    var fields: JSONObject = ["limit": .integer(Self.pageSize)]
    if let after { fields["after"] = .string(after) }
    client.request("list_tasks", fields) { [weak self] result in
      guard let self, stage.end == nil else { return }
      // A coordinator that has lost its database cannot read, and its clients stay.
      guard case .success(let reply) = result else { return listAgain(after: after) }
      let page = (reply["tasks"]?.array ?? []).compactMap(\.object)
      for task in page { changed(task) }
      if page.count == Int(Self.pageSize), let last = page.last?["task_id"]?.string { list(after: last) }
    }
  }

  private func listAgain(after: String?) {
    _ = stage.loop.schedule(after: Self.retryInterval) { [weak self] in
      if let self, stage.end == nil { list(after: after) }
    }
  }

  private func changed(_ task: JSONObject) {
    guard let id = task["task_id"]?.string else { return }
    let isNews = Self.hasEnded(task) && !(tasks[id].map(Self.hasEnded) ?? false)
    tasks[id] = task
    if isNews { onTaskEnd?() }
    if missing.isEmpty, stage.end == nil, !isReading { read() }
  }

  private static func hasEnded(_ task: JSONObject) -> Bool {
    ["completed", "failed", "cancelled"].contains(task["status"]?.string)
  }

  /// The names of those that have not ended.
  var missing: [String] { all.map(\.id).filter { tasks[$0].map(Self.hasEnded) != true } }

  private var progress: Progress {
    Progress(
      done: tasks.values.count(where: Self.hasEnded), running: tasks.values.count { $0["status"]?.string == "running" },
      total: all.count, elapsed: stage.loop.now - stage.began)
  }

  // MARK: Reading them

  /// Everything has ended: asks for the whole story of each.
  private func read() {
    isReading = true
    stage.stopActing()
    took = stage.loop.now - stage.began
    for task in all {
      client.request("get_task", ["task_id": .string(task.id)]) { [weak self] result in
        guard let self else { return }
        switch result {
        case .success(let reply): details[task.id] = reply["task"]?.object ?? [:]
        case .failure(let error): stage.end(.failed("task \(task.id) cannot be read: \(error)"))
        }
        if details.count == all.count { stage.end(.finished) }
      }
    }
  }

  /// What became of them, once all were read.
  var outcome: DemoOutcome { DemoOutcome(all.map { DemoVerdict($0, details[$0.id] ?? [:]) }, took) }
}
