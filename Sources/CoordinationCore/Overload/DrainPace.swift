import Primitives

/// How fast connections are closed when the coordinator ends: so many each interval that all are closed within the
/// window, and at least `minPerStep`, because a few need no spreading.
public struct DrainPace: Equatable, Sendable {
  /// The time between two groups of closes.
  public static let step: Duration = .milliseconds(100)
  /// As many as a coordinator takes back without noticing it: 1,000 a second.
  public static let minPerStep = 100

  /// How many are closed in each step.
  public let perStep: Int
  /// From the first close to the last.
  public let duration: Duration

  /// - Parameters:
  ///   - connections: how many are to be closed.
  ///   - window: within which; zero or below closes all at once.
  ///   - minimum: how many are closed in each step at least.
  public init(connections: Int, within window: Duration, atLeast minimum: Int = Self.minPerStep) {
    let count = max(0, connections)
    // The first group goes at once.
    let steps = Int(max(0, min(window, .seconds(86_400)).wholeNanoseconds) / Self.step.wholeNanoseconds) + 1
    perStep = steps == 1 ? max(1, count) : max(minimum, 1, (count + steps - 1) / steps)
    let needed = (count + perStep - 1) / perStep
    duration = Self.step * max(0, needed - 1)
  }

  /// What those that are closed are told to wait. Each waits equally long, so that they come back as they were sent away:
  /// spread over the window, and not before it is over.
  public var retryAfter: Duration { duration + .milliseconds(500) }
}
