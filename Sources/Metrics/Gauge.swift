/// A number that goes up and down; 0 until it is set. Belongs to its loop.
public final class Gauge {
  public var value: Double = 0

  public init() {}
}

@available(*, unavailable) extension Gauge: Sendable {}
