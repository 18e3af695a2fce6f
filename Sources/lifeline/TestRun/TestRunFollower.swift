import Coordination
import CoordinationCore
import Glibc
import Primitives
import Reactor
import Terminal
import TestRuns

/// Submits what of a plan was not submitted yet, and follows each of its tasks to its end.
///
/// A task that was cancelled when its run was interrupted is submitted again as another round of it (`ID.2`), since what
/// has ended does not change. Whatever else has ended counts as it is.
final class TestRunFollower {
  private static let refreshInterval: Duration = .milliseconds(200)
  private static let maxCancelsAtOnce = 100

  private struct Followed {
    /// How often it was submitted; 0 before.
    var round = 0
    var status = ""
    var attempt: Int64 = 0
    var isEnded = false
    var isListed = false
    var runningSince: Instant?
  }

  private let plan: RunPlan
  private let predictions: [Duration]
  private let request: TestRunRequest
  private let session: ClientSession
  private let report: TestRunReport
  private let outputs: FailureOutputs
  private let startedAt: Instant
  private var submitter: BatchSubmitter?
  /// The tasks that the submitter is given, in its order.
  private var toSubmit: [Int] = []
  private var tasks: [Followed]
  private var ended = 0
  /// Those that an earlier client submitted, and that count as they are.
  private var takenOver = 0
  private var isListing = false
  private var mustListAgain = false
  /// Before the first list is through, a task may have been submitted by an earlier client.
  private var knowsWhatExists: Bool
  private var isFinishing = false
  private var interruption: Int32?
  /// Why what has not ended is cancelled.
  private var endReason: String?
  private var cancelQueue: [Int] = []
  private var cancelsUnderWay = 0
  private var durations: [(test: String, duration: Duration)] = []
  private lazy var refresh = session.loop.makeTimer { [unowned self] in refreshed() }

  init(_ plan: RunPlan, _ predictions: [Duration], _ request: TestRunRequest, in session: ClientSession) {
    self.plan = plan
    self.predictions = predictions
    self.request = request
    self.session = session
    report = TestRunReport(plan, request)
    outputs = FailureOutputs(session)
    startedAt = session.loop.now
    tasks = Array(repeating: Followed(), count: plan.tasks.count)
    if case .resume = request.source { knowsWhatExists = false } else { knowsWhatExists = true }
  }

  func start() {
    session.remarkOnConnection()
    var hasBeenEstablished = false
    session.client.watch(WatchRequest(run: plan.run)) { [self] event in
      switch event {
      case .established:
        if hasBeenEstablished || !knowsWhatExists { list() } else { submit(Array(plan.tasks.indices)) }
        hasBeenEstablished = true
      case .taskChanged(let task):
        // Before it is known what exists it may be about an older round; afterwards everything is listed once more.
        if knowsWhatExists { apply(task) } else { mustListAgain = true }
      case .output: break
      case .failed(let error): session.fail(error)
      }
    }
    if Console.standard.outputIsTerminal { refresh.start(after: .zero) }
  }

  // MARK: Submitting

  private func submit(_ indices: [Int]) {
    toSubmit = indices
    let planned = indices.map { index in
      tasks[index].round += 1
      let id = plan.id(index, round: tasks[index].round)
      var object = plan.specification(index)
      object["task_id"] = .string(id)
      return SubmissionPlan.Planned(id: id, name: plan.name(index), object: object)
    }
    let submitter = BatchSubmitter(planned, to: session.client)
    self.submitter = submitter
    submitter.onProgress = { [self] result in
      if case .failure(let error) = result {
        guard endReason != nil else { return session.fail(error) }
      }
      if endReason != nil { cancelEverything() }
      if submitter.isDone, mustListAgain { list() }
      finishIfDone()
    }
    submitter.start()
    finishIfDone()
  }

  /// Those that the coordinator has for good.
  private var isSubmitted: (Int) -> Bool {
    let waiting = Set(toSubmit.dropFirst(submitter?.submitted ?? 0))
    return { [tasks] index in tasks[index].round > 0 && !waiting.contains(index) }
  }

  // MARK: Hearing

  private func list() {
    guard !isListing else {
      mustListAgain = true
      return
    }
    isListing = true
    mustListAgain = false
    for index in tasks.indices { tasks[index].isListed = false }
    // Only what was there before the question can be missing in the answer.
    let isExpected = isSubmitted
    var newest: [Int: (round: Int, task: JSONObject)] = [:]
    session.list(["run": .string(plan.run)]) { [self] page in
      for task in page {
        guard let place = task["task_id"]?.string.flatMap(plan.place) else { continue }
        tasks[place.index].isListed = true
        if newest[place.index]?.round ?? 0 < place.round { newest[place.index] = (place.round, task) }
      }
    } end: { [self] in
      guard !session.isFinished else { return }
      // Until all of it was looked at, nothing that it says can be the last word.
      defer {
        isListing = false
        if mustListAgain { list() } else { finishIfDone() }
      }
      if knowsWhatExists {
        for index in newest.keys.sorted() { if let task = newest[index]?.task { apply(task) } }
        submitMissing(isExpected)
      } else {
        takeOver(newest)
      }
    }
  }

