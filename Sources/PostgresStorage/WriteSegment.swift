import CoordinationCore
import PostgreSQL
import Primitives
import Storage

/// Writes that may be made kind by kind, in few statements, and come to the same as one after the other.
///
/// Within a segment the kinds are written in the order of `Kind`. A write that must see what a later kind, or another of its
/// own kind, does to the same task does not fit, and begins the next segment.
struct WriteSegment {
  private enum Kind: Int {
    case submit, update, attempt, checkpoint, output, append, hand
  }

  private struct AttemptKey: Hashable {
    let task: TaskID
    let attempt: Int
  }

  private struct StreamKey: Hashable {
    let attempt: AttemptKey
    let stream: OutputStream
  }

  /// Several updates of one task of which the last includes the others: it is applied exactly when they are.
  private struct Update {
    var state: TaskState
    var count = 1
  }

  private struct Chunk {
    var offset: Int
    var bytes: [UInt8]
    var limit: Int
    var count = 1
  }

  /// The latest kind of write about each task.
  private var kinds: [TaskID: Kind] = [:]
  private var submits: [TaskRecord] = []
  private var updates: [TaskID: Update] = [:]
  private var updated: [TaskID] = []
  private var attempts: [AttemptKey: (record: AttemptRecord, count: Int)] = [:]
  private var attempted: [AttemptKey] = []
  private var checkpoints: [TaskID: (record: CheckpointRecord, keep: Int)] = [:]
  private var outputs: [AttemptKey: (output: AttemptOutput, count: Int)] = [:]
  private var chunks: [StreamKey: Chunk] = [:]
  private var releases: [TaskID] = []
  private var transfers: [(TaskID, MemberID)] = []
  private var ran: [TestName: Duration] = [:]
  private var fates: [TestName: (change: TestFateChange, at: WallTime)] = [:]
  private var parts: [String: [Int: RunPart]] = [:]

  /// Adds a write; false when it does not fit, and then nothing has changed.
  mutating func add(_ write: StoreWrite, isMember: Bool) -> Bool {
    switch write {
    case .submit(let task):
      if kinds[task.id] == .submit { return true }
      guard mark(task.id, .submit) else { return false }
      submits.append(task)
    case .update(let id, let state):
      if var update = updates[id] {
        guard kinds[id].map({ $0.rawValue < Kind.hand.rawValue }) ?? true, !update.state.status.isTerminal,
          update.state.attempt == state.attempt
        else { return false }
        update.state = state
        update.count += 1
        updates[id] = update
        return true
      }
      guard markLoosely(id, .update) else { return false }
      updates[id] = Update(state: state)
      updated.append(id)
    case .attempt(let attempt):
      let key = AttemptKey(task: attempt.taskID, attempt: attempt.attempt)
      guard markLoosely(key.task, .attempt) else { return false }
      if attempts[key] == nil { attempted.append(key) }
      attempts[key] = (attempt, (attempts[key]?.count ?? 0) + 1)
    case .checkpoint(let checkpoint, let keep):
      guard checkpoints[checkpoint.taskID] == nil, markLoosely(checkpoint.taskID, .checkpoint) else { return false }
      checkpoints[checkpoint.taskID] = (checkpoint, keep)
    case .output(let id, let attempt, let output):
      let key = AttemptKey(task: id, attempt: attempt)
      guard chunks[StreamKey(attempt: key, stream: .stdout)] == nil,
        chunks[StreamKey(attempt: key, stream: .stderr)] == nil, markLoosely(id, .output)
      else { return false }
      outputs[key] = (output, (outputs[key]?.count ?? 0) + 1)
    case .appendOutput(let id, let attempt, let stream, let offset, let bytes, let limit):
      let key = StreamKey(attempt: AttemptKey(task: id, attempt: attempt), stream: stream)
      if var chunk = chunks[key] {
        guard kinds[id] != .hand, chunk.offset >= 0, chunk.limit == limit,
          offset.subtractingReportingOverflow(chunk.offset) == (chunk.bytes.count, false)
        else { return false }
        chunk.bytes += bytes
        chunk.count += 1
        chunks[key] = chunk
        return true
      }
      guard markLoosely(id, .append) else { return false }
      chunks[key] = Chunk(offset: offset, bytes: bytes, limit: limit)
    case .release(let id):
      guard isMember else { return true }
      guard kinds[id] != .hand else { return false }
      kinds[id] = .hand
      releases.append(id)
    case .transfer(let id, let heir):
      guard isMember else { return true }
      guard kinds[id] != .hand else { return false }
      kinds[id] = .hand
      transfers.append((id, heir))
    case .testRan(let name, let duration):
      guard ran[name] == nil else { return false }
      ran[name] = duration
    case .testFate(let name, let change, let wall):
      guard fates[name] == nil else { return false }
      fates[name] = (change, wall)
    case .run(let part): parts[part.run, default: [:]][part.number] = part
    }
    return true
  }

