import CoordinationCore
import History
import Primitives
import Reactor
import Storage

/// What is left of a fleet once it has ended: its store, its histories, and what its commands said themselves.
final class Evidence {
  private(set) var tasks: [TaskID: TaskDetail] = [:]
  private(set) var history: [HistoryRecord] = []
  private(set) var journal = TrialJournal([])
  private(set) var violations: [String] = []
  private(set) var statistics = HistoryChecker().statistics
  /// By what each coordinator wrote.
  private(set) var failovers = Failovers([:])

  /// Reads everything; `done` is called on the run's loop.
  static func collect(_ run: TrialRun, _ done: @escaping (Evidence) -> Void) {
    let evidence = Evidence()
    evidence.journal = TrialJournal(TextFile.read(run.fleet.journal) ?? [])
    evidence.readHistories(run)
    do {
      let store = try run.fleet.openStore()
      let ids = run.orders.keys.sorted()
      evidence.readTasks(ids[...], from: store, on: run.loop) {
        let mailbox = run.loop.mailbox
        let done = LoopBound({ done(evidence) }, to: run.loop)
        evidence.check()
        store.close { mailbox.post { done.value() } }
      }
    } catch {
      evidence.violations.append("the store cannot be read: \(error)")
      evidence.check()
      run.loop.afterTurn { done(evidence) }
    }
  }

  private func readHistories(_ run: TrialRun) {
    var histories: [String: [HistoryRecord]] = [:]
    for name in ["trial"] + run.fleet.processNames {
      let path = run.fleet.history(of: name)
      guard let bytes = TextFile.read(path) else {
        violations.append("there is no history of \(name)")
        continue
      }
      do { histories[name] = try HistoryText(bytes).records } catch {
        violations.append("the history of \(name) cannot be read: \(error)")
      }
    }
    failovers = Failovers(histories.filter { run.fleet.coordinatorNames.contains($0.key) })
    history = HistoryText.merged((["trial"] + run.fleet.processNames).compactMap { histories[$0] })
  }

  /// The whole history, and the store as it is in the end, against the rules that hold for every fleet.
  private func check() {
    var checker = HistoryChecker()
    for record in history { checker.observe(record) }
    checker.finish(
      final: tasks.values.map { detail in
        let state = detail.task.state
        return StoredTask(
          id: detail.task.id, status: state.status, attempt: state.attempt, worker: state.workerID,
          checkpoint: detail.checkpoints.last?.key)
      })
    statistics = checker.statistics
    violations += checker.violations.map { "\($0)" }
    let more = checker.violationCount - checker.violations.count
    if more > 0 { violations.append("and \(more) more") }
  }

  private func readTasks(
    _ ids: ArraySlice<TaskID>, from store: any TaskStore, on loop: EventLoop, _ done: @escaping () -> Void
  ) {
    guard let id = ids.first else { return done() }
    let mailbox = loop.mailbox
    let next = LoopBound(
      { [self] (answer: Result<TaskDetail?, StoreError>) in
        switch answer {
        case .success(let detail): if let detail { tasks[id] = detail }
        case .failure(let error): violations.append("task \(id) cannot be read from the store: \(error)")
        }
        readTasks(ids.dropFirst(), from: store, on: loop, done)
      }, to: loop)
    store.task(id) { answer in mailbox.post { next.value(answer) } }
  }

  /// How many lines of all logs are such.
  func logLines(_ run: TrialRun, _ isWanted: (Substring) -> Bool) -> Int {
    run.fleet.processNames.reduce(0) { count, name in
      let text = String(decoding: TextFile.read("\(run.options.directory)/logs/\(name).log") ?? [], as: UTF8.self)
      return count + text.split(separator: "\n").count(where: isWanted)
    }
  }

  func count(_ isWanted: (HistoryEvent) -> Bool) -> Int { history.count { isWanted($0.event) } }

  /// Attempts that had started and were taken from their workers.
  var lostStartedAttempts: Int {
    count { $0.outcome == .lost && journal.starts[AttemptKey($0.taskID, $0.attempt)] != nil }
  }
  /// Attempts that workers gave back in order because they were leaving.
  var handedBackAttempts: Int { count(\.isHandedBack) }

  private func count(_ matches: (AttemptRecord) -> Bool) -> Int {
    tasks.values.reduce(0) { $0 + $1.attempts.count(where: matches) }
  }
  /// Attempts that count towards the bound of their tasks.
  var lostAttempts: Int { tasks.values.reduce(0) { $0 + $1.task.state.lostAttempts } }
}

extension HistoryEvent {
  /// A checkpoint took effect at the coordinator.
  var isHandledCheckpoint: Bool {
    if case .coordinatorHandled(_, _, _, let kind) = self { kind == .checkpoint } else { false }
  }
}

/// What commands wrote as they ran: `start|step|done TASK ATTEMPT N` a line.
struct TrialJournal {
  struct Line: Equatable {
    let word: String
    let key: AttemptKey
    let count: Int
  }

  private(set) var lines: [Line] = []
  private(set) var starts: [AttemptKey: [Int]] = [:]
  private(set) var dones: [AttemptKey: Int] = [:]
  private(set) var malformed: [String] = []

  init(_ bytes: [UInt8]) {
    for text in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      let words = text.split(separator: " ", omittingEmptySubsequences: false)
      guard words.count == 4, let id = try? TaskID(String(words[1])), let attempt = Int(words[2]),
        let count = Int(words[3])
      else {
        malformed.append(String(text))
        continue
      }
      let key = AttemptKey(id, attempt)
      lines.append(Line(word: String(words[0]), key: key, count: count))
      if words[0] == "start" { starts[key, default: []].append(count) }
      if words[0] == "done" { dones[key, default: 0] += 1 }
    }
  }
}