  /// What an earlier client has brought about.
  private func takeOver(_ newest: [Int: (round: Int, task: JSONObject)]) {
    knowsWhatExists = true
    var missing: [Int] = []
    for index in tasks.indices {
      guard let (round, task) = newest[index] else {
        missing.append(index)
        continue
      }
      tasks[index].round = round
      if task["status"] == "cancelled", endReason == nil {
        missing.append(index)
      } else {
        report.isTakenOver = TaskText(task).isEnded
        apply(task)
        report.isTakenOver = false
      }
    }
    takenOver = tasks.count - missing.count
    let underWay = tasks.count - ended - missing.count
    Console.standard.remark(
      "Run \(plan.run) goes on: of \(tasks.count) tasks \(ended) have ended, \(underWay) are under way, and "
        + "\(missing.count) are submitted")
    if endReason == nil { submit(missing) } else { cancelEverything() }
  }

  /// A coordinator that was started on another store does not know the run; its tasks are as good as never submitted.
  private func submitMissing(_ isExpected: (Int) -> Bool) {
    let missing = tasks.indices.filter { isExpected($0) && !tasks[$0].isListed && !tasks[$0].isEnded }
    guard !missing.isEmpty else { return }
    guard endReason == nil else {
      for index in missing { end(index, ["status": "cancelled"]) }
      return
    }
    Console.standard.remark(
      "The coordinator does not know \(missing.count) of the tasks (is its store another one?); submitting them again")
    let again = BatchSubmitter(
      missing.map { index in
        let id = plan.id(index, round: tasks[index].round)
        var object = plan.specification(index)
        object["task_id"] = .string(id)
        return SubmissionPlan.Planned(id: id, name: plan.name(index), object: object)
      }, to: session.client)
    again.onProgress = { [session] result in
      if case .failure(let error) = result { session.fail(error) }
    }
    again.start()
  }

  private func apply(_ task: JSONObject) {
    guard let (index, round) = task["task_id"]?.string.flatMap(plan.place), round >= tasks[index].round else { return }
    tasks[index].isListed = true
    let text = TaskText(task)
    let attempt = task["attempt"]?.integer ?? 0
    // A list that was under way may be older than what was announced since.
    guard !tasks[index].isEnded, attempt >= tasks[index].attempt else { return }
    if text.isEnded { return end(index, task) }
    tasks[index].status = text.status
    tasks[index].attempt = attempt
    if text.status == "running" {
      if tasks[index].runningSince == nil { tasks[index].runningSince = session.loop.now }
    } else {
      tasks[index].runningSince = nil
    }
  }

  private func end(_ index: Int, _ task: JSONObject) {
    let text = TaskText(task)
    tasks[index].status = text.status
    tasks[index].isEnded = true
    tasks[index].runningSince = nil
    ended += 1
    let result = TestTaskResult(task, tests: plan.tasks[index], duration: text.duration, interruption: endReason)
    report.ended(index, text, result)
    if !report.isTakenOver { remember(result.durations) }
    if result.isFailure {
      outputs.ask(for: index, text.id) { [self] in finishIfDone() }
      if request.failFast, endReason == nil {
        endReason = "--fail-fast ended the run"
        Console.standard.remark("\(plan.name(index)) failed: cancelling what has not ended (--fail-fast)")
        submitter?.stop()
        cancelEverything()
      }
    }
    finishIfDone()
  }

  // MARK: Durations

  private func remember(_ more: [String: Duration]) {
    for (test, duration) in more.sorted(by: { $0.key < $1.key }) { durations.append((test, duration)) }
    if durations.count >= 500 { sendDurations() }
  }

  private func sendDurations() {
    guard !durations.isEmpty else { return }
    for start in stride(from: 0, to: durations.count, by: 500) {
      let values = durations[start..<min(start + 500, durations.count)].map { each -> JSONValue in
        ["test": .string(each.test), "seconds": .duration(each.duration)]
      }
      // Whoever may only run tests may also say how long they took; a failure costs the next run a worse order.
      session.client.request("record_durations", ["suite": .string(plan.suite), "durations": .array(values)]) { _ in }
    }
    durations = []
  }

  // MARK: Interruption

