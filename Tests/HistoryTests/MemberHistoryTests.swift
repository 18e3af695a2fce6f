import CoordinationCore
import History
import Primitives
import Testing

/// A history of several coordinators, told in one line per event, all at one time.
private struct Story {
  var checker: HistoryChecker
  private var time: Int64 = 0
  private var batches: [MemberID: UInt64] = [:]

  init(exact: Bool = false) {
    checker = HistoryChecker(HistoryChecker.Options(exclusiveLeases: true, commitsAreExact: exact))
    tell(one, .joined(one))
    tell(two, .joined(two))
  }

  mutating func tell(_ member: MemberID?, _ event: HistoryEvent) {
    time += 1
    checker.observe(HistoryRecord(event, at: Instant(nanoseconds: time), by: member))
  }

  @discardableResult
  mutating func begin(_ member: MemberID, _ changes: StoredChange...) -> UInt64 {
    batches[member, default: 0] += 1
    let batch = batches[member] ?? 0
    tell(member, .commitBegun(batch: batch, changes))
    return batch
  }

  mutating func commit(_ member: MemberID, _ changes: StoredChange...) {
    batches[member, default: 0] += 1
    tell(member, .commitBegun(batch: batches[member] ?? 0, changes))
    tell(member, .committed(batch: batches[member] ?? 0))
  }

  mutating func submit(at member: MemberID) {
    commit(member, .submitted(a))
    tell(nil, .submitAcknowledged([a]))
  }

  /// A task that is in the pool is given to `w` by `member`, and runs.
  mutating func give(by member: MemberID, attempt: Int = 1) {
    tell(member, .taken([stored(.queued, attempt: attempt - 1)], .claimed))
    commit(member, .attempt(AttemptKey(a, attempt), .running, w, resumedFrom: nil), assigned(attempt))
    tell(nil, .attemptStarted(AttemptKey(a, attempt), w, from: nil))
  }
}

private let (one, two) = (MemberID(1), MemberID(2))
private let (a, w) = (TaskID(known: "a"), WorkerID(known: "w"))
private let key = AttemptKey(a, 1)

private func assigned(_ attempt: Int = 1) -> StoredChange { .state(a, .assigned, attempt: attempt, worker: w) }
private let running = StoredChange.state(a, .running, attempt: 1, worker: w)
private let completed = StoredChange.state(a, .completed, attempt: 1, worker: w)

private func stored(_ status: TaskStatus, attempt: Int = 1) -> StoredTask {
  StoredTask(id: a, status: status, attempt: attempt, worker: attempt == 0 ? nil : w, checkpoint: nil)
}

struct MemberHistoryTests {
  private typealias Row = (text: String, tell: (inout Story) -> Void)

  @Test(arguments: [false, true])
  func `a task that goes from one coordinator to another breaks no rule`(exact: Bool) {
    var story = Story(exact: exact)
    story.submit(at: one)
    // Again, after a lost answer.
    story.submit(at: two)
    story.give(by: two)
    story.commit(two, .transferred(a, to: one))
    story.tell(one, .taken([stored(.assigned)], .gathered))
    story.commit(one, running)
    story.tell(one, .membershipEnded(one))
    story.tell(two, .taken([stored(.running)], .takenOver))
    story.commit(two, .attempt(key, .completed, w, resumedFrom: nil), completed)
    story.checker.finish()
    #expect(story.checker.violations == [])
    #expect(story.checker.statistics.joins == 2)
    #expect(story.checker.statistics.taken == [.claimed: 1, .gathered: 1, .takenOver: 1])
  }

  @Test func `what another took shows what was committed although nobody said so`() {
    let rows: [Row] = [
      (
        "a submission",
        {
          $0.begin(one, .submitted(a)); $0.give(by: two); $0.tell(nil, .submitAcknowledged([a]))
          $0.commit(two, .attempt(key, .completed, w, resumedFrom: nil), completed)
        }
      ),
      (
        "a submission that only its answer elsewhere shows",
        {
          $0.begin(one, .submitted(a)); $0.tell(nil, .submitAcknowledged([a])); $0.give(by: two)
          $0.commit(two, .attempt(key, .completed, w, resumedFrom: nil), completed)
        }
      ),
      (
        "a task that was given back",
        {
          $0.submit(at: one); $0.give(by: one)
          $0.tell(nil, .attemptEnded(key, w))
          let batch = $0.begin(
            one, .attempt(key, .lost, w, resumedFrom: nil), .state(a, .queued, attempt: 1, worker: w), .released(a))
          $0.give(by: two, attempt: 2)
          $0.tell(one, .committed(batch: batch))
          $0.commit(
            two, .attempt(AttemptKey(a, 2), .completed, w, resumedFrom: nil),
            .state(a, .completed, attempt: 2, worker: w))
        }
      ),
      (
        "some commits of a coordinator that was killed, and not the last",
        {
          $0.submit(at: one); $0.give(by: one)
          $0.begin(one, running); $0.begin(one, .attempt(key, .completed, w, resumedFrom: nil), completed)
          $0.tell(two, .taken([stored(.running)], .takenOver))
          $0.commit(two, .attempt(key, .completed, w, resumedFrom: nil), completed)
        }
      ),
      (
        "an end of which only the worker hears",
        {
          $0.submit(at: one); $0.give(by: one)
          $0.tell(nil, .persisted(key, checkpoint: nil, w))
          $0.begin(one, .attempt(key, .completed, w, resumedFrom: nil), completed)
          $0.tell(nil, .forgotten(key, checkpoint: nil, w))
        }
      ),
      (
        "an end of which nobody hears",
        {
          $0.submit(at: one); $0.give(by: one)
          $0.begin(one, .attempt(key, .completed, w, resumedFrom: nil), completed)
        }
      ),
      (
        "a coordinator that stood still between its commit and saying so",
        {
          $0.submit(at: one); $0.give(by: one)
          let batch = $0.begin(one, running)
          $0.tell(two, .taken([stored(.running)], .takenOver))
          $0.tell(one, .committed(batch: batch))
          $0.commit(two, .attempt(key, .completed, w, resumedFrom: nil), completed)
        }
      ),
    ]
    for (text, tell) in rows {
      var story = Story()
      tell(&story)
      story.checker.finish()
      #expect(story.checker.violations == [], "\(text)")
    }
  }