  /// A new task must come first of what is about it.
  private mutating func mark(_ id: TaskID, _ kind: Kind) -> Bool {
    guard kinds[id] == nil else { return false }
    kinds[id] = kind
    return true
  }

  /// Kinds between submitting and handing over do not see one another.
  private mutating func markLoosely(_ id: TaskID, _ kind: Kind) -> Bool {
    let known = kinds[id]
    if known == .hand { return false }
    if known.map({ $0.rawValue < kind.rawValue }) ?? true { kinds[id] = kind }
    return true
  }

  // MARK: Statements

  /// A statement, and what its answer says of writes that were left out.
  struct Step {
    enum Check {
      case none
      /// The answer names rows that were left out, by their numbers from 1; each stands for so many writes.
      case missing([Int])
      /// As `missing`; but what was left out may be what the record says already.
      case updates([(id: TaskID, state: TaskState, count: Int)])
    }

    let call: PostgresCall
    let check: Check
  }

  /// Whether something may be claimed after it that could not before.
  var fillsPool: Bool { !releases.isEmpty || submits.contains { $0.state.status == .queued } }

  /// The needs of its new tasks.
  var needs: Set<TaskNeeds> { Set(submits.lazy.map { TaskNeeds($0.specification) }) }

  func steps(member: MemberID?, needs: [TaskNeeds: Int64]) -> [Step] {
    let me = SQLValue.int(member?.number)
    var steps: [Step] = []
    if !submits.isEmpty { steps.append(submitStep(me, needs)) }
    if let step = fileStep() { steps.append(step) }
    updateSteps(me, into: &steps)
    if !attempts.isEmpty { steps.append(attemptStep(me)) }
    if !checkpoints.isEmpty { steps.append(checkpointStep(me)) }
    if !outputs.isEmpty { steps += outputSteps(me) }
    if !chunks.isEmpty { steps.append(chunkStep(me)) }
    handSteps(me, into: &steps)
    testSteps(into: &steps)
    return steps
  }

  private func submitStep(_ me: SQLValue, _ needs: [TaskNeeds: Int64]) -> Step {
    var (ids, runs, times) = (SQLColumn(.text), SQLColumn(.bytes), SQLColumn(.int))
    var (specifications, kinds, urgencies) = (SQLColumn(.bytes), SQLColumn(.int), SQLColumn(.int))
    var states = StateColumns()
    var text: [UInt8] = []
    for task in submits {
      ids.append(task.id.text)
      runs.append(task.specification.run.map { Array($0.utf8) })
      times.append(task.submittedAt.milliseconds)
      text.removeAll(keepingCapacity: true)
      task.specification.json.write(into: &text)
      specifications.append(text[...])
      kinds.append(needs[TaskNeeds(task.specification)] ?? 0)
      urgencies.append(task.specification.priority.rawValue)
      states.append(task.state)
    }
    let columns = [ids, runs, times, specifications, kinds, urgencies].map(\.value)
    return Step(call: WriteStatements.submit.with([me] + columns + states.values), check: .none)
  }

  private func fileStep() -> Step? {
    var (ids, digests) = (SQLColumn(.text), SQLColumn(.text))
    for task in submits {
      for input in task.specification.inputs {
        ids.append(task.id.text)
        digests.append(input.file.digest.text)
      }
    }
    guard ids.count > 0 else { return nil }
    return Step(call: WriteStatements.useFiles(ids.value, digests.value), check: .none)
  }

