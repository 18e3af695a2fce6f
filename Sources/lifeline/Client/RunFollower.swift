import Coordination
import CoordinationCore
import Glibc
import Primitives
import Reactor
import Terminal

/// Submits a run and follows each of its tasks to its end.
///
/// What the coordinator announces may be missed while a connection is down, so whenever the watch stands again
/// everything is listed; a task's end is final, whichever of the two tells it first.
final class RunFollower {
  private static let refreshInterval: Duration = .milliseconds(200)
  private static let maxCancelsAtOnce = 100

  private struct Followed {
    var status = ""
    var attempt: Int64 = 0
    var isEnded = false
    var isListed = false
    var object: JSONObject?
  }

  private let plan: SubmissionPlan
  private let session: ClientSession
  private let submitter: BatchSubmitter
  private let report: RunReport
  private let wantsJSON: Bool
  private let startedAt: Instant
  private var indexOf: [String: Int] = [:]
  private var tasks: [Followed]
  private var ended = 0
  private var running = 0
  private var unsuccessful = 0
  private var isListing = false
  private var mustListAgain = false
  private var hasBeenEstablished = false
  private var interruptions = 0
  private var cancelQueue: [Int] = []
  private var cancelsUnderWay = 0
  private var isFinishing = false
  private lazy var refresh = session.loop.makeTimer { [unowned self] in refreshed() }

  init(_ plan: SubmissionPlan, wantsJSON: Bool, in session: ClientSession) {
    self.plan = plan
    self.session = session
    self.wantsJSON = wantsJSON
    submitter = BatchSubmitter(plan.tasks, to: session.client)
    startedAt = session.loop.now
    tasks = Array(repeating: Followed(), count: plan.tasks.count)
    report = RunReport(plan, wantsJSON: wantsJSON)
    for (index, task) in plan.tasks.enumerated() { indexOf[task.id] = index }
  }

  func start() throws(SystemError) {
    guard !plan.tasks.isEmpty else {
      report.summarize([], unsubmitted: 0, elapsed: .zero)
      return session.finish(0)
    }
    for number in [SIGINT, SIGTERM] {
      try session.loop.onSignal(number) { [self] in interrupted(by: number) }
    }
    session.remarkOnConnection()
    session.client.watch(WatchRequest(run: plan.run)) { [self] event in
      switch event {
      case .established: established()
      case .taskChanged(let task): apply(task)
      case .output: break
      case .failed(let error): session.fail(error)
      }
    }
    submitter.onProgress = { [self] result in
      switch result {
      case .success:
        if interruptions > 0 { cancelEverything() }
        if submitter.isDone, plan.mayExist || mustListAgain { list() }
      case .failure(let error):
        guard interruptions > 0 else { return session.fail(error) }
      }
      finishIfDone()
    }
    if Console.standard.outputIsTerminal { refresh.start(after: .zero) }
  }

  // MARK: Hearing

  private func established() {
    if hasBeenEstablished {
      list()
    } else {
      hasBeenEstablished = true
      plan.checkExisting(in: session) { [submitter] in submitter.start() }
    }
  }

  private func list() {
    guard !isListing else {
      mustListAgain = true
      return
    }
    isListing = true
    mustListAgain = false
    // Only what was there before the question can be missing in the answer.
    let expected = submitter.submitted
    for index in tasks.indices { tasks[index].isListed = false }
    session.list(["run": .string(plan.run)]) { [self] page in
      for task in page { apply(task) }
    } end: { [self] in
      isListing = false
      if mustListAgain { return list() }
      submitMissing(among: expected)
      finishIfDone()
    }
  }

  /// A coordinator that was started on another store does not know the run; its tasks are as good as never submitted.
  private func submitMissing(among expected: Int) {
    let missing = tasks.indices.prefix(expected).filter { !tasks[$0].isListed && !tasks[$0].isEnded }
    guard !missing.isEmpty, interruptions == 0 else {
      for index in missing { end(index, status: "cancelled", nil) }
      return
    }
    Console.standard.remark(
      "The coordinator does not know \(missing.count) of the tasks (is its store another one?); submitting them again")
    let again = BatchSubmitter(missing.map { plan.tasks[$0] }, to: session.client)
    again.onProgress = { [session] result in
      if case .failure(let error) = result { session.fail(error) }
    }
    again.start()
  }