  @Test func `a task of two members is noticed`() {
    let exact: [Row] = [
      (
        "while it was member 1's",
        {
          $0.submit(at: one); $0.give(by: one); $0.give(by: two)
        }
      ),
      (
        "had ended before",
        {
          $0.submit(at: one); $0.give(by: one)
          let batch = $0.begin(one, running)
          $0.tell(one, .membershipEnded(one))
          $0.tell(two, .taken([stored(.assigned)], .takenOver))
          $0.tell(one, .committed(batch: batch))
        }
      ),
      (
        "after it had ended",
        {
          $0.submit(at: one); $0.tell(two, .membershipEnded(two));
          $0.tell(two, .taken([stored(.queued, attempt: 0)], .claimed))
        }
      ),
      (
        "which is the pool's",
        {
          $0.submit(at: one); $0.commit(one, .state(a, .cancelled, attempt: 0, worker: nil))
        }
      ),
      (
        "while it was assigned",
        {
          $0.submit(at: one); $0.give(by: one); $0.commit(one, .released(a))
        }
      ),
      ("joined as member 2", { $0.tell(two, .joined(two)) }),
    ]
    let told: [Row] = [
      (
        "which is member 2's",
        {
          $0.submit(at: one); $0.give(by: two); $0.commit(one, completed)
        }
      ),
      (
        "after another had taken it",
        {
          $0.submit(at: one); $0.give(by: one)
          let batch = $0.begin(one, completed)
          $0.tell(two, .taken([stored(.assigned)], .takenOver))
          $0.tell(one, .committed(batch: batch))
        }
      ),
      (
        "had ended before",
        {
          $0.submit(at: one); $0.give(by: one); $0.tell(two, .taken([stored(.assigned)], .takenOver))
          $0.commit(one, .other("test"))
        }
      ),
    ]
    for (isExact, rows) in [(true, exact), (false, told)] {
      for (text, tell) in rows {
        var story = Story(exact: isExact)
        tell(&story)
        let violations = story.checker.violations
        #expect(violations.contains { $0.rule == .oneMember && $0.text.contains(text) }, "\(text): \(violations)")
      }
    }
  }

  @Test func `what is lost between two members is noticed`() {
    var story = Story()
    story.submit(at: one)
    story.give(by: one)
    story.commit(one, running)
    story.tell(two, .taken([stored(.assigned)], .takenOver))
    #expect(story.checker.violations.map(\.rule) == [.isKept])
  }

  @Test func `attempts at two coordinators overlap`() {
    var story = Story()
    story.submit(at: one)
    story.give(by: one)
    story.tell(two, .taken([stored(.assigned)], .takenOver))
    story.commit(
      two, .attempt(key, .lost, w, resumedFrom: nil), .state(a, .queued, attempt: 1, worker: w), .released(a))
    story.give(by: two, attempt: 2)
    #expect(story.checker.violations.map(\.rule) == [.runsAlone])
  }

  @Test func `a session is one coordinator's`() {
    var story = Story()
    let session = SessionID(known: "s")
    story.tell(one, .registered(w, session, resumed: false))
    story.tell(two, .registered(w, session, resumed: true))
    #expect(story.checker.violations.map(\.rule) == [.inOrder])
  }

  @Test func `lines of a history are their member's, and other files have none`() throws {
    let lines = [
      HistoryRecord(.joined(one), at: .zero), HistoryRecord(.committed(batch: 1), at: .zero),
      HistoryRecord(.committed(batch: 2), at: .zero, by: two), HistoryRecord(.coordinatorStarted([]), at: .zero),
      HistoryRecord(.committed(batch: 1), at: .zero),
    ]
    let text = lines.map(\.line).joined(separator: "\n") + "\n"
    #expect(try HistoryText(Array(text.utf8)).records.map(\.member) == [one, one, two, nil, nil])
  }

  @Test(arguments: [
    HistoryEvent.joined(MemberID(7)), .membershipEnded(MemberID(7)),
    .taken([stored(.queued, attempt: 0), stored(.running)], .gathered),
    .commitBegun(batch: 3, [.released(a), .transferred(a, to: MemberID(9))]),
  ])
  func `what members do is read as it was written`(event: HistoryEvent) throws {
    let record = HistoryRecord(event, at: Instant(nanoseconds: 5), by: MemberID(7))
    let read = try HistoryText(Array((record.line + "\n").utf8)).records
    #expect(read == [record])
  }
}
