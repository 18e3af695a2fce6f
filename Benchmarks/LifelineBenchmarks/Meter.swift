import Glibc

/// Reads how many blocks of memory were asked for. Only the program `bench` links something that counts them.
public struct AllocationCounter: Sendable {
  let read: (@Sendable (AllocationScope) -> UInt64)?

  /// Counts nothing.
  public static let none = AllocationCounter(read: nil)

  public init(read: (@Sendable (AllocationScope) -> UInt64)?) {
    self.read = read
  }
}

/// What one run took.
public struct Sample: Sendable {
  public let operations: Int
  /// Of the clock on the wall.
  public let nanoseconds: Double
  /// Of processor time, over all threads: unlike the time on the wall it hardly depends on what else the machine does.
  public let processorNanoseconds: Double
  /// `nil` where nobody counts.
  public let allocations: UInt64?
  public let checksum: UInt64
}

/// Measures the part of a benchmark between `start` and `stop`.
public final class Meter {
  private struct Reading {
    var wall: Double
    var processor: Double
    var allocations: UInt64?
  }

  private let counter: AllocationCounter
  private let scope: AllocationScope
  private var started: Reading?
  private var stopped: Reading?

  init(_ counter: AllocationCounter, _ scope: AllocationScope) {
    self.counter = counter
    self.scope = scope
  }

  func start() { started = read() }
  func stop() { stopped = read() }

  private func read() -> Reading {
    let allocations = counter.read?(scope)
    return Reading(
      wall: Self.nanoseconds(CLOCK_MONOTONIC), processor: Self.nanoseconds(CLOCK_PROCESS_CPUTIME_ID),
      allocations: allocations)
  }

  private static func nanoseconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
  }

  func sample(operations: Int, checksum: UInt64) -> Sample {
    guard let started, let stopped else { preconditionFailure("a benchmark starts and stops its meter") }
    let allocations: UInt64? =
      if let before = started.allocations, let after = stopped.allocations { after - before } else { nil }
    return Sample(
      operations: operations, nanoseconds: stopped.wall - started.wall,
      processorNanoseconds: stopped.processor - started.processor, allocations: allocations, checksum: checksum)
  }
}

/// Folds values into a checksum, so that no work can be left out as unused (FNV-1a over words).
struct Checksum {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ word: UInt64) { value = (value ^ word) &* 0x100_0000_01B3 }
  mutating func add(_ word: Int) { add(UInt64(truncatingIfNeeded: word)) }
}
