import CoordinationCore
import PostgreSQL
import Primitives
import Reactor
import Storage

/// Requests that are done in one transaction.
final class Batch {
  let requests: [StoreRequest]
  /// The member's number of this transaction; 0 where nobody has joined.
  let number: Int64
  let calls: [PostgresCall]
  let steps: [WriteSegment.Step]
  let fillsPool: Bool
  /// Which of the calls fails when needs that the others name by number were forgotten.
  let needsCheck: Int?

  init(
    _ requests: [StoreRequest], number: Int64, calls: [PostgresCall], steps: [WriteSegment.Step] = [],
    fillsPool: Bool = false, needsCheck: Int? = nil
  ) {
    self.requests = requests
    self.number = number
    self.calls = calls
    self.steps = steps
    self.fillsPool = fillsPool
    self.needsCheck = needsCheck
  }
}

extension PostgresSession {
  /// Makes the next transaction of the first request, or of the first commits, and starts it.
  func begin() {
    guard let request = waiting.first else { return }
    if case .commit = request { return beginCommits() }
    _ = waiting.popFirst()
    if case .join(let name, let address, let lease, _) = request { return join(request, name, address, lease) }
    guard let member, !isFenced else { return finish(request, .fenced) }
    let number = lastNumber + 1
    let me = (SQLValue.int(member.number), SQLValue.int(number))
    let fence = WriteStatements.fence(me.0, me.1)
    let calls: [PostgresCall]
    switch request {
    case .renew:
      calls = [
        WriteStatements.fenceAndRenew(me.0, me.1, .int(lease.wholeNanoseconds / 1_000)),
        MemberStatements.endLapsed(me.0, .int(mayEndOthers ? 1 : 0)),
        MemberStatements.takeOver(me.0, me.1, .int(Self.maxTakenOver)), MemberStatements.forgetEnded(),
        MemberStatements.members(),
      ]
    case .leave: calls = [fence, MemberStatements.leave(member.number)]
    case .claim(let wishes, let limit, let overdueBefore, let completion):
      guard limit > 0, wishes.contains(where: { $0.count > 0 }) else {
        settled(request)
        return completion(.success([]))
      }
      calls = [fence, claim(wishes, limit, overdueBefore, me)]
    case .locate(let id, _):
      calls = [
        fence, MemberStatements.claimOne(id.text, member.number, number), MemberStatements.place(of: id.text),
      ]
    case .gather(let worker, _):
      calls = [
        fence, MemberStatements.gather(worker.text, member.number, number),
        MemberStatements.gathered(worker.text, member.number), MemberStatements.holders(worker.text, member.number),
      ]
    case .forgetNeeds(let numbers): calls = [fence] + MemberStatements.forgetNeeds(numbers, of: setup.cluster)
    case .commit, .join, .read, .send, .close: preconditionFailure("no request of a member alone")
    }
    start(Batch([request], number: number, calls: calls))
  }

  private func claim(
    _ wishes: [ClaimWish], _ limit: Int, _ overdueBefore: WallTime?, _ me: (SQLValue, SQLValue)
  ) -> PostgresCall {
    var (texts, counts) = (SQLColumn(.bytes), SQLColumn(.int))
    var totals: [TaskNeeds: Int] = [:]
    var order: [TaskNeeds] = []
    for wish in wishes where wish.count > 0 {
      if totals[wish.needs] == nil { order.append(wish.needs) }
      totals[wish.needs] = min((totals[wish.needs] ?? 0) &+ min(wish.count, limit), limit)
    }
    for needs in order {
      texts.append(Array(needs.text.utf8))
      counts.append(totals[needs] ?? 0)
    }
    let most = SQLValue.int(limit)
    guard let overdueBefore, limit >= 4 else {
      return MemberStatements.claim(me.0, me.1, texts.value, counts.value, most)
    }
    return MemberStatements.claimOverdue(
      me.0, me.1, texts.value, counts.value, most, .int(limit / 4), .int(overdueBefore.milliseconds))
  }

  // MARK: Commits

  private func beginCommits() {
    if isFenced, let request = waiting.popFirst() { return finish(request, .fenced) }
    var requests: [StoreRequest] = []
    var segments = [WriteSegment()]
    var (writeCount, byteCount) = (0, 0)
    while case .commit(let writes, _) = waiting.first, let request = waiting.popFirst() {
      requests.append(request)
      for write in writes {
        byteCount += write.roughBytes
        if segments[segments.count - 1].add(write, isMember: member != nil) { continue }
        var next = WriteSegment()
        _ = next.add(write, isMember: member != nil)
        segments.append(next)
      }
      writeCount += writes.count
      if isolated > 0 {
        isolated -= 1
        break
      }
      if writeCount >= Self.maxGroupedWrites || byteCount >= Self.maxGroupedBytes { break }
    }
    findNeeds(segments, requests)
  }