  private func updateSteps(_ me: SQLValue, into steps: inout [Step]) {
    for isEnd in [false, true] {
      var (ids, states) = (SQLColumn(.text), StateColumns())
      var expected: [(id: TaskID, state: TaskState, count: Int)] = []
      for id in updated {
        guard let update = updates[id], update.state.status.isTerminal == isEnd else { continue }
        ids.append(id.text)
        states.append(update.state)
        expected.append((id, update.state, update.count))
      }
      guard !expected.isEmpty else { continue }
      let statement = isEnd ? WriteStatements.end : WriteStatements.change
      steps.append(Step(call: statement.with([me, ids.value] + states.values), check: .updates(expected)))
    }
  }

  private func attemptStep(_ me: SQLValue) -> Step {
    var ids = SQLColumn(.text)
    var (numbers, starts, ends) = (SQLColumn(.int), SQLColumn(.int), SQLColumn(.int))
    var (workers, outcomes, reasons) = (SQLColumn(.text), SQLColumn(.int), SQLColumn(.bytes))
    var (codes, resumedAttempts, resumedNumbers) = (SQLColumn(.int), SQLColumn(.int), SQLColumn(.int))
    var counts: [Int] = []
    for key in attempted {
      guard let (record, count) = attempts[key] else { continue }
      counts.append(count)
      ids.append(record.taskID.text)
      numbers.append(record.attempt)
      workers.append(record.workerID.text)
      starts.append(record.startedAt.milliseconds)
      ends.append(record.endedAt?.milliseconds)
      outcomes.append(record.outcome.code)
      reasons.append(Array(record.reason.utf8))
      codes.append(record.exitCode.map(Int64.init))
      resumedAttempts.append(record.resumedFrom.map { Int64($0.attempt) })
      resumedNumbers.append(record.resumedFrom.map { Int64($0.number) })
    }
    let columns = [ids, numbers, workers, starts, ends, outcomes, reasons, codes, resumedAttempts, resumedNumbers]
    return Step(
      call: WriteStatements.attempts.with([me] + columns.map(\.value)),
      check: .missing(counts))
  }

  private func checkpointStep(_ me: SQLValue) -> Step {
    var (ids, attempts, numbers) = (SQLColumn(.text), SQLColumn(.int), SQLColumn(.int))
    var (times, data, keeps) = (SQLColumn(.int), SQLColumn(.bytes), SQLColumn(.int))
    var text: [UInt8] = []
    for (record, keep) in checkpoints.values {
      ids.append(record.taskID.text)
      attempts.append(record.key.attempt)
      numbers.append(record.key.number)
      times.append(record.createdAt.milliseconds)
      text.removeAll(keepingCapacity: true)
      record.data.write(into: &text)
      data.append(text[...])
      keeps.append(max(keep, 1))
    }
    return Step(
      call: WriteStatements.checkpoints.with([me] + [ids, attempts, numbers, times, data, keeps].map(\.value)),
      check: .missing([Int](repeating: 1, count: checkpoints.count)))
  }

  private func outputSteps(_ me: SQLValue) -> [Step] {
    var (ids, attempts) = (SQLColumn(.text), SQLColumn(.int))
    var (rowIDs, rowAttempts, streams) = (SQLColumn(.text), SQLColumn(.int), SQLColumn(.int))
    var (starts, bytes) = (SQLColumn(.int), SQLColumn(.bytes))
    var counts: [Int] = []
    for (key, (output, count)) in outputs {
      ids.append(key.task.text)
      attempts.append(key.attempt)
      counts.append(count)
      func row(_ stream: Int64, _ start: Int, _ content: [UInt8]) {
        rowIDs.append(key.task.text)
        rowAttempts.append(key.attempt)
        streams.append(stream)
        starts.append(start)
        bytes.append(content[...])
      }
      if !output.stdout.isEmpty { row(OutputStream.stdout.code, 0, output.stdout) }
      if !output.stderr.isEmpty { row(OutputStream.stderr.code, 0, output.stderr) }
      if output.droppedBytes != 0 { row(Self.droppedCode, output.droppedBytes, []) }
    }
    let removal = Step(
      call: WriteStatements.dropOutput.with([me, ids.value, attempts.value]), check: .missing(counts))
    guard rowIDs.count > 0 else { return [removal] }
    let rows = [rowIDs, rowAttempts, streams, starts, bytes].map(\.value)
    return [removal, Step(call: WriteStatements.insertOutput.with([me] + rows), check: .none)]
  }

