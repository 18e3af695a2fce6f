import CoordinationCore
import Primitives
import Reactor
import Storage

let storeBenchmarks: [Benchmark] = [
  Benchmark("memory store commit, 3 writes", operations: 50_000) { operations, meter in
    try commit(operations, inFlight: 1, to: MemoryStore(), meter)
  },
  Benchmark("SQLite commit, 3 writes, one at a time", operations: 200, tiny: 5, scope: .process) { operations, meter in
    let directory = try ScratchDirectory()
    return try commit(operations, inFlight: 1, to: SQLiteStore.open(path: directory.file("tasks.db")), meter)
  },
  Benchmark("SQLite commit, 3 writes, 100 waiting", operations: 10_000, tiny: 200, scope: .process) {
    operations, meter in
    let directory = try ScratchDirectory()
    return try commit(operations, inFlight: 100, to: SQLiteStore.open(path: directory.file("tasks.db")), meter)
  },
]

/// Makes commits of three writes each, never more than `inFlight` at a time; in groups when there is more than one.
private func commit(_ operations: Int, inFlight: Int, to store: some TaskStore, _ meter: Meter) throws -> UInt64 {
  let loop = try EventLoop()
  let commits = (0..<operations).map(writes)
  let driver = Committer(commits, inFlight, store, loop, meter)
  driver.begin()
  loop.run()
  if let failure = driver.failure { throw failure }
  return UInt64(driver.done)
}

/// A task's submission, its first attempt, and the state that goes with it.
private func writes(_ number: Int) -> [StoreWrite] {
  let id = TaskID(known: "task-\(number)")
  let time = WallTime(milliseconds: 1_700_000_000_000)
  let worker = WorkerID(known: "w1")
  let specification = TaskSpecification(name: "t\(number)", work: .command(Command(["echo", "hello"])))
  var state = TaskState(status: .assigned)
  state.attempt = 1
  state.workerID = worker
  return [
    .submit(TaskRecord(id: id, specification: specification, submittedAt: time)),
    .attempt(AttemptRecord(taskID: id, attempt: 1, workerID: worker, startedAt: time)),
    .update(id, state),
  ]
}

/// Keeps a number of commits under way; the loop waits while the store works on its own thread.
private final class Committer {
  private let commits: [[StoreWrite]]
  private let inFlight: Int
  private let store: any TaskStore
  private let loop: EventLoop
  private let meter: Meter
  private var begun = 0
  private(set) var done = 0
  private(set) var failure: StoreError?

  init(_ commits: [[StoreWrite]], _ inFlight: Int, _ store: any TaskStore, _ loop: EventLoop, _ meter: Meter) {
    self.commits = commits
    self.inFlight = inFlight
    self.store = store
    self.loop = loop
    self.meter = meter
  }

  func begin() {
    let me = LoopBound(self, to: loop)
    loop.mailbox.post {
      me.value.meter.start()
      me.value.commitMore(me)
    }
  }

  private func commitMore(_ me: LoopBound<Committer>) {
    let mailbox = loop.mailbox
    while begun < commits.count, begun - done < inFlight {
      begun += 1
      store.commit(commits[begun - 1]) { result in mailbox.post { me.value.committed(result, me) } }
    }
  }

  private func committed(_ result: Result<Void, StoreError>, _ me: LoopBound<Committer>) {
    done += 1
    if case .failure(let error) = result { failure = error }
    guard done == commits.count || failure != nil else {
      // Refilled only when the whole group is through, so that the next one is as large.
      if begun == done { commitMore(me) }
      return
    }
    meter.stop()
    let mailbox = loop.mailbox
    store.close { mailbox.post { (loop: EventLoop) in loop.stop() } }
  }
}