  /// New tasks name their needs by number; texts that are new here are asked for first.
  private func findNeeds(_ segments: [WriteSegment], _ requests: [StoreRequest]) {
    var unknown: Set<TaskNeeds> = []
    for segment in segments { for needs in segment.needs where self.needs[needs] == nil { unknown.insert(needs) } }
    guard !unknown.isEmpty else { return commit(segments, requests) }
    var texts = SQLColumn(.bytes)
    for needs in unknown { texts.append(Array(needs.text.utf8)) }
    // Holds the place of the transaction that follows.
    let placeholder = Batch(requests, number: 0, calls: [])
    let calls = [WriteStatements.needs(texts.value), WriteStatements.needsFound(texts.value)]
    run(calls, for: placeholder) { [self] answer in
      batch = nil
      switch answer {
      case .success(let results):
        if needs.count + unknown.count > Self.maxKnownNeeds { needs = [:] }
        var found: [String: Int64] = [:]
        for number in 0..<results[1].count {
          let row = results[1].row(number)
          found[row.string(1) ?? ""] = row.int64(0)
        }
        for one in unknown { if let number = found[one.text] { needs[one] = number } }
        // A table that was emptied behind our back would have us ask for ever.
        guard unknown.allSatisfy({ needs[$0] != nil }) else {
          let error = StoreError.corrupt(path: store, reason: "the needs of tasks are not kept")
          for request in requests { finish(request, error) }
          return pump()
        }
        // Those that were forgotten for the sake of the new ones.
        findNeeds(segments, requests)
      case .failure(let error):
        if error.kind == .statement, !error.isConflict, !error.endsConnection {
          for request in requests { finish(request, storeError(error)) }
        } else {
          for request in requests.reversed() { waiting.prepend(request) }
        }
        retryLater()
      }
    }
  }

  private func commit(_ segments: [WriteSegment], _ requests: [StoreRequest]) {
    let steps = segments.flatMap { $0.steps(member: member, needs: needs) }
    var calls: [PostgresCall] = []
    var number: Int64 = 0
    if let member {
      number = lastNumber + 1
      calls.append(WriteStatements.fence(.int(member.number), .int(number)))
    }
    let used = Set(segments.lazy.flatMap(\.needs).compactMap { [needs] in needs[$0] })
    if !used.isEmpty {
      var column = SQLColumn(.int)
      for number in used { column.append(number) }
      calls.append(WriteStatements.keepNeeds(.text(setup.cluster)))
      calls.append(WriteStatements.needsKept(column.value, .int(used.count)))
    }
    let needsCheck = used.isEmpty ? nil : calls.count - 1
    start(
      Batch(
        requests, number: number, calls: calls + steps.map(\.call), steps: steps,
        fillsPool: segments.contains(where: \.fillsPool), needsCheck: needsCheck))
  }

  func succeed(_ batch: Batch, _ results: [PostgresResult]) {
    var refused = 0
    var doubtful: [(id: TaskID, state: TaskState, count: Int)] = []
    let first = results.count - batch.steps.count
    for (index, step) in batch.steps.enumerated() {
      let answer = results[first + index]
      switch step.check {
      case .none: break
      case .missing(let counts): for number in answer.missing(counts.count) { refused += counts[number] }
      case .updates(let updates): for number in answer.missing(updates.count) { doubtful.append(updates[number]) }
      }
    }
    guard !doubtful.isEmpty else { return committed(batch, refused) }
    // What a task's end says already is no contradiction, and an end never changes: it can be looked at afterwards.
    var ids = SQLColumn(.text)
    for update in doubtful { ids.append(update.id.text) }
    let call = PostgresCall.sql(
      "SELECT \(ReadStatements.columns) FROM lifeline_tasks t WHERE t.id = ANY ($1::text[]) AND t.status >= 4",
      ids.value)
    run([call], for: batch) { [self] answer in
      var ended: [TaskID: TaskState] = [:]
      if case .success(let results) = answer {
        for record in (try? rows.records(results[0])) ?? [] { ended[record.id] = record.state }
      }
      for update in doubtful { refused += update.count - (ended[update.id] == update.state ? 1 : 0) }
      committed(batch, refused)
    }
  }

  private func committed(_ batch: Batch, _ refused: Int) {
    self.batch = nil
    statistics.committed(refused: refused)
    if batch.fillsPool { poolChanged() }
    for request in batch.requests {
      settled(request)
      if case .commit(_, let completion) = request { completion(.success(())) }
    }
    pump()
  }
}

extension PostgresResult {
  /// The numbers of rows, from 0, that an answer of a `WriteStatements` statement names.
  fileprivate func missing(_ count: Int) -> [Int] {
    (0..<self.count).map { row($0).int(0) - 1 }.filter { $0 >= 0 && $0 < count }
  }
}

extension StoreWrite {
  /// What it comes to in a transaction, give or take.
  fileprivate var roughBytes: Int {
    switch self {
    case .appendOutput(_, _, _, _, let bytes, _): bytes.count + 100
    case .output(_, _, let output): output.stdout.count + output.stderr.count + 100
    case .submit: 1_000
    case .checkpoint: 2_000
    case .run: 20_000
    case .update, .attempt, .testRan, .testFate, .release, .transfer: 200
    }
  }
}