  /// In the place of a stream: how many bytes were dropped, as its row's offset.
  private static let droppedCode: Int64 = 2
  /// Offsets and limits beyond it are nobody's; the database shall not have to add them up.
  private static let maxOffset = 1 << 40

  private func chunkStep(_ me: SQLValue) -> Step {
    var (ids, attempts, streams) = (SQLColumn(.text), SQLColumn(.int), SQLColumn(.int))
    var (offsets, bytes, limits) = (SQLColumn(.int), SQLColumn(.bytes), SQLColumn(.int))
    for (key, chunk) in chunks {
      ids.append(key.attempt.task.text)
      attempts.append(key.attempt.attempt)
      streams.append(key.stream.code)
      offsets.append(min(max(chunk.offset, -1), Self.maxOffset))
      bytes.append(chunk.bytes[...])
      limits.append(min(max(chunk.limit, 0), Self.maxOffset))
    }
    return Step(
      call: WriteStatements.appendOutput.with([me] + [ids, attempts, streams, offsets, bytes, limits].map(\.value)),
      check: .missing(chunks.values.map(\.count)))
  }

  private func handSteps(_ me: SQLValue, into steps: inout [Step]) {
    if !releases.isEmpty {
      var ids = SQLColumn(.text)
      for id in releases { ids.append(id.text) }
      steps.append(
        Step(
          call: WriteStatements.release.with([me, ids.value]),
          check: .missing([Int](repeating: 1, count: releases.count))))
    }
    if !transfers.isEmpty {
      var (ids, heirs) = (SQLColumn(.text), SQLColumn(.int))
      for (id, heir) in transfers {
        ids.append(id.text)
        heirs.append(heir.number)
      }
      steps.append(
        Step(
          call: WriteStatements.transfer.with([me, ids.value, heirs.value]),
          check: .missing([Int](repeating: 1, count: transfers.count))))
    }
  }

  private func testSteps(into steps: inout [Step]) {
    if !ran.isEmpty {
      var (suites, tests, durations) = (SQLColumn(.bytes), SQLColumn(.bytes), SQLColumn(.double))
      for (name, duration) in ran {
        suites.append(Array(name.suite.utf8))
        tests.append(Array(name.test.utf8))
        durations.append(duration.inMilliseconds * 1_000)
      }
      let weight = SQLValue.double(TestRecord.blend(0, with: 1))
      steps.append(
        Step(call: WriteStatements.testsRan(suites.value, tests.value, durations.value, weight), check: .none))
    }
    if !fates.isEmpty { fateSteps(into: &steps) }
    if !parts.isEmpty {
      var (runs, numbers, plans) = (SQLColumn(.bytes), SQLColumn(.int), SQLColumn(.bytes))
      for part in parts.values.flatMap(\.values) {
        runs.append(Array(part.run.utf8))
        numbers.append(part.number)
        var text: [UInt8] = []
        JSONValue.object(part.plan).write(into: &text)
        plans.append(text[...])
      }
      steps.append(
        Step(call: WriteStatements.runParts(runs.value, numbers.value, plans.value), check: .none))
    }
  }

