public import CoordinationCore

/// Durable memory of tasks, attempts, checkpoints and output.
///
/// Operations are applied in the order of the calls, whichever thread they come from: a read sees every commit that was
/// requested before it. Each completion is called exactly once, on a thread of the store's choosing or within the call
/// itself, and must not block.
///
/// Writes about a task that was never submitted change nothing. An `.update` that would change a task that has ended, or
/// that carries a smaller attempt than the record, is left out while the rest of its commit is applied; such writes are
/// counted in `refusedWrites`.
public protocol TaskStore: AnyObject, Sendable {
  /// Applies all of `writes`, or none when it fails; on success they survive a crash of the machine.
  ///
  /// A later commit may succeed where an earlier one failed. When `StoreError.isTransient` holds, the same writes may be
  /// committed again.
  func commit(_ writes: [StoreWrite], _ completion: @escaping @Sendable (Result<Void, StoreError>) -> Void)

  /// All tasks that have not ended, in the order of their submission; read once, at start.
  func unfinishedTasks(_ completion: @escaping @Sendable (Result<[UnfinishedTask], StoreError>) -> Void)

  /// One page of the tasks that `filter` describes, in the order of their submission; empty when `filter.after` is unknown.
  func tasks(
    matching filter: TaskFilter, _ completion: @escaping @Sendable (Result<[TaskRecord], StoreError>) -> Void)

  /// Everything about one task; `nil` when it was never submitted.
  func task(_ id: TaskID, _ completion: @escaping @Sendable (Result<TaskDetail?, StoreError>) -> Void)

  /// How many tasks have each status, of one run or (`nil`) of all; a status that no task has is missing.
  func counts(run: String?, _ completion: @escaping @Sendable (Result<[TaskStatus: Int], StoreError>) -> Void)

  /// One page of the tests that `filter` describes, in the order of their names.
  func tests(
    matching filter: TestFilter, _ completion: @escaping @Sendable (Result<[TestRecord], StoreError>) -> Void)

  /// One part of a run's plan; `nil` when there is none of that number.
  func runPart(
    _ run: String, _ number: Int, _ completion: @escaping @Sendable (Result<RunPart?, StoreError>) -> Void)

  /// Finishes what was requested before and lets go of the store; whatever is requested later fails with `.closed`.
  func close(_ completion: @escaping @Sendable () -> Void)

  /// How many writes were left out so far because they would have changed a task that has ended, came from an older
  /// attempt, or were about an unknown task. More than zero is a defect of the caller, or a late writer held off.
  var refusedWrites: Int { get }
}
