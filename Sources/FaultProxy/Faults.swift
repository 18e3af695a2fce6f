import Primitives

/// Which way bytes go through a proxy.
public enum FaultDirection: String, CaseIterable, Sendable {
  /// Towards the target.
  case up
  /// From the target.
  case down

  public var opposite: FaultDirection { self == .up ? .down : .up }
}

/// What is wrong with one direction of every connection through a proxy. Setting it takes effect at once, for bytes that
/// wait already as well.
///
/// A proxy is an end of TCP on both sides: what it holds back or drops was acknowledged to its sender. Loss and
/// reordering of packets, which TCP would repair, and lost connection attempts need the kernel (`tc`, `nft`).
public struct Faults: Equatable, Sendable {
  /// What becomes of bytes.
  public enum Delivery: String, CaseIterable, Sendable {
    case flowing
    /// They wait, and arrive when this ends: a partition that TCP outlives. What is beyond `FaultProxy.maxHeldBytes` waits
    /// at its sender.
    case held
    /// They are lost, and whoever sent them believes that they arrived: a partition that TCP does not outlive. The
    /// connection goes on with a hole in it, so end it when this ends.
    case dropped
  }

  /// How a connection ends at its byte limit.
  public enum Ending: String, CaseIterable, Sendable { case close, reset }

  /// Added to the way of every byte.
  public var latency: Duration = .zero
  /// `latency` varies by up to so much, up and down, evenly; bytes keep their order.
  public var jitter: Duration = .zero
  /// At most so many bytes pass in a second, over each connection; at least 1.
  public var bytesPerSecond: Int?
  /// Bytes leave in pieces of at most this size, each written by itself; at least 1.
  public var sliceBytes: Int?
  /// Time between two slices.
  public var slicePause: Duration = .zero
  /// One byte in so many is changed, on average; at least 1.
  public var corruptsOneIn: Int?
  /// So many bytes pass over each connection, and then it ends as `ending` says.
  public var byteLimit: Int?
  public var ending = Ending.close
  public var delivery = Delivery.flowing
  /// The end of this direction is passed on so much later than it came.
  public var closeDelay: Duration = .zero

  public init() {}

  public var isNone: Bool { self == Faults() }
}