  /// Counted where they are, and not here: another member may have added to them.
  private func fateSteps(into steps: inout [Step]) {
    var (known, killed, forgiven, put, released) = (
      NameColumns(), KillColumns(), FateColumns(), FateColumns(), NameColumns()
    )
    for (name, (change, wall)) in fates {
      switch change {
      case .killed(let worker):
        known.append(name)
        killed.append(name, worker, wall)
      case .forgiven: forgiven.append(name, "", wall)
      case .quarantined(let reason):
        known.append(name)
        put.append(name, reason, wall)
      case .released: released.append(name)
      }
    }
    func step(_ call: PostgresCall) { steps.append(Step(call: call, check: .none)) }
    if !known.isEmpty { step(WriteStatements.knowTests.with(known.values)) }
    if !killed.names.isEmpty {
      let (most, memory) = (SQLValue.int(TestFate.maxKills), SQLValue.int(TestFate.memory.wholeMilliseconds))
      step(WriteStatements.testsKilled.with(killed.values + [most, memory]))
    }
    if !put.names.isEmpty { step(WriteStatements.putTests.with(put.values)) }
    if !forgiven.names.isEmpty {
      step(WriteStatements.forgiveTests.with(forgiven.values + [.int(TestFate.maxKills)]))
      step(WriteStatements.forgetTests.with(forgiven.names.values))
    }
    if !released.isEmpty {
      step(WriteStatements.clearFates.with(released.values))
      step(WriteStatements.forgetTests.with(released.values))
    }
  }
}

/// The columns of tests, and of what happens to them, as `WriteStatements` orders them.
private struct NameColumns {
  private var suites = SQLColumn(.bytes)
  private var tests = SQLColumn(.bytes)

  mutating func append(_ name: TestName) {
    suites.append(Array(name.suite.utf8))
    tests.append(Array(name.test.utf8))
  }

  var isEmpty: Bool { suites.count == 0 }
  var values: [SQLValue] { [suites.value, tests.value] }
}

private struct FateColumns {
  private(set) var names = NameColumns()
  private var reasons = SQLColumn(.bytes)
  private var times = SQLColumn(.int)

  mutating func append(_ name: TestName, _ reason: String, _ wall: WallTime) {
    names.append(name)
    reasons.append(Array(reason.utf8))
    times.append(wall.milliseconds)
  }

  var values: [SQLValue] { names.values + [reasons.value, times.value] }
}

private struct KillColumns {
  private(set) var names = NameColumns()
  private var reasons = SQLColumn(.bytes)
  private var lastReasons = SQLColumn(.bytes)
  private var times = SQLColumn(.int)

  mutating func append(_ name: TestName, _ worker: WorkerID, _ wall: WallTime) {
    names.append(name)
    reasons.append(Array(TestFate.killWords(worker).utf8))
    lastReasons.append(Array(TestFate.lastKillWords(worker).utf8))
    times.append(wall.milliseconds)
  }

  var values: [SQLValue] { names.values + [reasons, lastReasons, times].map(\.value) }
}

/// The columns of states, as `WriteStatements` orders them.
private struct StateColumns {
  private var statuses = SQLColumn(.int)
  private var attempts = SQLColumn(.int)
  private var failed = SQLColumn(.int)
  private var lost = SQLColumn(.int)
  private var workers = SQLColumn(.text)
  private var starts = SQLColumn(.int)
  private var ends = SQLColumn(.int)
  private var codes = SQLColumn(.int)
  private var reasons = SQLColumn(.bytes)
  private var results = SQLColumn(.bytes)
  private var progress = SQLColumn(.double)
  private var flags = SQLColumn(.int)

  mutating func append(_ state: TaskState) {
    statuses.append(state.status.code)
    attempts.append(state.attempt)
    failed.append(state.failedAttempts)
    lost.append(state.lostAttempts)
    workers.append(state.workerID?.text)
    starts.append(state.startedAt?.milliseconds)
    ends.append(state.finishedAt?.milliseconds)
    codes.append(state.exitCode.map(Int64.init))
    reasons.append(state.reason.map { Array($0.utf8) })
    if let result = state.result {
      var text: [UInt8] = []
      result.write(into: &text)
      results.append(text[...])
    } else {
      results.appendNull()
    }
    progress.append(state.progress)
    flags.append((state.isCancelRequested ? 1 : 0) | (state.isPauseRequested ? 2 : 0))
  }

  var values: [SQLValue] {
    [statuses, attempts, failed, lost, workers, starts, ends, codes, reasons, results, progress, flags].map(\.value)
  }
}
