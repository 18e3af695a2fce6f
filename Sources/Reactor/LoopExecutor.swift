import Glibc

/// Runs tasks on a loop's thread: `Task(executorPreference: loop.taskExecutor)`, or `withTaskExecutorPreference`.
///
/// Child tasks inherit the preference, so a task and its children stay on the loop unless they ask for another executor;
/// `Task.detached` and the main actor do. Jobs run at the end of the turn in which they became ready, and what they send
/// is written after them. Callable from any thread.
///
/// A loop should outlive its tasks, as `EventLoop.run` and `withEventLoop` see to. A task that outlives its loop goes on
/// on the global pool, where the loop's objects may not be touched.
public final class LoopTaskExecutor: TaskExecutor {
  let queue: JobQueue

  init(_ queue: JobQueue) {
    self.queue = queue
  }

  /// The door to the loop for code that is no task.
  public var mailbox: Mailbox { queue.mailbox }

  /// True on the loop's thread until the loop has ended.
  public var isOnLoop: Bool { queue.isOnLoop }

  public func enqueue(_ job: consuming ExecutorJob) {
    queue.enqueue(UnownedJob(job), isIsolated: false, owner: .task(self))
  }

  /// The loop, for a task that runs on it; fails with `ECANCELED` once it has ended.
  package func ownLoop() throws(SystemError) -> EventLoop {
    guard let loop = queue.loop else {
      throw SystemError(call: "event loop", code: ECANCELED, detail: "the loop has ended")
    }
    return loop
  }
}

/// Lets an actor live on a loop: its methods run on the loop's thread, and callbacks there reach it by `assumeIsolated`.
///
///     actor Room {
///       private let executor: LoopSerialExecutor
///       nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
///       init(on executor: LoopSerialExecutor) { self.executor = executor }
///     }
///     let room = Room(on: loop.serialExecutor)
///
/// A task that calls the actor returns to the global pool afterwards unless it prefers the loop's `taskExecutor`.
public final class LoopSerialExecutor: SerialExecutor {
  let tasks: LoopTaskExecutor

  init(_ tasks: LoopTaskExecutor) {
    self.tasks = tasks
  }

  public func enqueue(_ job: consuming ExecutorJob) {
    tasks.queue.enqueue(UnownedJob(job), isIsolated: true, owner: .actor(self))
  }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    // SAFETY: whoever has the executor run a job holds it: the loop, the actor, or the job's queue.
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  public func isIsolatingCurrentContext() -> Bool? { tasks.isOnLoop }

  public func checkIsolated() {
    precondition(tasks.isOnLoop, "this must run on the loop's thread; post to its mailbox, or await the actor")
  }
}
