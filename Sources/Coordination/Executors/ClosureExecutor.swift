public import CoordinationCore
public import Reactor

/// Executes tasks by calling a Swift closure in a Swift task of its own, away from the loop.
///
/// What the closure returns is the task's result. An error it throws fails the attempt with the error's description; any
/// error after the attempt was stopped means that it was cancelled. Stopping cancels the Swift task; a closure that
/// takes no notice is given up after `cancellationGrace`, though it cannot be kept from running on.
public final class ClosureExecutor: TaskExecutor {
  public typealias Body = @Sendable (TaskContext) async throws -> JSONValue?

  public let kinds: Set<String>
  public let cancellationGrace: Duration
  private let body: Body
  private var attempts: [AttemptKey: ClosureAttempt] = [:]

  public init(kinds: Set<String>, cancellationGrace: Duration = .seconds(10), _ body: @escaping Body) {
    self.kinds = kinds
    self.cancellationGrace = cancellationGrace
    self.body = body
  }

  public func start(_ assignment: Assignment, reporter: AttemptReporter, on loop: EventLoop) {
    let key = reporter.key
    let attempt = ClosureAttempt(assignment, reporter, cancellationGrace: cancellationGrace, on: loop) {
      [weak self] in self?.attempts[key] = nil
    }
    attempts[key] = attempt
    attempt.start(body)
  }

  public func pause(_ key: AttemptKey) { attempts[key]?.pause() }
  public func resume(_ key: AttemptKey) { attempts[key]?.resume() }
  public func stop(_ key: AttemptKey, _ reason: StopReason) { attempts[key]?.stop(reason) }
  public func requestCheckpoint(_ key: AttemptKey) { attempts[key]?.requestCheckpoint() }

  public func roomAvailable() {
    for attempt in Array(attempts.values) { attempt.roomAvailable() }
  }
}

@available(*, unavailable) extension ClosureExecutor: Sendable {}
