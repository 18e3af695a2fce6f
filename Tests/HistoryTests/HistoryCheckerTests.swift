import CoordinationCore
import History
import Primitives
import Testing

/// A history told in one line per event, all at one time.
private struct Story {
  var checker: HistoryChecker
  private var time: Int64 = 0
  private var batch: UInt64 = 0

  init(exclusive: Bool = false) {
    checker = HistoryChecker(HistoryChecker.Options(exclusiveLeases: exclusive))
    tell(.coordinatorStarted([]))
  }

  mutating func tell(_ events: HistoryEvent...) {
    for event in events {
      time += 1
      checker.observe(HistoryRecord(event, at: Instant(nanoseconds: time)))
    }
  }

  mutating func commit(_ changes: StoredChange...) {
    batch += 1
    tell(.commitBegun(batch: batch, changes), .committed(batch: batch))
  }

  mutating func begin(_ changes: StoredChange...) {
    batch += 1
    tell(.commitBegun(batch: batch, changes))
  }

  /// A task that `worker` was given and has started.
  mutating func give(_ task: TaskID, attempt: Int = 1, to worker: WorkerID, from: CheckpointKey? = nil) {
    commit(
      .attempt(AttemptKey(task, attempt), .running, worker, resumedFrom: from),
      .state(task, .assigned, attempt: attempt, worker: worker))
    tell(.attemptStarted(AttemptKey(task, attempt), worker, from: from))
  }

  mutating func submit(_ task: TaskID) {
    commit(.submitted(task))
    tell(.submitAcknowledged([task]))
  }

  mutating func end(_ task: TaskID, attempt: Int = 1, by worker: WorkerID, _ status: TaskStatus = .completed) {
    commit(
      .attempt(AttemptKey(task, attempt), .completed, worker, resumedFrom: nil),
      .state(task, status, attempt: attempt, worker: worker))
  }
}

private let (a, w, v) = (TaskID(known: "a"), WorkerID(known: "w"), WorkerID(known: "v"))
private let b = TaskID(known: "b")
private func needs(_ texts: String...) -> Requirements {
  var requirements = Requirements()
  for text in texts { try? requirements.add(argument: text) }
  return requirements
}
private func offer(slots: Int) -> WorkerCapabilities { WorkerCapabilities(slots: slots, kinds: ["work"]) }
private let session = SessionID(known: "s")

private func key(_ attempt: Int) -> AttemptKey { AttemptKey(a, attempt) }
private func stored(_ status: TaskStatus, attempt: Int = 1, checkpoint: CheckpointKey? = nil) -> StoredTask {
  StoredTask(id: a, status: status, attempt: attempt, worker: attempt == 0 ? nil : w, checkpoint: checkpoint)
}

@Suite(.timeLimit(.minutes(5)))
struct HistoryCheckerTests {
  @Test func `a history without a fault breaks no rule`() {
    var story = Story(exclusive: true)
    story.tell(.workerStarted(w, boot: "1"))
    story.tell(.registered(w, session, resumed: false), .sessionJoined(w, session, resumed: false))
    story.submit(a)
    story.give(a, to: w)
    story.tell(.workerHandled(w, session, sequence: 1, .taskAssignment))
    story.tell(.persisted(key(1), checkpoint: 1, w), .coordinatorHandled(w, session, sequence: 1, .checkpoint))
    story.commit(.checkpoint(a, CheckpointKey(attempt: 1, number: 1)))
    story.tell(.forgotten(key(1), checkpoint: 1, w))
    // The worker is killed; another goes on from the checkpoint.
    story.tell(.workerEnded(w))
    story.commit(
      .attempt(key(1), .lost, w, resumedFrom: nil), .state(a, .queued, attempt: 1, worker: w))
    story.give(a, attempt: 2, to: v, from: CheckpointKey(attempt: 1, number: 1))
    story.tell(.persisted(key(2), checkpoint: nil, v))
    // The coordinator is killed with the result on its way to the disk, which has it.
    story.begin(
      .attempt(key(2), .completed, v, resumedFrom: CheckpointKey(attempt: 1, number: 1)),
      .state(a, .completed, attempt: 2, worker: v))
    story.tell(.coordinatorStarted([]), .forgotten(key(2), checkpoint: nil, v), .faultsEnded)
    story.checker.finish(final: [stored(.completed, attempt: 2)])
    #expect(story.checker.violations == [])
    #expect(story.checker.unfinished == [])
    #expect(story.checker.statistics.attempts == 2)
    #expect(story.checker.statistics.submitted == 1)
  }

