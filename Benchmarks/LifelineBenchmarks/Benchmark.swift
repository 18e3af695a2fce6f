/// How much work one run of a benchmark does.
public enum Scale: Sendable {
  /// For numbers to compare.
  case full
  /// A tenth: a first impression.
  case quick
  /// A few operations: only to see that the benchmark still works.
  case tiny
}

/// Whose allocations a benchmark counts.
public enum AllocationScope: String, Sendable {
  /// Those of the thread that is measured, which does all the work.
  case thread
  /// Those of every thread of the process.
  case process
}

/// One row of the table.
public struct Benchmark: Sendable {
  public let name: String
  /// The payload that one operation handles, in bytes; 0 where throughput in bytes says nothing.
  public let payloadBytes: Int
  public let scope: AllocationScope
  /// Whether operations per second are what people ask for.
  public let showsRate: Bool
  private let operations: Int
  private let tinyOperations: Int
  private let body: @Sendable (Int, Meter) throws -> UInt64

  /// - Parameters:
  ///   - operations: of one full run; chosen so that a run takes about a tenth of a second, or longer with threads.
  ///   - body: prepares, measures that many operations between `Meter.start` and `Meter.stop`, and returns a checksum
  ///     of what they did, the same for the same number of operations.
  init(
    _ name: String, operations: Int, tiny: Int = 10, payloadBytes: Int = 0, scope: AllocationScope = .thread,
    showsRate: Bool = false, _ body: @escaping @Sendable (Int, Meter) throws -> UInt64
  ) {
    self.name = name
    self.payloadBytes = payloadBytes
    self.scope = scope
    self.showsRate = showsRate
    self.operations = operations
    tinyOperations = tiny
    self.body = body
  }

  public func operations(at scale: Scale) -> Int {
    switch scale {
    case .full: operations
    case .quick: max(operations / 10, tinyOperations)
    case .tiny: tinyOperations
    }
  }

  /// Runs once.
  public func run(at scale: Scale, counting allocations: AllocationCounter) throws -> Sample {
    let meter = Meter(allocations, scope)
    let operations = operations(at: scale)
    let checksum = try body(operations, meter)
    return meter.sample(operations: operations, checksum: checksum)
  }

  /// Every benchmark, in the order of the layers.
  public static let all: [Benchmark] =
    loopBenchmarks + metricsBenchmarks + frameBenchmarks + echoBenchmarks + messageBenchmarks + coreBenchmarks
    + storeBenchmarks
    + dispatchBenchmarks
}

extension Benchmark: CustomStringConvertible {
  public var description: String { name }
}

/// What goes wrong while a benchmark prepares or runs.
struct BenchmarkError: Error, CustomStringConvertible {
  let description: String
}
