import CoordinationCore
import PostgreSQL
import Primitives
import Reactor
import Storage

/// What becomes of transactions: done, refused, or not known and to be found out.
extension PostgresSession {
  func start(_ batch: Batch) {
    self.batch = batch
    guard !batch.calls.isEmpty else {
      // Nothing to do, such as an empty commit where nobody has joined.
      return succeed(batch, [])
    }
    run(batch.calls, for: batch) { [self] answer in
      switch answer {
      case .success(let results): done(batch, results)
      case .failure(let error): failed(batch, error)
      }
    }
  }

  /// Runs statements on behalf of a transaction; the answer is of no interest once it is not the one under way.
  func run(_ calls: [PostgresCall], for batch: Batch, _ completion: @escaping (PostgresLane.Answer) -> Void) {
    self.batch = batch
    isUnderWay = true
    changes.run(calls) { [self] answer in
      guard self.batch === batch else { return }
      isUnderWay = false
      completion(answer)
    }
  }

  /// The connection stands again, or it is time for another attempt.
  func resume() {
    guard changes.isReady, !isUnderWay else { return }
    if let batch { start(batch) } else { pump() }
  }

  func retryLater() {
    loop.schedule(after: .milliseconds(Int64.random(in: 5...50))) { [weak self] in self?.resume() }
  }

  private func failed(_ batch: Batch, _ error: PostgresError) {
    switch error.kind {
    case .connection, .refused: return
    case .statement: break
    }
    if error.code == "22012", error.call == 0, batch.number > 0 { return findOut(batch) }
    if error.code == "22012", let check = batch.needsCheck, error.call == check {
      needs = [:]
      self.batch = nil
      for request in batch.requests.reversed() { waiting.prepend(request) }
      return pump()
    }
    if error.endsConnection || error.code == "25006" { return changes.drop(error.description) }
    if error.isConflict { return retryLater() }
    self.batch = nil
    if batch.requests.count > 1 {
      // Only the guilty one shall fail, so each now has a transaction of its own.
      isolated = batch.requests.count
      for request in batch.requests.reversed() { waiting.prepend(request) }
    } else {
      for request in batch.requests { finish(request, storeError(error)) }
    }
    pump()
  }

  /// The member's row did not let a transaction pass: it was done before, or the member has ended.
  private func findOut(_ batch: Batch) {
    guard let member else { return }
    run([MemberStatements.state(of: member.number)], for: batch) { [self] answer in
      guard case .success(let results) = answer else {
        if case .failure(let error) = answer, error.kind == .statement { retryLater() }
        return
      }
      guard results[0].count > 0 else { return fence() }
      let row = results[0].row(0)
      let (last, hasEnded) = (row.int64(0), row.bool(1))
      if last == batch.number { return wasDone(batch) }
      if hasEnded { return fence() }
      if last != batch.number - 1 {
        // A standby that had not heard of everything, or a backup: what was acknowledged is gone, and what this member
        // believes to hold may be another's.
        log("the store \(store) has transaction \(last) of member \(member), where \(batch.number - 1) was the last")
        return fence()
      }
      retryLater()
    }
  }

  /// A transaction was done, and the connection broke before we learnt of it.
  private func wasDone(_ batch: Batch) {
    guard let member, let request = batch.requests.first else { return }
    let me = (SQLValue.int(member.number), SQLValue.int(batch.number))
    let calls: [PostgresCall]
    switch request {
    case .commit:
      lastNumber = batch.number
      // How many of its writes were left out is not known.
      self.batch = nil
      statistics.committed(refused: 0)
      if batch.fillsPool { poolChanged() }
      for request in batch.requests {
        settled(request)
        if case .commit(_, let completion) = request { completion(.success(())) }
      }
      return pump()
    case .claim: calls = [MemberStatements.claimed(me.0, me.1)]
    case .renew: calls = [MemberStatements.claimed(me.0, me.1), MemberStatements.members()]
    default:
      // They may be done again, under the next number.
      lastNumber = batch.number
      self.batch = nil
      waiting.prepend(request)
      return pump()
    }
    run(calls, for: batch) { [self] answer in
      switch answer {
      case .success(let results):
        lastNumber = batch.number
        self.batch = nil
        switch request {
        case .claim(_, _, _, let completion):
          complete(request, completion) { () throws(StoreError) in
            try rows.unfinished(results[0])
          }
        case .renew(let completion):
          complete(request, completion) { () throws(StoreError) in
            MembershipRenewal(members: rows.members(results[1]), takenOver: try rows.unfinished(results[0]))
          }
        default: break
        }
        pump()
      case .failure(let error): if error.kind == .statement { retryLater() }
      }
    }
  }