  @Test func `what was under way at a crash may be there afterwards or not`() {
    for isTaken in [true, false] {
      var story = Story()
      story.submit(a)
      story.begin(
        .attempt(key(1), .running, w, resumedFrom: nil), .state(a, .assigned, attempt: 1, worker: w))
      story.tell(.coordinatorStarted([isTaken ? stored(.assigned) : stored(.queued, attempt: 0)]))
      #expect(story.checker.violations == [])
    }
  }

  /// Each row breaks one rule, and that one only.
  @Test func `every rule is missed when it is broken`() {
    let rows: [(Violation.Rule, String, (inout Story) -> Void)] = [
      (
        .endsOnce, "submitted twice",
        {
          $0.submit(a); $0.commit(.submitted(a))
        }
      ),
      (
        .endsOnce, "had ended as completed and became failed",
        {
          $0.submit(a); $0.give(a, to: w); $0.end(a, by: w)
          $0.commit(.state(a, .failed, attempt: 1, worker: w))
        }
      ),
      (
        .endsOnce, "has not after a restart",
        {
          $0.submit(a); $0.give(a, to: w); $0.end(a, by: w)
          $0.tell(.coordinatorStarted([stored(.running)]))
        }
      ),
      (
        .endsOnce, "output of attempt a/1 was stored after",
        {
          $0.submit(a); $0.give(a, to: w); $0.end(a, by: w); $0.commit(.output(key(1)))
        }
      ),
      (
        .isKept, "acknowledged before it was durable",
        {
          $0.begin(.submitted(a)); $0.tell(.submitAcknowledged([a]))
        }
      ),
      (
        .isKept, "the store that was opened again has it not",
        {
          $0.submit(a); $0.tell(.coordinatorStarted([]))
        }
      ),
      (
        .isKept, "attempt 1, checkpoint 1.1, and is assigned, attempt 1, no checkpoint",
        {
          $0.submit(a); $0.give(a, to: w); $0.commit(.checkpoint(a, CheckpointKey(attempt: 1, number: 1)))
          $0.tell(.coordinatorStarted([stored(.assigned)]))
        }
      ),
      (
        .isKept, "before it was durable",
        {
          $0.submit(a)
          $0.begin(.attempt(key(1), .running, w, resumedFrom: nil), .state(a, .assigned, attempt: 1, worker: w))
          $0.tell(.attemptStarted(key(1), w, from: nil))
        }
      ),
      (
        .isKept, "forgot the result of attempt a/1",
        {
          $0.submit(a); $0.give(a, to: w)
          $0.tell(.persisted(key(1), checkpoint: nil, w), .forgotten(key(1), checkpoint: nil, w))
        }
      ),
      (
        .isKept, "forgot checkpoint 1 of attempt a/1",
        {
          $0.submit(a); $0.give(a, to: w)
          $0.tell(.persisted(key(1), checkpoint: 1, w), .forgotten(key(1), checkpoint: 1, w))
        }
      ),
      (
        .isKept, "the store has it not",
        {
          $0.submit(a); $0.give(a, to: w); $0.end(a, by: w); $0.checker.finish(final: [])
        }
      ),
      (.isKept, "out of turn", { $0.tell(.committed(batch: 7)) }),
      (
        .resumesFromNewest, "attempt a/2 is to start from no checkpoint, and the newest is checkpoint 1.1",
        {
          $0.submit(a); $0.give(a, to: w); $0.commit(.checkpoint(a, CheckpointKey(attempt: 1, number: 1)))
          $0.give(a, attempt: 2, to: v)
        }
      ),
      (
        .resumesFromNewest, "started attempt a/1 from checkpoint 1.9",
        {
          $0.submit(a)
          $0.commit(.attempt(key(1), .running, w, resumedFrom: nil), .state(a, .assigned, attempt: 1, worker: w))
          $0.tell(.attemptStarted(key(1), w, from: CheckpointKey(attempt: 1, number: 9)))
        }
      ),
      (
        .newestAttemptWrites, "checkpoint 1.1 of attempt a/1 was stored while 2 is newest",
        {
          $0.submit(a); $0.give(a, to: w); $0.give(a, attempt: 2, to: v)
          $0.commit(.checkpoint(a, CheckpointKey(attempt: 1, number: 1)))
        }
      ),
      (
        .newestAttemptWrites, "was stored after 1.2",
        {
          $0.submit(a); $0.give(a, to: w); $0.commit(.checkpoint(a, CheckpointKey(attempt: 1, number: 2)))
          $0.commit(.checkpoint(a, CheckpointKey(attempt: 1, number: 1)))
        }
      ),
      (
        .newestAttemptWrites, "was started twice",
        {
          $0.submit(a); $0.give(a, to: w); $0.tell(.attemptStarted(key(1), v, from: nil))
        }
      ),
      (
        .newestAttemptWrites, "went from attempt 0 to 2",
        {
          $0.submit(a);
          $0.commit(.state(a, .assigned, attempt: 2, worker: w), .attempt(key(2), .running, w, resumedFrom: nil))
        }
      ),
      (
        .newestAttemptWrites, "of which there is no record",
        {
          $0.submit(a); $0.commit(.state(a, .assigned, attempt: 1, worker: w))
        }
      ),
      (
        .runsAlone, "while a/1 ran at w",
        {
          $0.submit(a); $0.give(a, to: w); $0.give(a, attempt: 2, to: v)
        }
      ),
      (
        .inOrder, "after 1 in session s",
        {
          $0.tell(.registered(w, session, resumed: false))
          $0.tell(.coordinatorHandled(w, session, sequence: 1, .checkpoint))
          $0.tell(.coordinatorHandled(w, session, sequence: 1, .checkpoint))
        }
      ),
      (
        .inOrder, "w handled task_assignment 2 after 0",
        {
          $0.tell(.sessionJoined(w, session, resumed: false))
          $0.tell(.workerHandled(w, session, sequence: 2, .taskAssignment))
        }
      ),
      (.inOrder, "that does not know it", { $0.tell(.registered(w, session, resumed: true)) }),
      (.inOrder, "which was not its own", { $0.tell(.sessionJoined(w, session, resumed: true)) }),
      (.inOrder, "opened twice", { for _ in 1...2 { $0.tell(.registered(w, session, resumed: false)) } }),
      (
        .fits, "which does not have gpu=1",
        {
          $0.tell(.offered(w, offer(slots: 1)), .required(a, needs("gpu=1"), slots: 1))
          $0.submit(a)
          $0.commit(.attempt(key(1), .running, w, resumedFrom: nil), .state(a, .assigned, attempt: 1, worker: w))
        }
      ),
      (
        .fits, "was given tasks of 3 slots, and has 2",
        {
          $0.tell(.offered(w, offer(slots: 2)), .required(a, needs(), slots: 3))
          $0.submit(a)
          $0.commit(.attempt(key(1), .running, w, resumedFrom: nil), .state(a, .assigned, attempt: 1, worker: w))
        }
      ),
      (
        .fits, "w runs tasks of 2 slots, and has 1",
        {
          $0.submit(a); $0.submit(b); $0.give(a, to: w)
          $0.commit(
            .attempt(AttemptKey(b, 1), .running, w, resumedFrom: nil), .state(b, .assigned, attempt: 1, worker: w))
          $0.tell(.offered(w, offer(slots: 1)), .required(b, needs(), slots: 1))
          $0.tell(.attemptStarted(AttemptKey(b, 1), w, from: nil))
        }
      ),
      (.isBounded, "outbox of w held 9", { $0.tell(.measured("outbox", owner: "w", value: 9, limit: 8)) }),
      (
        .ends, "has not ended: queued",
        {
          $0.submit(a); $0.checker.finish()
        }
      ),
      (
        .ends, "has not ended: running",
        {
          $0.submit(a); $0.checker.finish(final: [stored(.running)])
        }
      ),
    ]
    for (rule, text, tell) in rows {
      var story = Story(exclusive: rule == .runsAlone)
      tell(&story)
      #expect(story.checker.violations.map(\.rule) == [rule], "\(text): \(story.checker.violations)")
      #expect(story.checker.violations.first?.text.contains(text) == true, "\(text): \(story.checker.violations)")
    }
    // That of members has its rows in `MemberHistoryTests`.
    #expect(Set(rows.map(\.0)) == Set(Violation.Rule.allCases).subtracting([.oneMember]))
  }

  @Test func `violations beyond the bound are counted`() {
    var story = Story()
    for value in 1...250 { story.tell(.measured("queue", owner: "c", value: value, limit: 0)) }
    #expect(story.checker.violations.count == 100)
    #expect(story.checker.violationCount == 250)
  }
}
