import Coordination
import CoordinationCore
import Primitives
import Reactor

/// Completes every attempt at once: what is left is the cost of coordination.
final class InstantExecutor: TaskExecutor {
  let kinds: Set<String> = ["instant"]

  func start(_ assignment: Assignment, reporter: AttemptReporter, on loop: EventLoop) {
    reporter.started()
    reporter.ended(AttemptEnding(.completed, result: .integer(Int64(assignment.attempt))))
  }

  func pause(_ key: AttemptKey) {}
  func resume(_ key: AttemptKey) {}
  func stop(_ key: AttemptKey, _ reason: StopReason) {}
  func roomAvailable() {}
}