  func interrupted(by number: Int32) {
    guard interruption == nil else {
      Console.standard.show(live: "")
      report.writeJUnit(outputs: outputs.texts)
      Console.standard.complain("Left; what still runs goes on. Continue: lifeline run --resume \(plan.run)")
      exit(128 + number)
    }
    interruption = number
    endReason = "the run was interrupted"
    report.isInterrupted = true
    submitter?.stop()
    Console.standard.remark("Cancelling what has not ended; a second time leaves at once")
    cancelEverything()
    finishIfDone()
  }

  private func cancelEverything() {
    let isSubmitted = isSubmitted
    cancelQueue = tasks.indices.reversed().filter { !tasks[$0].isEnded && isSubmitted($0) }
    cancelMore()
  }

  private func cancelMore() {
    while cancelsUnderWay < Self.maxCancelsAtOnce, let index = cancelQueue.popLast() {
      guard !tasks[index].isEnded else { continue }
      cancelsUnderWay += 1
      let id = plan.id(index, round: tasks[index].round)
      session.client.request("cancel_task", ["task_id": .string(id)]) { [self] _ in
        // Refused when it has ended meanwhile, which is announced as well.
        cancelsUnderWay -= 1
        cancelMore()
      }
    }
  }

  // MARK: Showing

  private func refreshed() {
    guard !isFinishing else { return }
    let now = session.loop.now
    var total = Duration.zero
    var done = Duration.zero
    var running: [(name: String, since: Instant)] = []
    for (index, task) in tasks.enumerated() {
      total += predictions[index]
      if task.isEnded {
        done += predictions[index]
      } else if let since = task.runningSince {
        // One that takes longer than it ever did is never more than nearly done.
        done += min(now - since, predictions[index] * 9 / 10)
        running.append((plan.name(index), since))
      }
    }
    running.sort { $0.since < $1.since }
    report.show(
      running: running.map { ($0.name, now - $0.since) },
      share: total > .zero ? done.inSeconds / total.inSeconds : nil, elapsed: now - startedAt)
    refresh.start(after: Self.refreshInterval)
  }

  private func finishIfDone() {
    guard !isFinishing, knowsWhatExists || endReason != nil, !isListing, submitter?.isDone ?? (endReason != nil)
    else { return }
    guard ended >= (endReason == nil ? tasks.count : takenOver + (submitter?.submitted ?? 0)) else { return }
    guard outputs.isDone else { return }
    isFinishing = true
    refresh.cancel()
    sendDurations()
    // An answer comes in its turn: when this one is there, what was asked before it is durable.
    session.client.request("count_tasks", ["run": .string(plan.run)]) { [self] _ in finish() }
  }

  private func finish() {
    for index in tasks.indices where !tasks[index].isEnded {
      report.neverRun(index, endReason ?? "it was never submitted")
    }
    let isWritten = report.writeJUnit(outputs: outputs.texts)
    report.summarize(outputs: outputs.texts, elapsed: session.loop.now - startedAt)
    if let interruption { return session.finish(128 + interruption) }
    session.finish(report.isGood && isWritten ? 0 : 1)
  }
}

/// Fetches the end of what failed tasks wrote, a few at a time.
final class FailureOutputs {
  struct Text {
    var output: String
    var errors: String
  }

  /// Of each stream of each task, and of all together: beyond it a task's own page has to be asked for.
  private static let maxBytes = 16 << 10
  private static let maxTotalBytes = 32 << 20
  private static let maxAtOnce = 8

  private let session: ClientSession
  private(set) var texts: [Int: Text] = [:]
  private var total = 0
  private var waiting: [(index: Int, id: String, done: () -> Void)] = []
  private var underWay = 0

  init(_ session: ClientSession) { self.session = session }

  var isDone: Bool { waiting.isEmpty && underWay == 0 }

  func ask(for index: Int, _ id: String, then done: @escaping () -> Void) {
    waiting.append((index, id, done))
    askMore()
  }

  private func askMore() {
    while underWay < Self.maxAtOnce, !waiting.isEmpty {
      let next = waiting.removeFirst()
      guard total < Self.maxTotalBytes else {
        session.loop.afterTurn(next.done)
        continue
      }
      underWay += 1
      session.client.request("get_task", ["task_id": .string(next.id)]) { [self] result in
        underWay -= 1
        if case .success(let reply) = result, let task = reply["task"]?.object {
          let text = Text(output: end("stdout", of: task), errors: end("stderr", of: task))
          total += text.output.utf8.count + text.errors.utf8.count
          texts[next.index] = text
        }
        askMore()
        next.done()
      }
    }
  }

  private func end(_ member: String, of task: JSONObject) -> String {
    XMLText.end(of: CommandOutputText.bytes(member, of: task), limit: Self.maxBytes)
  }
}
