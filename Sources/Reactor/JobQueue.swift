import Locking

/// The jobs of Swift concurrency that wait for a loop, in the order in which they came.
///
/// Jobs from the loop's own thread, nearly all of them, go through a plain array; the lock and the wake-up are for other
/// threads' jobs. A loop that has ended leaves tasks that wait for something elsewhere: they must come to an end too, so
/// their jobs then run on the global pool, still one at a time.
@safe
final class JobQueue: @unchecked Sendable {
  /// Whose job it is; it keeps the executor that the job names without owning.
  enum Owner {
    case task(LoopTaskExecutor)
    case actor(LoopSerialExecutor)
  }

  private struct LocalJob {
    let job: UnownedJob
    let isIsolated: Bool
  }

  private struct ForeignJob {
    let job: UnownedJob
    let owner: Owner

    func run() {
      switch owner {
      case .task(let executor): unsafe job.runSynchronously(on: executor.asUnownedTaskExecutor())
      case .actor(let executor):
        unsafe job.runSynchronously(
          isolatedTo: executor.asUnownedSerialExecutor(), taskExecutor: executor.tasks.asUnownedTaskExecutor())
      }
    }
  }

  private struct Foreign {
    var jobs: [ForeignJob] = []
    var loopHasEnded = false
    var poolIsRunning = false
  }

  let mailbox: Mailbox
  private let thread = ThreadIdentity.current
  private let foreign = Locked(Foreign())
  // What follows is touched on the loop's thread only.
  private var pointer: Unmanaged<EventLoop>?
  private var local: [LocalJob] = []
  private var batch: [LocalJob] = []
  private var hasEnded = false

  /// Batches run before what they sent is written: each resumed task may resume others.
  private static let maxBatches = 64

  init(mailbox: Mailbox) {
    self.mailbox = mailbox
  }

  /// True on the loop's thread until the loop has ended; the thread's number may be another's after that.
  var isOnLoop: Bool { thread == .current && !hasEnded }

  var hasLocalJobs: Bool { !local.isEmpty }

  /// Not held weakly: that would slow down every retain of the loop, which connections do all the time.
  func attach(to loop: EventLoop) { unsafe pointer = Unmanaged.passUnretained(loop) }

  /// The loop, for a caller on its thread.
  var loop: EventLoop? {
    guard isOnLoop else { return nil }
    // SAFETY: the loop's deinit closes the queue, after which nobody is on the loop.
    return unsafe pointer?.takeUnretainedValue()
  }

  @inline(__always)
  func enqueue(_ job: UnownedJob, isIsolated: Bool, owner: @autoclosure () -> Owner) {
    if isOnLoop {
      local.append(LocalJob(job: job, isIsolated: isIsolated))
    } else {
      enqueueForeign(ForeignJob(job: job, owner: owner()))
    }
  }

  private func enqueueForeign(_ job: ForeignJob) {
    enum Next { case nothing, wake, startPool }
    let next = foreign.withLock { foreign -> Next in
      foreign.jobs.append(job)
      guard foreign.loopHasEnded else { return foreign.jobs.count == 1 ? .wake : .nothing }
      if foreign.poolIsRunning { return .nothing }
      foreign.poolIsRunning = true
      return .startPool
    }
    switch next {
    case .nothing: break
    case .wake: mailbox.wake()
    case .startPool: runOnPool()
    }
  }

  /// Takes over what other threads enqueued; called after their wake-up.
  func admitForeign() {
    var jobs: [ForeignJob] = []
    foreign.withLock { swap(&$0.jobs, &jobs) }
    for entry in jobs {
      if case .actor = entry.owner {
        local.append(LocalJob(job: entry.job, isIsolated: true))
      } else {
        local.append(LocalJob(job: entry.job, isIsolated: false))
      }
    }
  }

  /// Runs what waits, and what that enqueues, within bounds.
  func run(_ tasks: UnownedTaskExecutor, _ actors: UnownedSerialExecutor) {
    for _ in 0..<Self.maxBatches {
      swap(&batch, &local)
      for entry in batch {
        // SAFETY: the loop holds both executors, and each job is run once.
        if entry.isIsolated {
          unsafe entry.job.runSynchronously(isolatedTo: actors, taskExecutor: tasks)
        } else {
          unsafe entry.job.runSynchronously(on: tasks)
        }
      }
      batch.removeAll(keepingCapacity: true)
      if local.isEmpty { return }
    }
  }

  /// The loop has ended, or goes away without having run: what waits, and what still comes, is the pool's.
  func close(_ tasks: LoopTaskExecutor, _ actors: LoopSerialExecutor) {
    guard !hasEnded else { return }
    hasEnded = true
    let left = local.map { ForeignJob(job: $0.job, owner: $0.isIsolated ? .actor(actors) : .task(tasks)) }
    local = []
    let startPool = foreign.withLock { foreign -> Bool in
      foreign.jobs = left + foreign.jobs
      foreign.loopHasEnded = true
      foreign.poolIsRunning = !foreign.jobs.isEmpty
      return foreign.poolIsRunning
    }
    if startPool { runOnPool() }
  }

  private func runOnPool() {
    Task.detached { [self] in
      while true {
        var jobs: [ForeignJob] = []
        foreign.withLock { foreign in
          swap(&foreign.jobs, &jobs)
          if jobs.isEmpty { foreign.poolIsRunning = false }
        }
        if jobs.isEmpty { return }
        for job in jobs { job.run() }
      }
    }
  }
}
