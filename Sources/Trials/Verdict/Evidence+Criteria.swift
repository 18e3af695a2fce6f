import CoordinationCore
import History
import Primitives
import TrialReport

/// What must hold of every trial, whatever was done to its fleet. Each problem names its task.
extension Evidence {
  func criteria(_ run: TrialRun) -> [TrialReport.Criterion] {
    let acknowledged = run.acknowledged.sorted()
    let expected = run.orders.mapValues(\.work)
    func share(_ name: String, _ expectation: String, _ problem: (TaskID) -> String?) -> TrialReport.Criterion {
      let problems = acknowledged.compactMap(problem)
      let good = acknowledged.count - problems.count
      let measured = "\(good) of \(acknowledged.count)" + Self.some(problems)
      return TrialReport.Criterion(name, expected: expectation, measured: measured, isMet: problems.isEmpty)
    }
    // Demo tasks write no journal; that no attempt is started twice, or from a wrong checkpoint, the history shows too.
    let journalled =
      run.options.isHosted
      ? []
      : [
        share("the winning attempt did its work once", "started once, done once, by its own journal") {
          unproved($0, run)
        },
        share("attempts continue from their checkpoints", "each starts at the checkpoint it was given", discontinued),
      ]
    return journalled + [
      TrialReport.Criterion(
        "work was accepted", expected: "at least one task was acknowledged, and none refused",
        measured: "\(acknowledged.count) acknowledged" + Self.some(run.refusals.map { "refused: \($0)" }),
        isMet: !acknowledged.isEmpty && run.refusals.isEmpty && acknowledged.count == run.orders.count),
      share("nothing is lost", "every acknowledged task is in the store and has ended") { id in
        guard let task = tasks[id]?.task else { return "\(id) is not in the store" }
        return task.state.status.isTerminal ? nil : "\(id) is \(task.state.status.rawValue)"
      },
      share("every task ended as it must", "its own status and exit code") { id in
        guard let work = expected[id], let state = tasks[id]?.task.state else { return "\(id) is missing" }
        guard state.status == work.expectedStatus, state.exitCode == work.exitCode else {
          let code = state.exitCode.map { "\($0)" } ?? "none"
          return "\(id) is \(state.status.rawValue), exit code \(code): \(state.reason ?? "")"
        }
        return nil
      },
      share("nothing is recorded twice", "one end per task, attempts numbered without a hole", doubled),
      TrialReport.Criterion(
        "work drains once faults end", expected: "at most \(run.settings.drain.inSeconds) s",
        measured: run.drained.map { "\(Self.rounded($0.inSeconds)) s" } ?? "\(run.orders.count - run.ended) tasks left",
        isMet: run.drained != nil),
      TrialReport.Criterion(
        "the whole history was read", expected: "every acknowledged submit, with commits and attempts",
        measured: "\(statistics.events) events: \(statistics.submitted) submits, \(statistics.commits) commits, "
          + "\(statistics.attempts) attempts, \(statistics.handled) numbered messages",
        isMet: statistics.submitted == acknowledged.count && statistics.commits > 0
          && statistics.attempts >= acknowledged.count && statistics.handled > 0),
      TrialReport.Criterion(
        "no process fails", expected: "none ends by itself",
        measured: "\(run.fleet.unexpectedEnds.count)"
          + Self.some(run.fleet.unexpectedEnds), isMet: run.fleet.unexpectedEnds.isEmpty),
    ]
  }

  /// How long workers took to join again after each disturbance.
  func rejoining(_ run: TrialRun) -> TrialReport.Criterion {
    let limit = run.settings.heartbeatTimeout + run.settings.maxReconnectDelay + .seconds(1)
    var delays: [Double] = []
    var missing: [String] = []
    for (worker, time) in run.disturbances {
      let joined = history.first { record in
        guard record.time > time, case .sessionJoined(let id, _, resumed: _) = record.event else { return false }
        return id.text == worker
      }
      if let joined {
        delays.append((joined.time - time).inSeconds)
      } else {
        missing.append("\(worker) never joined again")
      }
    }
    let longest = delays.max() ?? 0
    return TrialReport.Criterion(
      "workers notice and come back", expected: "each within \(limit.inSeconds) s",
      measured: "\(delays.count) of \(run.disturbances.count), the longest in \(Self.rounded(longest)) s"
        + Self.some(missing),
      isMet: !delays.isEmpty && missing.isEmpty && longest <= limit.inSeconds)
  }

  private func doubled(_ id: TaskID) -> String? {
    guard let detail = tasks[id] else { return "\(id) is missing" }
    let ends = detail.attempts.count { [.completed, .failed, .cancelled].contains($0.outcome) }
    let failures = detail.task.state.failedAttempts
    // One that was given up after too many lost attempts has no end of its own.
    if detail.attempts.last?.outcome == .lost, ends == failures { return nil }
    // A task with retries has one failed attempt for each, and the last is its end.
    let allowed = detail.task.state.status == .failed ? max(1, failures) : failures + 1
    if ends != allowed { return "\(id) has \(ends) ends in \(detail.attempts.count) attempts" }
    guard detail.attempts.map(\.attempt) == Array(1...max(1, detail.task.state.attempt)) else {
      return "\(id) has the attempts \(detail.attempts.map(\.attempt))"
    }
    return nil
  }

  private func unproved(_ id: TaskID, _ run: TrialRun) -> String? {
    guard let detail = tasks[id] else { return "\(id) is missing" }
    // What kills its workers never gets to its end.
    guard run.orders[id]?.work.lethalAttempts == nil else { return nil }
    let winner = AttemptKey(id, detail.task.state.attempt)
    let starts = detail.attempts.map { journal.starts[AttemptKey(id, $0.attempt)]?.count ?? 0 }
    if starts.contains(where: { $0 > 1 }) { return "\(id) had an attempt that was started twice" }
    let done = journal.dones[winner] ?? 0
    return done == 1 ? nil : "\(winner) was done \(done) times"
  }

  private func discontinued(_ id: TaskID) -> String? {
    guard let detail = tasks[id] else { return "\(id) is missing" }
    for attempt in detail.attempts {
      guard let start = journal.starts[AttemptKey(id, attempt.attempt)]?.first else { continue }
      guard let key = attempt.resumedFrom else {
        if start != 0 { return "\(id)/\(attempt.attempt) began at \(start) without a checkpoint" }
        continue
      }
      // Of many checkpoints only the newest are kept.
      guard let kept = detail.checkpoints.first(where: { $0.key == key }) else { continue }
      if kept.data.object?["n"]?.integer != Int64(start) {
        return "\(id)/\(attempt.attempt) began at \(start), its checkpoint was \(kept.data.text.prefix(40))"
      }
    }
    return nil
  }

  /// The first few of what may be many.
  static func some(_ texts: [String]) -> String {
    guard !texts.isEmpty else { return "" }
    return ": " + texts.prefix(5).joined(separator: "; ") + (texts.count > 5 ? "; and \(texts.count - 5) more" : "")
  }

  static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
}