  private func complete<T>(
    _ request: StoreRequest, _ completion: StoreCompletion<T>, _ read: () throws(StoreError) -> T
  ) {
    settled(request)
    do throws(StoreError) { completion(.success(try read())) } catch { completion(.failure(error)) }
  }

  private func done(_ batch: Batch, _ results: [PostgresResult]) {
    if batch.number > 0 { lastNumber = batch.number }
    guard let request = batch.requests.first else { return }
    if case .commit = request { return succeed(batch, results) }
    self.batch = nil
    switch request {
    case .renew(let completion):
      // A row without a task went to the pool.
      let left = (0..<results[2].count).map { results[2].row($0) }
      if left.contains(where: { $0.isNull(0) }) {
        poolChanged()
        onSignal(.poolChanged)
      }
      complete(request, completion) { () throws(StoreError) in
        var taken: [UnfinishedTask] = []
        for row in left where !row.isNull(0) { try taken.append(rows.unfinished(row)) }
        return MembershipRenewal(members: rows.members(results[4]), takenOver: taken)
      }
      forgetNeedsIfDue()
    case .leave(let completion):
      if let member { tellOfLeaving(member) }
      isFenced = true
      settled(request)
      completion()
    case .claim(_, _, _, let completion):
      complete(request, completion) { () throws(StoreError) in try rows.unfinished(results[1]) }
    case .locate(_, let completion):
      complete(request, completion) { () throws(StoreError) in try rows.place(results[2], for: member) }
    case .gather(_, let completion):
      complete(request, completion) { () throws(StoreError) in
        Gathering(tasks: try rows.unfinished(results[2]), heldBy: rows.holders(results[3]))
      }
    case .forgetNeeds(let numbers):
      settled(request)
      forgot(numbers, mayForget: results[1].row(0).string(0) == "true")
    case .commit, .join, .read, .send, .close: break
    }
    pump()
  }

  // MARK: Membership

  func join(_ request: StoreRequest, _ name: String, _ address: String, _ lease: Duration) {
    let microseconds = max(1, lease.wholeNanoseconds / 1_000)
    let calls = [
      MemberStatements.lockName(name), MemberStatements.endNamesake(name),
      MemberStatements.join(name: name, address: address, lease: microseconds),
    ]
    run(calls, for: Batch([request], number: 0, calls: [])) { [self] answer in
      batch = nil
      switch answer {
      case .success(let results):
        let id = MemberID(results[2].row(0).int64(0))
        member = id
        self.lease = lease
        lastNumber = 0
        isFenced = false
        listened = false
        isListening = false
        if results[1].changedRows > 0 { tellOfLeaving(id) }
        whenListening.append { [self] result in
          settled(request)
          if case .join(_, _, _, let completion) = request { completion(result.map { id }) }
        }
        listen()
        pump()
      case .failure(let error):
        if error.kind == .statement, !error.isConflict, !error.endsConnection {
          finish(request, storeError(error))
        } else {
          waiting.prepend(request)
        }
        retryLater()
      }
    }
  }

  /// The membership has ended: nothing of what waits is done, up to where it joins again.
  private func fence() {
    isFenced = true
    log("this coordinator's membership in the store \(store) has ended")
    if let batch = batch.take() { for request in batch.requests { finish(request, .fenced) } }
    var hasJoined = false
    let ended = waiting.remove { request in
      if case .join = request { hasJoined = true }
      return !hasJoined && request.isChange
    }
    for request in ended { finish(request, .fenced) }
    pump()
  }
}

extension TaskRows {
  func members(_ result: PostgresResult) -> [Member] {
    (0..<result.count).map { number in
      let row = result.row(number)
      return Member(id: MemberID(row.int64(0)), name: row.string(1) ?? "", address: row.string(2) ?? "")
    }
  }

  func holders(_ result: PostgresResult) -> Set<MemberID> {
    Set((0..<result.count).map { MemberID(result.row($0).int64(0)) })
  }

  func place(_ result: PostgresResult, for member: MemberID?) throws(StoreError) -> TaskPlace {
    guard result.count > 0 else { return .nowhere }
    let row = result.row(0)
    guard let owner = row.optionalInt64(Self.ownerColumn) else { return .nowhere }
    return MemberID(owner) == member ? .here(try unfinished(row)) : .held(by: MemberID(owner))
  }
}
