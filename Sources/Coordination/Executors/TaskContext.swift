import Locking
public import CoordinationCore
import Reactor

/// What a closure that executes a task knows of it, and how it speaks to its worker. Callable from any thread.
public final class TaskContext: Sendable {
  public let taskID: TaskID
  /// From 1; 0 from a coordinator of the older protocol.
  public let attempt: Int
  public let specification: TaskSpecification

  private struct State {
    var latestCheckpoint: JSONValue?
    var current: JSONValue?
    var isPaused = false
    var isStopped = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state: Locked<State>
  private let mailbox: Mailbox
  private let link: LoopBound<ClosureAttempt.Link>

  init(_ assignment: Assignment, mailbox: Mailbox, link: LoopBound<ClosureAttempt.Link>) {
    taskID = assignment.taskID
    attempt = assignment.attempt
    specification = assignment.specification
    state = Locked(State(latestCheckpoint: assignment.checkpoint?.data))
    self.mailbox = mailbox
    self.link = link
  }

  /// What the submitter gave as the task's input; empty for a command.
  public var input: JSONObject {
    guard case .custom(_, let input) = specification.work else { return JSONObject() }
    return input
  }

  /// Where to go on from: the newest checkpoint of this attempt, or else of an earlier one.
  public var latestCheckpoint: JSONValue? { state.withLock { $0.latestCheckpoint } }

  /// Hands progress over that a later attempt can start from; returns once the worker had room for it.
  ///
  /// Throws `CancellationError` when the attempt was stopped.
  public func checkpoint(_ data: JSONValue) async throws {
    try checkCancellation()
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      let isAccepted = mailbox.post { [link] in
        if let attempt = link.value.attempt {
          attempt.offer(data, continuation)
        } else {
          continuation.resume(throwing: CancellationError())
        }
      }
      if !isAccepted { continuation.resume(throwing: CancellationError()) }
    }
    state.withLock { $0.latestCheckpoint = data }
  }

  /// Tells how far the task is.
  ///
  /// - Parameter progress: from 0 to 1; clamped to that.
  public func update(progress: Double) {
    let value = progress >= 0 ? min(progress, 1) : 0
    mailbox.post { [link] in link.value.attempt?.progressed(value) }
  }

  /// Tells what a checkpoint would hold if somebody asked for one now.
  public func update(state current: JSONValue) { state.withLock { $0.current = current } }

  /// Whether somebody wants the task to stand still; call `waitWhilePaused` then.
  public var isPaused: Bool { state.withLock { $0.isPaused } }

  /// Returns at once unless the task is to stand still, and otherwise when it may go on.
  ///
  /// The task counts as paused from this call on. Throws `CancellationError` when the attempt was stopped.
  public func waitWhilePaused() async throws {
    try checkCancellation()
    while isPaused {
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let waits = state.withLock { state in
            guard state.isPaused, !state.isStopped, !Task.isCancelled else { return false }
            state.waiters.append(continuation)
            return true
          }
          guard waits else { return continuation.resume() }
          mailbox.post { [link] in link.value.attempt?.standsStill() }
        }
      } onCancel: {
        wake()
      }
      try checkCancellation()
    }
  }

  /// Throws `CancellationError` when the attempt was stopped or this Swift task was cancelled.
  public func checkCancellation() throws {
    if Task.isCancelled || state.withLock({ $0.isStopped }) { throw CancellationError() }
  }

  // MARK: The loop's side

  var currentState: JSONValue? { state.withLock { $0.current } }

  func setPaused(_ isPaused: Bool) {
    state.withLock { $0.isPaused = isPaused }
    if !isPaused { wake() }
  }

  func stop() {
    state.withLock { $0.isStopped = true }
    wake()
  }

  /// Everybody who waits looks again; those who still have to wait do.
  private func wake() {
    let waiters = state.withLock { state in
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }
}
