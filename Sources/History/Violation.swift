public import Primitives

/// A rule that a history breaks.
public struct Violation: Equatable, Sendable, CustomStringConvertible {
  public enum Rule: String, CaseIterable, Sendable {
    /// Every acknowledged task ends in exactly one terminal record.
    case endsOnce = "a task ends exactly once"
    /// What was acknowledged survives any crash.
    case isKept = "what was acknowledged is kept"
    /// An attempt starts from the newest durable checkpoint.
    case resumesFromNewest = "an attempt starts from the newest checkpoint"
    /// Only the newest attempt may write, and each is started once.
    case newestAttemptWrites = "only the newest attempt writes"
    /// With exclusive leases, two attempts at a task never run at the same time.
    case runsAlone = "attempts at a task do not overlap"
    /// A worker is given only what it meets the requirements of and has the slots for.
    case fits = "a worker is given what fits it"
    /// Of members that share a store, only the one that has a task writes about it, and none does after it has ended.
    case oneMember = "a task is one member's at a time"
    /// Within a session nothing is handled twice, out of order, or left out.
    case inOrder = "a session's messages are handled once and in order"
    /// Queues, outboxes and buffers stay within their bounds.
    case isBounded = "queues stay within their bounds"
    /// Once nothing is broken any more, all work ends.
    case ends = "all work ends when the faults have"
  }

  public let rule: Rule
  public let time: Instant
  public let text: String

  public var description: String { "at \(time.nanoseconds / 1_000_000) ms: \(text) [\(rule.rawValue)]" }
}