  private func apply(_ task: JSONObject) {
    guard let index = task["task_id"]?.string.flatMap({ indexOf[$0] }) else { return }
    tasks[index].isListed = true
    let text = TaskText(task)
    let attempt = task["attempt"]?.integer ?? 0
    // A list that was under way may be older than what was announced since.
    guard !tasks[index].isEnded, attempt >= tasks[index].attempt else { return }
    if text.isEnded { return end(index, status: text.status, task) }
    if tasks[index].status != "running", text.status == "running" { running += 1 }
    if tasks[index].status == "running", text.status != "running" { running -= 1 }
    tasks[index].status = text.status
    tasks[index].attempt = attempt
  }

  private func end(_ index: Int, status: String, _ task: JSONObject?) {
    if tasks[index].status == "running" { running -= 1 }
    tasks[index].status = status
    tasks[index].isEnded = true
    ended += 1
    if status != "completed" { unsuccessful += 1 }
    if let task {
      if wantsJSON || plan.isSingle { tasks[index].object = task }
      report.ended(TaskText(task))
    }
    finishIfDone()
  }

  // MARK: Interruption

  private func interrupted(by number: Int32) {
    interruptions += 1
    guard interruptions == 1 else {
      Console.standard.show(live: "")
      Console.standard.complain("Left; what still runs goes on. lifeline tasks --run \(plan.run) shows it.")
      exit(128 + number)
    }
    submitter.stop()
    report.isInterrupted = true
    Console.standard.remark("Cancelling what has not ended; a second time leaves at once")
    cancelEverything()
    finishIfDone()
  }

  private func cancelEverything() {
    cancelQueue = tasks.indices.prefix(submitter.submitted).reversed().filter { !tasks[$0].isEnded }
    cancelMore()
  }

  private func cancelMore() {
    while cancelsUnderWay < Self.maxCancelsAtOnce, let index = cancelQueue.popLast() {
      guard !tasks[index].isEnded else { continue }
      cancelsUnderWay += 1
      session.client.request("cancel_task", ["task_id": .string(plan.tasks[index].id)]) { [self] _ in
        // Refused when it has ended meanwhile, which is announced as well.
        cancelsUnderWay -= 1
        cancelMore()
      }
    }
  }

  // MARK: Showing

  private var progress: Progress {
    Progress(
      done: ended, failed: unsuccessful, running: running, total: plan.tasks.count,
      elapsed: session.loop.now - startedAt)
  }

  private func refreshed() {
    guard !isFinishing else { return }
    report.show(progress)
    refresh.start(after: Self.refreshInterval)
  }

  private func finishIfDone() {
    let expected = interruptions > 0 ? submitter.submitted : plan.tasks.count
    guard !isFinishing, submitter.isDone, ended >= expected else { return }
    isFinishing = true
    refresh.cancel()
    guard plan.isSingle, expected == 1 else { return finish(nil) }
    session.client.request("get_task", ["task_id": .string(plan.tasks[0].id)]) { [self] result in
      switch result {
      case .success(let reply): finish(reply["task"]?.object)
      case .failure(let error):
        session.complain("the output is not to be had: \(error)")
        finish(nil)
      }
    }
  }

  private func finish(_ detail: JSONObject?) {
    var objects = tasks.map(\.object)
    if let detail {
      objects = [detail]
      report.passOutput(of: detail)
    }
    report.summarize(
      tasks.map(\.status).filter { !$0.isEmpty }, objects: objects.compactMap { $0 },
      unsubmitted: plan.tasks.count - submitter.submitted, elapsed: session.loop.now - startedAt)
    session.finish(unsuccessful > 0 || submitter.submitted < plan.tasks.count ? 1 : 0)
  }
}
